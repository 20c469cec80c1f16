//! The public tree: what is read of it. [`sealing`] lets it grow.

mod sealing;

use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Hash, Leaf, LeafRecord, Look, Sealing, Tree};
use tranche_domain::ProjectId;
use uuid::Uuid;

use crate::PostgresStore;
use crate::audit::select_event;
use crate::errors::not_canonical;
use crate::rows::LoggedRow;
use crate::scope;
use crate::timed::Deadline;

/// The leftmost entry of the index: the planner would look through the whole table for any row.
const IS_WAITING: &str = "SELECT event_id FROM audit_pending WHERE event_id >= $1
    ORDER BY event_id LIMIT 1";
const WAITING: &str = "SELECT count(*) FROM (SELECT FROM audit_pending LIMIT $1) waiting";
pub(crate) const NEWEST: &str = "SELECT size, root, note, signed_at FROM audit_tree";
const LEAF_HASHES: &str = "SELECT leaf_hash FROM audit_leaves
    WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index";
const NODE_HASHES: &str = "SELECT hash FROM audit_nodes
    WHERE level = $3 AND place >= $1 AND place < $2 ORDER BY place";
const LEAVES: &str = "SELECT leaf_index, event_id, leaf_hash, NULL::bytea AS record
    FROM audit_leaves WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index";
const KEPT_RECORDS: &str = "SELECT leaf_index, event_id, leaf_hash, record
    FROM audit_leaves LEFT JOIN audit_leaf_records USING (leaf_index)
    WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index";
const LEAF_OF: &str = "SELECT leaf_index, event_id, leaf_hash, NULL::bytea AS record
    FROM audit_leaves WHERE event_id = $1";
/// Every severity by name, so that each partition's key serves; the bounds prune by month.
macro_rules! events_of {
    ($table:literal) => {
        concat!(
            select_event!(),
            ", recorded_at, NULL::bigint AS leaf_index FROM ",
            $table,
            " WHERE severity IN ('info', 'warning', 'critical')
                AND id = ANY ($1) AND id >= $2 AND id <= $3"
        )
    };
}
const EVENTS: &str = concat!(
    events_of!("audit_events"),
    " UNION ALL ",
    events_of!("audit_archive")
);

fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Inconsistent("a hash is not 32 bytes long".to_owned()))
}

fn number(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column)
        .map_err(|_| StoreError::Inconsistent(format!("{column} is no place in the tree")))
}

/// As the database counts; nothing is beyond what it can count.
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[derive(FromRow)]
pub(crate) struct CheckpointRow {
    size: i64,
    root: Vec<u8>,
    note: String,
    signed_at: DateTime<Utc>,
}

impl TryFrom<CheckpointRow> for Checkpoint {
    type Error = StoreError;

    fn try_from(row: CheckpointRow) -> Result<Self, StoreError> {
        Ok(Self {
            size: number(row.size)?,
            root: hash(&row.root)?,
            note: row.note,
            signed_at: row.signed_at,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct LeafRow {
    leaf_index: i64,
    event_id: Uuid,
    leaf_hash: Vec<u8>,
    record: Option<Vec<u8>>,
}

impl TryFrom<&LeafRow> for Leaf {
    type Error = StoreError;

    fn try_from(row: &LeafRow) -> Result<Self, StoreError> {
        Ok(Self {
            index: number(row.leaf_index)?,
            event_id: row.event_id,
            hash: hash(&row.leaf_hash)?,
        })
    }
}

/// Hashes of a level, for reads and for sealing.
pub(crate) async fn hashes(
    until: Deadline,
    connection: &mut PgConnection,
    level: u8,
    from: u64,
    count: u32,
) -> Result<Vec<Hash>, StoreError> {
    let end = bound(from.saturating_add(u64::from(count)));
    let query = if level == 0 {
        sqlx::query_scalar::<_, Vec<u8>>(LEAF_HASHES)
    } else {
        sqlx::query_scalar(NODE_HASHES)
    };
    let mut query = query.bind(bound(from)).bind(end);
    if level > 0 {
        query = query.bind(i16::from(level));
    }
    let rows = until.wait(query.fetch_all(connection)).await?;
    rows.iter().map(|bytes| hash(bytes)).collect()
}

impl PostgresStore {
    async fn rows_of(
        &self,
        statement: &'static str,
        from: u64,
        count: u32,
    ) -> Result<Vec<LeafRow>, StoreError> {
        let to = from.saturating_add(u64::from(count));
        let query = sqlx::query_as(statement).bind(bound(from)).bind(bound(to));
        let mut work = self.timed_from(scope::begin_reading(Scope::All)).await?;
        let (until, connection) = work.ask();
        until.wait(query.fetch_all(connection)).await
    }

    /// The events of these ids, as far as they are there.
    async fn events_of(&self, ids: &[Uuid]) -> Result<Vec<LoggedEvent>, StoreError> {
        let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
            return Ok(Vec::new());
        };
        let query = sqlx::query_as::<_, LoggedRow>(EVENTS)
            .bind(ids)
            .bind(first)
            .bind(last);
        let mut work = self.timed_from(scope::begin_reading(Scope::All)).await?;
        let (until, connection) = work.ask();
        let rows = until.wait(query.fetch_all(connection)).await?;
        rows.into_iter().map(LoggedEvent::try_from).collect()
    }
}

#[async_trait]
impl Tree for PostgresStore {
    async fn look(&self, from: Uuid) -> Result<Look, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>(IS_WAITING).bind(from);
        let mut work = self.timed_from(scope::BEGIN_LOOKING).await?;
        let (until, connection) = work.ask();
        let began = Instant::now();
        let first = until.wait(query.fetch_optional(connection)).await?;
        Ok(Look {
            is_waiting: first.is_some(),
            took: began.elapsed(),
        })
    }

    async fn waiting(&self, most: u32) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar(WAITING).bind(i64::from(most));
        let mut work = self.timed_from(scope::BEGIN_LOOKING).await?;
        let (until, connection) = work.ask();
        number(until.wait(query.fetch_one(connection)).await?)
    }

    async fn begin_sealing(&self) -> Result<Option<Box<dyn Sealing>>, StoreError> {
        sealing::begin(self).await
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let query = sqlx::query_as::<_, CheckpointRow>(NEWEST);
        let row = self
            .deadline()
            .wait(query.fetch_optional(self.pool()))
            .await?;
        row.map(Checkpoint::try_from).transpose()
    }

    async fn hashes(&self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        let until = self.deadline();
        let mut connection = until.wait(self.pool().acquire()).await?;
        hashes(until, &mut connection, level, from, count).await
    }

    async fn leaves(&self, from: u64, count: u32) -> Result<Vec<Leaf>, StoreError> {
        let rows = self.rows_of(LEAVES, from, count).await?;
        rows.iter().map(Leaf::try_from).collect()
    }

    async fn records(&self, from: u64, count: u32) -> Result<Vec<LeafRecord>, StoreError> {
        let rows = self.rows_of(KEPT_RECORDS, from, count).await?;
        let there = rows.iter().filter(|row| row.record.is_none());
        let ids: Vec<Uuid> = there.map(|row| row.event_id).collect();
        let mut events = self.events_of(&ids).await?;
        events.sort_by_key(|event| event.event.id);
        let record = |row: LeafRow| {
            let leaf = Leaf::try_from(&row)?;
            let at = events.binary_search_by_key(&row.event_id, |event| event.event.id);
            let found = at.ok().and_then(|at| events.get(at));
            let made = found.and_then(|found| Some(found.event.leaf(found.recorded_at?)));
            Ok(LeafRecord {
                leaf,
                record: match row.record {
                    Some(kept) => Some(kept),
                    None => made.transpose().map_err(not_canonical)?,
                },
                project_id: found
                    .and_then(|found| found.event.project_id)
                    .map(ProjectId),
            })
        };
        rows.into_iter().map(record).collect()
    }

    async fn leaf_of(&self, event: Uuid) -> Result<Option<Leaf>, StoreError> {
        let query = sqlx::query_as::<_, LeafRow>(LEAF_OF).bind(event);
        let row = self
            .deadline()
            .wait(query.fetch_optional(self.pool()))
            .await?;
        row.as_ref().map(Leaf::try_from).transpose()
    }
}
