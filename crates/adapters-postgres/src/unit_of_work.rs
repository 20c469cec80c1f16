//! The unit of work: one transaction, one struct, every repository.
//!
//! A statement that failed, or whose future was dropped half-way, leaves the transaction in a state
//! nobody knows. From then on the unit of work answers nothing and cannot be committed; the server
//! would turn such a commit into a silent rollback.

use std::mem;

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres, Transaction};
use tranche_application::ports::retention::HoldRepo;
use tranche_application::ports::store::{
    AuditLog, Conflict, CredentialRepo, DisbursementRepo, IdempotencyRepo, MilestoneRepo,
    ProjectRepo, StoreError, UnitOfWork,
};
use tranche_application::ports::webhooks::WebhookRepo;
use tranche_domain::{Change, Write};

use crate::errors::{failed, is_referred_to, not_committed, unavailable};
use crate::record;
use crate::settlements::Batch;

pub(crate) struct PostgresUnitOfWork {
    transaction: Transaction<'static, Postgres>,
    /// Whether every statement so far came back whole.
    sound: bool,
}

impl PostgresUnitOfWork {
    pub(crate) const fn new(transaction: Transaction<'static, Postgres>) -> Self {
        Self {
            transaction,
            sound: true,
        }
    }

    /// The connection, for one statement whose outcome goes to [`Self::judge`]. Unsound in between.
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if mem::take(&mut self.sound) {
            Ok(&mut self.transaction)
        } else {
            Err(broken())
        }
    }

    /// Takes a statement's outcome.
    pub(crate) fn judge<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        self.sound = outcome.is_ok();
        outcome.map_err(failed)
    }

    /// Nothing may be made of what is done so far.
    pub(crate) const fn spoil(&mut self) {
        self.sound = false;
    }

    /// Takes the outcome of writing changes: whether every write found the version before it.
    fn stood(&mut self, outcome: Result<bool, sqlx::Error>) -> Result<(), StoreError> {
        if self.judge(outcome)? {
            return Ok(());
        }
        self.spoil();
        Err(StoreError::Conflict(Conflict::Stale))
    }
}

fn broken() -> StoreError {
    unavailable("a statement of this unit of work failed before: nothing was done")
}

#[async_trait]
impl UnitOfWork for PostgresUnitOfWork {
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
        let statement = record::Statement::of(change)?;
        let outcome = statement.run(self.connection()?).await;
        if let (Some(Write::Delete(_)), Err(error)) = (change.project(), &outcome)
            && is_referred_to(error)
        {
            return Err(StoreError::Conflict(Conflict::ProjectInUse));
        }
        self.stood(outcome)
    }

    async fn record_settlements(&mut self, settlements: &[Change]) -> Result<(), StoreError> {
        let Some(batch) = Batch::of(settlements)? else {
            for change in settlements {
                self.record(change).await?;
            }
            return Ok(());
        };
        let outcome = batch.run(self.connection()?).await;
        self.stood(outcome)
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        if !self.sound {
            return Err(broken());
        }
        self.transaction.commit().await.map_err(not_committed)
    }
}
