//! Two people decide what the ledger's answers cannot: one proposes, a second one confirms. Before
//! either counts, the ledger is asked once more, and what it contradicts is refused.

use serde_json::json;
use thiserror::Error;
use tranche_domain::disbursement::{Judgement, ResolutionError, Verdict};
use tranche_domain::text::Reason;
use tranche_domain::{
    Change, Disbursement, DisbursementId, DisbursementState, Milestone, Occasion, Project, Write,
};

use super::Disbursements;
use crate::call::{Call, Outcome};
use crate::ports::burner::LedgerError;
use crate::ports::store::{LockedBooks, StoreError};
use crate::services::{Claimed, TRIES, bind, claim, may_retry};

const OPERATION: &str = "disbursement.resolve";

/// Why people's judgement was not taken. Nothing changed.
/// Only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// There is no such disbursement, or the caller may not see it.
    #[error("there is no such disbursement")]
    NotFound,
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] ResolutionError),
    /// The ledger says otherwise, or has not had its last word.
    #[error("the ledger contradicts: {0}")]
    Contradicted(String),
    /// The caller has seen another version.
    #[error("the disbursement is at version {current}")]
    VersionMismatch {
        /// The version that stands.
        current: i64,
    },
    /// Whoever confirms must say which version they read: the proposal may have been replaced.
    #[error("say which version you confirm")]
    VersionRequired,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// The ledger could not be asked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What people may do.
enum Step {
    Propose(Judgement, Reason),
    Confirm,
}

impl Step {
    fn change(
        &self,
        disbursement: Disbursement,
        milestone: Milestone,
        project: Project,
        occasion: &Occasion,
    ) -> Result<Change, ResolutionError> {
        match self {
            Self::Propose(judgement, why) => {
                disbursement.propose(&milestone, judgement.clone(), why.clone(), occasion)
            }
            Self::Confirm => disbursement.confirm(milestone, project, occasion),
        }
    }
}

impl Disbursements {
    /// What the ledger says about a disbursement now, without acting on it: the operator's page of
    /// evidence.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn testimony(&self, disbursement: &Disbursement) -> Result<Verdict, ResolveError> {
        Ok(self.burner.verdict(&disbursement.burn).await?)
    }

    /// One person's judgement on a disbursement that needs an operator.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn propose(
        &self,
        id: DisbursementId,
        judgement: Judgement,
        why: Reason,
        call: &Call,
    ) -> Result<Outcome<Disbursement>, ResolveError> {
        self.resolve(id, &Step::Propose(judgement, why), call).await
    }

    /// A second person agrees with what was proposed at the version they read, and the books follow.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn confirm(
        &self,
        id: DisbursementId,
        call: &Call,
    ) -> Result<Outcome<Disbursement>, ResolveError> {
        if call.expected_version.is_none() {
            return Err(ResolveError::VersionRequired);
        }
        self.resolve(id, &Step::Confirm, call).await
    }

    async fn resolve(
        &self,
        id: DisbursementId,
        step: &Step,
        call: &Call,
    ) -> Result<Outcome<Disbursement>, ResolveError> {
        let asked_before = self.services.asked_before(call.idempotency.as_ref());
        match asked_before.await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(ResolveError::KeyMisused),
        }
        let disbursement = self.queries.disbursement(id).await?;
        let disbursement = disbursement
            .filter(|disbursement| call.caller.sees(disbursement.project_id))
            .ok_or(ResolveError::NotFound)?;
        let judgement = match (step, &disbursement.state) {
            (Step::Propose(judgement, _), _) => judgement.clone(),
            (Step::Confirm, DisbursementState::NeedsOperator { proposal, .. }) => {
                let proposal = proposal.as_ref().ok_or(ResolutionError::NoProposal)?;
                proposal.judgement.clone()
            }
            (Step::Confirm, state) => return Err(ResolutionError::NotAsked(state.as_str()).into()),
        };
        self.ask_the_ledger(&disbursement, &judgement).await?;
        let mut tries = 1;
        loop {
            match self.try_resolve(&disbursement, step, call).await {
                Err(ResolveError::Store(error)) if may_retry(&error) && tries < TRIES => tries += 1,
                Err(ResolveError::Store(error)) => {
                    let context = json!({ "disbursement_id": id.0, "actor": call.caller.actor.id });
                    self.services.report_store(OPERATION, true, &error, context);
                    return Err(error.into());
                }
                other => return other,
            }
        }
    }

    /// Whether the ledger leaves room for the judgement.
    async fn ask_the_ledger(
        &self,
        disbursement: &Disbursement,
        judgement: &Judgement,
    ) -> Result<(), ResolveError> {
        let contradicted = |why: String| Err(ResolveError::Contradicted(why));
        if !matches!(disbursement.state, DisbursementState::NeedsOperator { .. }) {
            return Err(ResolutionError::NotAsked(disbursement.state.as_str()).into());
        }
        disbursement.admits(judgement)?;
        let verdict = self.burner.verdict(&disbursement.burn).await?;
        match verdict {
            Verdict::NeedsOperator { .. } => {}
            Verdict::Undecided(_) => {
                return contradicted("the burn may still happen; wait for its verdict".to_owned());
            }
            Verdict::Burned { ledger, .. } => {
                return contradicted(format!(
                    "ledger {ledger} holds the burn; it is settled without people"
                ));
            }
            Verdict::Failed(failure) => {
                return contradicted(format!(
                    "the burn is proven never to happen ({}); it is released without people",
                    failure.code
                ));
            }
        }
        let first = match judgement {
            Judgement::Burned { ledger, .. } => *ledger,
            Judgement::Failed => disbursement.burn.signed_at_ledger,
        };
        let wallet = [disbursement.wallet_account_id.clone()];
        let seen = self.burner.burns_since(Some(first), &wallet).await?;
        let mut of_ours = seen
            .burns
            .iter()
            .filter(|burn| disbursement.burn.ids().any(|id| *id == burn.id));
        match judgement {
            Judgement::Burned { burn, ledger } if seen.to < *ledger => contradicted(format!(
                "ledger {ledger}, said to hold {burn}, is not closed: the newest is {}",
                seen.to
            )),
            Judgement::Burned { burn, ledger }
                if seen.from <= *ledger
                    && !of_ours.any(|held| held.ledger == *ledger && held.id == *burn) =>
            {
                contradicted(format!(
                    "ledger {ledger} is in view and does not hold {burn}"
                ))
            }
            Judgement::Burned { .. } => Ok(()),
            Judgement::Failed => match of_ours.next() {
                Some(held) => {
                    contradicted(format!("ledger {} holds the burn {}", held.ledger, held.id))
                }
                None => Ok(()),
            },
        }
    }

    async fn try_resolve(
        &self,
        disbursement: &Disbursement,
        step: &Step,
        call: &Call,
    ) -> Result<Outcome<Disbursement>, ResolveError> {
        let mut work = self.services.store.begin().await?;
        match claim(work.as_mut(), call.idempotency.as_ref()).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(ResolveError::KeyMisused),
        }
        let LockedBooks {
            project,
            disbursements,
        } = work
            .disbursements()
            .lock_books(disbursement.project_id, &[disbursement.id])
            .await?
            .ok_or(ResolveError::NotFound)?;
        let (milestone, locked) = disbursements
            .into_iter()
            .next()
            .ok_or(ResolveError::NotFound)?;
        // The ledger was asked about the version that was read.
        let seen = call.expected_version.unwrap_or(disbursement.version);
        if locked.version != seen || locked.version != disbursement.version {
            return Err(ResolveError::VersionMismatch {
                current: locked.version,
            });
        }
        let occasion = self.services.occasion(&call.caller);
        let change = step.change(locked, milestone, project, &occasion)?;
        work.record(&change).await?;
        bind(work.as_mut(), call.idempotency.as_ref(), disbursement.id.0).await?;
        work.commit().await?;
        let written = change.disbursement().map(Write::value).cloned();
        Ok(Outcome::Done(
            written.unwrap_or_else(|| disbursement.clone()),
        ))
    }
}
