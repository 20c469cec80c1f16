//! Takes events to one webhook, one after the other, and keeps how far it is after each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tranche_domain::{Action, Fact};
use zeroize::Zeroizing;

use super::dispatcher::{Dispatcher, TERM};
use super::{about, schedule, signature};
use crate::audit::backoff::Backoff;
use crate::audit::bounded::bounded;
use crate::audit::own::{by_the_system, occasion};
use crate::audit::record::LoggedEvent;
use crate::ports::audit_search::Scope;
use crate::ports::monitor::Incident;
use crate::ports::store::StoreError;
use crate::ports::webhook_sender::{Answer, Delivery};
use crate::ports::webhooks::{Lease, Told, Webhook};

/// What is posted of an event: JSON.
pub type Render = fn(&LoggedEvent) -> Option<String>;

/// How often a lease is renewed, and a position kept that moved without a delivery.
const RENEW: Duration = Duration::from_secs(10);
/// How long the next event is waited for at once: longer than a read of the log may take.
const WAIT: Duration = Duration::from_secs(13);
/// The longest that one attempt may take, whatever its sender says of it.
const ATTEMPT: Duration = Duration::from_secs(16);
/// The longest that the store may take to keep something.
const LONGEST_KEEP: Duration = Duration::from_secs(15);

/// The lease is another's, or there is nothing more to do.
struct Over;

/// A secret, and until when it signs.
type Secret = (Zeroizing<[u8; 32]>, Option<DateTime<Utc>>);

/// Drives one webhook for as long as it has the lease.
pub(super) struct Courier {
    of: Dispatcher,
    webhook: Webhook,
    lease: Lease,
    /// When the lease was renewed.
    renewed: Instant,
    secrets: Vec<Secret>,
}

impl Courier {
    pub(super) fn new(of: Dispatcher, webhook: Webhook, lease: Lease) -> Self {
        Self {
            of,
            webhook,
            lease,
            renewed: Instant::now(),
            secrets: Vec::new(),
        }
    }

    /// Drives until cancelled or the lease is lost.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.drive()).await.is_none() {
            let (webhooks, lease) = (self.of.webhooks.clone(), self.lease);
            let released = async move { webhooks.release_webhook(lease).await };
            // If it fails the lease ends by itself.
            let _ = bounded(Duration::from_secs(2), released).await;
        }
    }

    /// Never ends well: there is always a next event.
    async fn drive(&mut self) -> Result<(), Over> {
        self.open_secrets().await?;
        let Webhook {
            filter, progress, ..
        } = &self.webhook;
        let scope = Scope::from(self.webhook.project_id);
        let mut way = self
            .of
            .follower
            .subscribe(progress.position, filter.clone(), scope);
        loop {
            let stood = way.position();
            if let Ok(stretch) = timeout(WAIT, way.next()).await {
                // Whoever was deleted, replayed or given a new secret meanwhile is not told by this.
                if !stretch.events.is_empty() {
                    self.keep(Told::Passed(stood)).await?;
                }
                for event in &stretch.events {
                    self.deliver(event).await?;
                }
            }
            if self.renewed.elapsed() >= RENEW {
                self.keep(Told::Passed(way.position())).await?;
            }
        }
    }

    /// Tries until the receiver has it.
    async fn deliver(&mut self, event: &LoggedEvent) -> Result<(), Over> {
        let Some((index, body)) = event.leaf_index.zip((self.of.render)(event)) else {
            tracing::error!(event = %event.event.id, "an event cannot be told of");
            return Ok(());
        };
        let id = event.event.id.to_string();
        loop {
            self.wait_until_due(index).await?;
            let now = self.of.services.clock.now();
            let timestamp = now.timestamp();
            let in_force = self
                .secrets
                .iter()
                .filter(|(_, expires_at)| expires_at.is_none_or(|expires_at| now < expires_at));
            let in_force: Vec<_> = in_force.map(|(secret, _)| secret.clone()).collect();
            let signatures = signature::signatures(&in_force, &id, timestamp, &body);
            let sent = self.of.sender.send(Delivery {
                url: &self.webhook.url,
                id: &id,
                timestamp,
                signatures: &signatures,
                body: &body,
            });
            match timeout(ATTEMPT, sent).await {
                Ok(Answer::Taken) => {
                    let now = self.of.services.clock.now();
                    self.keep(Told::Taken(index + 1, now)).await?;
                    self.webhook.progress.attempts = 0;
                    self.webhook.progress.failing_since = None;
                    return Ok(());
                }
                Ok(Answer::Gone) => {
                    return self.disable("the receiver answered 410 Gone").await;
                }
                Ok(Answer::Failed { why, retry_after }) => {
                    self.failed(index, why, retry_after).await?;
                }
                Err(_) => {
                    let why = "no answer in time".to_owned();
                    self.failed(index, why, None).await?;
                }
            }
        }
    }

    /// Waits until it is time to try, with a lease that outlasts the attempt.
    async fn wait_until_due(&mut self, index: i64) -> Result<(), Over> {
        // A clock that was set back must not make it wait for longer than any pause.
        let now = self.of.services.clock.now();
        let due = self.webhook.progress.due_at.take();
        let wait = due.and_then(|due| (due - now).to_std().ok());
        let due = Instant::now() + wait.unwrap_or_default().min(schedule::LONGEST);
        loop {
            if self.renewed.elapsed() >= RENEW {
                self.keep(Told::Passed(index)).await?;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(RENEW)).await;
        }
    }

    /// An attempt failed: the next one is later, or there is none.
    async fn failed(
        &mut self,
        index: i64,
        why: String,
        asked: Option<Duration>,
    ) -> Result<(), Over> {
        let at = self.of.services.clock.now();
        let [random, ..] = self.of.services.entropy.salt();
        let progress = &mut self.webhook.progress;
        progress.attempts = progress.attempts.saturating_add(1);
        let since = *progress.failing_since.get_or_insert(at);
        let pause = schedule::pause(progress.attempts, random, asked);
        let due_at = at + pause;
        progress.due_at = Some(due_at);
        let lasts = (at - since).to_std().unwrap_or_default();
        if lasts >= self.of.rules.disable_after {
            let hours = lasts.as_secs() / 3600;
            return self
                .disable(&format!("failed for {hours} h, the last time with: {why}"))
                .await;
        }
        self.keep(Told::Failed {
            position: index,
            at,
            due_at,
            error: why,
        })
        .await
    }

    /// Keeps what there is to keep, as long as it takes the store to do it.
    async fn keep(&mut self, told: Told) -> Result<(), Over> {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let until = self.of.services.clock.now() + TERM;
            let (webhooks, lease, what) = (self.of.webhooks.clone(), self.lease, told.clone());
            let kept = async move { webhooks.keep_progress(lease, &what, until).await };
            match bounded(LONGEST_KEEP, kept).await {
                Ok(true) => {
                    self.renewed = began;
                    return Ok(());
                }
                Ok(false) => return Err(Over),
                Err(error) => self.trouble(&mut backoff, &error).await,
            }
        }
    }

    /// Ends the webhook, with the event that tells so.
    async fn disable(&mut self, why: &str) -> Result<(), Over> {
        let mut backoff = Backoff::default();
        loop {
            match self.try_to_disable(why).await {
                Ok(was_ours) => {
                    if was_ours {
                        self.of.meters.webhook_disabled();
                        tracing::warn!(webhook = %self.webhook.id, why, "a webhook is disabled");
                    }
                    return Err(Over);
                }
                Err(error) => self.trouble(&mut backoff, &error).await,
            }
        }
    }

    async fn try_to_disable(&self, why: &str) -> Result<bool, StoreError> {
        let services = &self.of.services;
        let occasion = occasion(services);
        let event =
            about(Action::WebhookDisabled, &self.webhook, &occasion).with("why", Fact::text(why));
        let mut work = services.store.begin().await?;
        let webhooks = work.webhooks();
        if !webhooks
            .disable_webhook(self.lease, occasion.at, why)
            .await?
        {
            return Ok(false);
        }
        work.audit().post(&by_the_system(&event)).await?;
        work.commit().await?;
        services.outbox.notify_one();
        Ok(true)
    }

    async fn trouble(&self, backoff: &mut Backoff, error: &StoreError) {
        if backoff.tells() {
            let context = json!({ "webhook": self.webhook.id, "retrying": true });
            let services = &self.of.services;
            services.report_store("webhook.keep", false, error, context);
        }
        sleep(backoff.failed()).await;
    }

    /// Opens the secrets. What cannot be opened here may be elsewhere: the lease ends by itself, and
    /// somebody tries again.
    async fn open_secrets(&mut self) -> Result<(), Over> {
        let mut backoff = Backoff::default();
        let sealed = loop {
            let (webhooks, id) = (self.of.webhooks.clone(), self.webhook.id);
            let read = async move { webhooks.webhook_secrets(id).await };
            match bounded(LONGEST_KEEP, read).await {
                Ok(sealed) => break sealed,
                Err(error) => self.trouble(&mut backoff, &error).await,
            }
        };
        for secret in sealed {
            match self.of.sealer.open_secret(&secret.sealed) {
                Ok(opened) => self.secrets.push((opened, secret.expires_at)),
                Err(error) => {
                    self.of.services.monitor.report(Incident {
                        operation: "webhook.secret",
                        critical: false,
                        error: error.to_string(),
                        context: json!({ "webhook": self.webhook.id }),
                    });
                    return Err(Over);
                }
            }
        }
        if self.secrets.is_empty() {
            return Err(Over);
        }
        Ok(())
    }
}
