//! Trails in a process's memory: bounded in number, size and age. They die with the process.

mod shelf;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tranche_domain::trail::sums::{Counted, TimeRange};
use tranche_domain::{MessageId, ProjectId, Trail, TrailChange};

use self::shelf::Shelf;
pub(super) use self::shelf::size;
use crate::ports::audit_search::Scope;
use crate::ports::clock::Clock;
use crate::ports::store::{Conflict, StoreError};
use crate::ports::trails::{Adopted, TrailStore};

/// How often it is told that trails had to go.
const TOLD_EVERY: TimeDelta = TimeDelta::minutes(1);

/// How much a memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// How many trails, and how many sums of which no trail is left.
    pub trails: usize,
    /// How many bytes of documents and names.
    pub bytes: usize,
    /// How long after it was created a trail is there.
    pub keep: TimeDelta,
}

impl MemoryLimits {
    /// 10,000 trails of 256 MiB together for 7 days.
    pub const DEFAULT: Self = Self {
        trails: 10_000,
        bytes: 256 * 1024 * 1024,
        keep: TimeDelta::days(7),
    };
}

/// Keeps trails in memory. What has no room makes the oldest trails go, and that is counted and told;
/// what is too old is not there for anybody, whether it was swept already or not.
///
/// An event of a change is not kept here: whoever saves records it.
pub struct Memory {
    clock: Arc<dyn Clock>,
    limits: MemoryLimits,
    shelf: Mutex<Shelf>,
    evicted: AtomicU64,
    turned_away: AtomicU64,
    told: Mutex<Option<DateTime<Utc>>>,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, limits: MemoryLimits) -> Self {
        Self {
            clock,
            limits,
            shelf: Mutex::default(),
            evicted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much it holds.
    #[must_use]
    pub const fn limits(&self) -> MemoryLimits {
        self.limits
    }

    /// What was created before this moment is too old.
    #[must_use]
    pub fn horizon(&self) -> DateTime<Utc> {
        let horizon = self.clock.now().checked_sub_signed(self.limits.keep);
        horizon.unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// The trail of a message.
    #[must_use]
    pub fn get(&self, message: MessageId, scope: Scope) -> Option<Arc<Trail>> {
        let horizon = self.horizon();
        let trail = self.shelf().get(message)?;
        let record = trail.record();
        let reaches = match scope {
            Scope::All => true,
            Scope::Project(project) => project == record.project_id,
        };
        (reaches && record.created_at >= horizon).then_some(trail)
    }

    /// Keeps the next state, as [`TrailStore::save`] does. What is too old when it comes is not kept at
    /// all: sent again, it would be counted again.
    ///
    /// # Errors
    /// [`Conflict::Stale`].
    pub fn keep(&self, change: &TrailChange) -> Result<(), StoreError> {
        let horizon = self.horizon();
        let evicted = {
            let mut held = self.shelf();
            held.expire(horizon, usize::MAX);
            let there = held.get(change.trail().record().message_id);
            let version = there.map(|trail| trail.record().version);
            if version != change.former().map(|trail| trail.record().version) {
                return Err(StoreError::Conflict(Conflict::Stale));
            }
            if change.trail().record().created_at < horizon {
                return Ok(());
            }
            held.put(change.trail().clone());
            held.make_room(self.limits, change.trail().record().message_id)
        };
        if evicted > 0 {
            self.tell(evicted);
        }
        Ok(())
    }

    /// Keeps a copy of what the database has, with its version, where that is the later; but lets
    /// nothing else go for it: where there is no room it is turned away, and what there was of it stays.
    pub fn take(&self, trail: &Trail) -> bool {
        self.copy(trail, |there| {
            (trail.is_later_than(there) && trail.record().project_id == there.record().project_id)
                .then(|| trail.clone())
        })
    }

    /// Keeps what `replaces` makes of the one that is there, or the copy where there is none.
    fn copy(&self, trail: &Trail, replaces: impl FnOnce(&Trail) -> Option<Trail>) -> bool {
        let horizon = self.horizon();
        let record = trail.record();
        if record.created_at < horizon {
            return false;
        }
        let mut held = self.shelf();
        held.expire(horizon, usize::MAX);
        let there = held.get(record.message_id);
        let copy = there.map_or_else(|| Some(trail.clone()), |there| replaces(&there));
        let Some(copy) = copy else { return false };
        if !held.has_room_for(&copy, self.limits) {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        held.put(copy);
        true
    }

    /// Forgets what is too old, and sums of hours before `sums_before` of which no trail is left.
    pub fn sweep(&self, sums_before: DateTime<Utc>) {
        let horizon = self.horizon();
        let mut held = self.shelf();
        held.expire(horizon, usize::MAX);
        held.expire_sums(sums_before, usize::MAX);
    }

    /// Forgets everything about a project.
    pub fn forget(&self, project: ProjectId) {
        self.shelf().forget(project);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.shelf() = Shelf::default();
    }

    /// The projects of which there is anything.
    #[must_use]
    pub fn projects(&self) -> Vec<ProjectId> {
        self.shelf().projects()
    }

    /// How many trails there are, too old ones included until they are swept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelf().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shelf().bytes()
    }

    /// How many trails had to go before their time.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How many copies had no room.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    fn tell(&self, evicted: u64) {
        let total = self.evicted.fetch_add(evicted, Ordering::Relaxed) + evicted;
        let now = self.clock.now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now - told >= TOLD_EVERY) {
            *told = Some(now);
            tracing::warn!(
                total,
                "assessment trails in memory have no room: the oldest are gone before their time"
            );
        }
    }
}

#[async_trait]
impl TrailStore for Memory {
    async fn read(&self, message: MessageId, scope: Scope) -> Result<Option<Trail>, StoreError> {
        let trail = self.get(message, scope);
        Ok(trail.map(Arc::unwrap_or_clone))
    }

    async fn save(&self, change: &TrailChange) -> Result<(), StoreError> {
        self.keep(change)
    }

    async fn adopt(&self, copies: &[Trail]) -> Result<Vec<Adopted>, StoreError> {
        let adopt = |copy: &Trail| {
            if self.copy(copy, |there| copy.in_place_of(there)) {
                Adopted::Kept
            } else {
                Adopted::Present
            }
        };
        Ok(copies.iter().map(adopt).collect())
    }

    async fn page(&self, after: Option<MessageId>, limit: u32) -> Result<Vec<Trail>, StoreError> {
        let horizon = self.horizon();
        let page = self.shelf().page(after, horizon, limit as usize);
        Ok(page.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn several(&self, messages: &[MessageId]) -> Result<Vec<Trail>, StoreError> {
        let there = messages.iter();
        let there = there.filter_map(|message| self.get(*message, Scope::All));
        Ok(there.map(Arc::unwrap_or_clone).collect())
    }

    async fn count(&self, before: Option<DateTime<Utc>>) -> Result<u64, StoreError> {
        Ok(self.shelf().count(self.horizon(), before) as u64)
    }

    async fn counted(
        &self,
        project: ProjectId,
        range: TimeRange,
        recent: u32,
    ) -> Result<Counted, StoreError> {
        let horizon = self.horizon();
        let mut held = self.shelf();
        held.expire(horizon, usize::MAX);
        Ok(held.counted(project, range, recent as usize))
    }

    async fn expire(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        Ok(self.shelf().expire(before, limit as usize))
    }

    async fn expire_sums(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        Ok(self.shelf().expire_sums(before, limit as usize))
    }
}
