//! Where assessment trails are kept.
//!
//! A backend keeps trails by message, and for each project, hour and model the sum of what its trails
//! spent. A sum moves with every trail that is saved ([`movements`]) and outlives it.
//!
//! [`movements`]: tranche_domain::trail::sums::movements

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::trail::sums::{Counted, TimeRange};
use tranche_domain::{MessageId, ProjectId, Trail, TrailChange};

use super::audit_search::Scope;
use super::store::StoreError;
use crate::audit::record::EventRecord;

/// The most trails that a page or a list of ids may have: their documents may be large.
pub const MOST_TRAILS: u32 = 100;
/// How many models are listed by name; the rest is summed up.
pub const MOST_MODELS: u32 = 100;

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// It is there now.
    Kept,
    /// One that covers it was there, or one of another project.
    Present,
    /// Its project is not there.
    ProjectGone,
}

/// Keeps trails. Those of a project that is gone are not there.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait TrailStore: Send + Sync {
    /// The trail of a message, as it was saved, byte for byte, where the scope reaches it.
    async fn read(&self, message: MessageId, scope: Scope) -> Result<Option<Trail>, StoreError>;

    /// Saves the next state, moves the sums, and posts the event where there is one: all or nothing.
    ///
    /// # Errors
    /// [`Conflict::Stale`](super::store::Conflict::Stale) when what it replaces no longer stands,
    /// or when there is a trail already where it replaces none;
    /// [`Conflict::ProjectGone`](super::store::Conflict::ProjectGone).
    async fn save(&self, change: &TrailChange) -> Result<(), StoreError>;

    /// Keeps copies of trails from another backend and moves the sums, all or nothing; says of each in
    /// their order what became of it. A copy is not kept where there is one that covers it or is of
    /// another project ([`Trail::in_place_of`]). It brings its version along, or gets the next where what
    /// it replaces has that or a higher one. No event: nothing happened.
    ///
    /// Takes copies of at most [`MOST_TRAILS`] messages, one of each.
    async fn adopt(&self, copies: &[Trail]) -> Result<Vec<Adopted>, StoreError>;

    /// Up to `limit` trails of all projects after this message, by message id; at most
    /// [`MOST_TRAILS`].
    async fn page(&self, after: Option<MessageId>, limit: u32) -> Result<Vec<Trail>, StoreError>;

    /// The trails of those of these messages that have one, of all projects, in any order; at most
    /// [`MOST_TRAILS`] are asked for.
    async fn several(&self, messages: &[MessageId]) -> Result<Vec<Trail>, StoreError>;

    /// How many trails there are, of all projects; with `before` those created earlier.
    async fn count(&self, before: Option<DateTime<Utc>>) -> Result<u64, StoreError>;

    /// What a project's trails in the range spent: whole hours from the sums, what is left of the
    /// range at both ends trail by trail. Up to [`MOST_MODELS`] models and `recent` trails.
    async fn counted(
        &self,
        project: ProjectId,
        range: TimeRange,
        recent: u32,
    ) -> Result<Counted, StoreError>;

    /// Deletes up to `limit` trails created before a moment, the oldest first, and leaves the sums;
    /// says how many. Trails that another is deleting are passed over.
    async fn expire(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError>;

    /// Deletes up to `limit` sums of hours before a moment, of which no trail is left; says how many.
    async fn expire_sums(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError>;
}

/// The clean-up that is due at a certain time, once for all processes; and what projects that are gone
/// have left.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait TrailCleanUps: Send + Sync {
    /// Takes the turn of the clean-up due at this time, until `until`, and says whether it is the
    /// caller's: not when it has ended, nor while another's turn lasts at `now`.
    async fn take_clean_up(
        &self,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError>;

    /// Remembers that the clean-up due at this time ended, how many trails it deleted, and posts its
    /// event; says whether it had not ended before, and does nothing otherwise. Older ones than the
    /// last hundred are forgotten.
    async fn end_clean_up(
        &self,
        due_at: DateTime<Utc>,
        ended_at: DateTime<Utc>,
        trails: u64,
        event: &EventRecord,
    ) -> Result<bool, StoreError>;

    /// Whether the clean-up due at this time has ended.
    async fn has_clean_up_ended(&self, due_at: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Deletes up to `limit` trails of a project that is gone, then up to as many of its sums, and when
    /// none is left the note that there were; says how many rows went, and 0 when no such project is
    /// left. What another is deleting is passed over.
    async fn clear_removed(&self, limit: u32) -> Result<u64, StoreError>;
}
