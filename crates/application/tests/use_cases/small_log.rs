//! A log in memory: events in their order, and the tree over them.

use std::sync::Arc;

use async_trait::async_trait;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::audit::tree::merkle::root_over;
use tranche_application::audit::tree::note::LogKey;
use tranche_application::ports::audit_search::{
    AuditSearch, AuditStats, EventPage, InOrder, PartSize, Scope, StatsQuery,
};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Hash, Leaf, LeafRecord, Look, Sealing, Tree};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::scene::{bare_event, time};

/// The key of a log.
pub fn key(secret: u8) -> LogKey {
    LogKey::new(&Zeroizing::new([secret; 32]), None)
}

/// A log of so many events.
pub struct SmallLog {
    pub events: Vec<LoggedEvent>,
    pub hashes: Vec<Hash>,
    pub checkpoint: Checkpoint,
    /// Reading fails from this leaf on.
    pub breaks_at: Option<usize>,
}

impl SmallLog {
    /// Every third event is a warning, the others are infos; the checkpoint is of all but `late`.
    pub fn of(count: u32, late: u32, key: &LogKey) -> Arc<Self> {
        let event = |n: u32| {
            let id = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(n));
            let severity = if n.is_multiple_of(3) {
                "warning"
            } else {
                "info"
            };
            LoggedEvent {
                event: EventRecord {
                    severity: severity.to_owned(),
                    details: serde_json::json!({ "number": n, "share": 0.1 }),
                    ..bare_event(id)
                },
                recorded_at: Some(time(0)),
                leaf_index: Some(i64::from(n)),
            }
        };
        let events: Vec<LoggedEvent> = (0..count).map(event).collect();
        let hashes: Vec<Hash> = events
            .iter()
            .map(|logged| logged.event.leaf_hash(time(0)).unwrap())
            .collect();
        let size = count - late;
        let root = root_over(&hashes[..size as usize]);
        Arc::new(Self {
            events,
            hashes,
            checkpoint: key.sign(size.into(), root, time(0)),
            breaks_at: None,
        })
    }

    fn visible(&self, filter: &EventFilter, scope: Scope) -> Vec<LoggedEvent> {
        let seen = |logged: &&LoggedEvent| match scope {
            Scope::All => true,
            Scope::Project(only) => logged.event.project_id == Some(only.0),
        };
        let events = self.events.iter().filter(seen);
        events
            .filter(|logged| filter.matches(&logged.event))
            .cloned()
            .collect()
    }
}

#[async_trait]
impl AuditSearch for SmallLog {
    async fn events(
        &self,
        filter: &EventFilter,
        scope: Scope,
        page: EventPage,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        assert!(page.archived, "a copy is of the archive too");
        let mut events = self.visible(filter, scope);
        events.reverse();
        events.retain(|logged| page.before.is_none_or(|before| logged.event.id < before));
        events.truncate(page.limit as usize);
        if let (Some(at), Some(last)) = (self.breaks_at, events.last())
            && last.leaf_index < i64::try_from(at).ok()
        {
            return Err(StoreError::Unavailable("the store went away".into()));
        }
        Ok(events)
    }

    async fn in_order(
        &self,
        from: i64,
        filter: &EventFilter,
        scope: Scope,
        limit: u32,
    ) -> Result<InOrder, StoreError> {
        if self
            .breaks_at
            .is_some_and(|at| from >= i64::try_from(at).unwrap())
        {
            return Err(StoreError::Unavailable("the store went away".into()));
        }
        let next = (from + i64::from(limit)).min(i64::try_from(self.events.len()).unwrap());
        let mut events = self.visible(filter, scope);
        events.retain(|logged| (from..next).contains(&logged.leaf_index.unwrap()));
        Ok(InOrder { events, next })
    }

    async fn event(&self, _: Uuid, _: Scope) -> Result<Option<LoggedEvent>, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn stats(&self, _: &StatsQuery, _: Scope) -> Result<AuditStats, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn end(&self) -> Result<i64, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        unreachable!("no copy asks for it")
    }
}

#[async_trait]
impl Tree for SmallLog {
    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(Some(self.checkpoint.clone()))
    }

    async fn hashes(&self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        let mut hashes = self.hashes.clone();
        for _ in 0..level {
            hashes = hashes.chunks_exact(256).map(root_over).collect();
        }
        let from = usize::try_from(from).unwrap();
        Ok(hashes.into_iter().skip(from).take(count as usize).collect())
    }

    async fn waiting(&self, _: u32) -> Result<u64, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn look(&self, _: Uuid) -> Result<Look, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn begin_sealing(&self) -> Result<Option<Box<dyn Sealing>>, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn leaves(&self, _: u64, _: u32) -> Result<Vec<Leaf>, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn records(&self, _: u64, _: u32) -> Result<Vec<LeafRecord>, StoreError> {
        unreachable!("no copy asks for it")
    }

    async fn leaf_of(&self, _: Uuid) -> Result<Option<Leaf>, StoreError> {
        unreachable!("no copy asks for it")
    }
}
