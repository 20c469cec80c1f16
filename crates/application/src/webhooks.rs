//! Webhooks: others are told of events as they come into the log, signed, in order, at least once.
//!
//! ```text
//! dispatcher ─ leases webhooks ─► a courier each ─► its way through the log ─► sign ─► post
//!                                      ▲                                               │ 2xx: its position moves on
//!                                      └── the pause grows, the same event again ◄─────┘ else
//! ```

mod courier;
mod dispatcher;
pub mod schedule;
pub mod signature;

use std::sync::Arc;

use serde_json::json;
use thiserror::Error;
use tokio::sync::Notify;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact, Occasion, ProjectId};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use courier::Render;
pub use dispatcher::{Dispatcher, Rules};

use crate::audit::filter::EventFilter;
use crate::audit::follower::Follower;
use crate::audit::record::EventRecord;
use crate::call::{Call, Caller, Outcome};
use crate::idempotency::Answered;
use crate::ports::custody::{CustodyError, SealedSecret, Sealer};
use crate::ports::store::{StoreError, UnitOfWork};
use crate::ports::webhooks::{Progress, Webhook, Webhooks};
use crate::services::{Claimed, Services, TRIES, bind, claim, may_retry};

/// How many webhooks there may be.
pub const MOST: usize = 200;
/// How long a secret that was replaced goes on signing beside the new one.
pub const OVERLAP: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// What makes a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where events are posted.
    pub url: String,
    /// The part of it that may be told: its host.
    pub host: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which events.
    pub filter: EventFilter,
}

/// A webhook with its new secret in clear, on its only way out.
#[derive(Clone)]
pub struct WithSecret {
    /// The webhook.
    pub webhook: Webhook,
    /// `whsec_…`.
    pub secret: Zeroizing<String>,
}

/// Why it was not done. Nothing changed; only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// There is none of this id that the caller sees.
    #[error("there is no such webhook")]
    NotFound,
    /// There are as many as there may be.
    #[error("there are {MOST} webhooks already")]
    TooMany,
    /// The log does not reach so far.
    #[error("the log ends before leaf index {from}: the next event gets {end}")]
    BeyondTheEnd {
        /// Asked for.
        from: i64,
        /// What the next event gets.
        end: i64,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// The secret was not sealed.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The commands on webhooks, and their reads.
#[derive(Clone)]
pub struct WebhookDesk {
    services: Services,
    webhooks: Arc<dyn Webhooks>,
    sealer: Arc<dyn Sealer>,
    follower: Follower,
    changed: Arc<Notify>,
}

/// A change of one webhook.
enum Act {
    Delete,
    Replay { from: Option<i64> },
    Rotate(SealedSecret),
}

impl WebhookDesk {
    /// Commands over these services; secrets are sealed by `sealer`.
    #[must_use]
    pub fn new(
        services: Services,
        webhooks: Arc<dyn Webhooks>,
        sealer: Arc<dyn Sealer>,
        follower: Follower,
    ) -> Self {
        Self {
            services,
            webhooks,
            sealer,
            follower,
            changed: Arc::default(),
        }
    }

    /// Rung when there may be a webhook to be driven.
    #[must_use]
    pub fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// The webhooks that the caller sees, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Webhook>, StoreError> {
        self.webhooks.webhooks(caller.scope).await
    }

    /// A webhook, if the caller sees it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn show(&self, id: Uuid, caller: &Caller) -> Result<Option<Webhook>, StoreError> {
        let webhook = self.webhooks.webhook(id).await?;
        let sees = |only: ProjectId, webhook: &Webhook| webhook.project_id == Some(only);
        Ok(webhook.filter(|webhook| caller.scope.is_none_or(|only| sees(only, webhook))))
    }

    /// Makes a webhook that is told of events from now on. A key for one project makes one for that
    /// project alone.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn create(
        &self,
        new: &NewWebhook,
        call: &Call,
    ) -> Result<Outcome<WithSecret>, WebhookError> {
        if let Some(before) = self.asked_before(call).await? {
            return Ok(Outcome::AlreadyApplied(before));
        }
        if self.webhooks.webhooks(None).await?.len() >= MOST {
            return Err(WebhookError::TooMany);
        }
        let occasion = self.services.occasion(&call.caller);
        let webhook = Webhook {
            id: self.services.entropy.id(),
            url: new.url.clone(),
            description: new.description.clone(),
            filter: new.filter.clone(),
            project_id: call.caller.scope,
            created_by: call.caller.actor.id.clone(),
            created_at: occasion.at,
            progress: Progress {
                position: self.follower.end().await?,
                ..Progress::default()
            },
        };
        let (secret, sealed) = self.secret(webhook.id)?;
        let event = about(Action::WebhookCreated, &webhook, &occasion)
            .with("host", Fact::text(&new.host))
            .with("description", Fact::maybe(new.description.as_ref()));
        let event = EventRecord::from(&event);
        let mut tries = 1;
        loop {
            let done = async {
                let mut work = self.services.store.begin().await?;
                if let Some(before) = claimed(work.as_mut(), call).await? {
                    return Ok(Some(before));
                }
                work.webhooks().keep_webhook(&webhook, &sealed).await?;
                self.finish(work, call, webhook.id, &event).await?;
                Ok(None)
            };
            match done.await {
                Ok(Some(before)) => return Ok(Outcome::AlreadyApplied(before)),
                Ok(None) => return Ok(Outcome::Done(WithSecret { webhook, secret })),
                Err(error) => self.again(error, &mut tries, call)?,
            }
        }
    }

    /// Deletes a webhook: it is told nothing more, but for a delivery that is under way.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn delete(&self, id: Uuid, call: &Call) -> Result<(), WebhookError> {
        self.change(id, Act::Delete, call).await.map(drop)
    }

    /// Enables a webhook again, from where it stood or from this leaf index on.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn replay(
        &self,
        id: Uuid,
        from: Option<i64>,
        call: &Call,
    ) -> Result<Outcome<()>, WebhookError> {
        if let Some(from) = from {
            let end = self.follower.end().await?;
            if from > end {
                return Err(WebhookError::BeyondTheEnd { from, end });
            }
        }
        self.change(id, Act::Replay { from }, call).await
    }

    /// Signs with a new secret from now on, and for a day with the former one as well.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn rotate(
        &self,
        id: Uuid,
        call: &Call,
    ) -> Result<Outcome<Zeroizing<String>>, WebhookError> {
        let (secret, sealed) = self.secret(id)?;
        Ok(match self.change(id, Act::Rotate(sealed), call).await? {
            Outcome::Done(()) => Outcome::Done(secret),
            Outcome::AlreadyApplied(before) => Outcome::AlreadyApplied(before),
        })
    }

    /// A new secret, in clear and sealed.
    fn secret(&self, webhook: Uuid) -> Result<(Zeroizing<String>, SealedSecret), CustodyError> {
        let secret = Zeroizing::new(self.services.entropy.secret());
        let name = format!("webhook:{webhook}:{}", self.services.entropy.id());
        let sealed = self.sealer.seal_secret(&name, &secret)?;
        Ok((signature::shown(&secret), sealed))
    }

    async fn asked_before(&self, call: &Call) -> Result<Option<Answered>, WebhookError> {
        match self
            .services
            .asked_before(call.idempotency.as_ref())
            .await?
        {
            Claimed::Ours => Ok(None),
            Claimed::Before(answered) => Ok(Some(answered)),
            Claimed::Misused => Err(WebhookError::KeyMisused),
        }
    }

    async fn change(&self, id: Uuid, act: Act, call: &Call) -> Result<Outcome<()>, WebhookError> {
        let mut tries = 1;
        loop {
            match self.try_change(id, &act, call).await {
                Err(error) => self.again(error, &mut tries, call)?,
                done => return done,
            }
        }
    }

    async fn try_change(
        &self,
        id: Uuid,
        act: &Act,
        call: &Call,
    ) -> Result<Outcome<()>, WebhookError> {
        if let Some(before) = self.asked_before(call).await? {
            return Ok(Outcome::AlreadyApplied(before));
        }
        let webhook = self.show(id, &call.caller).await?;
        let webhook = webhook.ok_or(WebhookError::NotFound)?;
        let mut work = self.services.store.begin().await?;
        if let Some(before) = claimed(work.as_mut(), call).await? {
            return Ok(Outcome::AlreadyApplied(before));
        }
        let occasion = self.services.occasion(&call.caller);
        let (found, event) = match act {
            Act::Delete => {
                let event = about(Action::WebhookDeleted, &webhook, &occasion);
                (work.webhooks().delete_webhook(id).await?, event)
            }
            Act::Replay { from } => {
                let event = about(Action::WebhookReplayed, &webhook, &occasion)
                    .with("stood_at", Fact::Count(webhook.progress.position))
                    .with("from", from.map_or(Fact::Absent, Fact::Count));
                (work.webhooks().replay_webhook(id, *from).await?, event)
            }
            Act::Rotate(sealed) => {
                let until = occasion.at + OVERLAP;
                work.webhooks()
                    .put_webhook_secret(id, sealed, occasion.at, until)
                    .await?;
                let event = about(Action::WebhookSecretRotated, &webhook, &occasion);
                (true, event)
            }
        };
        if !found {
            return Err(WebhookError::NotFound);
        }
        self.finish(work, call, id, &EventRecord::from(&event))
            .await?;
        Ok(Outcome::Done(()))
    }

    /// The act's event, what its key made, and the commit.
    async fn finish(
        &self,
        mut work: Box<dyn UnitOfWork>,
        call: &Call,
        id: Uuid,
        event: &EventRecord,
    ) -> Result<(), StoreError> {
        work.audit().post(event).await?;
        bind(work.as_mut(), call.idempotency.as_ref(), id).await?;
        work.commit().await?;
        self.services.outbox.notify_one();
        self.changed.notify_one();
        Ok(())
    }

    /// Whether to try once more; else the error, reported.
    fn again(
        &self,
        error: WebhookError,
        tries: &mut usize,
        call: &Call,
    ) -> Result<(), WebhookError> {
        match &error {
            WebhookError::Store(why) if may_retry(why) && *tries < TRIES => {
                *tries += 1;
                return Ok(());
            }
            WebhookError::Store(why) => {
                let context = json!({ "request_id": call.caller.origin.request_id });
                self.services.report_store("webhook", false, why, context);
            }
            _ => {}
        }
        Err(error)
    }
}

async fn claimed(work: &mut dyn UnitOfWork, call: &Call) -> Result<Option<Answered>, WebhookError> {
    match claim(work, call.idempotency.as_ref()).await? {
        Claimed::Ours => Ok(None),
        Claimed::Before(answered) => Ok(Some(answered)),
        Claimed::Misused => Err(WebhookError::KeyMisused),
    }
}

/// An event about a webhook, seen by whoever sees the webhook.
fn about(action: Action, webhook: &Webhook, occasion: &Occasion) -> AuditEvent {
    let event = AuditEvent::new(action, Resource::Webhook, webhook.id, occasion);
    match webhook.project_id {
        Some(project) => event.in_project(project),
        None => event,
    }
}
