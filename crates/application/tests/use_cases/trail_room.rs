//! Trails over a small database, whose answers can be refused, delayed and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tranche_application::audit::failsafe::{Failsafe, RING};
use tranche_application::audit::record::EventRecord;
use tranche_application::mocks::MockQueries;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::clock::Clock;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::ports::trails::{Adopted, TrailCleanUps, TrailStore};
use tranche_application::trails::{Backend, Memory, MemoryLimits, Saved, TrailError, Trails};
use tranche_application::{Call, Services};
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::{Counted, TimeRange};
use tranche_domain::trail::{CostAmount, JsonText, Part, Stated, TokenCount};
use tranche_domain::trail::{TrailAmendment, TrailContent};
use tranche_domain::{MessageId, MilestoneStatus, ProjectId, Trail, TrailChange};
use uuid::Uuid;

use super::plant::Plant;
use super::scene::{ELSEWHERE, PROJECT, Scene, call, time};
use super::stage::{Stage, refused};

/// A clock that is set by hand.
pub struct Hands(Mutex<DateTime<Utc>>);

impl Hands {
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// Until when a clean-up is somebody's, and how many trails went by its end.
type Turn = (DateTime<Utc>, Option<u64>);

/// A database: a memory without bounds, with projects, events and faults.
pub struct Database {
    pub rows: Memory,
    pub gone: Mutex<BTreeSet<ProjectId>>,
    pub posted: Mutex<Vec<EventRecord>>,
    /// Everything fails.
    pub away: Mutex<bool>,
    /// So many saves find that another was faster.
    pub stale: AtomicU32,
    pub saves: AtomicU32,
    /// Saves and looks at several wait here, where there is one.
    pub gate: Mutex<Option<Arc<Gate>>>,
    pub turns: Mutex<BTreeMap<DateTime<Utc>, Turn>>,
    pub batches: Mutex<Vec<u64>>,
    /// How many copies came at a time.
    pub pages: Mutex<Vec<usize>>,
    /// How many rows projects that are gone have left.
    pub left: Mutex<u64>,
}

/// Where somebody waits to be let through.
#[derive(Default)]
pub struct Gate {
    pub reached: Notify,
    pub open: Notify,
}

impl Database {
    fn answers(&self) -> Result<(), StoreError> {
        if *self.away.lock().unwrap() {
            return Err(refused());
        }
        Ok(())
    }

    async fn pass(&self) -> Result<(), StoreError> {
        self.answers()?;
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
        Ok(())
    }

    fn has(&self, trail: &Trail) -> Result<(), StoreError> {
        if self
            .gone
            .lock()
            .unwrap()
            .contains(&trail.record().project_id)
        {
            return Err(StoreError::Conflict(Conflict::ProjectGone));
        }
        Ok(())
    }

    pub fn trail(&self, n: u128) -> Option<Trail> {
        let trail = self.rows.get(message(n), Scope::All)?;
        Some(Arc::unwrap_or_clone(trail))
    }

    pub fn events(&self) -> Vec<String> {
        let posted = self.posted.lock().unwrap();
        posted.iter().map(|event| event.action.clone()).collect()
    }
}

#[async_trait]
impl TrailStore for Database {
    async fn read(&self, message: MessageId, scope: Scope) -> Result<Option<Trail>, StoreError> {
        self.answers()?;
        self.rows.read(message, scope).await
    }

    async fn save(&self, change: &TrailChange) -> Result<(), StoreError> {
        self.pass().await?;
        self.saves.fetch_add(1, Ordering::SeqCst);
        let lost = |stale: u32| stale.checked_sub(1);
        let always = Ordering::SeqCst;
        if self.stale.fetch_update(always, always, lost).is_ok() {
            return Err(StoreError::Conflict(Conflict::Stale));
        }
        self.has(change.trail())?;
        self.rows.save(change).await?;
        let event = change.event().map(EventRecord::from);
        self.posted.lock().unwrap().extend(event);
        Ok(())
    }

    async fn adopt(&self, copies: &[Trail]) -> Result<Vec<Adopted>, StoreError> {
        self.answers()?;
        self.pages.lock().unwrap().push(copies.len());
        let mut adopted = Vec::new();
        for copy in copies {
            adopted.push(if self.has(copy).is_err() {
                Adopted::ProjectGone
            } else {
                self.rows.adopt(std::slice::from_ref(copy)).await?[0]
            });
        }
        Ok(adopted)
    }

    async fn page(&self, after: Option<MessageId>, limit: u32) -> Result<Vec<Trail>, StoreError> {
        self.answers()?;
        self.rows.page(after, limit).await
    }

    async fn several(&self, messages: &[MessageId]) -> Result<Vec<Trail>, StoreError> {
        self.pass().await?;
        self.rows.several(messages).await
    }

    async fn count(&self, before: Option<DateTime<Utc>>) -> Result<u64, StoreError> {
        self.answers()?;
        self.rows.count(before).await
    }

    async fn counted(
        &self,
        project: ProjectId,
        range: TimeRange,
        recent: u32,
    ) -> Result<Counted, StoreError> {
        self.answers()?;
        self.rows.counted(project, range, recent).await
    }

    async fn expire(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.pass().await?;
        let gone = self.rows.expire(before, limit).await?;
        self.batches.lock().unwrap().push(gone);
        Ok(gone)
    }

    async fn expire_sums(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.answers()?;
        self.rows.expire_sums(before, limit).await
    }
}

#[async_trait]
impl TrailCleanUps for Database {
    async fn take_clean_up(
        &self,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.answers()?;
        let mut turns = self.turns.lock().unwrap();
        if let Some((taken_until, ended)) = turns.get(&due_at)
            && (ended.is_some() || *taken_until > now)
        {
            return Ok(false);
        }
        turns.insert(due_at, (until, None));
        Ok(true)
    }

    async fn end_clean_up(
        &self,
        due_at: DateTime<Utc>,
        _: DateTime<Utc>,
        trails: u64,
        event: &EventRecord,
    ) -> Result<bool, StoreError> {
        self.answers()?;
        let mut turns = self.turns.lock().unwrap();
        let turn = turns.get_mut(&due_at).unwrap();
        let ours = turn.1.replace(trails).is_none();
        if ours {
            self.posted.lock().unwrap().push(event.clone());
        }
        Ok(ours)
    }

    async fn has_clean_up_ended(&self, due_at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.answers()?;
        let turns = self.turns.lock().unwrap();
        Ok(turns.get(&due_at).is_some_and(|(_, ended)| ended.is_some()))
    }

    async fn clear_removed(&self, limit: u32) -> Result<u64, StoreError> {
        self.answers()?;
        let mut left = self.left.lock().unwrap();
        let gone = (*left).min(u64::from(limit));
        *left -= gone;
        Ok(gone)
    }
}

/// Trails and everything around them.
pub struct Room {
    pub trails: Trails,
    pub database: Arc<Database>,
    pub memory: Arc<Memory>,
    pub failsafe: Failsafe,
    pub clock: Arc<Hands>,
    pub stage: Stage,
    pub services: Services,
}

/// Room for everything, for a week.
pub const LIMITS: MemoryLimits = MemoryLimits::DEFAULT;

impl Room {
    pub fn new(backend: Backend) -> Self {
        Self::with(backend, LIMITS)
    }

    pub fn with(backend: Backend, limits: MemoryLimits) -> Self {
        Self::on(Stage::new(), backend, limits)
    }

    /// On a stage with its script.
    pub fn on(mut stage: Stage, backend: Backend, limits: MemoryLimits) -> Self {
        let plant = Plant::on(&mut stage);
        let clock = Arc::new(Hands(Mutex::new(time(0))));
        let services = Services {
            clock: clock.clone(),
            ..plant.pipeline.services.clone()
        };
        let unbounded = MemoryLimits {
            trails: 1_000_000,
            bytes: usize::MAX,
            keep: TimeDelta::days(100_000),
        };
        let database = Arc::new(Database {
            rows: Memory::new(clock.clone(), unbounded),
            gone: Mutex::default(),
            posted: Mutex::default(),
            away: Mutex::default(),
            stale: AtomicU32::new(0),
            saves: AtomicU32::new(0),
            gate: Mutex::default(),
            turns: Mutex::default(),
            batches: Mutex::default(),
            pages: Mutex::default(),
            left: Mutex::default(),
        });
        let memory = Arc::new(Memory::new(clock.clone(), limits));
        let failsafe = Failsafe::new(plant.pipeline, RING);
        let trails = Trails::new(
            services.clone(),
            Arc::new(projects(database.clone())),
            failsafe.clone(),
            database.clone(),
            memory.clone(),
            backend,
        );
        Self {
            trails,
            database,
            memory,
            failsafe,
            clock,
            stage,
            services,
        }
    }

    /// Puts the whole of a message's trail.
    pub async fn put(&self, n: u128, content: TrailContent) -> Trail {
        self.put_into(PROJECT, n, content).await
    }

    pub async fn put_into(&self, project: ProjectId, n: u128, content: TrailContent) -> Trail {
        let call = by();
        let put = self.trails.put(project, message(n), content, &call);
        put.await.unwrap().trail
    }

    /// Sets the tokens of a completion.
    pub async fn amend(&self, n: u128, tokens: u64) -> Result<Saved, TrailError> {
        let (call, amendment) = (by(), completion(tokens));
        let trails = &self.trails;
        trails.amend(PROJECT, message(n), amendment, &call).await
    }

    pub async fn read(&self, n: u128) -> Option<Trail> {
        let caller = by().caller;
        self.trails.read(message(n), &caller).await.unwrap()
    }
}

/// The scene's project and another, unless they are gone.
fn projects(database: Arc<Database>) -> MockQueries {
    let mut queries = MockQueries::new();
    queries.expect_project().returning(move |id| {
        let known = id == PROJECT || id == ELSEWHERE;
        let there = known && !database.gone.lock().unwrap().contains(&id);
        let mut project = Scene::at(MilestoneStatus::Draft).project;
        project.id = id;
        Ok(there.then_some(project))
    });
    queries
}

pub fn message(n: u128) -> MessageId {
    MessageId(Uuid::from_u128(0xC0_0000 + n))
}

pub fn by() -> Call {
    call("assessor")
}

pub fn text(json: &str) -> JsonText {
    JsonText::try_new(json).unwrap()
}

/// A whole trail, of so many tokens of completion.
pub fn whole(completion: u64) -> TrailContent {
    let count = |count| TokenCount::try_new(count).unwrap();
    let amount = |text: &str| text.parse::<CostAmount>().unwrap();
    TrailContent {
        created_at: Some(time(0)),
        model: Some(ModelName::try_new("large-2").unwrap()),
        reasoning_traces: Some(text("[\"a thought\"]")),
        context_layers: None,
        tokens: Some(Stated {
            prompt: Some(count(100)),
            completion: Some(count(completion)),
            total: None,
        }),
        cost: Some(Stated {
            prompt: Some(amount("0.003")),
            completion: Some(amount("0.000315")),
            total: None,
        }),
    }
}

/// A placeholder, some seconds from the beginning.
pub fn placeholder(seconds: i64) -> TrailContent {
    TrailContent {
        created_at: Some(time(seconds)),
        ..TrailContent::default()
    }
}

/// Other tokens of completion.
pub fn completion(count: u64) -> TrailAmendment {
    TrailAmendment {
        tokens: Part::Given(Stated {
            completion: Some(TokenCount::try_new(count).unwrap()),
            ..Stated::default()
        }),
        ..TrailAmendment::default()
    }
}

/// How many tokens of completion a trail has.
pub fn completed_with(trail: &Trail) -> u64 {
    let tokens = trail.record().tokens.unwrap();
    tokens.completion().get()
}
