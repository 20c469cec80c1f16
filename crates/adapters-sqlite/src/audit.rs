//! The audit log and its outbox inside a unit of work.
//!
//! An event comes into the log together with the leaf that will stand for it in the public tree:
//! critical ones in the unit of work of what they tell, at the time it happened; the others first
//! into the outbox, and by the relay into the log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Sqlite, SqliteConnection, sqlite::SqliteArguments};
use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::ports::dead_letters::DeadLetter;
use tranche_application::ports::store::{AuditLog, Conflict, StoreError};
use uuid::Uuid;

use crate::dead_letters;
use crate::errors::{failed, not_canonical, unwritable};
use crate::rows::event::EventRow;
use crate::rows::micros;
use crate::unit_of_work::SqliteUnitOfWork;

#[async_trait]
impl AuditLog for SqliteUnitOfWork {
    async fn post(&mut self, event: &EventRecord) -> Result<(), StoreError> {
        put_into_outbox(self.connection()?, event).await?;
        self.done();
        Ok(())
    }

    async fn log(
        &mut self,
        event: &EventRecord,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        log(self.connection()?, event, recorded_at).await?;
        self.done();
        Ok(())
    }

    async fn bury_oldest(
        &mut self,
        letter: Uuid,
        error: &str,
        at: DateTime<Utc>,
    ) -> Result<Option<EventRecord>, StoreError> {
        let buried = bury_oldest(self.connection()?, letter, error, at).await?;
        self.done();
        Ok(buried)
    }

    async fn relay(&mut self, limit: u32, recorded_at: DateTime<Utc>) -> Result<u64, StoreError> {
        let moved = relay(self.connection()?, limit, recorded_at).await?;
        self.done();
        Ok(moved)
    }
}

/// Puts an event and its leaf into the log, as recorded at this time; it must not be there.
pub(crate) async fn log(
    connection: &mut SqliteConnection,
    event: &EventRecord,
    recorded_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if append(connection, event, recorded_at).await? {
        Ok(())
    } else {
        Err(StoreError::Conflict(Conflict::Stale))
    }
}

/// As [`log`], but passes over an event that is there, and says whether it was new.
pub(crate) async fn append(
    connection: &mut SqliteConnection,
    event: &EventRecord,
    recorded_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let leaf = event.leaf_hash(recorded_at).map_err(not_canonical)?;
    let query = sqlx::query(
        "INSERT INTO audit_events (id, milestone_id, project_id, occurred_at, severity, action, \
         actor_id, actor_role, resource_type, resource_id, previous_status, new_status, changes, \
         metadata, details, ip_address, user_agent, request_id, salt, recorded_at) \
         SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? \
         WHERE NOT EXISTS (SELECT 1 FROM audit_events WHERE id = ?) \
         AND NOT EXISTS (SELECT 1 FROM audit_leaves WHERE event_id = ?)",
    );
    let logged = bind(query, EventRow::from(event))
        .bind(micros(recorded_at))
        .bind(event.id.to_string())
        .bind(event.id.to_string())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if logged.rows_affected() == 0 {
        return if is_logged(connection, event).await? {
            Ok(false)
        } else {
            Err(StoreError::Conflict(Conflict::Stale))
        };
    }
    sqlx::query("INSERT INTO audit_pending (event_id, leaf) VALUES (?, ?)")
        .bind(event.id.to_string())
        .bind(leaf.to_vec())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(true)
}

pub(crate) async fn put_into_outbox(
    connection: &mut SqliteConnection,
    event: &EventRecord,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO audit_outbox (id, milestone_id, project_id, occurred_at, severity, action, \
         actor_id, actor_role, resource_type, resource_id, previous_status, new_status, changes, \
         metadata, details, ip_address, user_agent, request_id, salt) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    bind(query, EventRow::from(event))
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn bury_oldest(
    connection: &mut SqliteConnection,
    letter: Uuid,
    error: &str,
    at: DateTime<Utc>,
) -> Result<Option<EventRecord>, StoreError> {
    let oldest = outbox(connection, 1).await?;
    let Some(event) = oldest.into_iter().next() else {
        return Ok(None);
    };
    let letter = DeadLetter {
        id: letter,
        event_id: Some(event.id),
        content: serde_json::to_string(&event).map_err(unwritable)?,
        error: error.to_owned(),
        source: "outbox".to_owned(),
        buried_at: at,
    };
    dead_letters::bury(connection, &letter).await?;
    take_out_of_outbox(connection, &event).await?;
    Ok(Some(event))
}

/// Oldest first. One that is in the log already only leaves the outbox.
async fn relay(
    connection: &mut SqliteConnection,
    limit: u32,
    recorded_at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let waiting = outbox(connection, limit).await?;
    let mut moved = 0;
    for event in waiting {
        append(connection, &event, recorded_at).await?;
        take_out_of_outbox(connection, &event).await?;
        moved += 1;
    }
    Ok(moved)
}

/// What waits for the log, oldest first.
async fn outbox(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<EventRecord>, StoreError> {
    let rows = sqlx::query_as::<_, EventRow>(
        "SELECT *, NULL AS recorded_at, NULL AS leaf_index FROM audit_outbox \
         ORDER BY position LIMIT ?",
    )
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.into_iter()
        .map(|row| Ok(LoggedEvent::try_from(row)?.event))
        .collect()
}

async fn take_out_of_outbox(
    connection: &mut SqliteConnection,
    event: &EventRecord,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM audit_outbox WHERE id = ?")
        .bind(event.id.to_string())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// In the log means under its own severity: an event of another one with the same id is another.
pub(crate) async fn is_logged(
    connection: &mut SqliteConnection,
    event: &EventRecord,
) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit_events WHERE id = ? AND severity = ?)")
        .bind(event.id.to_string())
        .bind(&event.severity)
        .fetch_one(connection)
        .await
        .map_err(failed)
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The columns that log and outbox share, in the order of both statements.
fn bind(query: Query<'_>, row: EventRow) -> Query<'_> {
    query
        .bind(row.id)
        .bind(row.milestone_id)
        .bind(row.project_id)
        .bind(row.occurred_at)
        .bind(row.severity)
        .bind(row.action)
        .bind(row.actor_id)
        .bind(row.actor_role)
        .bind(row.resource_type)
        .bind(row.resource_id)
        .bind(row.previous_status)
        .bind(row.new_status)
        .bind(row.changes)
        .bind(row.metadata)
        .bind(row.details)
        .bind(row.ip_address)
        .bind(row.user_agent)
        .bind(row.request_id)
        .bind(row.salt)
}
