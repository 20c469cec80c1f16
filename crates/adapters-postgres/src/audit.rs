//! The audit log and its outbox inside a unit of work.

use std::sync::LazyLock;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::store::{AuditLog, StoreError};

use crate::errors::not_canonical;
use crate::record::{Binding, numbered};
use crate::rows::EventRow;
use crate::unit_of_work::PostgresUnitOfWork;

/// What log and outbox have in common, in the order of [`bind`].
macro_rules! columns {
    () => {
        "id, milestone_id, project_id, occurred_at, severity, action, actor_id, actor_role, \
         resource_type, resource_id, previous_status, new_status, changes, metadata, details, \
         ip_address, user_agent, request_id, salt"
    };
}

macro_rules! values {
    () => {
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::inet, ?, ?, ?"
    };
}

macro_rules! post {
    () => {
        concat!(
            "INSERT INTO audit_outbox (",
            columns!(),
            ") VALUES (",
            values!(),
            ")"
        )
    };
}
/// The columns as they are read.
macro_rules! select_event {
    () => {
        "SELECT id, milestone_id, project_id, occurred_at, severity, action, actor_id, actor_role, \
         resource_type, resource_id, previous_status, new_status, changes, metadata, details, \
         host(ip_address) AS ip_address, user_agent, request_id, salt"
    };
}
pub(crate) use select_event;

/// A critical event: in the log, with the leaf that waits for its place in the tree.
pub(crate) const LOGGED: &str = concat!(
    "logged AS (INSERT INTO audit_events (",
    columns!(),
    ", recorded_at) VALUES (",
    values!(),
    ", ?) RETURNING id, severity), \
     pending AS (INSERT INTO audit_pending (event_id, severity, leaf_hash) \
     SELECT id, severity, ? FROM logged)"
);

/// As [`LOGGED`], for several critical events, each recorded when it occurred.
pub(crate) const ALL_LOGGED: &str = concat!(
    "event AS (SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::uuid[], ?::timestamptz[], ?::text[], \
     ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::jsonb[], \
     ?::jsonb[], ?::jsonb[], ?::text[]::inet[], ?::text[], ?::text[], ?::bytea[], ?::bytea[]) \
     AS event (",
    columns!(),
    ", leaf_hash)), logged AS (INSERT INTO audit_events (",
    columns!(),
    ", recorded_at) SELECT ",
    columns!(),
    ", occurred_at FROM event), \
     pending AS (INSERT INTO audit_pending (event_id, severity, leaf_hash) \
     SELECT id, severity, leaf_hash FROM event)"
);

/// Any other: in the outbox, so that the act does not depend on the log.
pub(crate) const POSTED: &str = concat!("posted AS (", post!(), ")");

static POST: LazyLock<String> = LazyLock::new(|| numbered(post!()));

/// What another relay holds is being moved by it.
const NEXT: &str = concat!(
    select_event!(),
    " FROM audit_outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"
);

/// An event that is in the log already leaves the outbox and gets no second leaf.
const MOVE: &str = concat!(
    "WITH due AS (SELECT * FROM unnest($1::uuid[], $2::bytea[]) AS due (id, leaf_hash)), \
     moved AS (DELETE FROM audit_outbox WHERE id = ANY ($1) RETURNING ",
    columns!(),
    "), logged AS (INSERT INTO audit_events (",
    columns!(),
    ", recorded_at) SELECT ",
    columns!(),
    ", $3 FROM moved ON CONFLICT DO NOTHING RETURNING id, severity), \
     pending AS (INSERT INTO audit_pending (event_id, severity, leaf_hash) \
     SELECT id, severity, leaf_hash FROM logged JOIN due USING (id)) \
     SELECT count(*) FROM moved"
);

pub(crate) fn bind<'q>(query: Binding<'q>, event: &'q EventRecord) -> Binding<'q> {
    query
        .bind(event.id)
        .bind(event.milestone_id)
        .bind(event.project_id)
        .bind(event.occurred_at)
        .bind(event.severity.as_str())
        .bind(event.action.as_str())
        .bind(event.actor.id.as_str())
        .bind(event.actor.role.as_deref())
        .bind(event.resource_type.as_str())
        .bind(event.resource_id.as_deref())
        .bind(event.previous_status.as_deref())
        .bind(event.new_status.as_deref())
        .bind(unless_null(&event.changes))
        .bind(unless_null(&event.metadata))
        .bind(unless_null(&event.details))
        .bind(event.ip_address.map(|ip| ip.to_string()))
        .bind(event.user_agent.as_deref())
        .bind(event.request_id.as_deref())
        .bind(event.salt.as_slice())
}

/// The columns of [`ALL_LOGGED`], each as a list.
pub(crate) fn bind_all<'q>(
    query: Binding<'q>,
    events: &'q [EventRecord],
    leaf_hashes: &'q [[u8; 32]],
) -> Binding<'q> {
    fn of<'q, T>(events: &'q [EventRecord], column: impl Fn(&'q EventRecord) -> T) -> Vec<T> {
        events.iter().map(column).collect()
    }
    query
        .bind(of(events, |event| event.id))
        .bind(of(events, |event| event.milestone_id))
        .bind(of(events, |event| event.project_id))
        .bind(of(events, |event| event.occurred_at))
        .bind(of(events, |event| event.severity.as_str()))
        .bind(of(events, |event| event.action.as_str()))
        .bind(of(events, |event| event.actor.id.as_str()))
        .bind(of(events, |event| event.actor.role.as_deref()))
        .bind(of(events, |event| event.resource_type.as_str()))
        .bind(of(events, |event| event.resource_id.as_deref()))
        .bind(of(events, |event| event.previous_status.as_deref()))
        .bind(of(events, |event| event.new_status.as_deref()))
        .bind(of(events, |event| unless_null(&event.changes)))
        .bind(of(events, |event| unless_null(&event.metadata)))
        .bind(of(events, |event| unless_null(&event.details)))
        .bind(of(events, |event| {
            event.ip_address.map(|ip| ip.to_string())
        }))
        .bind(of(events, |event| event.user_agent.as_deref()))
        .bind(of(events, |event| event.request_id.as_deref()))
        .bind(of(events, |event| event.salt.as_slice()))
        .bind(
            leaf_hashes
                .iter()
                .map(<[u8; 32]>::as_slice)
                .collect::<Vec<_>>(),
        )
}

/// JSON's null is the column's.
const fn unless_null(value: &Value) -> Option<&Value> {
    match value {
        Value::Null => None,
        some => Some(some),
    }
}

#[async_trait]
impl AuditLog for PostgresUnitOfWork {
    async fn post(&mut self, event: &EventRecord) -> Result<(), StoreError> {
        let posted = bind(sqlx::query(POST.as_str()), event)
            .execute(self.connection()?)
            .await;
        self.judge(posted)?;
        Ok(())
    }

    async fn relay(&mut self, limit: u32, recorded_at: DateTime<Utc>) -> Result<u64, StoreError> {
        let rows = sqlx::query_as::<_, EventRow>(NEXT)
            .bind(i64::from(limit))
            .fetch_all(self.connection()?)
            .await;
        let rows = self.judge(rows)?;
        if rows.is_empty() {
            return Ok(0);
        }
        let mut ids = Vec::with_capacity(rows.len());
        let mut leaf_hashes = Vec::with_capacity(rows.len());
        for row in rows {
            let event = EventRecord::try_from(row)?;
            ids.push(event.id);
            let leaf_hash = event.leaf_hash(recorded_at).map_err(not_canonical)?;
            leaf_hashes.push(leaf_hash.to_vec());
        }
        let moved = sqlx::query_scalar::<_, i64>(MOVE)
            .bind(ids)
            .bind(leaf_hashes)
            .bind(recorded_at)
            .fetch_one(self.connection()?)
            .await;
        Ok(u64::try_from(self.judge(moved)?).unwrap_or_default())
    }
}
