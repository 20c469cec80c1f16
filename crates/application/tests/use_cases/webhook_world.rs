//! A webhook in memory with its receiver, and a clock that goes with the runtime's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tranche_application::Services;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::follower::Follower;
use tranche_application::audit::meters::Meters;
use tranche_application::mocks::MockClock;
use tranche_application::ports::custody::{CustodyError, SealedSecret, SealedWallet, Sealer};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::webhook_sender::{Answer, Delivery, WebhookSender};
use tranche_application::ports::webhooks::{
    Lease, Leasing, Progress, Told, Webhook, WebhookSecret, Webhooks,
};
use tranche_application::webhooks::{Dispatcher, Rules, WebhookDesk};
use tranche_domain::ProjectId;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::log::Log;
use super::scene::time;
use super::stage::{Stage, down};

/// A secret that cannot be opened.
pub const LOCKED: u8 = 0;

/// One webhook, and everything that happens to it.
#[derive(Clone)]
pub struct World(Arc<Mutex<Inner>>);

/// What became of the lease.
#[derive(Clone, Copy, PartialEq)]
pub enum Held {
    Free,
    Here,
    Elsewhere,
}

/// The way to the store.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    Open,
    /// Until something is sent.
    StillOpen,
    Closed,
}

/// A message as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// When, in seconds after the start.
    pub at: u64,
    /// The event's id without its noughts.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signatures: String,
    /// What was signed beside id and time.
    pub body: String,
}

pub struct Inner {
    began: Instant,
    pub lease: Held,
    /// When the lease ends by itself.
    pub until: DateTime<Utc>,
    pub store: Way,
    /// What the receiver answers first; `None` hangs. Later it takes everything.
    pub answers: VecDeque<Option<Answer>>,
    /// How far the webhook is when it is leased.
    pub progress: Progress,
    /// Each secret's bytes, and until when it signs.
    pub secrets: Vec<(u8, Option<DateTime<Utc>>)>,
    pub sent: Vec<Sent>,
    pub told: Vec<Told>,
    /// All webhooks that there are, for whoever lists them.
    pub all: Vec<Webhook>,
}

/// A webhook that is told of everything.
pub fn webhook(number: u128, project: Option<ProjectId>) -> Webhook {
    Webhook {
        id: Uuid::from_u128(number),
        url: "https://receiver.example/hook?token=1".to_owned(),
        description: None,
        filter: EventFilter::default(),
        project_id: project,
        created_by: "ifeoma".to_owned(),
        created_at: time(0),
        progress: Progress::default(),
    }
}

impl World {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            began: Instant::now(),
            lease: Held::Free,
            until: time(0),
            store: Way::Open,
            answers: VecDeque::new(),
            progress: Progress::default(),
            secrets: vec![(7, None)],
            sent: Vec::new(),
            told: Vec::new(),
            all: Vec::new(),
        })))
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// The receiver answers so, and then takes everything.
    pub fn will_answer(&self, answers: impl IntoIterator<Item = Option<Answer>>) {
        self.with(|inner| inner.answers.extend(answers));
    }

    /// What was sent.
    pub fn sent(&self) -> Vec<Sent> {
        self.with(|inner| inner.sent.clone())
    }

    /// When something was sent, in seconds after the start.
    pub fn moments(&self) -> Vec<u64> {
        self.sent().iter().map(|sent| sent.at).collect()
    }

    /// The positions that were kept because the event before was taken.
    pub fn taken(&self) -> Vec<i64> {
        let told = self.with(|inner| inner.told.clone());
        let taken = told.iter().filter_map(|told| match told {
            Told::Taken(position, _) => Some(*position),
            _ => None,
        });
        taken.collect()
    }

    /// So many seconds pass, and the lease lasts in each of them.
    pub async fn leased_for(&self, seconds: u32) {
        for second in 0..seconds {
            sleep(Duration::from_secs(1)).await;
            let (until, now) = self.with(|inner| (inner.until, now(inner.began)));
            assert!(until > now, "it ended in second {second}");
        }
    }

    /// The stage's services, with a clock that goes.
    pub fn services(&self, stage: &mut Stage) -> Services {
        let (mut clock, began) = (MockClock::new(), self.with(|inner| inner.began));
        clock.expect_now().returning(move || now(began));
        Services {
            clock: Arc::new(clock),
            ..stage.services()
        }
    }

    /// The desk over this world, and what reads its log.
    pub fn desk(&self, stage: &mut Stage, log: &Log) -> (WebhookDesk, Follower) {
        let services = self.services(stage);
        let log = Arc::new(log.clone());
        let follower = Follower::new(services.clone(), log.clone(), log);
        let (world, sealer) = (Arc::new(self.clone()), Arc::new(FirstByte));
        let desk = WebhookDesk::new(services, world, sealer, follower.clone());
        (desk, follower)
    }

    /// Drives its webhook until the guard is dropped; a receiver may fail for so long.
    pub fn drive(&self, stage: &mut Stage, log: &Log, disable_after: Duration) -> Driven {
        let (desk, follower) = self.desk(stage, log);
        let meters = Arc::new(Meters::default());
        let dispatcher = Dispatcher::new(
            &desk,
            Arc::new(self.clone()),
            |logged| Some(format!("body of {}", logged.event.id)),
            Rules { disable_after },
            meters.clone(),
            "here",
        );
        let stop = CancellationToken::new();
        tokio::spawn(follower.run(stop.clone()));
        tokio::spawn(dispatcher.run(stop.clone()));
        Driven {
            meters,
            _runs: stop.drop_guard(),
        }
    }
}

/// A webhook that is driven until this is dropped.
pub struct Driven {
    pub meters: Arc<Meters>,
    _runs: DropGuard,
}

fn now(began: Instant) -> DateTime<Utc> {
    time(0) + TimeDelta::from_std(began.elapsed()).unwrap()
}

#[async_trait]
impl WebhookSender for World {
    async fn send(&self, delivery: Delivery<'_>) -> Answer {
        assert_eq!(delivery.body, format!("body of {}", delivery.id));
        let answer = self.with(|inner| {
            inner.sent.push(Sent {
                at: inner.began.elapsed().as_secs(),
                id: delivery.id.trim_start_matches(['0', '-']).to_owned(),
                timestamp: delivery.timestamp,
                signatures: delivery.signatures.to_owned(),
                body: delivery.body.to_owned(),
            });
            if inner.store == Way::StillOpen {
                inner.store = Way::Closed;
            }
            inner.answers.pop_front()
        });
        match answer {
            None => Answer::Taken,
            Some(Some(answer)) => answer,
            Some(None) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Webhooks for World {
    async fn webhook(&self, id: Uuid) -> Result<Option<Webhook>, StoreError> {
        Ok(self.with(|inner| inner.all.iter().find(|one| one.id == id).cloned()))
    }

    async fn webhooks(&self, only: Option<ProjectId>) -> Result<Vec<Webhook>, StoreError> {
        let mut all = self.with(|inner| inner.all.clone());
        all.retain(|webhook| only.is_none() || webhook.project_id == only);
        Ok(all)
    }

    async fn webhook_secrets(&self, _: Uuid) -> Result<Vec<WebhookSecret>, StoreError> {
        let secrets = self.with(|inner| inner.secrets.clone());
        let secret = |(byte, expires_at)| WebhookSecret {
            sealed: SealedSecret {
                name: "webhook".to_owned(),
                key_id: "key".to_owned(),
                sealed: vec![byte],
            },
            expires_at,
        };
        Ok(secrets.into_iter().map(secret).collect())
    }

    async fn webhook_secrets_after(
        &self,
        _: &str,
        _: u32,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        Ok(vec![])
    }

    async fn lease_webhooks(
        &self,
        leasing: Leasing<'_>,
    ) -> Result<Vec<(Webhook, Lease)>, StoreError> {
        let leased = self.with(|inner| {
            let is_free = inner.lease == Held::Free;
            if is_free {
                inner.lease = Held::Here;
                inner.until = leasing.now + leasing.term;
            }
            is_free.then(|| inner.progress.clone())
        });
        let leased = leased.map(|progress| {
            let webhook = Webhook {
                progress,
                ..webhook(0, None)
            };
            let lease = Lease {
                webhook: webhook.id,
                fence: 1,
            };
            (webhook, lease)
        });
        Ok(leased.into_iter().collect())
    }

    async fn keep_progress(
        &self,
        _: Lease,
        told: &Told,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.with(|inner| {
            if inner.store == Way::Closed {
                return down();
            }
            inner.told.push(told.clone());
            inner.until = until;
            Ok(inner.lease == Held::Here)
        })
    }

    async fn release_webhook(&self, _: Lease) -> Result<(), StoreError> {
        self.with(|inner| inner.lease = Held::Free);
        Ok(())
    }
}

/// Keeps of a secret its first byte; what it opens consists of that.
struct FirstByte;

impl Sealer for FirstByte {
    fn key_id(&self) -> &'static str {
        "key"
    }

    fn has(&self, _: &str) -> bool {
        true
    }

    fn seal_secret(&self, name: &str, secret: &[u8; 32]) -> Result<SealedSecret, CustodyError> {
        Ok(SealedSecret {
            name: name.to_owned(),
            key_id: "key".to_owned(),
            sealed: vec![secret[0]],
        })
    }

    fn open_secret(&self, sealed: &SealedSecret) -> Result<Zeroizing<[u8; 32]>, CustodyError> {
        match sealed.sealed[0] {
            LOCKED => Err(CustodyError::CannotOpen(sealed.name.clone())),
            byte => Ok(Zeroizing::new([byte; 32])),
        }
    }

    fn reseal(&self, wallet: &SealedWallet) -> Result<SealedWallet, CustodyError> {
        Err(CustodyError::CannotOpen(wallet.account_id.clone()))
    }
}
