//! How long events are kept (S7): policies, legal holds, and the runs that archive and let go.
//!
//! ```text
//! month over ─ archive_after ─► archive ─ keep ─► exported ─► leaf records kept ─► announced ─► gone
//!                                            └─ held: stays until the hold is lifted
//! ```
//!
//! Parts of the log leave by whole months. What is gone leaves its leaves, its leaf records and a
//! line that says when it went, so that proofs stay valid and nobody takes it for lost.

pub mod announced;
mod announcing;
pub mod daily;
mod run;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use thiserror::Error;
use tranche_domain::text::Reason;
use tranche_domain::{Held, Hold, ProjectId, RetentionPolicies};
use uuid::Uuid;

use crate::audit::tree::keeper::Keeper;
use crate::call::{Call, Outcome};
use crate::ports::event_archive::EventArchive;
use crate::ports::queries::Queries;
use crate::ports::retention::{Expired, Part, RetentionStore, Run};
use crate::ports::store::StoreError;
use crate::services::{Claimed, Services, TRIES, bind, claim, may_retry};

pub use run::{Done, Outlook, Report, RunError, Work};

/// How many runs, expiries and holds are shown.
const SHOWN: u32 = 50;

/// What retention stands on; cheap to clone.
#[derive(Clone)]
pub struct Retention {
    services: Services,
    store: Arc<dyn RetentionStore>,
    queries: Arc<dyn Queries>,
    policies: RetentionPolicies,
    archive: Option<Arc<dyn EventArchive>>,
    keeper: Option<Keeper>,
}

/// What becomes of a part, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The part.
    pub part: Part,
    /// When it goes to the archive, if it is not there.
    pub archives_at: Option<DateTime<Utc>>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// What is to be done with it now.
    pub due: Option<Work>,
}

/// Everything about retention at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// When it was looked at.
    pub at: DateTime<Utc>,
    /// The policies in force.
    pub policies: RetentionPolicies,
    /// Holds in force.
    pub holds: Vec<Hold>,
    /// What becomes of each part.
    pub parts: Vec<Fate>,
    /// The last runs, the last begun first.
    pub runs: Vec<Run>,
    /// What expired last.
    pub expired: Vec<Expired>,
}

impl Overview {
    /// For how long the oldest part that nobody holds should have been gone.
    #[must_use]
    pub fn lag(&self) -> TimeDelta {
        let late = self
            .parts
            .iter()
            .filter(|fate| fate.part.held_by.is_empty());
        let late = late.map(|fate| self.at - fate.expires_at).max();
        late.unwrap_or_default().max(TimeDelta::zero())
    }
}

/// Why a hold was neither placed nor lifted. Nothing changed.
/// Only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum HoldError {
    /// There is no such hold.
    #[error("there is no such hold")]
    Unknown,
    /// It is lifted already.
    #[error("the hold is lifted already")]
    Lifted,
    /// It begins after it ends.
    #[error("the first month comes after the last")]
    Backwards,
    /// There is no such project.
    #[error("there is no such project")]
    UnknownProject,
    /// The caller's key is for one project.
    #[error("the key is for one project only")]
    OutOfScope,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Retention {
    /// Retention over this store.
    #[must_use]
    pub fn new(
        services: Services,
        store: Arc<dyn RetentionStore>,
        queries: Arc<dyn Queries>,
        policies: RetentionPolicies,
    ) -> Self {
        Self {
            services,
            store,
            queries,
            policies,
            archive: None,
            keeper: None,
        }
    }

    /// Exports what expires before it goes.
    #[must_use]
    pub fn with_archive(mut self, archive: Arc<dyn EventArchive>) -> Self {
        self.archive = Some(archive);
        self
    }

    /// Writes the newest checkpoint that is kept beside what it exports, and lets nothing go while the
    /// database contradicts it.
    #[must_use]
    pub fn with_keeper(mut self, keeper: Keeper) -> Self {
        self.keeper = Some(keeper);
        self
    }

    /// Everything there is to know now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        let at = self.services.clock.now();
        let parts = self.store.parts().await?;
        Ok(Overview {
            at,
            policies: self.policies,
            holds: self.store.holds(false, SHOWN).await?,
            parts: parts.into_iter().map(|part| self.fate(part, at)).collect(),
            runs: self.store.runs(SHOWN).await?,
            expired: self.store.expired(SHOWN).await?,
        })
    }

    fn fate(&self, part: Part, now: DateTime<Utc>) -> Fate {
        let policy = self.policies.of(part.severity);
        let archives_at = policy.archives_at(part.month);
        let expires_at = policy.expires_at(part.month);
        let due = if !part.archived && archives_at <= now {
            Some(Work::Archive)
        } else if part.archived && expires_at <= now {
            Some(Work::Expire)
        } else {
            None
        };
        Fate {
            archives_at: (!part.archived).then_some(archives_at),
            expires_at,
            due,
            part,
        }
    }

    /// A hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold(&self, id: Uuid) -> Result<Option<Hold>, StoreError> {
        let mut work = self.services.store.begin().await?;
        work.holds().lock(id).await
    }

    /// Holds, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holds(&self, lifted: bool, limit: u32) -> Result<Vec<Hold>, StoreError> {
        self.store.holds(lifted, limit).await
    }

    /// Places a hold; its event is in the log with it.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn place(
        &self,
        held: Held,
        reason: Reason,
        call: &Call,
    ) -> Result<Outcome<Hold>, HoldError> {
        if let (Some(from), Some(to)) = (held.from, held.to)
            && from > to
        {
            return Err(HoldError::Backwards);
        }
        in_scope(call)?;
        if let Some(project) = held.project {
            self.known(project).await?;
        }
        let id = self.services.entropy.id();
        let mut tries = 1;
        loop {
            match self.try_place(id, held, &reason, call).await {
                Err(HoldError::Store(error)) if may_retry(&error) && tries < TRIES => tries += 1,
                placed => return placed,
            }
        }
    }

    async fn known(&self, project: ProjectId) -> Result<(), HoldError> {
        match self.queries.project(project).await? {
            Some(_) => Ok(()),
            None => Err(HoldError::UnknownProject),
        }
    }

    async fn try_place(
        &self,
        id: Uuid,
        held: Held,
        reason: &Reason,
        call: &Call,
    ) -> Result<Outcome<Hold>, HoldError> {
        let occasion = self.services.occasion(&call.caller);
        let mut work = self.services.store.begin().await?;
        let key = call.idempotency.as_ref();
        match claim(work.as_mut(), key).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(HoldError::KeyMisused),
        }
        let (placed, change) = Hold::place(id, held, reason.clone(), &occasion);
        work.holds().place(&placed).await?;
        work.record(&change).await?;
        bind(work.as_mut(), key, id).await?;
        work.commit().await?;
        Ok(Outcome::Done(placed))
    }

    /// Lifts a hold; its event is in the log with it.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn lift(
        &self,
        id: Uuid,
        reason: &Reason,
        call: &Call,
    ) -> Result<Outcome<Hold>, HoldError> {
        in_scope(call)?;
        let mut tries = 1;
        loop {
            match self.try_lift(id, reason, call).await {
                Err(HoldError::Store(error)) if may_retry(&error) && tries < TRIES => tries += 1,
                lifted => return lifted,
            }
        }
    }

    async fn try_lift(
        &self,
        id: Uuid,
        reason: &Reason,
        call: &Call,
    ) -> Result<Outcome<Hold>, HoldError> {
        let occasion = self.services.occasion(&call.caller);
        let mut work = self.services.store.begin().await?;
        let key = call.idempotency.as_ref();
        match claim(work.as_mut(), key).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(HoldError::KeyMisused),
        }
        let hold = work.holds().lock(id).await?.ok_or(HoldError::Unknown)?;
        let lifted = hold.lift(reason.clone(), &occasion);
        let (hold, change) = lifted.ok_or(HoldError::Lifted)?;
        work.holds().lift(&hold).await?;
        work.record(&change).await?;
        bind(work.as_mut(), key, id).await?;
        work.commit().await?;
        Ok(Outcome::Done(hold))
    }
}

/// Holds are everybody's.
fn in_scope(call: &Call) -> Result<(), HoldError> {
    match call.caller.scope {
        None => Ok(()),
        Some(_) => Err(HoldError::OutOfScope),
    }
}
