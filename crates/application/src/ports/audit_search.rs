//! The log as people and programs read it: searched, counted, and followed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::ProjectId;
use uuid::Uuid;

use super::store::StoreError;
use crate::audit::filter::EventFilter;
use crate::audit::record::LoggedEvent;

/// How far a reader sees: one project's events, or all there are. Every read has one, and a store
/// that can enforces it by itself as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// Events of this project alone; events of no project are not among them.
    Project(ProjectId),
}

impl From<Option<ProjectId>> for Scope {
    fn from(only: Option<ProjectId>) -> Self {
        only.map_or(Self::All, Self::Project)
    }
}

/// Which part of what was found, newest first (by id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Only what is older than this event.
    pub before: Option<Uuid>,
    /// How many are passed over.
    pub offset: u32,
    /// How many events.
    pub limit: u32,
    /// Events in the archive too.
    pub archived: bool,
}

/// Events in the order of the log: each is given once, however late it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InOrder {
    /// The events that the filter lets through, by leaf index.
    pub events: Vec<LoggedEvent>,
    /// How far was looked: the first leaf index that was not. What comes later is from there on.
    pub next: i64,
}

/// The width of a time bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day (UTC).
    Day,
}

/// What to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsQuery {
    /// Events that it lets through.
    pub filter: EventFilter,
    /// How wide the buckets of the series are.
    pub bucket: Bucket,
}

/// How many events there are, in several ways. Each adds up to the total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditStats {
    /// All.
    pub total: i64,
    /// By severity.
    pub by_severity: BTreeMap<String, i64>,
    /// By action.
    pub by_action: BTreeMap<String, i64>,
    /// By kind of resource.
    pub by_resource_type: BTreeMap<String, i64>,
    /// By the beginning of the bucket of `occurred_at`; a bucket without events is absent.
    pub series: BTreeMap<DateTime<Utc>, i64>,
}

/// What a part of the log takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSize {
    /// Its name.
    pub name: String,
    /// The events' severity.
    pub severity: String,
    /// The month it is for; `None` for what has no month of its own.
    pub month: Option<DateTime<Utc>>,
    /// Whether it is in the archive.
    pub archived: bool,
    /// How many events, as near as the store knows without counting.
    pub events: i64,
    /// Bytes of rows and indexes.
    pub bytes: i64,
}

/// Reads the log. Holds no lock and sees only what is committed. A store ends what takes it longer
/// than a search may: [`StoreError::TooMuch`].
#[async_trait]
pub trait AuditSearch: Send + Sync {
    /// Events, newest first.
    async fn events(
        &self,
        filter: &EventFilter,
        scope: Scope,
        page: EventPage,
    ) -> Result<Vec<LoggedEvent>, StoreError>;

    /// One event, archived or not.
    async fn event(&self, id: Uuid, scope: Scope) -> Result<Option<LoggedEvent>, StoreError>;

    /// Events from this leaf index on, in the order of the log; looks at up to `limit` leaves.
    async fn in_order(
        &self,
        from: i64,
        filter: &EventFilter,
        scope: Scope,
        limit: u32,
    ) -> Result<InOrder, StoreError>;

    /// The leaf index that the next event gets: so many have their place.
    async fn end(&self) -> Result<i64, StoreError>;

    /// Counts; agrees exactly with the events that there are.
    async fn stats(&self, query: &StatsQuery, scope: Scope) -> Result<AuditStats, StoreError>;

    /// How big each part of the log is.
    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError>;
}
