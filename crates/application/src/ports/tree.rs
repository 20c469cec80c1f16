//! The public tree over the log: leaves, the hashes above them, and signed checkpoints.
//!
//! Level 0 are the leaves' hashes; a hash of level `n + 1` stands for 256 neighbours of level `n`,
//! and is kept as soon as they are all there (the tiles of C2SP tlog-tiles, without their copies).

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::ProjectId;
use uuid::Uuid;

use super::store::StoreError;

/// A node of the tree: SHA-256 as RFC 6962 has it.
pub type Hash = [u8; 32];

/// A leaf in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its place: dense, from 0.
    pub index: u64,
    /// The event that it stands for.
    pub event_id: Uuid,
    /// Its hash.
    pub hash: Hash,
}

/// A leaf with what was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRecord {
    /// The leaf.
    pub leaf: Leaf,
    /// The record that it is the hash of, made of the event's row, or kept where that is gone.
    /// `None` where neither is there.
    pub record: Option<Vec<u8>>,
    /// The project of the event; `None` where it has none, or is gone.
    pub project_id: Option<ProjectId>,
}

/// The hash over 256 neighbours of the level below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// 1 and up.
    pub level: u8,
    /// Its place in the level, from 0.
    pub place: u64,
    /// Its hash.
    pub hash: Hash,
}

/// A signed statement of what the tree was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many leaves it had.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The statement with its signatures, as C2SP tlog-checkpoint has it.
    pub note: String,
    /// When it was signed.
    pub signed_at: DateTime<Utc>,
}

/// What a look for waiting leaves came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether one waits.
    pub is_waiting: bool,
    /// How long the store looked, without the time in which the look waited for its turn of a connection.
    pub took: Duration,
}

/// Reads the tree, and begins to seal. Reads hold no lock and see only what is committed.
#[async_trait]
pub trait Tree: Send + Sync {
    /// Whether any leaf waits for its place whose event's id is no lower than this. Cheap where little
    /// was taken above it, so that it can be asked all the time.
    async fn look(&self, from: Uuid) -> Result<Look, StoreError>;

    /// How many leaves wait for their places, counted up to `most`.
    async fn waiting(&self, most: u32) -> Result<u64, StoreError>;

    /// Takes the turn of sealing, which lasts until it is committed or dropped; `None` while another
    /// process has it.
    async fn begin_sealing(&self) -> Result<Option<Box<dyn Sealing>>, StoreError>;

    /// The newest checkpoint.
    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError>;

    /// Up to `count` hashes of a level, from this place on; fewer where the level ends.
    async fn hashes(&self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError>;

    /// Up to `count` leaves, from this index on.
    async fn leaves(&self, from: u64, count: u32) -> Result<Vec<Leaf>, StoreError>;

    /// Up to `count` leaves with their records, from this index on.
    async fn records(&self, from: u64, count: u32) -> Result<Vec<LeafRecord>, StoreError>;

    /// The leaf of an event, once it has its place.
    async fn leaf_of(&self, event: Uuid) -> Result<Option<Leaf>, StoreError>;
}

/// One turn of sealing: one transaction. Dropped, it never was.
#[async_trait]
pub trait Sealing: Send {
    /// The newest checkpoint.
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError>;

    /// Up to `count` hashes of a level, from this place on, those numbered in this turn included.
    async fn hashes(&mut self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError>;

    /// Gives up to `limit` waiting leaves whose events' ids are no lower than `from` the next places,
    /// from 0 without a gap, and counts their events in the roll-ups by hour and by day. Takes what it
    /// sees waiting and follows no counter, so that what commits late is never skipped.
    async fn number(&mut self, from: Uuid, limit: u32) -> Result<Vec<Leaf>, StoreError>;

    /// Keeps the hashes above the new leaves, and the checkpoint over all of them as the newest. The
    /// one before is remembered if it stood for a minute, or the last remembered is a minute older.
    async fn keep(&mut self, nodes: &[Node], checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// Makes it so, and tells every process's followers that there is more: on PostgreSQL by a
    /// notification on `audit_sealed`.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}
