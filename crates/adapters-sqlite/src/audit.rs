//! The audit log and its outbox inside a unit of work.
//!
//! An event comes into the log together with the leaf that will stand for it in the public tree:
//! critical ones in the unit of work of what they tell, at the time it happened; the others first
//! into the outbox, and by the relay into the log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Sqlite, SqliteConnection, sqlite::SqliteArguments};
use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::ports::store::{AuditLog, Conflict, StoreError};

use crate::errors::{failed, is_taken, not_canonical};
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

    async fn relay(&mut self, limit: u32, recorded_at: DateTime<Utc>) -> Result<u64, StoreError> {
        let moved = relay(self.connection()?, limit, recorded_at).await?;
        self.done();
        Ok(moved)
    }
}

/// Puts an event and its leaf into the log, as recorded at this time.
pub(crate) async fn log(
    connection: &mut SqliteConnection,
    event: &EventRecord,
    recorded_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let leaf = event.leaf_hash(recorded_at).map_err(not_canonical)?;
    let query = sqlx::query(
        "INSERT INTO audit_events (id, milestone_id, project_id, occurred_at, severity, action, \
         actor_id, actor_role, resource_type, resource_id, previous_status, new_status, changes, \
         metadata, details, ip_address, user_agent, request_id, salt, recorded_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let logged = bind(query, EventRow::from(event))
        .bind(micros(recorded_at))
        .execute(&mut *connection)
        .await;
    if let Err(error) = logged {
        // A trigger may refuse for a reason of its own: only an event that is there is a conflict.
        return Err(if is_taken(&error) && is_logged(connection, event).await? {
            StoreError::Conflict(Conflict::Stale)
        } else {
            failed(error)
        });
    }
    sqlx::query("INSERT INTO audit_pending (event_id, leaf) VALUES (?, ?)")
        .bind(event.id.to_string())
        .bind(leaf.to_vec())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
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

/// Oldest first. One that is in the log already only leaves the outbox.
async fn relay(
    connection: &mut SqliteConnection,
    limit: u32,
    recorded_at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let waiting = sqlx::query_as::<_, EventRow>(
        "SELECT *, NULL AS recorded_at FROM audit_outbox ORDER BY position LIMIT ?",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let mut moved = 0;
    for row in waiting {
        let event = LoggedEvent::try_from(row)?.event;
        if !is_logged(connection, &event).await? {
            log(connection, &event, recorded_at).await?;
        }
        sqlx::query("DELETE FROM audit_outbox WHERE id = ?")
            .bind(event.id.to_string())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        moved += 1;
    }
    Ok(moved)
}

async fn is_logged(
    connection: &mut SqliteConnection,
    event: &EventRecord,
) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit_events WHERE id = ?)")
        .bind(event.id.to_string())
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
