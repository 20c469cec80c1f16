//! Events that the log refuses although it takes others: kept with the reason, for people.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::queries::Page;
use super::store::StoreError;

/// An event that could not be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names the letter; version 7, so that letters are in order.
    pub id: Uuid,
    /// The event's id, where it could be read.
    pub event_id: Option<Uuid>,
    /// The event as JSON ([`crate::audit::record::EventRecord`]), or what is left of it.
    pub content: String,
    /// Why it could not be stored.
    pub error: String,
    /// Where it waited: `queue`, `spool` or `outbox`.
    pub source: String,
    /// When it was given up.
    pub buried_at: DateTime<Utc>,
}

/// What became of a letter that was driven again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redriven {
    /// Its event is in the log now, and the letter is gone.
    Stored,
    /// There is no such letter.
    Unknown,
    /// Its content is no event, so it stays.
    Unreadable,
}

/// The dead letters.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps letters. One whose very event is kept already, or is in the log, is passed over; another
    /// event of the same id is kept beside it.
    async fn bury(&self, letters: &[DeadLetter]) -> Result<(), StoreError>;

    /// Letters, newest first.
    async fn letters(&self, page: Page) -> Result<Vec<DeadLetter>, StoreError>;

    /// How many there are.
    async fn count(&self) -> Result<u64, StoreError>;

    /// Puts a letter's event into the log and removes the letter, both or neither.
    ///
    /// # Errors
    /// [`StoreError`] when the log still refuses it; the letter stays.
    async fn redrive(&self, id: Uuid, recorded_at: DateTime<Utc>) -> Result<Redriven, StoreError>;
}
