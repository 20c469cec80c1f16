//! Takes one disbursement a step further: send, ask, settle or release.
//!
//! Every step is safe to repeat and safe to run twice at once. Sending is repeated with the same
//! bytes; the verdict is the ledger's alone; the books move once, because the disbursement's row is
//! locked and an ended one is left alone.

use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tracing::warn;
use tranche_domain::disbursement::verdict::{SEQUENCE_TAKEN, Wait};
use tranche_domain::disbursement::{Verdict, VerdictError};
use tranche_domain::{Action, Disbursement, DisbursementId, DisbursementState};

use super::Disbursements;
use super::ends::End;
use super::watch::{WatchError, Withheld};
use crate::ports::burner::LedgerError;
use crate::ports::monitor::Incident;
use crate::ports::store::StoreError;

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
    /// Nothing may be sent, and the ledger has not decided.
    #[error(transparent)]
    Withheld(#[from] Withheld),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WatchError> for AdvanceError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Ledger(error) => error.into(),
            WatchError::Store(error) => error.into(),
            WatchError::Withheld(why) => why.into(),
        }
    }
}

impl Progress {
    fn of(disbursement: Disbursement) -> Self {
        if disbursement.state.is_open() {
            Self::Open(Box::new(disbursement))
        } else {
            Self::Ended(Box::new(disbursement))
        }
    }
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
        let mut withheld = None;
        if disbursement.state == DisbursementState::Prepared {
            match self.send(disbursement.clone()).await {
                Ok(()) => {}
                // The store may be a backup that forgot the sending: the ledger knows.
                Err(AdvanceError::Withheld(why)) => withheld = Some(why),
                Err(error) => return Err(error),
            }
        }
        let verdict = self.burner.verdict(&disbursement.burn).await?;
        let progress = self.act(disbursement, verdict).await?;
        match (progress, withheld) {
            (Progress::Open(_), Some(why)) => Err(why.into()),
            (progress, _) => Ok(progress),
        }
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
                return Ok(Progress::of(self.read(id).await?));
            }
            sleep(ASK_EVERY).await;
        }
    }

    pub(super) async fn read(&self, id: DisbursementId) -> Result<Disbursement, AdvanceError> {
        self.queries
            .disbursement(id)
            .await?
            .ok_or(AdvanceError::NotFound)
    }

    pub(super) async fn act(
        &self,
        disbursement: Disbursement,
        verdict: Verdict,
    ) -> Result<Progress, AdvanceError> {
        match verdict {
            Verdict::Undecided(wait) => {
                if wait != Wait::MayStillHappen {
                    warn!(disbursement = %disbursement.id, ?wait, "the ledger's answers need another look");
                }
                Ok(Progress::of(self.read(disbursement.id).await?))
            }
            Verdict::Burned { burn, ledger } => {
                self.conclude(disbursement, End::Burned { burn, ledger })
                    .await
            }
            Verdict::Failed(failure) => {
                if failure.code == SEQUENCE_TAKEN {
                    // Somebody else has the key: people must hear of it, though no money moved.
                    self.alarm(Action::DisbursementFailed, &disbursement, &failure.detail);
                }
                let judged = disbursement.burn.clone();
                self.conclude(disbursement, End::Failed { failure, judged })
                    .await
            }
            Verdict::NeedsOperator { reason } => {
                if matches!(disbursement.state, DisbursementState::NeedsOperator { .. }) {
                    return Ok(Progress::Open(Box::new(disbursement)));
                }
                self.alarm(Action::DisbursementNeedsOperator, &disbursement, &reason);
                let judged = disbursement.burn.clone();
                self.conclude(disbursement, End::Operator { reason, judged })
                    .await
            }
        }
    }

    /// Transaction 2; when it fails, the reconciler repeats it for ever.
    async fn conclude(
        &self,
        disbursement: Disbursement,
        end: End,
    ) -> Result<Progress, AdvanceError> {
        match self.ends.write(&disbursement, &end).await {
            Ok(now) => {
                self.unsettled.lock().remove(&disbursement.id);
                Ok(Progress::of(now))
            }
            Err(error) => {
                self.report_end(&disbursement, &end, &error);
                Err(error)
            }
        }
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
            AdvanceError::NotFound | AdvanceError::Ledger(_) | AdvanceError::Withheld(_) => {}
        }
    }

    /// Tells people what the ledger says of a disbursement.
    fn alarm(&self, action: Action, disbursement: &Disbursement, what: &str) {
        self.services.monitor.report(Incident {
            operation: action.as_str(),
            critical: true,
            error: what.to_owned(),
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
