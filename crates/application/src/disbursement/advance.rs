//! Takes one disbursement a step further: send, ask, settle or release.
//!
//! Every step is safe to repeat and safe to run twice at once. Sending is repeated with the same
//! bytes; the verdict is the ledger's alone; the books move once, because the disbursement's row is
//! locked and an ended one is left alone.

use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::disbursement::{Verdict, VerdictError};
use tranche_domain::{
    Action, Change, Disbursement, DisbursementId, DisbursementState, Failure, Milestone, Occasion,
    Project,
};

use super::Disbursements;
use crate::call::Caller;
use crate::ports::burner::LedgerError;
use crate::ports::monitor::Incident;
use crate::ports::store::{Conflict, StoreError, UnitOfWork};
use crate::services::TRIES;

/// How often a waiting request asks the ledger.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Where a disbursement stands after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has ended: settled or failed.
    Ended(Box<Disbursement>),
    /// The ledger has not decided.
    Open(Box<Disbursement>),
}

/// Why a step was not taken. The disbursement is as it was; try again.
#[derive(Debug, Error)]
pub enum AdvanceError {
    /// There is no such disbursement.
    #[error("there is no such disbursement")]
    NotFound,
    /// The ledger could not be asked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The books do not fit the verdict: somebody wrote past the application.
    #[error(transparent)]
    Books(#[from] VerdictError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Disbursements {
    /// Sends the burn if it was never sent, asks for the verdict and acts on it.
    ///
    /// # Errors
    /// [`AdvanceError`]; nothing is lost, try again.
    pub async fn advance(&self, id: DisbursementId) -> Result<Progress, AdvanceError> {
        self.advance_from(self.read(id).await?).await
    }

    async fn advance_from(&self, disbursement: Disbursement) -> Result<Progress, AdvanceError> {
        if !disbursement.state.is_open() {
            return Ok(Progress::Ended(Box::new(disbursement)));
        }
        if disbursement.state == DisbursementState::Prepared {
            self.send(disbursement.clone()).await?;
        }
        let verdict = self.burner.verdict(&disbursement.burn).await?;
        self.act(disbursement, verdict).await
    }

    /// As [`Disbursements::advance`], and sends the same bytes again while nothing is decided.
    ///
    /// # Errors
    /// [`AdvanceError`].
    pub async fn push(&self, id: DisbursementId) -> Result<Progress, AdvanceError> {
        let before = self.read(id).await?;
        let was_sent = before.state == DisbursementState::Submitted;
        let progress = self.advance_from(before).await?;
        if let Progress::Open(disbursement) = &progress
            && was_sent
            && disbursement.state == DisbursementState::Submitted
        {
            self.send((**disbursement).clone()).await?;
        }
        Ok(progress)
    }

    /// Advances until the disbursement ends or patience does. Errors do not end it: the reconciler
    /// has it anyway.
    ///
    /// # Errors
    /// [`AdvanceError`] when not even the present state can be read.
    pub async fn wait(
        &self,
        id: DisbursementId,
        patience: Duration,
    ) -> Result<Progress, AdvanceError> {
        let deadline = Instant::now() + patience;
        loop {
            match tokio::time::timeout_at(deadline, self.advance(id)).await {
                Ok(Ok(Progress::Ended(disbursement))) => return Ok(Progress::Ended(disbursement)),
                Ok(Ok(Progress::Open(_))) | Err(_) => {}
                Ok(Err(error)) => {
                    warn!(disbursement = %id, %error, "a step waits for its next try");
                }
            }
            if Instant::now() + ASK_EVERY >= deadline {
                let now = self.read(id).await?;
                return Ok(if now.state.is_open() {
                    Progress::Open(Box::new(now))
                } else {
                    Progress::Ended(Box::new(now))
                });
            }
            sleep(ASK_EVERY).await;
        }
    }

    async fn read(&self, id: DisbursementId) -> Result<Disbursement, AdvanceError> {
        self.queries
            .disbursement(id)
            .await?
            .ok_or(AdvanceError::NotFound)
    }

    /// Notes the sending, then sends. Whoever is overtaken leaves it to the other.
    async fn send(&self, disbursement: Disbursement) -> Result<(), AdvanceError> {
        let sent = disbursement.sent();
        let mut work = self.services.store.begin().await?;
        match work.disbursements().note_sent(&sent).await {
            Ok(()) => work.commit().await?,
            Err(StoreError::Conflict(Conflict::Stale | Conflict::Retry)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        match self.burner.submit(&sent.burn).await {
            Ok(hint) => info!(disbursement = %sent.id, hint = hint.0, "burn sent"),
            // It may have arrived all the same: only the verdict tells.
            Err(error) => warn!(disbursement = %sent.id, %error, "no answer to the sending"),
        }
        Ok(())
    }

    async fn act(
        &self,
        disbursement: Disbursement,
        verdict: Verdict,
    ) -> Result<Progress, AdvanceError> {
        match verdict {
            Verdict::Undecided(wait) => {
                if wait != Wait::MayStillHappen {
                    warn!(disbursement = %disbursement.id, ?wait, "the ledger's answers need another look");
                }
                Ok(Progress::Open(Box::new(self.read(disbursement.id).await?)))
            }
            Verdict::Burned { ledger } => {
                self.conclude(&disbursement, &End::Burned { ledger }).await
            }
            Verdict::Failed(failure) => self.conclude(&disbursement, &End::Failed(failure)).await,
            Verdict::NeedsOperator { reason } => {
                if matches!(disbursement.state, DisbursementState::NeedsOperator { .. }) {
                    return Ok(Progress::Open(Box::new(disbursement)));
                }
                self.call(&disbursement, &reason);
                self.conclude(&disbursement, &End::Operator { reason })
                    .await
            }
        }
    }

    /// Transaction 2, tried again when the database asks; the reconciler repeats it for ever.
    async fn conclude(
        &self,
        disbursement: &Disbursement,
        end: &End,
    ) -> Result<Progress, AdvanceError> {
        let mut tries = 1;
        loop {
            match self.try_conclude(disbursement, end).await {
                Ok(()) => {
                    self.unsettled.lock().remove(&disbursement.id);
                    break;
                }
                Err(AdvanceError::Store(StoreError::Conflict(
                    Conflict::Retry | Conflict::Stale,
                ))) if tries < TRIES => tries += 1,
                Err(error) => {
                    self.report_end(disbursement, end, &error);
                    return Err(error);
                }
            }
        }
        let now = self.read(disbursement.id).await?;
        Ok(if now.state.is_open() {
            Progress::Open(Box::new(now))
        } else {
            Progress::Ended(Box::new(now))
        })
    }

    async fn try_conclude(
        &self,
        disbursement: &Disbursement,
        end: &End,
    ) -> Result<(), AdvanceError> {
        let mut work = self.services.store.begin().await?;
        let (project, milestone, locked) = lock_all(work.as_mut(), disbursement).await?;
        if matches!(end, End::Operator { .. })
            && matches!(locked.state, DisbursementState::NeedsOperator { .. })
        {
            // Another driver called the operator first: once is enough.
            return Ok(());
        }
        let occasion = self.services.occasion(&Caller {
            actor: locked.ordered_by.clone(),
            origin: locked.origin.clone(),
            scope: None,
        });
        let change = match end.change(locked, milestone, project, &occasion) {
            Ok(change) => change,
            // Another driver was first: that is what we wanted.
            Err(VerdictError::Ended) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        work.record(&change).await?;
        work.commit().await?;
        Ok(())
    }

    /// Reports that the books cannot follow the ledger: once for each disbursement, however often
    /// it is tried again.
    fn report_end(&self, disbursement: &Disbursement, end: &End, error: &AdvanceError) {
        if !self.unsettled.lock().insert(disbursement.id) {
            return;
        }
        let operation = end.action().as_str();
        let context = json!({ "disbursement_id": disbursement.id.0 });
        match error {
            AdvanceError::Store(error) => {
                self.services.report_store(operation, true, error, context);
            }
            // The ledger has decided and the books cannot follow.
            AdvanceError::Books(error) => self.services.monitor.report(Incident {
                operation,
                critical: true,
                error: error.to_string(),
                context,
            }),
            AdvanceError::NotFound | AdvanceError::Ledger(_) => {}
        }
    }

    fn call(&self, disbursement: &Disbursement, reason: &str) {
        self.services.monitor.report(Incident {
            operation: Action::DisbursementNeedsOperator.as_str(),
            critical: true,
            error: reason.to_owned(),
            context: json!({
                "disbursement_id": disbursement.id.0,
                "milestone_id": disbursement.milestone_id.0,
                "burn_id": disbursement.burn.id.0,
                "account": disbursement.burn.slot.account,
                "sequence": disbursement.burn.slot.sequence,
            }),
        });
    }
}

/// How the ledger's verdict changes the books.
enum End {
    Burned { ledger: u32 },
    Failed(Failure),
    Operator { reason: String },
}

impl End {
    /// What it is in the log.
    const fn action(&self) -> Action {
        match self {
            Self::Burned { .. } => Action::MilestoneDisbursed,
            Self::Failed(_) => Action::DisbursementFailed,
            Self::Operator { .. } => Action::DisbursementNeedsOperator,
        }
    }

    fn change(
        &self,
        disbursement: Disbursement,
        milestone: Milestone,
        project: Project,
        occasion: &Occasion,
    ) -> Result<Change, VerdictError> {
        match self {
            Self::Burned { ledger } => disbursement.settle(milestone, project, *ledger, occasion),
            Self::Failed(failure) => {
                disbursement.fail(milestone, project, failure.clone(), occasion)
            }
            Self::Operator { reason } => {
                disbursement.call_operator(&milestone, reason.clone(), occasion)
            }
        }
    }
}

/// Locks in the order of the house: project, milestone, disbursement.
async fn lock_all(
    work: &mut dyn UnitOfWork,
    disbursement: &Disbursement,
) -> Result<(Project, Milestone, Disbursement), AdvanceError> {
    let gone = |what: &str| {
        StoreError::Inconsistent(format!(
            "{what} of disbursement {} is gone",
            disbursement.id
        ))
    };
    let project = work
        .projects()
        .lock(disbursement.project_id)
        .await?
        .ok_or_else(|| gone("the project"))?;
    let milestone = work
        .milestones()
        .lock(disbursement.milestone_id)
        .await?
        .ok_or_else(|| gone("the milestone"))?;
    let locked = work
        .disbursements()
        .lock(disbursement.id)
        .await?
        .ok_or(AdvanceError::NotFound)?;
    Ok((project, milestone, locked))
}
