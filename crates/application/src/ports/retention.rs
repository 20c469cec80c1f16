//! The parts of the log, and how they leave: into the archive, and out of the store.
//!
//! A part is one severity's events of one month. Whole parts move, because a catalogue forgets a
//! million rows as quickly as one; a store that has no partitions moves bounded batches.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::{Hold, Month, Severity};
use uuid::Uuid;

use super::store::StoreError;
use super::tree::Hash;
use crate::audit::record::LoggedEvent;

/// A part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Names it.
    pub name: String,
    /// Its events' severity.
    pub severity: Severity,
    /// Its events' month, by their ids.
    pub month: Month,
    /// Whether it is in the archive.
    pub archived: bool,
    /// How many events it has; of a large part as near as the store knows without counting.
    pub events: u64,
    /// Bytes of rows and indexes; `None` where the store cannot tell them apart.
    pub bytes: Option<u64>,
    /// The holds that touch it.
    pub held_by: Vec<Uuid>,
}

/// How old events must be. The store measures from the end of their month, by its own clock as well
/// as by the one given, and refuses whatever is younger by either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Days since the end of the month; at least one.
    pub days: u32,
    /// Now, as the application has it.
    pub as_of: DateTime<Utc>,
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many events, and there are more.
    More(u64),
    /// This many events, and that was all.
    Done(u64),
}

/// An event on its way out, with its leaf as the tree has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The event as it is stored.
    pub event: LoggedEvent,
    /// Its leaf's hash; `None` while it has no place in the tree.
    pub leaf_hash: Option<Hash>,
}

/// The leaves of a part's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// How many.
    pub events: u64,
    /// The lowest of their places.
    pub first: i64,
    /// The highest of their places.
    pub last: i64,
}

/// A leaf's own bytes, which outlive its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRecord {
    /// The leaf's place.
    pub leaf_index: i64,
    /// The event that it stands for.
    pub event_id: Uuid,
    /// What is hashed: canonical JSON.
    pub record: Vec<u8>,
}

/// A file that holds what expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFile {
    /// Where it is, below the archive's address.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
}

/// What one expiry is recorded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The run that does it.
    pub run: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Where the events are kept elsewhere.
    pub file: Option<ArchiveFile>,
}

/// Events that are gone, for those who miss their rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Their severity.
    pub severity: Severity,
    /// Their month.
    pub month: Month,
    /// The lowest id among them; `None` when there were none.
    pub first_id: Option<Uuid>,
    /// The highest id among them.
    pub last_id: Option<Uuid>,
    /// How many.
    pub events: u64,
    /// The lowest leaf index among them.
    pub first_leaf: Option<i64>,
    /// The highest leaf index among them.
    pub last_leaf: Option<i64>,
    /// When and by what.
    pub expiry: Expiry,
}

/// A run, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Names it.
    pub id: Uuid,
    /// The time that it was due at; `None` when somebody asked for it.
    pub due_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it goes on, and for ever if it was killed.
    pub ended_at: Option<DateTime<Utc>>,
    /// Who asked for it.
    pub by: String,
    /// What came of it.
    pub figures: Figures,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Parts that went to the archive.
    pub archived_parts: u32,
    /// Their events.
    pub archived_events: u64,
    /// Parts that expired.
    pub expired_parts: u32,
    /// Their events.
    pub expired_events: u64,
    /// Parts that should have expired and are held.
    pub held_parts: u32,
    /// Parts that stay for another reason, until the next run.
    pub failed_parts: u32,
}

/// Reads what retention is about, and gives the turn of a run.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Every part that there is, by severity and month; the archived one of a month first.
    async fn parts(&self) -> Result<Vec<Part>, StoreError>;

    /// Holds, the newest first; lifted ones too where asked for.
    async fn holds(&self, lifted: bool, limit: u32) -> Result<Vec<Hold>, StoreError>;

    /// The last runs, the last begun first.
    async fn runs(&self, limit: u32) -> Result<Vec<Run>, StoreError>;

    /// What expired last, the newest first.
    async fn expired(&self, limit: u32) -> Result<Vec<Expired>, StoreError>;

    /// Whether the log has the critical event that names this part as one that goes, and if so whether
    /// that event has its place in the tree.
    async fn announced(&self, name: &str) -> Result<Option<bool>, StoreError>;

    /// Takes the turn of changing parts, which lasts until it is released or its process is gone;
    /// `None` while another has it.
    async fn take_turn(&self) -> Result<Option<Box<dyn Turn>>, StoreError>;
}

/// The turn of changing parts. Each step is a transaction of its own: a run that dies between two is
/// finished by the next.
#[async_trait]
pub trait Turn: Send {
    /// Remembers that a run began.
    ///
    /// # Errors
    /// [`Conflict::Stale`](super::store::Conflict::Stale) when the run of that time was begun before.
    async fn begin(&mut self, run: &Run) -> Result<(), StoreError>;

    /// Moves a part into the archive, or some of it. Writers wait for a fraction of a second at most.
    ///
    /// # Errors
    /// [`Conflict::Retry`](super::store::Conflict::Retry) when others would not let go of it;
    /// [`StoreError::Inconsistent`] when it is too young or not wholly in the tree.
    async fn archive(&mut self, part: &Part, term: Term) -> Result<Step, StoreError>;

    /// Up to `limit` events of an archived part after this one, by id.
    async fn events(
        &mut self,
        part: &Part,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Leaving>, StoreError>;

    /// Up to `limit` events of an archived part whose leaf records are not kept yet, by id.
    async fn unkept(&mut self, part: &Part, limit: u32) -> Result<Vec<Leaving>, StoreError>;

    /// Keeps the leaf records of the next events of an archived part, all that
    /// [`Turn::unkept`] gave; none at all says that there are no more.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when a record is not its leaf's, or an event is without.
    async fn keep(&mut self, part: &Part, records: &[LeafRecord]) -> Result<(), StoreError>;

    /// The leaves of an archived part, whose records are all kept; `None` where it has no events.
    async fn leaves(&mut self, part: &Part) -> Result<Option<Leaves>, StoreError>;

    /// Lets an archived part go for good, or some of it, remembers it, and no longer counts it in the
    /// statistics: all of that or nothing. Its leaf records must be kept.
    ///
    /// # Errors
    /// As [`Turn::archive`]; [`StoreError::Inconsistent`] also when a hold touches the part or a leaf
    /// record is missing.
    async fn expire(
        &mut self,
        part: &Part,
        term: Term,
        expiry: &Expiry,
    ) -> Result<Step, StoreError>;

    /// Remembers how a run ended.
    async fn end(&mut self, run: &Run) -> Result<(), StoreError>;

    /// Gives the turn back.
    async fn release(self: Box<Self>) -> Result<(), StoreError>;
}

/// Holds inside a unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait HoldRepo: Send {
    /// Keeps a new hold.
    async fn place(&mut self, hold: &Hold) -> Result<(), StoreError>;

    /// Locks a hold until the unit of work ends.
    async fn lock(&mut self, id: Uuid) -> Result<Option<Hold>, StoreError>;

    /// Keeps how a hold ended.
    async fn lift(&mut self, hold: &Hold) -> Result<(), StoreError>;
}
