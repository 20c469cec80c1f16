//! The audit log and its outbox inside a unit of work.

use std::sync::LazyLock;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::dead_letters::DeadLetter;
use tranche_application::ports::store::{AuditLog, Conflict, StoreError};
use uuid::Uuid;

use crate::dead_letters;
use crate::errors::{failed, not_canonical, unwritable};
use crate::record::{Binding, numbered};
use crate::rows::EventRow;
use crate::timed::Timed;
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

/// The columns of a waiting leaf, and what it takes of its event's row.
macro_rules! pending {
    ($leaf_hash:literal, $from:literal) => {
        concat!(
            "pending AS (INSERT INTO audit_pending \
             (event_id, severity, occurred_at, action, resource_type, leaf_hash) \
             SELECT id, severity, occurred_at, action, resource_type, ",
            $leaf_hash,
            " FROM ",
            $from,
            ")"
        )
    };
}

/// What a waiting leaf takes of the rows that came into the log.
macro_rules! returning {
    () => {
        " RETURNING id, severity, occurred_at, action, resource_type"
    };
}

/// Several events, each column a list.
macro_rules! events {
    () => {
        concat!(
            "event AS (SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::uuid[], ?::timestamptz[], \
             ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], \
             ?::text[], ?::jsonb[], ?::jsonb[], ?::jsonb[], ?::text[]::inet[], ?::text[], \
             ?::text[], ?::bytea[], ?::bytea[]) AS event (",
            columns!(),
            ", leaf_hash))"
        )
    };
}

/// Rows of another table into the log, recorded at a time of their own.
macro_rules! logged {
    ($recorded_at:literal, $from:literal) => {
        concat!(
            "INSERT INTO audit_events (",
            columns!(),
            ", recorded_at) SELECT ",
            columns!(),
            ", ",
            $recorded_at,
            " FROM ",
            $from
        )
    };
}

/// A critical event: in the log, with the leaf that waits for its place in the tree.
pub(crate) const LOGGED: &str = concat!(
    "logged AS (INSERT INTO audit_events (",
    columns!(),
    ", recorded_at) VALUES (",
    values!(),
    ", ?)",
    returning!(),
    "), ",
    pending!("?", "logged")
);

/// As [`LOGGED`], for several critical events, each recorded when it occurred.
pub(crate) const ALL_LOGGED: &str = concat!(
    events!(),
    ", logged AS (",
    logged!("occurred_at", "event"),
    "), ",
    pending!("leaf_hash", "event")
);

/// As [`ALL_LOGGED`], all recorded at one time, and only those that are not in the log.
static APPEND: LazyLock<String> = LazyLock::new(|| {
    numbered(concat!(
        "WITH ",
        events!(),
        ", logged AS (",
        logged!("?", "event"),
        " ON CONFLICT DO NOTHING",
        returning!(),
        "), ",
        pending!(
            "leaf_hash",
            "logged JOIN (SELECT id, severity, leaf_hash FROM event) leaf USING (id, severity)"
        ),
        " SELECT coalesce(array_agg(id), '{}') FROM logged"
    ))
});

/// A leaf says that its event is in the log under another severity: a row of this one was made.
/// Asked once the pending leaves are in, so that no numbering comes between.
const NUMBERED_BEFORE: &str = "SELECT EXISTS (SELECT FROM audit_leaves WHERE event_id = ANY ($1))";

/// Any other: in the outbox, so that the act does not depend on the log.
pub(crate) const POSTED: &str = concat!("posted AS (", post!(), ")");

/// A critical event that stands alone.
static LOG: LazyLock<String> =
    LazyLock::new(|| numbered(&format!("WITH {LOGGED} SELECT count(*) FROM logged")));

pub(crate) static POST: LazyLock<String> = LazyLock::new(|| numbered(post!()));

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
    "), logged AS (",
    logged!("$3", "moved"),
    " ON CONFLICT DO NOTHING",
    returning!(),
    "), ",
    pending!("leaf_hash", "logged JOIN due USING (id)"),
    " SELECT count(*) FROM moved"
);

/// Waits for whoever is moving it: what another relay holds may be the one that the log refuses.
const TAKE_OLDEST: &str = concat!(
    "WITH oldest AS (SELECT id AS oldest_id FROM audit_outbox ORDER BY id LIMIT 1 FOR UPDATE), \
     taken AS (DELETE FROM audit_outbox USING oldest WHERE id = oldest_id RETURNING audit_outbox.*) ",
    select_event!(),
    " FROM taken"
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
    events: &[&'q EventRecord],
    leaf_hashes: &'q [[u8; 32]],
) -> Binding<'q> {
    fn of<'q, T>(events: &[&'q EventRecord], column: impl Fn(&'q EventRecord) -> T) -> Vec<T> {
        events.iter().copied().map(column).collect()
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

/// Puts events into the log that are not in it, with their leaves, and says how many. By id, so that
/// writers of the same events wait for one another in one direction.
///
/// # Errors
/// [`StoreError`]; parts may be written, so the transaction must be dropped.
pub(crate) async fn append(
    work: &mut Timed,
    events: &[&EventRecord],
    recorded_at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let mut events = events.to_vec();
    events.sort_by(|one, other| (one.id, &one.severity).cmp(&(other.id, &other.severity)));
    events.dedup_by(|one, other| (one.id, &one.severity) == (other.id, &other.severity));
    let leaf_hashes = events
        .iter()
        .map(|event| event.leaf_hash(recorded_at))
        .collect::<Result<Vec<_>, _>>()
        .map_err(not_canonical)?;
    let statement = bind_all(sqlx::query(APPEND.as_str()), &events, &leaf_hashes).bind(recorded_at);
    let (until, connection) = work.ask();
    let row = statement.fetch_one(connection);
    let new: Vec<Uuid> = until.wait(row).await?.try_get(0).map_err(failed)?;
    let before = sqlx::query_scalar(NUMBERED_BEFORE).bind(&new);
    let (until, connection) = work.ask();
    let before = before.fetch_one(connection);
    if until.wait(before).await? {
        return Err(StoreError::Conflict(Conflict::Stale));
    }
    Ok(new.len() as u64)
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

    async fn log(
        &mut self,
        event: &EventRecord,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let leaf_hash = event.leaf_hash(recorded_at).map_err(not_canonical)?;
        let logged = bind(sqlx::query(LOG.as_str()), event)
            .bind(recorded_at)
            .bind(leaf_hash.as_slice())
            .execute(self.connection()?)
            .await;
        self.judge(logged)?;
        Ok(())
    }

    async fn bury_oldest(
        &mut self,
        letter: Uuid,
        error: &str,
        at: DateTime<Utc>,
    ) -> Result<Option<EventRecord>, StoreError> {
        let oldest = sqlx::query_as::<_, EventRow>(TAKE_OLDEST)
            .fetch_optional(self.connection()?)
            .await;
        let Some(row) = self.judge(oldest)? else {
            return Ok(None);
        };
        let event = EventRecord::try_from(row)?;
        let letter = DeadLetter {
            id: letter,
            event_id: Some(event.id),
            content: serde_json::to_string(&event).map_err(unwritable)?,
            error: error.to_owned(),
            source: "outbox".to_owned(),
            buried_at: at,
        };
        let buried = dead_letters::bury(&[letter])
            .execute(self.connection()?)
            .await;
        self.judge(buried)?;
        Ok(Some(event))
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
