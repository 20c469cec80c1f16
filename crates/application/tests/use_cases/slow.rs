//! A ledger that takes its time to sign or to judge, and a store that takes its time to commit:
//! mocks answer at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use tranche_application::mocks::MockLedgerBurner;
use tranche_application::ports::burner::{LedgerBurner, LedgerError, SubmitHint};
use tranche_application::ports::store::{
    AuditLog, CredentialRepo, DisbursementRepo, IdempotencyRepo, MilestoneRepo, ProjectRepo, Store,
    StoreError, UnitOfWork,
};
use tranche_domain::Change;
use tranche_domain::disbursement::{BurnOrder, PreparedBurn, Verdict};

/// Signs and judges after a while.
pub struct SlowLedger {
    pub inner: MockLedgerBurner,
    pub by: Duration,
}

#[async_trait]
impl LedgerBurner for SlowLedger {
    async fn prepare(&self, order: &BurnOrder) -> Result<PreparedBurn, LedgerError> {
        sleep(self.by).await;
        self.inner.prepare(order).await
    }

    async fn submit(&self, burn: &PreparedBurn) -> Result<SubmitHint, LedgerError> {
        self.inner.submit(burn).await
    }

    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
        sleep(self.by).await;
        self.inner.verdict(burn).await
    }

    async fn ready(&self) -> Result<(), LedgerError> {
        self.inner.ready().await
    }
}

/// Its units of work commit after a while.
pub struct SlowStore {
    pub inner: Arc<dyn Store>,
    pub by: Duration,
}

#[async_trait]
impl Store for SlowStore {
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let (inner, by) = (self.inner.begin().await?, self.by);
        Ok(Box::new(SlowWork { inner, by }))
    }
}

struct SlowWork {
    inner: Box<dyn UnitOfWork>,
    by: Duration,
}

#[async_trait]
impl UnitOfWork for SlowWork {
    fn projects(&mut self) -> &mut dyn ProjectRepo {
        self.inner.projects()
    }

    fn milestones(&mut self) -> &mut dyn MilestoneRepo {
        self.inner.milestones()
    }

    fn disbursements(&mut self) -> &mut dyn DisbursementRepo {
        self.inner.disbursements()
    }

    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo {
        self.inner.idempotency()
    }

    fn credentials(&mut self) -> &mut dyn CredentialRepo {
        self.inner.credentials()
    }

    fn audit(&mut self) -> &mut dyn AuditLog {
        self.inner.audit()
    }

    async fn record(&mut self, change: &Change) -> Result<(), StoreError> {
        self.inner.record(change).await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        sleep(self.by).await;
        self.inner.commit().await
    }
}
