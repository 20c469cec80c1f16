//! What each partition takes. Rows are those that the server believes to be there: counting them
//! would read them all.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use sqlx::FromRow;
use tranche_application::ports::audit_search::{PartSize, Scope};
use tranche_application::ports::store::StoreError;

use super::Plan;
use crate::PostgresStore;

const SIZES: &str = "SELECT c.relname::text AS name, parent.relname::text AS parent, archived,
        greatest(c.reltuples::bigint, coalesce(s.n_live_tup, 0), 0) AS events,
        pg_total_relation_size(c.oid) AS bytes
    FROM (
        SELECT relid, parentrelid, false AS archived FROM pg_partition_tree('audit_events')
        WHERE isleaf
        UNION ALL
        SELECT relid, parentrelid, true FROM pg_partition_tree('audit_archive') WHERE isleaf
    ) part
    JOIN pg_class c ON c.oid = part.relid
    JOIN pg_class parent ON parent.oid = part.parentrelid
    LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
    WHERE c.relkind = 'r'
    ORDER BY archived, name";

#[derive(FromRow)]
struct SizeRow {
    name: String,
    parent: String,
    archived: bool,
    events: i64,
    bytes: i64,
}

pub(super) async fn of(store: &PostgresStore) -> Result<Vec<PartSize>, StoreError> {
    let mut work = store.search(Plan::Custom, Scope::All).await?;
    let (until, connection) = work.ask();
    let rows = sqlx::query_as::<_, SizeRow>(SIZES).fetch_all(connection);
    let rows = until.wait_for_search(rows).await?;
    work.commit().await?;
    let part = |row: SizeRow| PartSize {
        severity: row.parent.rsplit('_').next().unwrap_or_default().to_owned(),
        month: month(&row.name),
        name: row.name,
        archived: row.archived,
        events: row.events,
        bytes: row.bytes,
    };
    Ok(rows.into_iter().map(part).collect())
}

/// The month that a partition is named after.
fn month(name: &str) -> Option<DateTime<Utc>> {
    let mut parts = name.rsplit('_');
    let month = parts.next()?.parse().ok()?;
    let year = parts.next()?.parse().ok()?;
    let first = NaiveDate::from_ymd_opt(year, month, 1)?;
    Some(first.and_time(NaiveTime::MIN).and_utc())
}
