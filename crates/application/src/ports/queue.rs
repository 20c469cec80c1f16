//! The queue between those who send events and those who write them into the log.
//!
//! What was pushed is on a disk when the call returns, and is given out until somebody says that it
//! is done: at least once. The store passes over what it has already, so it is there once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::store::Source;
use crate::audit::record::EventRecord;

/// The queue cannot be reached, cannot write, or did not answer: nothing that was asked is certain.
#[derive(Debug, Error)]
#[error("the queue is unavailable: {0}")]
pub struct QueueError(#[source] pub Source);

impl QueueError {
    /// It did not answer in time.
    pub(crate) fn timeout() -> Self {
        Self("no answer in time".into())
    }
}

/// Names what was taken, for whoever says that it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt(pub Vec<String>);

/// An entry that is no event any more: its checksum or its form is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is left of it, as text.
    pub content: String,
    /// What is wrong.
    pub error: String,
}

/// What a worker holds until it says that it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Names it.
    pub receipt: Receipt,
    /// The events, in the order in which they were pushed.
    pub events: Vec<Arc<EventRecord>>,
    /// Entries that are no events any more.
    pub unreadable: Vec<Unreadable>,
}

/// How much waits, what is taken and not done included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// How many events.
    pub events: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// When the oldest of them was pushed.
    pub oldest: Option<DateTime<Utc>>,
}

/// A bounded, durable queue of events. Several workers take from it, each event going to one of
/// them at a time.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AuditQueue: Send + Sync {
    /// Takes in the first events that there is room for and says how many: those are on the disk.
    /// The others are not in the queue.
    ///
    /// # Errors
    /// [`QueueError`]: each event may be in the queue, or not.
    async fn push(
        &self,
        events: &[Arc<EventRecord>],
        at: DateTime<Utc>,
    ) -> Result<usize, QueueError>;

    /// About `limit` of the oldest events that nobody holds; those pushed together may stay
    /// together. Waits for the first one up to `wait`, then gives nothing. What a dead worker held
    /// is given out again.
    async fn take(&self, limit: usize, wait: Duration) -> Result<Option<Taken>, QueueError>;

    /// What the receipt names is in the log, or buried: it leaves the queue for good. Saying so
    /// twice is saying it once.
    async fn done(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// What the receipt names is not done: others may take it at once.
    async fn give_back(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// How much waits.
    async fn depth(&self) -> Result<Depth, QueueError>;
}
