//! A pipeline whose log, queues and letters are small stand-ins: they keep what they are given, and
//! fail as they are told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tranche_application::Services;
use tranche_application::audit::meters::Totals;
use tranche_application::audit::pipeline::Pipeline;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::dead_letters::{DeadLetter, DeadLetters, Redriven};
use tranche_application::ports::monitor::{Fallback, Fate, Incident};
use tranche_application::ports::queries::Page;
use tranche_application::ports::queue::{
    AuditQueue, Depth, QueueError, Receipt, Taken, Unreadable,
};
use tranche_application::ports::store::{Conflict, StoreError};
use uuid::Uuid;

use super::scene::{bare_event, time};
use super::script::Seen;
use super::stage::{Stage, refused};

/// How a port fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Refuses,
    Hangs,
    Panics,
    /// With a lock that somebody else holds.
    Locked,
    /// Because the id is another event's.
    Taken,
}

/// An ordinary event; `n` names it.
pub fn event(n: u64) -> Arc<EventRecord> {
    Arc::new(EventRecord {
        resource_id: Some(n.to_string()),
        ..bare_event(id(n))
    })
}

/// The id of [`event`]; those that the services make are far below.
pub fn id(n: u64) -> Uuid {
    Uuid::from_u128(0xE_0000_0000 + u128::from(n))
}

/// What `id` was made of.
fn name(id: Uuid) -> u64 {
    u64::try_from(id.as_u128())
        .unwrap()
        .wrapping_sub(0xE_0000_0000)
}

/// What the log was asked, and how it answers.
#[derive(Default)]
pub struct LogState {
    /// Everything fails.
    pub down: Option<Fault>,
    /// Writes with these events fail, while others go well.
    pub poison: BTreeMap<u64, Fault>,
    /// The next writes fail, while probes go well.
    pub stumbles: VecDeque<StoreError>,
    /// What is in it, in this order.
    pub events: Vec<Arc<EventRecord>>,
    /// When it was asked to take how many.
    pub asked: Vec<(Instant, usize)>,
    pub recorded_at: Vec<DateTime<Utc>>,
    pub probes: Vec<(Instant, EventRecord)>,
    /// How long each write takes.
    pub takes: Duration,
}

#[derive(Default)]
pub struct Log(Mutex<LogState>);

impl Log {
    pub fn state(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().unwrap()
    }

    /// What is in it, in the order in which it came.
    pub fn stored(&self) -> Vec<u64> {
        self.state()
            .events
            .iter()
            .map(|event| name(event.id))
            .collect()
    }
}

async fn fail(fault: Fault) -> StoreError {
    match fault {
        Fault::Refuses => refused(),
        Fault::Hangs => std::future::pending().await,
        Fault::Panics => panic!("a store that panics"),
        Fault::Locked => StoreError::Conflict(Conflict::Retry),
        Fault::Taken => StoreError::Conflict(Conflict::Stale),
    }
}

#[async_trait]
impl AuditStore for Log {
    async fn append(
        &self,
        events: &[Arc<EventRecord>],
        recorded_at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let (fault, stumble, takes) = {
            let mut state = self.state();
            state.asked.push((Instant::now(), events.len()));
            state.recorded_at.push(recorded_at);
            let poisoned = events
                .iter()
                .find_map(|event| state.poison.get(&name(event.id)));
            let fault = state.down.or(poisoned.copied());
            (fault, state.stumbles.pop_front(), state.takes)
        };
        tokio::time::sleep(takes).await;
        if let Some(fault) = fault {
            return Err(fail(fault).await);
        }
        if let Some(stumble) = stumble {
            return Err(stumble);
        }
        let mut state = self.state();
        let before = state.events.len();
        for event in events {
            if !state.events.iter().any(|known| known.id == event.id) {
                state.events.push(event.clone());
            }
        }
        Ok((state.events.len() - before) as u64)
    }

    async fn probe(&self, event: &EventRecord, _: DateTime<Utc>) -> Result<(), StoreError> {
        let down = {
            let mut state = self.state();
            state.probes.push((Instant::now(), event.clone()));
            state.down
        };
        match down {
            Some(fault) => Err(fail(fault).await),
            None => Ok(()),
        }
    }
}

/// What a queue holds, and how it fails.
#[derive(Default)]
pub struct LineState {
    pub waiting: VecDeque<Arc<EventRecord>>,
    pub unreadable: Vec<Unreadable>,
    /// What was taken, by receipt.
    pub held: BTreeMap<String, Vec<Arc<EventRecord>>>,
    /// How many events there is room for.
    pub room: usize,
    /// Everything fails.
    pub gone: Option<Fault>,
    /// So often, `done` fails.
    pub done_fails: usize,
    /// What was asked for, each time that something was given.
    pub limits: Vec<usize>,
    /// How often the depth was asked for.
    pub depths: usize,
    pub given_back: usize,
    pub pushes: usize,
    receipts: usize,
}

pub struct Line {
    state: Mutex<LineState>,
    bell: Notify,
}

impl Line {
    fn new(room: usize) -> Self {
        Self {
            state: Mutex::new(LineState {
                room,
                ..LineState::default()
            }),
            bell: Notify::new(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap()
    }

    /// Puts events in, whatever the room.
    pub fn fill(&self, names: impl IntoIterator<Item = u64>) {
        self.state().waiting.extend(names.into_iter().map(event));
        self.bell.notify_one();
    }

    /// What waits and nobody holds.
    pub fn waiting(&self) -> Vec<u64> {
        let state = self.state();
        state.waiting.iter().map(|event| name(event.id)).collect()
    }

    /// Nothing waits and nobody holds anything.
    pub fn is_empty(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && state.held.is_empty() && state.unreadable.is_empty()
    }

    async fn answers(&self) -> Result<(), QueueError> {
        let gone = self.state().gone;
        match gone {
            None => Ok(()),
            Some(fault) => Err(QueueError(Box::new(fail(fault).await))),
        }
    }

    fn give(&self, limit: usize) -> Option<Taken> {
        let mut state = self.state();
        let count = limit.min(state.waiting.len());
        if count == 0 && state.unreadable.is_empty() {
            return None;
        }
        let events: Vec<_> = state.waiting.drain(..count).collect();
        state.receipts += 1;
        let receipt = state.receipts.to_string();
        state.held.insert(receipt.clone(), events.clone());
        state.limits.push(limit);
        Some(Taken {
            receipt: Receipt(vec![receipt]),
            events,
            unreadable: std::mem::take(&mut state.unreadable),
        })
    }
}

#[async_trait]
impl AuditQueue for Line {
    async fn push(
        &self,
        events: &[Arc<EventRecord>],
        _: DateTime<Utc>,
    ) -> Result<usize, QueueError> {
        self.state().pushes += 1;
        self.answers().await?;
        let mut state = self.state();
        let count = events
            .len()
            .min(state.room.saturating_sub(state.waiting.len()));
        state.waiting.extend(events.iter().take(count).cloned());
        self.bell.notify_one();
        Ok(count)
    }

    async fn take(&self, limit: usize, wait: Duration) -> Result<Option<Taken>, QueueError> {
        self.answers().await?;
        if let Some(taken) = self.give(limit) {
            return Ok(Some(taken));
        }
        let _ = timeout(wait, self.bell.notified()).await;
        Ok(self.give(limit))
    }

    async fn done(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.answers().await?;
        let mut state = self.state();
        if state.done_fails > 0 {
            state.done_fails -= 1;
            return Err(QueueError("not now".into()));
        }
        state.held.remove(&receipt.0[0]);
        Ok(())
    }

    async fn give_back(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.answers().await?;
        let mut state = self.state();
        state.given_back += 1;
        for event in state.held.remove(&receipt.0[0]).unwrap().into_iter().rev() {
            state.waiting.push_front(event);
        }
        self.bell.notify_one();
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.state().depths += 1;
        self.answers().await?;
        let state = self.state();
        Ok(Depth {
            events: (state.waiting.len() + state.held.values().map(Vec::len).sum::<usize>()) as u64,
            ..Depth::default()
        })
    }
}

/// Dead letters, and how often burying fails.
#[derive(Default)]
pub struct DrawerState {
    pub letters: Vec<DeadLetter>,
    pub burials: usize,
    pub fails: usize,
    pub panics: usize,
    /// Letters that do not come into the log.
    pub refuses: Vec<Uuid>,
    pub unreadable: Vec<Uuid>,
    /// Somebody else drives these before.
    pub overtaken: Vec<Uuid>,
    pub redriven: Vec<Uuid>,
    pub pages: Vec<Page>,
}

#[derive(Default)]
pub struct Drawer(Mutex<DrawerState>);

impl Drawer {
    pub fn state(&self) -> MutexGuard<'_, DrawerState> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The events that lie in it.
    pub fn buried(&self) -> Vec<u64> {
        let state = self.state();
        state
            .letters
            .iter()
            .filter_map(|letter| letter.event_id.map(name))
            .collect()
    }
}

#[async_trait]
impl DeadLetters for Drawer {
    async fn bury(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut state = self.state();
        state.burials += 1;
        if state.panics > 0 {
            state.panics -= 1;
            panic!("a drawer that panics");
        }
        if state.fails > 0 {
            state.fails -= 1;
            return Err(refused());
        }
        for letter in letters {
            let known = state
                .letters
                .iter()
                .any(|known| known.event_id == letter.event_id);
            if letter.event_id.is_none() || !known {
                state.letters.push(letter.clone());
            }
        }
        Ok(())
    }

    async fn letters(&self, page: Page) -> Result<Vec<DeadLetter>, StoreError> {
        let mut state = self.state();
        state.pages.push(page);
        let mut letters = state.letters.clone();
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.id));
        letters.retain(|letter| page.after.is_none_or(|after| letter.id < after));
        letters.truncate(page.limit as usize);
        Ok(letters)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.state().letters.len() as u64)
    }

    async fn redrive(&self, id: Uuid, _: DateTime<Utc>) -> Result<Redriven, StoreError> {
        let mut state = self.state();
        state.redriven.push(id);
        if state.refuses.contains(&id) {
            return Err(StoreError::Inconsistent("it is still refused".to_owned()));
        }
        if state.unreadable.contains(&id) {
            return Ok(Redriven::Unreadable);
        }
        let overtaken = state.overtaken.clone();
        state
            .letters
            .retain(|letter| !overtaken.contains(&letter.id));
        let before = state.letters.len();
        state.letters.retain(|letter| letter.id != id);
        Ok(if state.letters.len() < before {
            Redriven::Stored
        } else {
            Redriven::Unknown
        })
    }
}

/// The pipeline and its parts. The services are a stage's, whose clock goes with tokio's.
pub struct Plant {
    pub seen: Arc<Mutex<Seen>>,
    pub log: Arc<Log>,
    pub letters: Arc<Drawer>,
    pub queue: Arc<Line>,
    pub spool: Arc<Line>,
    pub pipeline: Pipeline,
}

impl Plant {
    /// Everything works, and there is room for all.
    pub fn new() -> Self {
        Self::on(&mut Stage::new())
    }

    /// On a stage with its script.
    pub fn on(stage: &mut Stage) -> Self {
        let services = Services {
            clock: Arc::new(Running(Instant::now())),
            ..stage.services()
        };
        let (log, letters) = (Arc::<Log>::default(), Arc::<Drawer>::default());
        let (queue, spool) = (Arc::new(Line::new(10_000)), Arc::new(Line::new(10_000)));
        let pipeline = Pipeline {
            services,
            log: log.clone(),
            letters: letters.clone(),
            queue: queue.clone(),
            spool: spool.clone(),
            availability: Arc::default(),
            meters: Arc::default(),
        };
        Self {
            seen: stage.seen.clone(),
            log,
            letters,
            queue,
            spool,
            pipeline,
        }
    }

    pub fn totals(&self) -> Totals {
        self.pipeline.meters.totals()
    }

    pub fn incidents(&self) -> Vec<Incident> {
        self.seen.lock().unwrap().incidents.clone()
    }

    /// What was told of events that could not go their way: their fate, which, and why.
    pub fn fallbacks(&self) -> Vec<(Fate, Vec<u64>, String)> {
        let seen = self.seen.lock().unwrap();
        let told = seen.fallbacks.iter().map(
            |Fallback {
                 fate,
                 events,
                 error,
             }| {
                let names = events.iter().map(|event| name(event.id)).collect();
                (*fate, names, error.clone())
            },
        );
        told.collect()
    }
}

/// A clock that goes as tokio's, from `time(0)`.
struct Running(Instant);

impl tranche_application::ports::clock::Clock for Running {
    fn now(&self) -> DateTime<Utc> {
        time(0) + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

/// Waits until something is so; a minute at most.
pub async fn until(what: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came to be");
}
