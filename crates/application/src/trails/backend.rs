//! Where trails are kept, and how that is changed while the process runs.

use std::fmt;
use std::sync::atomic::Ordering;

use thiserror::Error;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};

use super::Trails;
use super::copying::by_message;
use super::memory::Memory;
use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::ports::store::StoreError;
use crate::ports::trails::{MOST_TRAILS, TrailStore};

/// How often a change is tried while writes come in between.
const TRIES: usize = 3;

/// Where trails are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In this process's memory, which dies with it.
    Memory,
    /// In both.
    Dual,
    /// In the database.
    Database,
}

impl Backend {
    /// Every backend.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Dual, Self::Database];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Dual => "dual",
            Self::Database => "database",
        }
    }

    /// The backend of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|backend| backend.as_str() == name)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the backend is the one that it was.
#[derive(Debug, Error)]
pub enum SwitchError {
    /// The caller's key is for one project, and trails are everybody's.
    #[error("the key is for one project only")]
    OutOfScope,
    /// What would be left behind has trails that the other lacks, or has in an earlier or another state.
    #[error("{missing} trails are not in the {to} yet")]
    NotCopied {
        /// How many.
        missing: u64,
        /// What was to be left.
        from: Backend,
        /// What lacks them.
        to: Backend,
    },
    /// Trails are being written: only `dual` can take over from under them, and from `dual` it is a
    /// matter of trying again.
    #[error("trails are being written")]
    Busy {
        /// What was to be left.
        from: Backend,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Trails {
    /// Where trails are kept now.
    pub async fn backend(&self) -> Backend {
        *self.shared.backend.read().await
    }

    /// Keeps trails elsewhere from now on, and records it; says whether that is a change. What is left
    /// behind must be nowhere else the newest: nothing that was acknowledged is lost by it.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub async fn switch(&self, to: Backend, caller: &Caller) -> Result<bool, SwitchError> {
        if caller.scope.is_some() {
            return Err(SwitchError::OutOfScope);
        }
        for _ in 0..TRIES {
            let from = self.backend().await;
            if from == to {
                return Ok(false);
            }
            let seen = self.unseen_writes(from);
            let missing = self.left_behind(from, to).await?;
            if missing > 0 {
                return Err(SwitchError::NotCopied { missing, from, to });
            }
            let mut backend = self.shared.backend.write().await;
            let quiet = to == Backend::Dual || self.unseen_writes(from) == seen;
            if *backend != from || !quiet {
                continue;
            }
            *backend = to;
            if to == Backend::Database {
                self.shared.memory.clear();
            }
            drop(backend);
            self.switched(from, to, caller);
            return Ok(true);
        }
        let from = self.backend().await;
        Err(SwitchError::Busy { from })
    }

    fn switched(&self, from: Backend, to: Backend, caller: &Caller) {
        let occasion = self.shared.services.occasion(caller);
        let (action, resource) = (Action::TrailsBackendSwitched, Resource::AssessmentTrail);
        let event = AuditEvent::new(action, resource, "backend", &occasion).change(
            "backend",
            Fact::text(from),
            Fact::text(to),
        );
        tracing::warn!(%from, %to, "assessment trails are kept elsewhere from now on");
        self.shared.failsafe.record(EventRecord::from(&event));
    }

    /// Counts the writes that one of the two places did not get: in `dual` those for which memory had
    /// no room, else all.
    fn unseen_writes(&self, backend: Backend) -> u64 {
        match backend {
            Backend::Dual => self.shared.memory.turned_away(),
            Backend::Memory | Backend::Database => self.shared.written.load(Ordering::SeqCst),
        }
    }

    /// How many trails of what is left are not covered by what remains.
    async fn left_behind(&self, from: Backend, to: Backend) -> Result<u64, StoreError> {
        let (memory, database) = (self.shared.memory.as_ref(), self.shared.database.as_ref());
        match (from, to) {
            (_, Backend::Dual) => Ok(0),
            (_, Backend::Database) => missing(memory, database).await,
            (_, Backend::Memory) => missing_in(memory, database).await,
        }
    }
}

/// How many trails of memory the database lacks.
async fn missing(memory: &Memory, database: &dyn TrailStore) -> Result<u64, StoreError> {
    uncopied(memory, database, None).await
}

/// How many trails of the database memory lacks, those apart that are too old for it. Where memory has
/// fewer they are not read for that.
async fn missing_in(memory: &Memory, database: &dyn TrailStore) -> Result<u64, StoreError> {
    let horizon = memory.horizon();
    let all = database.count(None).await?;
    let young = all.saturating_sub(database.count(Some(horizon)).await?);
    let room = memory.count(None).await?;
    if young > room {
        return Ok(young - room);
    }
    uncopied(database, memory, Some(horizon)).await
}

/// How many trails of one store, created at this moment or later, another has not as they are, nor later.
async fn uncopied(
    from: &dyn TrailStore,
    to: &dyn TrailStore,
    since: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<u64, StoreError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let mut page = from.page(after, MOST_TRAILS).await?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = Some(last.record().message_id);
        page.retain(|trail| since.is_none_or(|since| trail.record().created_at >= since));
        let messages: Vec<_> = page.iter().map(|trail| trail.record().message_id).collect();
        let there = by_message(to, &messages).await?;
        let lacks = page.iter().filter(|trail| {
            let there = there.get(&trail.record().message_id);
            there.is_none_or(|there| !there.covers(trail))
        });
        count += lacks.count() as u64;
    }
}
