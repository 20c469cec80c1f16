//! Counts: roll-ups and what waits to be counted there, and rows where roll-ups cannot tell. One
//! snapshot, so that an event on its way into the roll-ups is in exactly one of them.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder, Sqlite};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::spans::{Source, Span, sources};
use tranche_application::ports::audit_search::{AuditStats, Bucket, Scope, StatsQuery};
use tranche_application::ports::store::StoreError;

use super::LOG_AND_ARCHIVE;
use super::conditions::{Conditions, push_one_of};
use super::limited::{Snapshot, searched};
use crate::SqliteStore;
use crate::rows::micros;

#[derive(FromRow)]
struct CountRow {
    severity: String,
    action: String,
    resource_type: String,
    starts_at: i64,
    events: i64,
}

pub(super) async fn of(
    store: &SqliteStore,
    query: &StatsQuery,
    scope: Scope,
) -> Result<AuditStats, StoreError> {
    let mut snapshot = store.search().await?;
    let mut counts = Counts::new(query.bucket);
    for source in sources(query, scope) {
        let mut text = QueryBuilder::<Sqlite>::new("");
        match source {
            Source::Days(span) => push_roll_ups(&mut text, "day", span, query),
            Source::Hours(span) => push_roll_ups(&mut text, "hour", span, query),
            Source::Pending(span) => push_pending(&mut text, span, query),
            Source::Rows(span) => {
                count_rows(&mut snapshot, span, query, scope, &mut counts).await?;
                continue;
            }
        }
        counts.take(&mut snapshot, &mut text).await?;
    }
    Ok(counts.of_what_there_is())
}

/// The counts so far.
struct Counts {
    stats: AuditStats,
    width: i64,
}

impl Counts {
    fn new(bucket: Bucket) -> Self {
        Self {
            stats: AuditStats::default(),
            width: width(bucket),
        }
    }

    /// Without what is counted and gone.
    fn of_what_there_is(mut self) -> AuditStats {
        let stats = &mut self.stats;
        stats.by_severity.retain(|_, count| *count != 0);
        stats.by_action.retain(|_, count| *count != 0);
        stats.by_resource_type.retain(|_, count| *count != 0);
        stats.series.retain(|_, count| *count != 0);
        self.stats
    }

    /// Adds what the query finds.
    async fn take(
        &mut self,
        snapshot: &mut Snapshot,
        query: &mut QueryBuilder<Sqlite>,
    ) -> Result<(), StoreError> {
        let rows = query
            .build_query_as::<CountRow>()
            .fetch_all(&mut **snapshot);
        for row in searched(rows.await)? {
            self.add(
                row.severity,
                row.action,
                row.resource_type,
                row.starts_at,
                row.events,
            );
        }
        Ok(())
    }

    fn add(
        &mut self,
        severity: String,
        action: String,
        resource_type: String,
        moment: i64,
        events: i64,
    ) {
        let stats = &mut self.stats;
        stats.total += events;
        *stats.by_severity.entry(severity).or_default() += events;
        *stats.by_action.entry(action).or_default() += events;
        *stats.by_resource_type.entry(resource_type).or_default() += events;
        let start = moment.div_euclid(self.width) * self.width;
        if let Some(start) = DateTime::<Utc>::from_timestamp_micros(start) {
            *stats.series.entry(start).or_default() += events;
        }
    }
}

const fn width(bucket: Bucket) -> i64 {
    match bucket {
        Bucket::Hour => 3_600_000_000,
        Bucket::Day => 86_400_000_000,
    }
}

/// What the roll-ups of this width have, without what is gone.
fn push_roll_ups(
    text: &mut QueryBuilder<Sqlite>,
    bucket: &'static str,
    span: Span,
    query: &StatsQuery,
) {
    text.push("SELECT severity, action, resource_type, starts_at, events FROM audit_counts ");
    text.push("WHERE bucket = ").push_bind(bucket);
    push_within(text, "starts_at", span);
    push_dimensions(text, &query.filter);
}

/// What waits to be counted in the roll-ups.
fn push_pending(text: &mut QueryBuilder<Sqlite>, span: Span, query: &StatsQuery) {
    text.push(
        "SELECT severity, action, resource_type, occurred_at AS starts_at, 1 AS events \
         FROM audit_pending CROSS JOIN audit_events ON id = event_id WHERE NOT EXISTS \
         (SELECT 1 FROM audit_leaves l WHERE l.event_id = audit_pending.event_id)",
    );
    push_within(text, "occurred_at", span);
    push_dimensions(text, &query.filter);
}

/// The rows themselves, archived ones too: the roll-ups have both.
async fn count_rows(
    snapshot: &mut Snapshot,
    span: Span,
    query: &StatsQuery,
    scope: Scope,
    counts: &mut Counts,
) -> Result<(), StoreError> {
    let filter = EventFilter {
        from: span.from,
        to: span.to,
        ..query.filter.clone()
    };
    let conditions = Conditions::of(&filter, scope);
    if filter.looks_into_content() {
        let count = |logged: tranche_application::audit::record::LoggedEvent| {
            let event = logged.event;
            let moment = micros(event.occurred_at);
            counts.add(event.severity, event.action, event.resource_type, moment, 1);
            false
        };
        return super::scan(snapshot, LOG_AND_ARCHIVE, conditions, count).await;
    }
    for table in LOG_AND_ARCHIVE {
        let mut text = QueryBuilder::<Sqlite>::new(
            "SELECT severity, action, resource_type, min(occurred_at) AS starts_at, \
             count(*) AS events FROM ",
        );
        text.push(table);
        conditions.push(&mut text);
        text.push(" GROUP BY 1, 2, 3, (occurred_at - (occurred_at % ");
        text.push_bind(counts.width)
            .push(" + ")
            .push_bind(counts.width);
        text.push(") % ").push_bind(counts.width).push(")");
        counts.take(snapshot, &mut text).await?;
    }
    Ok(())
}

fn push_within(text: &mut QueryBuilder<Sqlite>, column: &str, span: Span) {
    for (comparison, time) in [(">=", span.from), ("<", span.to)] {
        if let Some(time) = time {
            text.push(format_args!(" AND {column} {comparison} "));
            text.push_bind(micros(time));
        }
    }
}

/// The conditions of the filter that roll-ups know.
fn push_dimensions(text: &mut QueryBuilder<Sqlite>, filter: &EventFilter) {
    push_one_of(text, "severity", &filter.severities);
    push_one_of(text, "action", &filter.actions);
    push_one_of(text, "resource_type", &filter.resource_types);
}
