//! Assessment trails: put, amended, read, counted and cleaned up, wherever they are kept.
//!
//! ```text
//! memory ──► dual ──── migrate, compare ────► database
//!            writes to both, reads the database, and memory for what was not copied yet
//! ```
//!
//! The backend is changed while the process runs. Every write holds on to the backend it began with, and
//! a change waits for those: whatever was acknowledged is where the next backend looks.

pub mod backend;
pub mod clean_up;
pub mod copying;
mod document;
mod dual;
mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use serde_json::json;
use thiserror::Error;
use tokio::sync::{Notify, RwLock};
use tranche_domain::trail::sums::{Analytics, TimeRange};
use tranche_domain::trail::{Revised, TrailAmendment, TrailContent, TrailRefusals};
use tranche_domain::{MessageId, Occasion, ProjectId, Trail, TrailChange};

pub use backend::Backend;
use clean_up::Due;
pub use document::document;
pub use dual::Dual;
pub use memory::{Memory, MemoryLimits};

use crate::audit::failsafe::Failsafe;
use crate::audit::record::EventRecord;
use crate::call::{Call, Caller};
use crate::ports::audit_search::Scope;
use crate::ports::queries::Queries;
use crate::ports::store::{Conflict, StoreError};
use crate::ports::trails::TrailStore;
use crate::services::Services;

/// How often a write is tried when another was faster. Of as many that come at once, each gets its turn.
const TRIES: usize = 32;
/// How many trails are shown with the analytics.
const RECENT: u32 = 10;

/// Why a trail was not written. Nothing changed; only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum TrailError {
    /// There is no such trail, or it is not the caller's to see.
    #[error("there is no such trail")]
    NotFound,
    /// There is no such project, or it is not the caller's to see.
    #[error("there is no such project")]
    ProjectNotFound,
    /// The caller has seen another version.
    #[error("the trail is at version {current}")]
    VersionMismatch {
        /// Its version; 0 where there is none.
        current: i64,
    },
    /// What was stated cannot be.
    #[error(transparent)]
    Refused(#[from] TrailRefusals),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A trail that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// As it is now.
    pub trail: Trail,
    /// Whether it is the message's first.
    pub created: bool,
    /// Whether anything changed.
    pub changed: bool,
}

/// What the trails of this process have been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Writes that changed something.
    pub written: u64,
    /// Reads that found memory and database differing.
    pub mismatches: u64,
    /// Trails that had to leave memory before their time.
    pub evicted: u64,
    /// Copies of what the database has for which memory had no room.
    pub turned_away: u64,
    /// Trails that were copied from memory to the database by a migration.
    pub copied: u64,
    /// Trails that the clean-up deleted from the database.
    pub cleaned: u64,
    /// Trails in memory now.
    pub in_memory: usize,
    /// Bytes that their texts take.
    pub memory_bytes: usize,
    /// How much there may be of both.
    pub most: MemoryLimits,
    /// For how long a clean-up has been due that has not ended.
    pub clean_up_late: TimeDelta,
}

/// The trails; clones share one backend.
#[derive(Clone)]
pub struct Trails {
    shared: Arc<Shared>,
}

struct Shared {
    services: Services,
    queries: Arc<dyn Queries>,
    failsafe: Failsafe,
    database: Arc<dyn TrailStore>,
    memory: Arc<Memory>,
    dual: Dual,
    /// Where trails are kept now. Held for reading by every write, from before it reads until it has
    /// written.
    backend: RwLock<Backend>,
    /// Counts writes, so that a change of the backend sees whether any came in between.
    written: AtomicU64,
    copied: AtomicU64,
    cleaned: AtomicU64,
    /// Rung when a project was deleted here.
    removed: Notify,
    due: Due,
}

/// What is done to a message's trail.
#[derive(Clone, Debug)]
enum Command {
    Put(TrailContent),
    Amend(TrailAmendment),
}

impl Command {
    /// The first state of a message that has none.
    fn begin(
        &self,
        project: ProjectId,
        message: MessageId,
        occasion: &Occasion,
    ) -> Result<TrailChange, TrailError> {
        match self {
            Self::Put(content) => {
                let content = content.clone();
                Ok(Trail::open(message, project, content, occasion.at)?)
            }
            Self::Amend(_) => Err(TrailError::NotFound),
        }
    }

    /// The next state, if anything changes, and the trail as it is then.
    fn revise(&self, trail: Trail, occasion: &Occasion) -> Result<Revised, TrailRefusals> {
        match self {
            Self::Put(content) => trail.replace(content.clone(), occasion),
            Self::Amend(amendment) => trail.amend(amendment.clone(), occasion),
        }
    }

    /// What comes of it where this is there, or nothing. A message of another project is refused what
    /// nobody's is refused, and as late as can be: that it is there is not told by the way.
    fn apply(
        &self,
        there: Option<Trail>,
        project: ProjectId,
        message: MessageId,
        seen: Option<i64>,
        occasion: &Occasion,
    ) -> Result<Revised, TrailError> {
        let expect = |current| match seen {
            Some(seen) if seen != current => Err(TrailError::VersionMismatch { current }),
            _ => Ok(()),
        };
        match there {
            Some(trail) if trail.record().project_id == project => {
                expect(trail.record().version)?;
                Ok(self.revise(trail, occasion)?)
            }
            foreign_or_none => {
                let change = self.begin(project, message, occasion)?;
                if foreign_or_none.is_some() {
                    return Err(TrailError::NotFound);
                }
                expect(0)?;
                Ok(Revised::Changed(Box::new(change)))
            }
        }
    }
}

impl Trails {
    /// Trails in this database and this memory, and at first in this backend. Events about what is in
    /// memory alone are recorded through the failsafe.
    #[must_use]
    pub fn new(
        services: Services,
        queries: Arc<dyn Queries>,
        failsafe: Failsafe,
        database: Arc<dyn TrailStore>,
        memory: Arc<Memory>,
        backend: Backend,
    ) -> Self {
        let dual = Dual::new(database.clone(), memory.clone());
        Self {
            shared: Arc::new(Shared {
                services,
                queries,
                failsafe,
                database,
                memory,
                dual,
                backend: RwLock::new(backend),
                written: AtomicU64::new(0),
                copied: AtomicU64::new(0),
                cleaned: AtomicU64::new(0),
                removed: Notify::new(),
                due: Due::default(),
            }),
        }
    }

    /// Puts the whole content of a message's trail, the first or another. The same again changes nothing.
    ///
    /// # Errors
    /// [`TrailError`].
    pub async fn put(
        &self,
        project: ProjectId,
        message: MessageId,
        content: TrailContent,
        call: &Call,
    ) -> Result<Saved, TrailError> {
        self.write(project, message, &Command::Put(content), call)
            .await
    }

    /// Changes what the amendment names and keeps the rest.
    ///
    /// # Errors
    /// [`TrailError`].
    pub async fn amend(
        &self,
        project: ProjectId,
        message: MessageId,
        amendment: TrailAmendment,
        call: &Call,
    ) -> Result<Saved, TrailError> {
        self.write(project, message, &Command::Amend(amendment), call)
            .await
    }

    async fn write(
        &self,
        project: ProjectId,
        message: MessageId,
        command: &Command,
        call: &Call,
    ) -> Result<Saved, TrailError> {
        if !self.has(project, &call.caller).await? {
            return Err(TrailError::ProjectNotFound);
        }
        let mut tries = 1;
        loop {
            match self.try_write(project, message, command, call).await {
                Err(TrailError::Store(StoreError::Conflict(Conflict::Stale | Conflict::Retry)))
                    if tries < TRIES =>
                {
                    tries += 1;
                }
                Err(TrailError::Store(StoreError::Conflict(Conflict::ProjectGone))) => {
                    self.shared.memory.forget(project);
                    return Err(TrailError::ProjectNotFound);
                }
                Err(TrailError::Store(error)) => {
                    let context = json!({ "request_id": call.caller.origin.request_id });
                    let services = &self.shared.services;
                    services.report_store("trail.write", false, &error, context);
                    return Err(error.into());
                }
                done => return done,
            }
        }
    }

    async fn try_write(
        &self,
        project: ProjectId,
        message: MessageId,
        command: &Command,
        call: &Call,
    ) -> Result<Saved, TrailError> {
        let backend = self.shared.backend.read().await;
        let store = self.store(*backend);
        let there = store.read(message, Scope::All).await?;
        let created = there.is_none();
        let occasion = self.shared.services.occasion(&call.caller);
        let seen = call.expected_version;
        match command.apply(there, project, message, seen, &occasion)? {
            Revised::Unchanged(trail) => Ok(Saved {
                trail: *trail,
                created: false,
                changed: false,
            }),
            Revised::Changed(change) => {
                store.save(&change).await?;
                self.shared.written.fetch_add(1, Ordering::SeqCst);
                self.record(*backend, &change);
                Ok(Saved {
                    trail: change.into_trail(),
                    created,
                    changed: true,
                })
            }
        }
    }

    /// A database has posted the event with the change. Of a change in memory it is kept as surely as
    /// the change is: both are lost with the process, and the event mostly not even then.
    fn record(&self, backend: Backend, change: &TrailChange) {
        let Some(event) = change.event() else { return };
        if backend == Backend::Memory {
            self.shared.failsafe.record(EventRecord::from(event));
        } else {
            self.shared.services.outbox.notify_one();
        }
    }

    fn store(&self, backend: Backend) -> &dyn TrailStore {
        match backend {
            Backend::Memory => self.shared.memory.as_ref(),
            Backend::Dual => &self.shared.dual,
            Backend::Database => self.shared.database.as_ref(),
        }
    }

    async fn has(&self, project: ProjectId, caller: &Caller) -> Result<bool, StoreError> {
        Ok(caller.sees(project) && self.shared.queries.project(project).await?.is_some())
    }

    /// The trail of a message, if the caller may see its project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(
        &self,
        message: MessageId,
        caller: &Caller,
    ) -> Result<Option<Trail>, StoreError> {
        let store = self.store(self.backend().await);
        let trail = store.read(message, Scope::from(caller.scope)).await?;
        Ok(trail.filter(|trail| caller.sees(trail.record().project_id)))
    }

    /// What a project's messages spent in a range, and the newest trails; `None` where the caller sees
    /// no such project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn analytics(
        &self,
        project: ProjectId,
        range: TimeRange,
        caller: &Caller,
    ) -> Result<Option<Analytics>, StoreError> {
        if !self.has(project, caller).await? {
            return Ok(None);
        }
        let store = self.store(self.backend().await);
        let counted = store.counted(project, range, RECENT).await?;
        Ok(Some(Analytics::of(range, counted)))
    }

    /// Forgets what memory has of a project that is gone. The database has nothing of it for anybody,
    /// and is cleared of it soon.
    pub fn forget(&self, project: ProjectId) {
        self.shared.memory.forget(project);
        self.shared.removed.notify_one();
    }

    /// What this process's trails have been through.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let Shared {
            memory,
            dual,
            copied,
            cleaned,
            written,
            due,
            services,
            ..
        } = self.shared.as_ref();
        let late = due.since().map(|since| services.clock.now() - since);
        Figures {
            written: written.load(Ordering::Relaxed),
            mismatches: dual.mismatches(),
            evicted: memory.evicted(),
            turned_away: memory.turned_away(),
            copied: copied.load(Ordering::Relaxed),
            cleaned: cleaned.load(Ordering::Relaxed),
            in_memory: memory.len(),
            memory_bytes: memory.bytes(),
            most: memory.limits(),
            clean_up_late: late.unwrap_or_default(),
        }
    }
}
