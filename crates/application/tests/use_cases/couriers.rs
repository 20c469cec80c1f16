//! Couriers: each event until it is taken, one after the other, for as long as they have the lease.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::follower::Follower;
use tranche_application::audit::meters::Meters;
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

/// One webhook, and everything that happens to it.
#[derive(Clone)]
struct World(Arc<Mutex<Inner>>);

/// What became of the lease.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Free,
    Here,
    Elsewhere,
}

/// The way to the store.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Until something is sent.
    StillOpen,
    Closed,
}

struct Inner {
    began: Instant,
    lease: Held,
    store: Way,
    answers: VecDeque<Option<Answer>>,
    /// When what was sent, in seconds.
    sent: Vec<(u64, String)>,
    told: Vec<Told>,
}

impl World {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            began: Instant::now(),
            lease: Held::Free,
            store: Way::Open,
            answers: VecDeque::new(),
            sent: Vec::new(),
            told: Vec::new(),
        })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// The ids' last digits and the seconds of what was sent.
    fn sent(&self) -> Vec<(u64, String)> {
        self.with(|inner| inner.sent.clone())
    }

    fn taken(&self) -> Vec<i64> {
        let told = self.with(|inner| inner.told.clone());
        let taken = told.iter().filter_map(|told| match told {
            Told::Taken(position, _) => Some(*position),
            _ => None,
        });
        taken.collect()
    }
}

#[async_trait]
impl WebhookSender for World {
    async fn send(&self, delivery: Delivery<'_>) -> Answer {
        assert!(delivery.signatures.starts_with("v1,"));
        assert_eq!(delivery.body, delivery.id);
        let answer = self.with(|inner| {
            let at = inner.began.elapsed().as_secs();
            let id = delivery.id.trim_start_matches(['0', '-']).to_owned();
            inner.sent.push((at, id));
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
    async fn webhook(&self, _: Uuid) -> Result<Option<Webhook>, StoreError> {
        Ok(None)
    }

    async fn webhooks(&self, _: Option<ProjectId>) -> Result<Vec<Webhook>, StoreError> {
        Ok(vec![])
    }

    async fn webhook_secrets(&self, _: Uuid) -> Result<Vec<WebhookSecret>, StoreError> {
        let sealed = SealedSecret {
            name: "webhook".to_owned(),
            key_id: "key".to_owned(),
            sealed: vec![],
        };
        Ok(vec![WebhookSecret {
            sealed,
            expires_at: None,
        }])
    }

    async fn webhook_secrets_after(
        &self,
        _: &str,
        _: u32,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        Ok(vec![])
    }

    async fn lease_webhooks(&self, _: Leasing<'_>) -> Result<Vec<(Webhook, Lease)>, StoreError> {
        let is_free = self.with(|inner| {
            let is_free = inner.lease == Held::Free;
            if is_free {
                inner.lease = Held::Here;
            }
            is_free
        });
        let webhook = Webhook {
            id: Uuid::nil(),
            url: "https://receiver.example".to_owned(),
            description: None,
            filter: EventFilter::default(),
            project_id: None,
            created_by: "ifeoma".to_owned(),
            created_at: time(0),
            progress: Progress::default(),
        };
        let lease = Lease {
            webhook: webhook.id,
            fence: 1,
        };
        Ok(is_free.then_some((webhook, lease)).into_iter().collect())
    }

    async fn keep_progress(
        &self,
        _: Lease,
        told: &Told,
        _: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.with(|inner| {
            if inner.store == Way::Closed {
                return down();
            }
            inner.told.push(told.clone());
            Ok(inner.lease == Held::Here)
        })
    }

    async fn release_webhook(&self, _: Lease) -> Result<(), StoreError> {
        self.with(|inner| inner.lease = Held::Free);
        Ok(())
    }
}

struct Opens;

impl Sealer for Opens {
    fn key_id(&self) -> &'static str {
        "key"
    }

    fn has(&self, _: &str) -> bool {
        true
    }

    fn seal_secret(&self, name: &str, _: &[u8; 32]) -> Result<SealedSecret, CustodyError> {
        Err(CustodyError::CannotOpen(name.to_owned()))
    }

    fn open_secret(&self, _: &SealedSecret) -> Result<Zeroizing<[u8; 32]>, CustodyError> {
        Ok(Zeroizing::new([7; 32]))
    }

    fn reseal(&self, wallet: &SealedWallet) -> Result<SealedWallet, CustodyError> {
        Err(CustodyError::CannotOpen(wallet.account_id.clone()))
    }
}

/// Drives the world's webhook until the guard is dropped.
fn drive(stage: &mut Stage, world: &World, log: &Log) -> DropGuard {
    let services = stage.services();
    let log = Arc::new(log.clone());
    let follower = Follower::new(services.clone(), log.clone(), log);
    let world = Arc::new(world.clone());
    let desk = WebhookDesk::new(services, world.clone(), Arc::new(Opens), follower.clone());
    let rules = Rules {
        disable_after: Duration::from_hours(72),
    };
    let dispatcher = Dispatcher::new(
        &desk,
        world,
        |logged| Some(logged.event.id.to_string()),
        rules,
        Arc::new(Meters::default()),
        "here",
    );
    let stop = CancellationToken::new();
    tokio::spawn(follower.run(stop.clone()));
    tokio::spawn(dispatcher.run(stop.clone()));
    stop.drop_guard()
}

fn refused(retry_after: Option<u64>) -> Answer {
    Answer::Failed {
        why: "HTTP 500".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_tried_until_it_is_taken_and_then_the_next() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(3));
    world.with(|inner| {
        let first = [Answer::Taken, refused(None), refused(Some(90))].map(Some);
        inner.answers = first.into_iter().chain([None]).collect();
    });
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(10)).await;
    let sent = world.sent();
    let ids: Vec<&str> = sent.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(
        ids,
        ["", "1", "1", "1", "1", "2"],
        "one hangs and is given up"
    );
    let pauses: Vec<u64> = sent.windows(2).map(|two| two[1].0 - two[0].0).collect();
    assert_eq!((pauses[0], pauses[4]), (0, 0));
    assert!(pauses[1] <= 1, "{pauses:?}");
    assert!((90..=91).contains(&pauses[2]), "as it asks: {pauses:?}");
    assert!(
        (18..=20).contains(&pauses[3]),
        "16 s and 2 to 4: {pauses:?}"
    );
    assert_eq!(world.taken(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_webhook_keeps_its_lease_and_its_place() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::default());
    let _runs = drive(&mut stage, &world, &log);
    let mut renewed = 0;
    for _ in 0..20 {
        sleep(Duration::from_secs(29)).await;
        let count = world.with(|inner| inner.told.len());
        assert!(count > renewed, "the lease of 30 s is renewed");
        renewed = count;
    }
    assert!(world.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_lease_sends_nothing_more() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.sent().len(), 1);
    world.with(|inner| inner.lease = Held::Elsewhere);
    log.grow(5);
    sleep(Duration::from_mins(5)).await;
    assert_eq!(world.sent().len(), 1, "it asks before it sends");
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_is_not_sent_again_because_the_store_is_away() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(2));
    world.with(|inner| inner.store = Way::StillOpen);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(3)).await;
    assert_eq!(world.sent().len(), 1, "nothing goes on before it is kept");
    world.with(|inner| inner.store = Way::Open);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(world.sent().len(), 2);
    assert_eq!(world.taken(), [1, 2]);
    let told = stage.incidents();
    assert_eq!(told.len(), 1, "told once: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_gives_the_lease_back() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    world.with(|inner| inner.answers = [None].into());
    let runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_secs(1)).await;
    assert!(world.with(|inner| inner.lease == Held::Here));
    drop(runs);
    sleep(Duration::from_secs(1)).await;
    assert!(
        world.with(|inner| inner.lease == Held::Free),
        "in the middle of an attempt"
    );
    assert!(world.taken().is_empty());
}
