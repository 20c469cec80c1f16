//! Webhooks: who is told of which events, and how far each has been told.
//!
//! A webhook is driven by whoever leases it, one process at a time. Each lease has a fence of its own:
//! a driver whose lease somebody else took writes nothing any more.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::ProjectId;
use uuid::Uuid;

use super::custody::SealedSecret;
use super::store::StoreError;
use crate::audit::filter::EventFilter;

/// Somebody who is told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Names it.
    pub id: Uuid,
    /// Where its events are posted. May hold a secret of the receiver's: only admins see it.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which events it is told of.
    pub filter: EventFilter,
    /// The only project whose events it is told of, or all.
    pub project_id: Option<ProjectId>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// How far it is.
    pub progress: Progress,
}

/// How far a webhook is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The leaf index from which on it was not told.
    pub position: i64,
    /// How many events were taken.
    pub delivered: i64,
    /// When the last one was.
    pub delivered_at: Option<DateTime<Utc>>,
    /// How often the event at its position was tried in vain.
    pub attempts: i32,
    /// Since when it fails.
    pub failing_since: Option<DateTime<Utc>>,
    /// When it is tried again.
    pub due_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Since when it is told nothing more.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Why.
    pub disabled_why: Option<String>,
}

/// A secret that signs what is sent to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSecret {
    /// Sealed; its name is its own.
    pub sealed: SealedSecret,
    /// Until when it still signs, where a newer one took its place.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The right to drive a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which webhook.
    pub webhook: Uuid,
    /// Each lease of a webhook has a greater one.
    pub fence: i64,
}

/// Who leases, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leasing<'a> {
    /// Names the process.
    pub holder: &'a str,
    /// Now.
    pub now: DateTime<Utc>,
    /// For how long, unless it is renewed.
    pub term: Duration,
    /// How many webhooks at most.
    pub limit: u32,
}

/// What a driver has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was told of everything before this leaf index, of nothing new among it; the lease lasts.
    Passed(i64),
    /// The event before this leaf index was taken, at this moment.
    Taken(i64, DateTime<Utc>),
    /// The event at this leaf index was not taken.
    Failed {
        /// Its leaf index.
        position: i64,
        /// When.
        at: DateTime<Utc>,
        /// When it is tried again.
        due_at: DateTime<Utc>,
        /// Why, without anything secret.
        error: String,
    },
}

/// Webhooks, outside of any unit of work.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// A webhook.
    async fn webhook(&self, id: Uuid) -> Result<Option<Webhook>, StoreError>;

    /// All of them, or those of one project, newest first.
    async fn webhooks(&self, only: Option<ProjectId>) -> Result<Vec<Webhook>, StoreError>;

    /// The secrets of a webhook, the one in force first, those that no longer sign included.
    async fn webhook_secrets(&self, id: Uuid) -> Result<Vec<WebhookSecret>, StoreError>;

    /// Up to `limit` sealed secrets of all webhooks by name, from the first after `name`.
    async fn webhook_secrets_after(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<SealedSecret>, StoreError>;

    /// Leases webhooks that are enabled and that nobody drives, and gives each with its lease. A lease
    /// that lasts for more than twice the term is a wrong clock's, and counts for nothing.
    async fn lease_webhooks(
        &self,
        leasing: Leasing<'_>,
    ) -> Result<Vec<(Webhook, Lease)>, StoreError>;

    /// Keeps how far a webhook is and renews its lease until then; `false` when the lease is another's,
    /// or the webhook is disabled or gone, and then nothing is kept. Positions only grow.
    async fn keep_progress(
        &self,
        lease: Lease,
        told: &Told,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError>;

    /// Gives a lease back.
    async fn release_webhook(&self, lease: Lease) -> Result<(), StoreError>;
}

/// Webhooks inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait WebhookRepo: Send {
    /// Keeps a new webhook with its secret.
    async fn keep_webhook(
        &mut self,
        webhook: &Webhook,
        secret: &SealedSecret,
    ) -> Result<(), StoreError>;

    /// Deletes a webhook with its secrets; `false` when there is none.
    async fn delete_webhook(&mut self, id: Uuid) -> Result<bool, StoreError>;

    /// Ends the leased webhook, until it is replayed; `false` when the lease is another's.
    async fn disable_webhook(
        &mut self,
        lease: Lease,
        at: DateTime<Utc>,
        why: &str,
    ) -> Result<bool, StoreError>;

    /// Has a webhook go on at this leaf index, or where it stood, as if it had never failed. Whoever
    /// drives it loses its lease; `false` when there is none.
    async fn replay_webhook(&mut self, id: Uuid, from: Option<i64>) -> Result<bool, StoreError>;

    /// Puts a new secret in force; the one before signs as well until `former_until`. Whoever drives
    /// the webhook loses its lease. What no longer signed at `now` is forgotten.
    async fn put_webhook_secret(
        &mut self,
        id: Uuid,
        secret: &SealedSecret,
        now: DateTime<Utc>,
        former_until: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Puts a secret that was sealed anew in the place of what `from_key` sealed; `false` when that
    /// is no longer there.
    async fn reseal_webhook_secret(
        &mut self,
        secret: &SealedSecret,
        from_key: &str,
    ) -> Result<bool, StoreError>;
}
