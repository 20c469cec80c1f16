//! One transaction that is every repository at once.
//!
//! In SQLite a statement that fails leaves its transaction open with everything before it, and some
//! failures (a full disk) end the transaction so that later statements would commit by themselves.
//! So the first failure ends the unit of work here: nothing more is executed and nothing commits.

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::retention::HoldRepo;
use tranche_application::ports::store::{
    AuditLog, Conflict, CredentialRepo, DisbursementRepo, IdempotencyRepo, MilestoneRepo,
    ProjectRepo, StoreError, UnitOfWork,
};
use tranche_application::ports::webhooks::WebhookRepo;
use tranche_domain::Change;

use crate::errors::{not_committed, unavailable};
use crate::{audit, disbursements, milestones, projects};

/// A unit of work: dropped, its connection rolls back before anyone else gets it.
pub(crate) struct SqliteUnitOfWork {
    transaction: Transaction<'static, Sqlite>,
    has_failed: bool,
}

impl SqliteUnitOfWork {
    pub(crate) const fn new(transaction: Transaction<'static, Sqlite>) -> Self {
        Self {
            transaction,
            has_failed: false,
        }
    }

    /// The connection, for the next step, unless one before it failed. The step counts as failed
    /// until [`SqliteUnitOfWork::done`] says otherwise: one that is cancelled half-way has failed.
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.has_failed {
            return Err(unavailable("an earlier step of this unit of work failed"));
        }
        self.has_failed = true;
        Ok(&mut self.transaction)
    }

    /// The step was taken: the next may follow.
    pub(crate) const fn done(&mut self) {
        self.has_failed = false;
    }
}

#[async_trait]
impl UnitOfWork for SqliteUnitOfWork {
    fn projects(&mut self) -> &mut dyn ProjectRepo {
        self
    }

    fn milestones(&mut self) -> &mut dyn MilestoneRepo {
        self
    }

    fn disbursements(&mut self) -> &mut dyn DisbursementRepo {
        self
    }

    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo {
        self
    }

    fn credentials(&mut self) -> &mut dyn CredentialRepo {
        self
    }

    fn audit(&mut self) -> &mut dyn AuditLog {
        self
    }

    fn holds(&mut self) -> &mut dyn HoldRepo {
        self
    }

    fn webhooks(&mut self) -> &mut dyn WebhookRepo {
        self
    }

    async fn record(&mut self, change: &Change) -> Result<(), StoreError> {
        record(self.connection()?, change).await?;
        self.done();
        Ok(())
    }

    async fn record_settlements(&mut self, settlements: &[Change]) -> Result<(), StoreError> {
        for change in settlements {
            self.record(change).await?;
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.connection()?;
        self.transaction.commit().await.map_err(not_committed)
    }
}

/// Project first, because its version guards its milestones' numbers and books; evidence before
/// its milestone, because the schema looks for it; disbursement before the milestone that names it.
async fn record(connection: &mut SqliteConnection, change: &Change) -> Result<(), StoreError> {
    if let Some(write) = change.project() {
        projects::write(connection, write).await?;
    }
    if let Some(write) = change.milestone() {
        milestones::put_evidence(connection, write.value(), change.event().id).await?;
    }
    if let Some(write) = change.disbursement() {
        disbursements::write(connection, write).await?;
    }
    if let Some(write) = change.milestone() {
        milestones::write(connection, write).await?;
    }
    let event = EventRecord::from(change.event());
    if change.event().action.is_critical() {
        audit::log(connection, &event, event.occurred_at).await
    } else {
        audit::put_into_outbox(connection, &event).await
    }
}

/// A guarded write found the version before it, or somebody else was first.
pub(crate) fn one_row(rows: u64) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict(Conflict::Stale))
    }
}
