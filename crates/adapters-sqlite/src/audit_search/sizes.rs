//! What the log takes, by severity and month. The file is one: a table's bytes are shared out by its
//! rows.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use sqlx::{AssertSqlSafe, SqliteConnection};
use tranche_application::audit::filter::{lowest_id, moment_of};
use tranche_application::ports::audit_search::PartSize;
use tranche_application::ports::store::StoreError;

use super::LOG_AND_ARCHIVE;
use super::limited::searched;
use crate::SqliteStore;
use crate::rows::Row;

const BYTES: &str = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE \
    AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?1)";

pub(super) async fn of(store: &SqliteStore) -> Result<Vec<PartSize>, StoreError> {
    let mut snapshot = store.search().await?;
    let mut parts = Vec::new();
    for table in LOG_AND_ARCHIVE {
        let mut of_table = Vec::new();
        for severity in ["critical", "info", "warning"] {
            of_table.extend(months(&mut snapshot, table, severity).await?);
        }
        let bytes = sqlx::query_scalar(BYTES).bind(table);
        let bytes: i64 = searched(bytes.fetch_one(&mut *snapshot).await)?;
        let events: i64 = of_table.iter().map(|part: &PartSize| part.events).sum();
        for part in &mut of_table {
            let share = i128::from(bytes) * i128::from(part.events) / i128::from(events.max(1));
            part.bytes = i64::try_from(share).unwrap_or(i64::MAX);
        }
        parts.extend(of_table);
    }
    Ok(parts)
}

/// The months of a severity in a table, without their bytes.
async fn months(
    connection: &mut SqliteConnection,
    table: &'static str,
    severity: &str,
) -> Result<Vec<PartSize>, StoreError> {
    let ends = format!("SELECT min(id), max(id) FROM {table} WHERE severity = ?1");
    let ends = sqlx::query_as(AssertSqlSafe(ends)).bind(severity);
    let ends: (Option<String>, Option<String>) = searched(ends.fetch_one(&mut *connection).await)?;
    let (Some(first), Some(last)) = ends else {
        return Ok(Vec::new());
    };
    let (mut month, last) = (month_of(table, &first)?, month_of(table, &last)?);
    let count =
        format!("SELECT count(*) FROM {table} WHERE severity = ?1 AND id >= ?2 AND id < ?3");
    let mut parts = Vec::new();
    while month <= last {
        let Some(end) = month.checked_add_months(Months::new(1)) else {
            break;
        };
        let events = sqlx::query_scalar(AssertSqlSafe(count.as_str()))
            .bind(severity)
            .bind(lowest_id(month).to_string())
            .bind(lowest_id(end).to_string());
        let events = searched(events.fetch_one(&mut *connection).await)?;
        if events > 0 {
            parts.push(PartSize {
                name: format!("{table}_{severity}_{}", month.format("%Y_%m")),
                severity: severity.to_owned(),
                month: Some(month),
                archived: table == "audit_archive",
                events,
                bytes: 0,
            });
        }
        month = end;
    }
    Ok(parts)
}

/// The beginning of the month of an id.
fn month_of(table: &'static str, id: &str) -> Result<DateTime<Utc>, StoreError> {
    let at = Row { table, id };
    let moment = moment_of(at.uuid("id", id)?);
    let first = NaiveDate::from_ymd_opt(moment.year(), moment.month(), 1)
        .ok_or_else(|| at.wrong("its time is no date"))?;
    Ok(first.and_time(NaiveTime::MIN).and_utc())
}
