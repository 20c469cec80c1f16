//! Rows of the log as they stand, columns that cannot be included.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Decode, Postgres, Row, Type};
use tranche_application::audit::record::{EventRecord, RecordedActor};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::verification::{Feed, Recorded, StoredEvent};
use uuid::Uuid;

use super::{feed, numbers};
use crate::errors::failed;

/// An address with a mask says more than the application ever writes, and is read as it is.
macro_rules! select_stored {
    ($table:literal) => {
        concat!(
            "SELECT id, severity, occurred_at, recorded_at, action, actor_id, actor_role, \
             project_id, milestone_id, resource_type, resource_id, previous_status, new_status, \
             changes::text, metadata::text, details::text, \
             CASE WHEN masklen(ip_address) = masklen(set_masklen(ip_address, -1)) \
                 THEN host(ip_address) ELSE ip_address::text END, \
             user_agent, request_id, salt FROM ",
            $table,
            " WHERE id BETWEEN $1 AND $2"
        )
    };
}
const EVENTS: &str = concat!(
    select_stored!("audit_events"),
    " UNION ALL ",
    select_stored!("audit_archive"),
    " ORDER BY id"
);

pub(super) async fn feed(
    connection: &mut PgConnection,
    ids: RangeInclusive<Uuid>,
    into: Feed<StoredEvent>,
) -> Result<(), StoreError> {
    let query = sqlx::query(EVENTS).bind(*ids.start()).bind(*ids.end());
    feed!(query, connection, into, stored)
}

fn stored(row: &PgRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        id: row.try_get(0).map_err(failed)?,
        content: recorded(row),
    })
}

fn recorded(row: &PgRow) -> Result<Recorded, String> {
    let salt: &[u8] = column(row, 19, "salt")?;
    let ip_address: Option<&str> = column(row, 16, "ip_address")?;
    let event = EventRecord {
        id: column(row, 0, "id")?,
        severity: column(row, 1, "severity")?,
        occurred_at: column(row, 2, "occurred_at")?,
        action: column(row, 4, "action")?,
        actor: RecordedActor {
            id: column(row, 5, "actor_id")?,
            role: column(row, 6, "actor_role")?,
        },
        project_id: column(row, 7, "project_id")?,
        milestone_id: column(row, 8, "milestone_id")?,
        resource_type: column(row, 9, "resource_type")?,
        resource_id: column(row, 10, "resource_id")?,
        previous_status: column(row, 11, "previous_status")?,
        new_status: column(row, 12, "new_status")?,
        changes: document(row, 13, "changes")?,
        metadata: document(row, 14, "metadata")?,
        details: document(row, 15, "details")?,
        ip_address: ip_address
            .map(str::parse)
            .transpose()
            .map_err(|_| "ip_address is no address of one machine".to_owned())?,
        user_agent: column(row, 17, "user_agent")?,
        request_id: column(row, 18, "request_id")?,
        salt: salt
            .try_into()
            .map_err(|_| "salt is not 16 bytes long".to_owned())?,
    };
    let recorded_at: DateTime<Utc> = column(row, 3, "recorded_at")?;
    Ok(Recorded { event, recorded_at })
}

fn column<'r, T>(row: &'r PgRow, place: usize, name: &str) -> Result<T, String>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(place)
        .map_err(|error| format!("{name} cannot be read: {error}"))
}

/// What a document says; nothing that says the same in another way.
fn document(row: &PgRow, place: usize, name: &str) -> Result<Value, String> {
    match column::<Option<&str>>(row, place, name)? {
        None => Ok(Value::Null),
        Some("null") => Err(format!("{name} is JSON's null, where nothing is written")),
        Some(text) => {
            let value = serde_json::from_str(text)
                .map_err(|error| format!("{name} cannot be read: {error}"))?;
            match numbers::inexact(text) {
                Some(number) => Err(format!("{name} holds {number}, which was never sent so")),
                None => Ok(value),
            }
        }
    }
}
