//! Counts: roll-ups and what waits to be counted there, and rows where roll-ups cannot tell. One
//! statement, so that an event on its way into the roll-ups is in exactly one of them.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::spans::{Source, Span, sources};
use tranche_application::ports::audit_search::{AuditStats, Bucket, Scope, StatsQuery};
use tranche_application::ports::store::StoreError;

use super::Plan;
use super::conditions::{Bound, Bounds, Conditions};
use crate::PostgresStore;
use crate::errors::failed;

#[derive(FromRow)]
struct CountRow {
    /// Which of the columns this is not a count by: one bit for each, the last column's the lowest.
    without: i32,
    severity: Option<String>,
    action: Option<String>,
    resource_type: Option<String>,
    starts_at: Option<DateTime<Utc>>,
    events: i64,
}

const TOTAL: i32 = 0b1111;
const BY_SEVERITY: i32 = 0b0111;
const BY_ACTION: i32 = 0b1011;
const BY_RESOURCE_TYPE: i32 = 0b1101;
const BY_BUCKET: i32 = 0b1110;

pub(super) async fn of(
    store: &PostgresStore,
    query: &StatsQuery,
    scope: Scope,
) -> Result<AuditStats, StoreError> {
    let mut bounds = Bounds::default();
    let mut counted = Vec::new();
    for source in sources(query, scope) {
        match source {
            Source::Days(span) => counted.push(roll_ups("day", span, query, &mut bounds)),
            Source::Hours(span) => counted.push(roll_ups("hour", span, query, &mut bounds)),
            Source::Pending(span) => counted.push(pending(span, query, &mut bounds)),
            Source::Rows(span) => counted.extend(rows(span, query, scope, &mut bounds)?),
        }
    }
    if counted.is_empty() {
        return Ok(AuditStats::default());
    }
    let text = format!(
        "SELECT GROUPING(severity, action, resource_type, starts_at) AS without, severity, action, \
         resource_type, starts_at, sum(events)::bigint AS events FROM ({}) counted \
         GROUP BY GROUPING SETS ((), (severity), (action), (resource_type), (starts_at)) \
         HAVING sum(events) > 0",
        counted.join(" UNION ALL ")
    );
    let mut work = store.search(Plan::Custom, scope).await?;
    let found = super::rows(&mut work, text, &bounds).await?;
    work.commit().await?;
    let mut stats = AuditStats::default();
    for row in &found {
        put(CountRow::from_row(row).map_err(failed)?, &mut stats);
    }
    Ok(stats)
}

fn put(row: CountRow, stats: &mut AuditStats) {
    let count = row.events;
    // All of its events are gone.
    if count == 0 {
        return;
    }
    match (
        row.without,
        row.severity,
        row.action,
        row.resource_type,
        row.starts_at,
    ) {
        (TOTAL, ..) => stats.total = count,
        (BY_SEVERITY, Some(severity), ..) => drop(stats.by_severity.insert(severity, count)),
        (BY_ACTION, _, Some(action), ..) => drop(stats.by_action.insert(action, count)),
        (BY_RESOURCE_TYPE, _, _, Some(kind), _) => drop(stats.by_resource_type.insert(kind, count)),
        (BY_BUCKET, .., Some(starts_at)) => drop(stats.series.insert(starts_at, count)),
        _ => {}
    }
}

const fn name(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Hour => "hour",
        Bucket::Day => "day",
    }
}

/// What the roll-ups of this width have, without what is gone.
fn roll_ups(width: &str, span: Span, query: &StatsQuery, bounds: &mut Bounds) -> String {
    let starts_at = match name(query.bucket) {
        // They begin where they begin: that is a function's call less for every row.
        bucket if bucket == width => "starts_at".to_owned(),
        bucket => format!("date_trunc('{bucket}', starts_at, 'UTC') AS starts_at"),
    };
    format!(
        "SELECT severity, action, resource_type, {starts_at}, events FROM audit_counts \
         WHERE bucket = '{width}'{}{}",
        within("starts_at", span, bounds),
        dimensions(&query.filter, bounds),
    )
}

/// What waits to be counted in the roll-ups.
fn pending(span: Span, query: &StatsQuery, bounds: &mut Bounds) -> String {
    format!(
        "SELECT severity, action, resource_type, date_trunc('{}', occurred_at, 'UTC') AS starts_at, \
         1::bigint AS events FROM audit_pending p WHERE NOT EXISTS \
         (SELECT FROM audit_leaves l WHERE l.event_id = p.event_id){}{}",
        name(query.bucket),
        within("occurred_at", span, bounds),
        dimensions(&query.filter, bounds),
    )
}

/// The rows themselves, archived ones too: the roll-ups have both.
fn rows(
    span: Span,
    query: &StatsQuery,
    scope: Scope,
    bounds: &mut Bounds,
) -> Result<Vec<String>, StoreError> {
    let filter = EventFilter {
        from: span.from,
        to: span.to,
        ..query.filter.clone()
    };
    let (first, end) = filter.ids();
    let conditions = Conditions::of(&filter, scope, bounds)?.unordered();
    let conditions = conditions.with_ids(first, end, bounds);
    let mut counted = Vec::new();
    for table in super::LOG_AND_ARCHIVE {
        for severity in &conditions.severities {
            counted.push(format!(
                "(SELECT severity, action, resource_type, \
                 date_trunc('{}', occurred_at, 'UTC') AS starts_at, count(*) AS events \
                 FROM {table} WHERE severity = '{severity}'{} GROUP BY 1, 2, 3, 4)",
                name(query.bucket),
                conditions.all,
            ));
        }
    }
    Ok(counted)
}

fn within(column: &str, span: Span, bounds: &mut Bounds) -> String {
    let mut text = String::new();
    for (comparison, time) in [(">=", span.from), ("<", span.to)] {
        if let Some(time) = time {
            let time = bounds.add(Bound::Time(time));
            let _ = write!(text, " AND {column} {comparison} {time}");
        }
    }
    text
}

/// The conditions of the filter that roll-ups know.
fn dimensions(filter: &EventFilter, bounds: &mut Bounds) -> String {
    let mut text = String::new();
    for (column, values) in [
        ("severity", &filter.severities),
        ("action", &filter.actions),
        ("resource_type", &filter.resource_types),
    ] {
        if !values.is_empty() {
            let values = bounds.add(Bound::Texts(values.clone()));
            let _ = write!(text, " AND {column} = ANY ({values})");
        }
    }
    text
}
