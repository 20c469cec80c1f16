//! Leases webhooks and gives each a courier.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::courier::{Courier, Render};
use super::{MOST, WebhookDesk};
use crate::audit::backoff::Backoff;
use crate::audit::bounded::bounded;
use crate::audit::follower::Follower;
use crate::audit::meters::Meters;
use crate::ports::custody::Sealer;
use crate::ports::monitor::Incident;
use crate::ports::store::StoreError;
use crate::ports::webhook_sender::WebhookSender;
use crate::ports::webhooks::{Lease, Leasing, Webhook, Webhooks};
use crate::services::Services;

/// How long a lease lasts unless it is renewed.
pub(super) const TERM: Duration = Duration::from_secs(30);
/// How often webhooks without a driver are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How many are leased at once, so that processes share them.
const AT_ONCE: u32 = 8;
/// The longest that looking may take.
const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// What holds for every webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long a webhook may fail before it is disabled.
    pub disable_after: Duration,
}

/// Drives this process's share of the webhooks.
#[derive(Clone)]
pub struct Dispatcher {
    pub(super) services: Services,
    pub(super) webhooks: Arc<dyn Webhooks>,
    pub(super) sealer: Arc<dyn Sealer>,
    pub(super) follower: Follower,
    pub(super) sender: Arc<dyn WebhookSender>,
    pub(super) render: Render,
    pub(super) rules: Rules,
    pub(super) meters: Arc<Meters>,
    process: String,
    changed: Arc<Notify>,
}

impl Dispatcher {
    /// Drives the desk's webhooks in this process, by `sender`.
    #[must_use]
    pub fn new(
        desk: &WebhookDesk,
        sender: Arc<dyn WebhookSender>,
        render: Render,
        rules: Rules,
        meters: Arc<Meters>,
        process: &str,
    ) -> Self {
        Self {
            services: desk.services.clone(),
            webhooks: desk.webhooks.clone(),
            sealer: desk.sealer.clone(),
            follower: desk.follower.clone(),
            changed: desk.changed(),
            sender,
            render,
            rules,
            meters,
            process: process.to_owned(),
        }
    }

    /// Drives webhooks until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let (couriers, room) = (TaskTracker::new(), Arc::new(Semaphore::new(MOST)));
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let pause = match self.lease().await {
                Ok(leased) => {
                    backoff.succeeded();
                    let was_any = !leased.is_empty();
                    for (webhook, lease) in leased {
                        let Ok(room) = room.clone().try_acquire_owned() else {
                            break;
                        };
                        couriers.spawn(self.clone().drive(webhook, lease, room, stop.clone()));
                    }
                    if was_any {
                        continue;
                    }
                    LOOK
                }
                Err(error) => {
                    if backoff.tells() {
                        let context = json!({ "retrying": true });
                        self.services
                            .report_store("webhook.lease", false, &error, context);
                    }
                    backoff.failed()
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = timeout(pause, self.changed.notified()) => {}
            }
        }
        couriers.close();
        couriers.wait().await;
    }

    /// Drives one of them. A panic ends its courier alone: the lease ends by itself, and somebody tries
    /// again.
    async fn drive(
        self,
        webhook: Webhook,
        lease: Lease,
        _room: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) {
        let (monitor, context) = (
            self.services.monitor.clone(),
            json!({ "webhook": webhook.id }),
        );
        let courier = Courier::new(self, webhook, lease);
        if let Err(error) = tokio::spawn(courier.run(stop)).await {
            monitor.report(Incident {
                operation: "webhook.drive",
                critical: false,
                error: error.to_string(),
                context,
            });
        }
    }

    async fn lease(&self) -> Result<Vec<(Webhook, Lease)>, StoreError> {
        let (webhooks, holder) = (self.webhooks.clone(), self.process.clone());
        let now = self.services.clock.now();
        bounded(LONGEST_LOOK, async move {
            webhooks
                .lease_webhooks(Leasing {
                    holder: &holder,
                    now,
                    term: TERM,
                    limit: AT_ONCE,
                })
                .await
        })
        .await
    }
}
