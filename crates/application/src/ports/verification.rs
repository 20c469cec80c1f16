//! The whole audit store at one moment, for whoever verifies it: every row as it stands, those that
//! cannot be included. Nothing here judges.
//!
//! What there is much of is fed in chunks through a bounded channel, so that reading goes on while
//! the reader hashes and memory stays bounded. A feed ends when everything is through, or when its
//! receiver is gone.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tranche_domain::{Action, Month, Severity};
use uuid::Uuid;

use super::audit_search::Bucket;
use super::store::StoreError;
use super::tree::{Checkpoint, Hash, Node};
use crate::audit::record::EventRecord;

/// Where a feed goes: chunks, in order.
pub type Feed<T> = mpsc::Sender<Vec<T>>;

/// How many rows go in one chunk.
const CHUNK: usize = 500;

/// Fills chunks and sends them on.
#[derive(Debug)]
pub struct Chunks<T> {
    chunk: Vec<T>,
    into: Feed<T>,
}

impl<T> Chunks<T> {
    /// Chunks for this feed.
    #[must_use]
    pub fn new(into: Feed<T>) -> Self {
        Self {
            chunk: Vec::with_capacity(CHUNK),
            into,
        }
    }

    /// Puts a row behind the others, and says whether anybody still listens.
    pub async fn push(&mut self, row: T) -> bool {
        self.chunk.push(row);
        self.chunk.len() < CHUNK || self.flush().await
    }

    /// Sends what is left, and says whether anybody still listens.
    pub async fn flush(&mut self) -> bool {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.into.send(chunk).await.is_ok()
    }
}

/// What a row of the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The event.
    pub event: EventRecord,
    /// When it came into the log.
    pub recorded_at: DateTime<Utc>,
}

/// A row of the log or of its archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event's id.
    pub id: Uuid,
    /// What it says, or which column is not as the application writes it, and how.
    pub content: Result<Recorded, String>,
}

/// What a row that waits for its place repeats of its event, where the store keeps it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The event's severity.
    pub severity: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub resource_type: String,
}

/// Where a leaf is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this index.
    At(i64),
    /// It waits.
    Waiting(Option<Repeated>),
}

/// A leaf, as the tables of the tree have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLeaf {
    /// The event that it stands for.
    pub event_id: Uuid,
    /// Its hash; `None` when what is kept is no hash.
    pub hash: Option<Hash>,
    /// Where it is.
    pub place: Place,
    /// The record that it is the hash of, where that is kept because the row expires. Only
    /// [`Snapshot::leaves_by_event`] looks for it.
    pub record: Option<Vec<u8>>,
}

/// A row of the roll-ups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRollUp {
    /// How wide it is.
    pub bucket: Bucket,
    /// Where it begins.
    pub starts_at: DateTime<Utc>,
    /// The events' severity.
    pub severity: String,
    /// The events' action.
    pub action: String,
    /// The events' kind of resource.
    pub resource_type: String,
    /// How many there are.
    pub events: i64,
}

/// A part of the log that retention let go: only rows of it may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredPart {
    /// Its events' severity.
    pub severity: Severity,
    /// Their month, by their ids.
    pub month: Month,
    /// The first and the last of its ids.
    pub ids: RangeInclusive<Uuid>,
    /// The lowest and the highest of its leaves' places.
    pub leaves: RangeInclusive<i64>,
    /// SHA-256 of the file that holds its events.
    pub sha256: Option<Hash>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Leaves in their places.
    pub leaves: u64,
    /// Leaves that wait.
    pub waiting: u64,
}

/// In which way books and log do not bear each other out (M14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disagreement {
    /// A milestone's version has no evidence, or its evidence names an event that there is not.
    VersionWithoutEvent,
    /// An event tells of a milestone's change, and no version of it is known by that event.
    EventWithoutVersion,
    /// One event is the evidence of several versions.
    EventOfSeveralVersions,
    /// A settled burn has no event that tells of it, or several.
    BurnWithoutEvent,
    /// An event tells of a settled burn that the books do not have.
    EventWithoutBurn,
    /// A burn's memo on the ledger is not the leaf of the event that prepared it.
    MemoIsNotTheLeaf,
}

impl Disagreement {
    /// All of them; a store names one by its place here.
    pub const ALL: [Self; 6] = [
        Self::VersionWithoutEvent,
        Self::EventWithoutVersion,
        Self::EventOfSeveralVersions,
        Self::BurnWithoutEvent,
        Self::EventWithoutBurn,
        Self::MemoIsNotTheLeaf,
    ];

    /// The one at this place of [`Disagreement::ALL`].
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when there is none.
    pub fn at(place: i64) -> Result<Self, StoreError> {
        let one = usize::try_from(place).ok().and_then(|at| Self::ALL.get(at));
        one.copied()
            .ok_or_else(|| StoreError::Inconsistent(format!("there is no disagreement {place}")))
    }
}

/// The actions that move a milestone on: each is the evidence of one version of it.
#[must_use]
pub fn moves_a_milestone() -> Vec<&'static str> {
    let moves = |action: &&Action| match action {
        Action::DisbursementPrepared | Action::DisbursementFailed => true,
        action => action.as_str().starts_with("milestone."),
    };
    Action::ALL
        .iter()
        .filter(moves)
        .map(|action| action.as_str())
        .collect()
}

/// One row in which books and log do not bear each other out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unborne {
    /// In which way.
    pub disagreement: Disagreement,
    /// The event, where there is one.
    pub event_id: Option<Uuid>,
    /// What it is about: a milestone's version or a disbursement.
    pub subject: String,
}

/// A row that has no place in any order, because its key is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Its table.
    pub table: &'static str,
    /// Its key, as it stands.
    pub key: String,
}

/// Opens the store for verification.
#[async_trait]
pub trait Verifiable: Send + Sync {
    /// The store as it is now, for as long as this is held. Writers go on meanwhile.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;
}

/// The store at one moment. Each feed has a connection of its own; as many may run at once as
/// [`Snapshot::feeds`] says.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// How many feeds may run at once: three at least.
    fn feeds(&self) -> u32;

    /// How much there is.
    async fn extent(&self) -> Result<Extent, StoreError>;

    /// Ids that part the log into about as many equal ranges, in order; fewer where it is small.
    async fn parted(&self, ranges: u32) -> Result<Vec<Uuid>, StoreError>;

    /// The parts that retention let go and that had events; a line that names none is left out.
    async fn expired(&self) -> Result<Vec<ExpiredPart>, StoreError>;

    /// Every row of log and archive in a range of ids, by id.
    async fn events(
        &self,
        ids: RangeInclusive<Uuid>,
        into: Feed<StoredEvent>,
    ) -> Result<(), StoreError>;

    /// Every leaf of a range of ids, in its place or waiting, by id.
    async fn leaves_by_event(
        &self,
        ids: RangeInclusive<Uuid>,
        into: Feed<StoredLeaf>,
    ) -> Result<(), StoreError>;

    /// Every leaf in its place, by index.
    async fn leaves(&self, into: Feed<StoredLeaf>) -> Result<(), StoreError>;

    /// Every roll-up, in any order.
    async fn roll_ups(&self, into: Feed<StoredRollUp>) -> Result<(), StoreError>;

    /// Up to `limit` nodes of a level by place, from this place on.
    async fn nodes(&self, level: u8, from: u64, limit: u32) -> Result<Vec<Node>, StoreError>;

    /// Up to `limit` checkpoints by size, from this size on.
    async fn checkpoints(&self, from_size: u64, limit: u32) -> Result<Vec<Checkpoint>, StoreError>;

    /// Up to `limit` rows in which books and log do not bear each other out.
    async fn unborne(&self, limit: u32) -> Result<Vec<Unborne>, StoreError>;

    /// Up to `limit` rows whose key is none.
    async fn strays(&self, limit: u32) -> Result<Vec<Stray>, StoreError>;
}
