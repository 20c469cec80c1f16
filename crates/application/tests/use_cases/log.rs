//! A log in memory that grows, hangs and goes away, for whoever follows it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::Notify;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::{EventRecord, LoggedEvent, RecordedActor};
use tranche_application::ports::audit_search::{
    AuditSearch, AuditStats, EventPage, InOrder, PartSize, Scope, StatsQuery,
};
use tranche_application::ports::growth::{GrowthHints, LogGrowth};
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use super::stage::{down, refused};

/// The log; clones share it.
#[derive(Clone, Default)]
pub struct Log(Arc<Inner>);

#[derive(Default)]
struct Inner {
    events: Mutex<Vec<LoggedEvent>>,
    reads: AtomicUsize,
    is_away: AtomicBool,
    is_mute: AtomicBool,
    grown: Notify,
}

/// An event of this action.
pub fn event(action: &str, project: Option<Uuid>) -> EventRecord {
    EventRecord {
        id: Uuid::nil(),
        severity: "info".to_owned(),
        occurred_at: DateTime::<Utc>::UNIX_EPOCH,
        action: action.to_owned(),
        actor: RecordedActor {
            id: "ada".to_owned(),
            role: None,
        },
        project_id: project,
        milestone_id: None,
        resource_type: "invoice".to_owned(),
        resource_id: None,
        previous_status: None,
        new_status: None,
        changes: Value::Null,
        metadata: Value::Null,
        details: Value::Null,
        ip_address: None,
        user_agent: None,
        request_id: None,
        salt: [0; 16],
    }
}

impl Log {
    /// One that begins with so many events.
    pub fn of(events: usize) -> Self {
        let log = Self::default();
        log.grow(events);
        log
    }

    /// So many more.
    pub fn grow(&self, events: usize) {
        for _ in 0..events {
            self.add(event("invoice.sent", None));
        }
    }

    /// One more.
    pub fn add(&self, mut event: EventRecord) {
        let mut events = self.0.events.lock().unwrap();
        let leaf_index = i64::try_from(events.len()).ok();
        event.id = Uuid::from_u128(events.len() as u128);
        events.push(LoggedEvent {
            event,
            recorded_at: Some(DateTime::UNIX_EPOCH),
            leaf_index,
        });
        drop(events);
        self.0.grown.notify_one();
    }

    /// It answers nothing, until told otherwise.
    pub fn away(&self, is_away: bool) {
        self.0.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Nobody hears of its growth.
    pub fn mute(&self) {
        self.0.is_mute.store(true, Ordering::SeqCst);
    }

    /// How often it was read.
    pub fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl AuditSearch for Log {
    async fn in_order(
        &self,
        from: i64,
        filter: &EventFilter,
        scope: Scope,
        limit: u32,
    ) -> Result<InOrder, StoreError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        if self.0.is_away.load(Ordering::SeqCst) {
            return down();
        }
        let events = self.0.events.lock().unwrap();
        let looked: Vec<_> = events
            .iter()
            .filter(|event| event.leaf_index.is_some_and(|index| index >= from))
            .take(limit as usize)
            .collect();
        let next = looked.last().and_then(|event| event.leaf_index);
        let in_scope = |event: &EventRecord| match scope {
            Scope::All => true,
            Scope::Project(id) => event.project_id == Some(id.0),
        };
        let wanted = looked
            .into_iter()
            .filter(|logged| in_scope(&logged.event) && filter.matches(&logged.event));
        Ok(InOrder {
            events: wanted.cloned().collect(),
            next: next.map_or(from, |index| index + 1),
        })
    }

    async fn events(
        &self,
        _: &EventFilter,
        _: Scope,
        _: EventPage,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        Err(refused())
    }

    async fn event(&self, _: Uuid, _: Scope) -> Result<Option<LoggedEvent>, StoreError> {
        Err(refused())
    }

    async fn stats(&self, _: &StatsQuery, _: Scope) -> Result<AuditStats, StoreError> {
        Err(refused())
    }

    async fn end(&self) -> Result<i64, StoreError> {
        if self.0.is_away.load(Ordering::SeqCst) {
            return down();
        }
        Ok(i64::try_from(self.0.events.lock().unwrap().len()).unwrap())
    }

    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        Err(refused())
    }
}

#[async_trait]
impl LogGrowth for Log {
    async fn listen(&self) -> Result<Box<dyn GrowthHints>, StoreError> {
        if self.0.is_mute.load(Ordering::SeqCst) {
            return down();
        }
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl GrowthHints for Log {
    async fn next(&mut self) -> Result<(), StoreError> {
        self.0.grown.notified().await;
        Ok(())
    }
}
