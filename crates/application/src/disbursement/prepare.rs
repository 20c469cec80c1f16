//! Plans and prepares a disbursement: afterwards the burn is signed, kept and paid for, not sent.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;
use tranche_domain::disbursement::PlanError;
use tranche_domain::milestone::TransitionError;
use tranche_domain::{
    Action, Amount, DisbursementId, DisbursementPlan, Milestone, MilestoneId, PreparedBurn, Project,
};

use super::Disbursements;
use super::seats::Seat;
use super::watch::{WatchError, Withheld};
use crate::audit::record::{CanonicalError, EventRecord};
use crate::call::{Call, Outcome};
use crate::failpoint::failpoint;
use crate::idempotency::Answered;
use crate::ports::burner::LedgerError;
use crate::ports::store::{Conflict, StoreError};
use crate::services::{Claimed, bind, claim, may_retry};

/// How long a disbursement waits for a sequence number: while another burn of the account is in
/// flight, the next one is taken.
const PATIENCE: Duration = Duration::from_secs(45);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a disbursement was not prepared. Nothing changed and nothing will burn.
/// Only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum DisburseError {
    /// There is no such milestone, or the caller may not see it.
    #[error("there is no such milestone")]
    NotFound,
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] TransitionError),
    /// The caller has seen another version.
    #[error("the milestone is at version {current}")]
    VersionMismatch {
        /// The version that stands.
        current: i64,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// Every account whose sequence number it could take has another burn in flight.
    #[error("another burn of the project's wallet, or of every channel account, is in flight")]
    WalletBusy,
    /// Nothing may be signed for as things stand.
    #[error(transparent)]
    Withheld(#[from] Withheld),
    /// The ledger was not ready to sign for.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The order's evidence cannot be written down.
    #[error(transparent)]
    Evidence(#[from] CanonicalError),
}

impl From<WatchError> for DisburseError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Ledger(error) => error.into(),
            WatchError::Store(error) => error.into(),
            WatchError::Withheld(why) => why.into(),
        }
    }
}

/// What one try came to.
enum Try {
    Done(Outcome<DisbursementId>),
    Stale,
    SlotTaken,
}

impl Disbursements {
    /// Plans, signs and keeps a burn for the milestone: the transfer's amount unless another is
    /// given.
    ///
    /// # Errors
    /// [`DisburseError`].
    pub async fn prepare(
        &self,
        milestone: MilestoneId,
        amount: Option<Amount>,
        call: &Call,
    ) -> Result<Outcome<DisbursementId>, DisburseError> {
        let outcome = self.prepare_once(milestone, amount, call).await;
        if let Err(error) = &outcome {
            self.report(milestone, call, error);
        }
        outcome
    }

    /// Prepares, unless the same call was carried out before, or by another while this one waited.
    async fn prepare_once(
        &self,
        milestone: MilestoneId,
        amount: Option<Amount>,
        call: &Call,
    ) -> Result<Outcome<DisbursementId>, DisburseError> {
        if let Some(answered) = self.asked_before(call).await? {
            return Ok(Outcome::AlreadyApplied(answered));
        }
        let outcome = self.prepare_in_turn(milestone, amount, call).await;
        if let Err(DisburseError::Refused(_)) = &outcome
            && let Some(answered) = self.asked_before(call).await?
        {
            return Ok(Outcome::AlreadyApplied(answered));
        }
        outcome
    }

    async fn asked_before(&self, call: &Call) -> Result<Option<Answered>, DisburseError> {
        let key = call.idempotency.as_ref();
        match self.services.asked_before(key).await? {
            Claimed::Ours => Ok(None),
            Claimed::Before(answered) => Ok(Some(answered)),
            Claimed::Misused => Err(DisburseError::KeyMisused),
        }
    }

    /// Tries until the wallet's next sequence number is free and the rules were checked on the
    /// milestone as it stands. Patience ends between two tries, never within a unit of work: what
    /// was answered to be undone must not be committed.
    async fn prepare_in_turn(
        &self,
        milestone: MilestoneId,
        amount: Option<Amount>,
        call: &Call,
    ) -> Result<Outcome<DisbursementId>, DisburseError> {
        let deadline = Instant::now() + PATIENCE;
        // What waiting cannot mend is refused at once.
        let plan = self.plan(milestone, amount, None, call).await?;
        self.watch.allows(plan.project_id()).await?;
        let mut unfit = HashSet::new();
        loop {
            let seat =
                timeout_at(deadline, self.seats.take(plan.wallet_account_id(), &unfit)).await;
            let seat = seat.map_err(|_| DisburseError::WalletBusy)??;
            let tried = self.try_prepare(milestone, amount, &seat, call, deadline);
            let too_late = match tried.await {
                Ok(Try::Done(outcome)) => return Ok(outcome),
                Ok(Try::SlotTaken) => {
                    // Another process has it, or the node lags: another channel may be free.
                    unfit.extend(seat.channel().map(ToOwned::to_owned));
                    DisburseError::WalletBusy
                }
                Ok(Try::Stale) => StoreError::Conflict(Conflict::Stale).into(),
                Err(error) if asks_again(&error) => error,
                Err(DisburseError::Ledger(LedgerError::UnfitSequenceAccount { code, detail }))
                    if let Some(channel) = seat.channel() =>
                {
                    warn!(channel, code, detail, "a channel account is passed over");
                    unfit.insert(channel.to_owned());
                    continue;
                }
                Err(error) => return Err(error),
            };
            drop(seat);
            if Instant::now() + PAUSE >= deadline {
                return Err(too_late);
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_prepare(
        &self,
        id: MilestoneId,
        amount: Option<Amount>,
        seat: &Seat,
        call: &Call,
        deadline: Instant,
    ) -> Result<Try, DisburseError> {
        let channel = seat.channel().map(ToOwned::to_owned);
        let plan = self.plan(id, amount, channel, call).await?;
        let event = plan.event();
        let memo = EventRecord::from(event).leaf_hash(event.occurred_at)?;
        let order = plan.order(memo);
        failpoint!("planned");
        let burn = timeout_at(deadline, self.burner.prepare(&order))
            .await
            .map_err(|_| LedgerError::Unavailable("no answer in time".to_owned()))??;
        failpoint!("signed");
        self.watch
            .covers(plan.project_id(), burn.signed_at_ledger)
            .await?;
        self.keep(id, plan, burn, call).await
    }

    /// The plan, from what is committed now.
    async fn plan(
        &self,
        id: MilestoneId,
        amount: Option<Amount>,
        channel: Option<String>,
        call: &Call,
    ) -> Result<DisbursementPlan, DisburseError> {
        let (milestone, project) = self.milestone_and_project(id, call).await?;
        check_version(&milestone, call)?;
        let disbursement = DisbursementId(self.services.entropy.id());
        let occasion = self.services.occasion(&call.caller);
        Ok(milestone.plan_disbursement(&project, disbursement, amount, channel, occasion)?)
    }

    async fn milestone_and_project(
        &self,
        id: MilestoneId,
        call: &Call,
    ) -> Result<(Milestone, Project), DisburseError> {
        let milestone = self
            .queries
            .milestone(id)
            .await?
            .filter(|milestone| call.caller.sees(milestone.project_id))
            .ok_or(DisburseError::NotFound)?;
        let project = self
            .queries
            .project(milestone.project_id)
            .await?
            .ok_or(DisburseError::NotFound)?;
        Ok((milestone, project))
    }

    /// Transaction 1: the rules again, on locked rows; then everything at once.
    async fn keep(
        &self,
        id: MilestoneId,
        plan: DisbursementPlan,
        burn: PreparedBurn,
        call: &Call,
    ) -> Result<Try, DisburseError> {
        let disbursement = plan.id();
        let mut work = self.services.store.begin().await?;
        match claim(work.as_mut(), call.idempotency.as_ref()).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => {
                return Ok(Try::Done(Outcome::AlreadyApplied(answered)));
            }
            Claimed::Misused => return Err(DisburseError::KeyMisused),
        }
        let project = work
            .projects()
            .lock(plan.project_id())
            .await?
            .ok_or(DisburseError::NotFound)?;
        let milestone = work
            .milestones()
            .lock(id)
            .await?
            .ok_or(DisburseError::NotFound)?;
        check_version(&milestone, call)?;
        let change = match plan.prepare(milestone, project, burn) {
            Ok(change) => change,
            Err(PlanError::Stale) => return Ok(Try::Stale),
            Err(PlanError::Refused(error)) => return Err(error.into()),
        };
        match work.record(&change).await {
            Ok(()) => {}
            Err(StoreError::Conflict(Conflict::LedgerSlot)) => return Ok(Try::SlotTaken),
            Err(StoreError::Conflict(Conflict::Stale)) => return Ok(Try::Stale),
            Err(error) => return Err(error.into()),
        }
        bind(work.as_mut(), call.idempotency.as_ref(), disbursement.0).await?;
        failpoint!("preparing");
        work.commit().await?;
        failpoint!("prepared");
        Ok(Try::Done(Outcome::Done(disbursement)))
    }

    fn report(&self, milestone: MilestoneId, call: &Call, error: &DisburseError) {
        if let DisburseError::Store(error) = error {
            let context = json!({ "milestone_id": milestone.0, "actor": call.caller.actor.id,
                "request_id": call.caller.origin.request_id });
            let operation = Action::DisbursementPrepared.as_str();
            self.services.report_store(operation, true, error, context);
        }
    }
}

/// Whether the database only asks to try again.
const fn asks_again(error: &DisburseError) -> bool {
    matches!(error, DisburseError::Store(error) if may_retry(error))
}

fn check_version(milestone: &Milestone, call: &Call) -> Result<(), DisburseError> {
    match call.expected_version {
        Some(seen) if seen != milestone.version => Err(DisburseError::VersionMismatch {
            current: milestone.version,
        }),
        _ => Ok(()),
    }
}
