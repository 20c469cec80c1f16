//! A ledger that takes its time to sign or to judge, and a store that takes its time to commit:
//! mocks answer at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use tranche_application::mocks::MockLedgerBurner;
use tranche_application::ports::burner::{BurnsSeen, LedgerBurner, LedgerError, SubmitHint};
use tranche_application::ports::retention::HoldRepo;
use tranche_application::ports::store::{
    AuditLog, CredentialRepo, DisbursementRepo, IdempotencyRepo, MilestoneRepo, ProjectRepo, Store,
    StoreError, UnitOfWork,
};
use tranche_application::ports::webhooks::WebhookRepo;
use tranche_domain::Change;
use tranche_domain::disbursement::{BurnId, BurnOrder, PreparedBurn, Replacement, Verdict};

/// Signs and judges after a while.
pub struct SlowLedger {
    pub inner: MockLedgerBurner,
    pub by: Duration,
    /// The only burn that it judges slowly, if it is one.
    pub only: Option<BurnId>,
    /// Whether it panics over that one.
    pub panics: bool,
}

impl SlowLedger {
    /// Slow with everything.
    pub fn new(inner: MockLedgerBurner, by: Duration) -> Self {
        Self {
            inner,
            by,
            only: None,
            panics: false,
        }
    }
}

#[async_trait]
impl LedgerBurner for SlowLedger {
    fn network(&self) -> &str {
        self.inner.network()
    }

    async fn prepare(&self, order: &BurnOrder) -> Result<PreparedBurn, LedgerError> {
        sleep(self.by).await;
        self.inner.prepare(order).await
    }

    async fn submit(&self, burn: &PreparedBurn) -> Result<SubmitHint, LedgerError> {
        self.inner.submit(burn).await
    }

    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
        if self.only.as_ref().is_none_or(|only| *only == burn.id) {
            assert!(!self.panics, "this look panics, as it should");
            sleep(self.by).await;
        }
        self.inner.verdict(burn).await
    }

    async fn outbid(
        &self,
        burn: &PreparedBurn,
        fee_asked: u64,
    ) -> Result<Option<Replacement>, LedgerError> {
        self.inner.outbid(burn, fee_asked).await
    }

    async fn burns_since(
        &self,
        from: Option<u32>,
        wallets: &[String],
    ) -> Result<BurnsSeen, LedgerError> {
        self.inner.burns_since(from, wallets).await
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

    fn holds(&mut self) -> &mut dyn HoldRepo {
        self.inner.holds()
    }

    fn webhooks(&mut self) -> &mut dyn WebhookRepo {
        self.inner.webhooks()
    }

    async fn record(&mut self, change: &Change) -> Result<(), StoreError> {
        self.inner.record(change).await
    }

    async fn record_settlements(&mut self, settlements: &[Change]) -> Result<(), StoreError> {
        self.inner.record_settlements(settlements).await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        sleep(self.by).await;
        self.inner.commit().await
    }
}
