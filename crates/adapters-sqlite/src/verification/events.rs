//! Rows of the log as they stand, columns that cannot be included.

use std::ops::RangeInclusive;

use chrono::DateTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection};
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::verification::{Feed, Recorded, StoredEvent, Stray};
use uuid::Uuid;

use super::{feed, id};
use crate::errors::failed;
use crate::rows::event::EventRow;

macro_rules! select_stored {
    ($table:literal) => {
        concat!(
            "SELECT id, milestone_id, project_id, occurred_at, recorded_at, severity, action, \
             actor_id, actor_role, resource_type, resource_id, previous_status, new_status, \
             changes, metadata, details, ip_address, user_agent, request_id, salt, \
             NULL AS leaf_index FROM ",
            $table,
            " WHERE id BETWEEN ?1 AND ?2"
        )
    };
}
const EVENTS: &str = concat!(
    select_stored!("audit_events"),
    " UNION ALL ",
    select_stored!("audit_archive"),
    " ORDER BY id"
);

const STRAYS: &str = "WITH keys (place, key) AS (
        SELECT 0, id FROM audit_events
        UNION ALL SELECT 1, event_id FROM audit_leaves
        UNION ALL SELECT 2, event_id FROM audit_pending
        UNION ALL SELECT 3, id FROM audit_archive)
    SELECT place, key FROM keys
    WHERE length(key) <> 36 OR length(replace(key, '-', '')) <> 32 OR key GLOB '*[^0-9a-f-]*'
        OR substr(key, 9, 1) || substr(key, 14, 1) || substr(key, 19, 1) || substr(key, 24, 1)
            <> '----'
    LIMIT ?1";
/// By the places of [`STRAYS`].
const TABLES: [&str; 4] = [
    "audit_events",
    "audit_leaves",
    "audit_pending",
    "audit_archive",
];

pub(super) async fn strays(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<Stray>, StoreError> {
    let rows: Vec<(i64, String)> = sqlx::query_as(STRAYS)
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let stray = |(place, key): (i64, String)| Stray {
        table: usize::try_from(place)
            .ok()
            .and_then(|place| TABLES.get(place))
            .copied()
            .unwrap_or_default(),
        key,
    };
    Ok(rows.into_iter().map(stray).collect())
}

pub(super) async fn feed(
    connection: &mut SqliteConnection,
    ids: RangeInclusive<Uuid>,
    into: Feed<StoredEvent>,
) -> Result<(), StoreError> {
    let query = sqlx::query(EVENTS)
        .bind(ids.start().to_string())
        .bind(ids.end().to_string());
    feed!(query, connection, into, stored)
}

fn stored(row: &SqliteRow) -> Result<Option<StoredEvent>, StoreError> {
    let text: &str = row.try_get(0).map_err(failed)?;
    Ok(id(text).map(|id| StoredEvent {
        id,
        content: recorded(row),
    }))
}

/// What the row says; nothing that says the same in another way.
fn recorded(row: &SqliteRow) -> Result<Recorded, String> {
    let row = EventRow::from_row(row).map_err(|error| error.to_string())?;
    let read = LoggedEvent::try_from(row.clone()).map_err(|error| error.to_string())?;
    let recorded_at = row
        .recorded_at
        .and_then(DateTime::from_timestamp_micros)
        .ok_or("recorded_at is no time")?;
    let again = EventRow::from(&read.event);
    match row.differs_from(&again) {
        Some(column) => Err(format!(
            "{column} is not written as the application writes it"
        )),
        None => Ok(Recorded {
            event: read.event,
            recorded_at,
        }),
    }
}
