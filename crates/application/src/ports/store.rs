//! The store: units of work that commit whole or not at all.
//!
//! Lock order, everywhere: project, then milestone, then disbursement. A unit of work is never held
//! across a call to the ledger, the network or a person. Dropping one rolls it back.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;
use tranche_domain::{
    Change, Disbursement, DisbursementId, Milestone, MilestoneId, Project, ProjectId,
};

use uuid::Uuid;

use super::channels::NewChannel;
use super::custody::{SealedSecret, SealedWallet};
use super::retention::HoldRepo;
use super::subject_keys::SubjectKey;
use super::webhooks::WebhookRepo;
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
    /// A search took longer than a search may: ask for less.
    #[error("the search took too long")]
    TooMuch,
}

impl StoreError {
    /// It did not answer in time.
    #[must_use]
    pub fn timeout() -> Self {
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
    /// A webhook still tells of the project.
    #[error("the project has webhooks")]
    ProjectInUse,
    /// The project is not there, or no longer.
    #[error("there is no such project")]
    ProjectGone,
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
    /// Legal holds.
    fn holds(&mut self) -> &mut dyn HoldRepo;
    /// Webhooks.
    fn webhooks(&mut self) -> &mut dyn WebhookRepo;

    /// Writes everything that moves together: project, milestone, disbursement, the milestone's
    /// evidence, and the event (into the log when critical, else into the outbox). Each write is
    /// guarded by the version before it. The only way to save any of them.
    ///
    /// # Errors
    /// [`Conflict::Stale`] when a version no longer stands.
    async fn record(&mut self, change: &Change) -> Result<(), StoreError>;

    /// Records the settlements of several disbursements of one project, each made from the project as the
    /// one before left it: as [`UnitOfWork::record`] for each in turn, in as few statements as the
    /// store can.
    ///
    /// # Errors
    /// [`Conflict::Stale`] when a version no longer stands.
    async fn record_settlements(&mut self, settlements: &[Change]) -> Result<(), StoreError>;

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

/// What moves when disbursements of one project end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedBooks {
    /// The project.
    pub project: Project,
    /// Each disbursement with its milestone, in the order asked for.
    pub disbursements: Vec<(Milestone, Disbursement)>,
}

/// When a disbursement is looked at again: after an eighth of the time it has been open, within
/// bounds, so that a young one is looked at often and a stuck one costs little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The shortest pause.
    pub least: Duration,
    /// The longest pause.
    pub most: Duration,
}

/// Disbursements inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DisbursementRepo: Send {
    /// Locks a project, then these disbursements of it and their milestones, until the unit of work
    /// ends. One that does not exist, or not in this project, is left out.
    async fn lock_books(
        &mut self,
        project: ProjectId,
        ids: &[DisbursementId],
    ) -> Result<Option<LockedBooks>, StoreError>;

    /// Leases the next open disbursement that is due and that nobody drives, and makes it due again
    /// after its pause; skips those that are locked. The longest due first, so that none starves.
    async fn lease_next(
        &mut self,
        now: DateTime<Utc>,
        back_off: BackOff,
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
    /// Keeps a sealed wallet. It takes the place of one of the account that no project and no channel uses
    /// any more, unless that is a seed sealed here and this is another custodian's.
    ///
    /// # Errors
    /// [`Conflict::Wallet`] when the account's is in use, or must stay.
    async fn keep_wallet(&mut self, wallet: &SealedWallet) -> Result<(), StoreError>;

    /// Keeps a channel account whose seed is sealed; it joins the pool when it is funded.
    async fn keep_channel(&mut self, channel: &NewChannel) -> Result<(), StoreError>;

    /// The ledger shows these channel accounts: they join the pool.
    async fn channels_funded(
        &mut self,
        account_ids: &[String],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Puts a wallet that was sealed anew in the place of what `from_key` sealed; `false` when that
    /// is no longer there.
    async fn reseal_wallet(
        &mut self,
        wallet: &SealedWallet,
        from_key: &str,
    ) -> Result<bool, StoreError>;

    /// Keeps a sealed secret, unless there is one of its name: of several that come at once, the
    /// first stays.
    async fn keep_secret(&mut self, secret: &SealedSecret) -> Result<(), StoreError>;

    /// As [`CredentialRepo::reseal_wallet`], for a secret.
    async fn reseal_secret(
        &mut self,
        secret: &SealedSecret,
        from_key: &str,
    ) -> Result<bool, StoreError>;

    /// Keeps subjects' keys, but none for a subject that has one in force: of several that come at
    /// once, the first stays.
    async fn keep_subject_keys(&mut self, keys: &[SubjectKey]) -> Result<(), StoreError>;

    /// As [`CredentialRepo::reseal_wallet`], for a subject's key.
    async fn reseal_subject_key(
        &mut self,
        key: &SubjectKey,
        from_key: &str,
    ) -> Result<bool, StoreError>;

    /// Erases a subject's key for good, so that only its id stays, with when and by whom; gives its
    /// id, or `None` when there is none in force.
    async fn erase_subject_key(
        &mut self,
        subject: &[u8; 32],
        at: DateTime<Utc>,
        by: &str,
    ) -> Result<Option<Uuid>, StoreError>;

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

    /// Puts a critical event that stands alone into the log, with its leaf.
    async fn log(
        &mut self,
        event: &EventRecord,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Moves up to `limit` events from the outbox into the log, oldest first, each exactly once
    /// whoever else is moving them; says how many. `recorded_at` becomes their recorded time.
    async fn relay(&mut self, limit: u32, recorded_at: DateTime<Utc>) -> Result<u64, StoreError>;

    /// Moves the oldest event of the outbox to the dead letters, because the log refuses it although
    /// it takes others; gives the event, or `None` when the outbox is empty.
    async fn bury_oldest(
        &mut self,
        letter: Uuid,
        error: &str,
        at: DateTime<Utc>,
    ) -> Result<Option<EventRecord>, StoreError>;
}
