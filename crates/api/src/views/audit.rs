//! The audit log in answers: lists, counts, sizes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tranche_application::audit::searching::{Capacity, SeveritySize};
use tranche_application::ports::audit_search::{AuditStats, Bucket, PartSize};
use utoipa::ToSchema;

use super::{EventView, time};
use crate::page::Navigation;

/// Events, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvents)]
pub struct EventsView {
    /// The events.
    pub data: Vec<EventView>,
    /// Where the list goes on, and what it does not show.
    pub page: EventsPageView,
    /// Where it is.
    pub navigation: Navigation,
    /// Counts of all that the filters let through, archived events included; with `include=stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<AuditStatsView>,
}

/// Where a list of events goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEventsPage)]
pub struct EventsPageView {
    /// The cursor of the next page, or null at the end. Only for the same caller and filters.
    pub next_cursor: Option<String>,
    /// How many events were asked for.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: u32,
    /// Nothing before this time was looked through, because the filters look into contents and name no
    /// `from`; null where everything was.
    pub default_from: Option<String>,
    /// What came into the log since the first page was asked for: `/v1/audit/stream?after=` this.
    #[schema(minimum = -1)]
    pub stream_after: i64,
}

/// How many events there are. Each count adds up to the total.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditStats)]
pub struct AuditStatsView {
    /// All.
    pub total: i64,
    /// By severity.
    pub by_severity: BTreeMap<String, i64>,
    /// By action.
    pub by_action: BTreeMap<String, i64>,
    /// By kind of thing.
    pub by_resource_type: BTreeMap<String, i64>,
    /// By time, in order; a bucket without events is absent.
    pub series: Vec<BucketView>,
    /// How wide the buckets are: `hour` or `day` (UTC).
    pub bucket: &'static str,
    /// Nothing before this time was looked through, because the filters look into contents and name no
    /// `from`; null where everything was.
    pub default_from: Option<String>,
}

/// Events of an hour or a day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditStatsBucket)]
pub struct BucketView {
    /// When it begins.
    pub starts_at: String,
    /// How many events occurred in it.
    pub events: i64,
}

impl AuditStatsView {
    /// These counts.
    pub fn new(stats: AuditStats, bucket: Bucket, default_from: Option<DateTime<Utc>>) -> Self {
        let bucket_view = |(starts_at, events)| BucketView {
            starts_at: time(starts_at),
            events,
        };
        Self {
            total: stats.total,
            by_severity: stats.by_severity,
            by_action: stats.by_action,
            by_resource_type: stats.by_resource_type,
            series: stats.series.into_iter().map(bucket_view).collect(),
            bucket: match bucket {
                Bucket::Hour => "hour",
                Bucket::Day => "day",
            },
            default_from: default_from.map(time),
        }
    }
}

/// What the log takes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditCapacity)]
pub struct CapacityView {
    /// Everything together.
    pub total: GrowthView,
    /// By severity.
    pub by_severity: BTreeMap<String, GrowthView>,
    /// Part by part.
    pub parts: Vec<PartView>,
}

/// What is there, and what comes.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = AuditGrowth)]
pub struct GrowthView {
    /// How many events there are, as near as the store knows without counting.
    pub events: i64,
    /// Bytes of rows and indexes.
    pub bytes: i64,
    /// How many events came a day, over the last 30 days.
    pub events_per_day: i64,
    /// The bytes that they take, by the mean size of those that are there.
    pub bytes_per_day: i64,
}

/// A part of the log: a severity's month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPart)]
pub struct PartView {
    /// Its name.
    pub name: String,
    /// Its events' severity.
    pub severity: String,
    /// The month it is for, such as `2026-11`; null for what has no month of its own.
    pub month: Option<String>,
    /// Whether it is in the archive.
    pub archived: bool,
    /// How many events there are, as near as the store knows without counting.
    pub events: i64,
    /// Bytes of rows and indexes.
    pub bytes: i64,
    /// How many events of its severity occurred a day of its month, as far as that has gone.
    pub events_per_day: Option<i64>,
}

impl From<Capacity> for CapacityView {
    fn from(capacity: Capacity) -> Self {
        let mut total = GrowthView::default();
        for size in capacity.severities.values() {
            total.events += size.events;
            total.bytes += size.bytes;
            total.events_per_day += size.events_a_day;
            total.bytes_per_day += size.bytes_a_day;
        }
        let growth = |size: SeveritySize| GrowthView {
            events: size.events,
            bytes: size.bytes,
            events_per_day: size.events_a_day,
            bytes_per_day: size.bytes_a_day,
        };
        let part = |(part, events_per_day): (PartSize, _)| PartView {
            name: part.name,
            severity: part.severity,
            month: part.month.map(|month| month.format("%Y-%m").to_string()),
            archived: part.archived,
            events: part.events,
            bytes: part.bytes,
            events_per_day,
        };
        let severities = capacity.severities.into_iter();
        Self {
            total,
            by_severity: severities
                .map(|(name, size)| (name, growth(size)))
                .collect(),
            parts: capacity.parts.into_iter().map(part).collect(),
        }
    }
}
