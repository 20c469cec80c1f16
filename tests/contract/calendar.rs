//! Old events, and retention with a clock of its own, for the rules of what is kept.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::audit::retention::Retention;
use tranche_application::ports::clock::Clock;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::event_archive::{
    ArchiveError, ArchiveWriter, Contents, EventArchive,
};
use tranche_application::ports::monitor::{Fallback, Incident, Monitor};
use tranche_application::ports::retention::ArchiveFile;
use tranche_application::{Call, Caller, Services};
use tranche_domain::{
    Actor, Month, Origin, ProjectId, RetentionPolicies, RetentionPolicy, Role, Severity,
};
use uuid::{Builder, Uuid};

use super::StoreUnderTest;
use super::scene::World;
use super::tools::an_event;
use super::tree;

/// Every severity, as stored.
pub const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];

/// A month such as `2024-05`.
pub fn month(text: &str) -> Month {
    text.parse().expect("a month")
}

/// Noon of a day such as `2024-06-15`, long ago by the store's own clock.
pub fn noon(day: &str) -> DateTime<Utc> {
    format!("{day}T12:00:00Z").parse().expect("a day")
}

/// A clock that is told the time, ids of that time, and a list of what was reported.
pub struct Times {
    now: Mutex<DateTime<Utc>>,
    ids: AtomicU64,
    /// What was reported.
    pub incidents: Mutex<Vec<Incident>>,
}

impl Times {
    /// It is this time.
    pub fn at(now: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::new(now),
            ids: AtomicU64::new(0),
            incidents: Mutex::default(),
        })
    }

    /// It is this time now.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.now.lock().expect("nobody panics") = now;
    }

    /// Later by so many days.
    pub fn pass(&self, days: i64) {
        let mut now = self.now.lock().expect("nobody panics");
        *now += TimeDelta::days(days);
    }
}

impl Clock for Times {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().expect("nobody panics")
    }
}

impl Entropy for Times {
    fn id(&self) -> Uuid {
        let count = self.ids.fetch_add(1, Ordering::SeqCst);
        id_at(self.now(), count)
    }

    fn salt(&self) -> [u8; 16] {
        *self.id().as_bytes()
    }

    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

impl Monitor for Times {
    fn report(&self, incident: Incident) {
        let mut incidents = self.incidents.lock().expect("nobody panics");
        incidents.push(incident);
    }

    fn fallback(&self, _: Fallback) {}
}

fn id_at(moment: DateTime<Utc>, count: u64) -> Uuid {
    let millis = u64::try_from(moment.timestamp_millis()).expect("after 1970");
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&count.to_be_bytes());
    Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

/// The policies of the rules: two months and six, whatever the severity but for the critical ones.
pub fn policies() -> RetentionPolicies {
    let policy = |archive_after, keep| {
        RetentionPolicy::try_new(archive_after, keep).expect("a policy that can be")
    };
    RetentionPolicies {
        info: policy(60, 180),
        warning: policy(60, 180),
        critical: policy(60, 365),
    }
}

/// Retention over this store, beside a process that seals whatever waits.
pub fn retention(subject: &dyn StoreUnderTest, times: &Arc<Times>) -> Retention {
    let services = Services {
        store: subject.store(),
        clock: times.clone(),
        entropy: times.clone(),
        monitor: times.clone(),
        outbox: Arc::new(Notify::new()),
    };
    let (sealer, _) = tree::process(subject, &World::of(subject));
    let tree = subject.tree();
    tokio::spawn(async move {
        loop {
            if matches!(tree.look(Uuid::nil()).await, Ok(look) if look.is_waiting) {
                // Another may seal, or hold what it needs.
                let _ = sealer.step(100_000).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    Retention::new(services, subject.retention(), subject.queries(), policies())
}

/// A file's events, and what was said of them.
pub type Shelved = (Vec<Uuid>, Contents);

/// An archive in memory. Clones share it.
#[derive(Clone, Default)]
pub struct Shelf {
    /// Whether it takes nothing.
    pub is_full: Arc<AtomicBool>,
    /// The files.
    pub files: Arc<Mutex<Vec<Shelved>>>,
}

struct Binder {
    shelf: Shelf,
    ids: Vec<Uuid>,
}

#[async_trait]
impl EventArchive for Shelf {
    async fn begin(
        &self,
        _: Severity,
        _: Month,
        _: Uuid,
    ) -> Result<Box<dyn ArchiveWriter>, ArchiveError> {
        Ok(Box::new(Binder {
            shelf: self.clone(),
            ids: Vec::new(),
        }))
    }
}

#[async_trait]
impl ArchiveWriter for Binder {
    async fn write(&mut self, events: Vec<LoggedEvent>) -> Result<(), ArchiveError> {
        self.ids.extend(events.iter().map(|event| event.event.id));
        Ok(())
    }

    async fn finish(self: Box<Self>, contents: &Contents) -> Result<ArchiveFile, ArchiveError> {
        if self.shelf.is_full.load(Ordering::SeqCst) {
            return Err(ArchiveError("the shelf is full".into()));
        }
        let mut files = self.shelf.files.lock().expect("nobody panics");
        files.push((self.ids, contents.clone()));
        Ok(ArchiveFile {
            name: format!("file {}", files.len()),
            sha256: [7; 32],
        })
    }
}

/// Whoever asks for it.
pub fn admin() -> Caller {
    Caller {
        actor: Actor {
            id: "the-admin".to_owned(),
            role: Role::Admin,
        },
        origin: Origin::default(),
        scope: None,
    }
}

/// A call of theirs.
pub fn call() -> Call {
    Call {
        caller: admin(),
        idempotency: None,
        expected_version: None,
    }
}

/// Events of a month: so many of each severity, in this project, at several times of several days.
pub fn events_of(
    world: &World,
    in_month: Month,
    count: usize,
    project: ProjectId,
) -> Vec<Arc<EventRecord>> {
    let mut events = Vec::new();
    for severity in SEVERITIES {
        for number in 0..count {
            let hours = i64::try_from(number).expect("few") * 7;
            let occurred_at = in_month.starts_at() + TimeDelta::hours(hours % 600);
            let fresh = an_event(world, project.0);
            events.push(Arc::new(EventRecord {
                id: id_at(occurred_at, u64::from_be_bytes(tail(fresh.id))),
                severity: severity.to_owned(),
                occurred_at,
                ..fresh
            }));
        }
    }
    events
}

fn tail(id: Uuid) -> [u8; 8] {
    let mut tail = [0; 8];
    tail.copy_from_slice(&id.as_bytes()[8..]);
    tail
}

/// Puts events into the log, the parts of their months made ahead where there are such, and gives
/// each its place in the tree.
pub async fn log(subject: &dyn StoreUnderTest, world: &World, events: &[Arc<EventRecord>]) {
    for event in events {
        subject.make_month(event.occurred_at).await;
    }
    put(subject, world, events).await;
}

/// As [`log`], with no part made ahead.
pub async fn put(subject: &dyn StoreUnderTest, world: &World, events: &[Arc<EventRecord>]) {
    let new = subject.audit_store().append(events, world.now()).await;
    assert_eq!(new.expect("it is appended"), events.len() as u64);
    seal(subject).await;
}

/// Gives what waits its place in the tree.
pub async fn seal(subject: &dyn StoreUnderTest) {
    let (sealer, _) = tree::process(subject, &World::of(subject));
    let tree = subject.tree();
    let all = async {
        while tree.look(Uuid::nil()).await.expect("it reads").is_waiting {
            // Another may have the turn.
            let _ = sealer.step(100_000).await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(30), all).await;
    all.expect("it is sealed");
}

/// How many events a table has, but for those that say what goes.
pub async fn left(subject: &dyn StoreUnderTest, table: &str) -> i64 {
    let others = format!("{table} WHERE action <> 'retention.expiring'");
    subject.count(&others).await
}

/// How many events of a severity the statistics tell of, but for those that say what goes.
pub async fn counted(subject: &dyn StoreUnderTest, severity: &str) -> i64 {
    let mut counts = Vec::new();
    for bucket in ["hour", "day"] {
        let sum = format!(
            "SELECT CAST(coalesce(sum(events), 0) AS bigint) FROM audit_counts \
             WHERE bucket = '{bucket}' AND severity = '{severity}' \
             AND action <> 'retention.expiring'"
        );
        counts.push(subject.number(&sum).await);
    }
    assert_eq!(counts[0], counts[1], "hours and days agree");
    counts[0]
}

/// Every event has its row, or its leaf record if it is gone; each record is what its leaf says.
pub async fn assert_provable(subject: &dyn StoreUnderTest, events: &[Arc<EventRecord>]) {
    for event in events {
        let leaf = subject.numbered_leaf(event.id).await;
        let (index, hash) = leaf.expect("leaves stay for ever");
        let mut rows = 0;
        for table in ["audit_events", "audit_archive"] {
            let there = format!("{table} WHERE id = '{}'", event.id);
            rows += subject.count(&there).await;
        }
        if rows == 1 {
            continue;
        }
        assert_eq!(rows, 0, "an event is in one place");
        let record = subject.leaf_record(index).await;
        let record = record.expect("what is gone left its leaf record");
        let of_record = Sha256::new().chain_update([0]).chain_update(&record);
        assert_eq!(of_record.finalize().as_slice(), hash, "{event:?}");
        let told: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
        assert_eq!(told["id"], event.id.to_string());
    }
}
