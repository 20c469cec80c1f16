//! The store: units of work that commit whole or not at all.
//!
//! Lock order, everywhere: project, then milestone, then disbursement. A unit of work is never held
//! across a call to the ledger, the network or a person. Dropping one rolls it back.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;
use tranche_domain::{
    Change, Disbursement, DisbursementId, Milestone, MilestoneId, Project, ProjectId,
};

use super::custody::SealedWallet;
use crate::audit::record::EventRecord;
use crate::idempotency::{Claim, IdempotencyKey};
use crate::keys::ApiKey;

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be reached, refuses writes, or timed out: nothing was done.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Source),
    /// The connection was lost while committing: it may be done, or not. Read again.
    #[error("the store did not say whether it committed: {0}")]
    OutcomeUnknown(#[source] Source),
    /// Somebody else was first, or a value is taken that must be unique: nothing was done.
    #[error("conflict: {0}")]
    Conflict(Conflict),
    /// A row that cannot be: somebody wrote past the application.
    #[error("inconsistent row: {0}")]
    Inconsistent(String),
}

impl StoreError {
    /// It did not answer in time.
    pub(crate) fn timeout() -> Self {
        Self::Unavailable("no answer in time".into())
    }
}

/// The adapter's own error, kept for the log.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Conflict {
    /// The value was changed since it was read.
    #[error("it was changed by someone else")]
    Stale,
    /// The milestone number is taken in its project.
    #[error("the milestone number is taken")]
    MilestoneNumber,
    /// The bank reference is used in its project.
    #[error("the bank transfer reference is used")]
    TransferReference,
    /// The account and sequence number are, or were, another burn's.
    #[error("the sequence number is bound to another burn")]
    LedgerSlot,
    /// The wallet belongs to another project.
    #[error("the wallet belongs to another project")]
    Wallet,
    /// A deadlock or serialisation failure that the database resolved against us: try again.
    #[error("the database asks to try again")]
    Retry,
}

/// Begins units of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Store: Send + Sync {
    /// Begins a unit of work that may write.
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError>;
}

/// One transaction. Dropped, it never was. After any error it is dead and cannot be committed.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait UnitOfWork: Send {
    /// Projects, locked for change.
    fn projects(&mut self) -> &mut dyn ProjectRepo;
    /// Milestones, locked for change.
    fn milestones(&mut self) -> &mut dyn MilestoneRepo;
    /// Disbursements, locked for change.
    fn disbursements(&mut self) -> &mut dyn DisbursementRepo;
    /// Answers already given.
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo;
    /// Wallets and API keys.
    fn credentials(&mut self) -> &mut dyn CredentialRepo;
    /// The audit log and its outbox.
    fn audit(&mut self) -> &mut dyn AuditLog;

    /// Writes everything that moves together: project, milestone, disbursement, the milestone's
    /// evidence, and the event (into the log when critical, else into the outbox). Each write is
    /// guarded by the version before it. The only way to save any of them.
    ///
    /// # Errors
    /// [`Conflict::Stale`] when a version no longer stands.
    async fn record(&mut self, change: &Change) -> Result<(), StoreError>;

    /// Makes it so.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Projects inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ProjectRepo: Send {
    /// Locks a project until the unit of work ends.
    async fn lock(&mut self, id: ProjectId) -> Result<Option<Project>, StoreError>;
}

/// Milestones inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait MilestoneRepo: Send {
    /// Locks a milestone until the unit of work ends.
    async fn lock(&mut self, id: MilestoneId) -> Result<Option<Milestone>, StoreError>;
}

/// Disbursements inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DisbursementRepo: Send {
    /// Locks a disbursement until the unit of work ends.
    async fn lock(&mut self, id: DisbursementId) -> Result<Option<Disbursement>, StoreError>;

    /// Leases the next open disbursement that nobody drives, until `until`; skips those that are
    /// leased past `now` or locked. The oldest lease first, so that none starves.
    async fn lease_next(
        &mut self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<DisbursementId>, StoreError>;

    /// Keeps what sending changed (attempts, `submitted`), guarded by the version before. Hints
    /// carry no evidence, so this needs no event.
    async fn note_sent(&mut self, disbursement: &Disbursement) -> Result<(), StoreError>;
}

/// Idempotency keys inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait IdempotencyRepo: Send {
    /// Claims a key for this unit of work, or says what it was used for. Waits for a unit of work
    /// that is claiming it at the same time.
    async fn claim(&mut self, key: &IdempotencyKey) -> Result<Claim, StoreError>;

    /// Names what the claimed key made, so that a lost answer can be given again.
    async fn bind(&mut self, key: &IdempotencyKey, made: uuid::Uuid) -> Result<(), StoreError>;

    /// Keeps the answer as it was given.
    async fn keep_answer(
        &mut self,
        key: &IdempotencyKey,
        status: u16,
        body: &str,
    ) -> Result<(), StoreError>;
}

/// Wallets and API keys inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait CredentialRepo: Send {
    /// Keeps a sealed wallet.
    ///
    /// # Errors
    /// [`Conflict::Wallet`] when the account has one already.
    async fn keep_wallet(&mut self, wallet: &SealedWallet) -> Result<(), StoreError>;

    /// Keeps an API key's hash.
    async fn keep_key(&mut self, key: &ApiKey) -> Result<(), StoreError>;

    /// Revokes a key; `false` when there is no such key in force.
    async fn revoke_key(&mut self, id: &str, at: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// The audit log inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AuditLog: Send {
    /// Puts an event that stands alone into the outbox.
    async fn post(&mut self, event: &EventRecord) -> Result<(), StoreError>;

    /// Moves up to `limit` events from the outbox into the log, oldest first, each exactly once
    /// whoever else is moving them; says how many. `recorded_at` becomes their recorded time.
    async fn relay(&mut self, limit: u32, recorded_at: DateTime<Utc>) -> Result<u64, StoreError>;
}
