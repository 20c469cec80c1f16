//! The public tree: what is read of it. [`sealing`] lets it grow.

mod sealing;

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, SqliteExecutor};
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Hash, Leaf, LeafRecord, Look, Sealing, Tree};
use tranche_domain::ProjectId;
use uuid::Uuid;

use crate::SqliteStore;
use crate::errors::{failed, not_canonical};
use crate::rows::Row;
use crate::rows::event::EventRow;

const IS_WAITING: &str = "SELECT EXISTS (SELECT 1 FROM audit_pending WHERE event_id >= ?1)";
const WAITING: &str = "SELECT count(*) FROM (SELECT 1 FROM audit_pending LIMIT ?1)";
pub(crate) const NEWEST: &str = "SELECT size, root, note, signed_at FROM audit_tree";
const LEAF_HASHES: &str = "SELECT leaf FROM audit_leaves \
    WHERE leaf_index >= ?1 AND leaf_index < ?2 ORDER BY leaf_index";
const NODE_HASHES: &str = "SELECT hash FROM audit_nodes \
    WHERE level = ?3 AND place >= ?1 AND place < ?2 ORDER BY place";
pub(crate) const LEAVES: &str = "SELECT leaf_index, event_id, leaf FROM audit_leaves \
    WHERE leaf_index >= ?1 AND leaf_index < ?2 ORDER BY leaf_index";
const LEAF_OF: &str = "SELECT leaf_index, event_id, leaf FROM audit_leaves WHERE event_id = ?1";
const KEPT_RECORDS: &str = "SELECT leaf_index, record FROM audit_leaf_records \
    WHERE leaf_index >= ?1 AND leaf_index < ?2";
macro_rules! events_of {
    ($table:literal) => {
        concat!(
            "SELECT e.*, l.leaf_index FROM audit_leaves l JOIN ",
            $table,
            " e ON e.id = l.event_id WHERE l.leaf_index >= ?1 AND l.leaf_index < ?2"
        )
    };
}
const EVENTS: [&str; 2] = [events_of!("audit_events"), events_of!("audit_archive")];

/// As the database counts; nothing is beyond what it can count.
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The end of a range.
pub(crate) fn end(from: u64, count: u32) -> i64 {
    bound(from.saturating_add(u64::from(count)))
}

/// The lowest key from this id on; before the first of all ids is whatever is no id.
pub(crate) fn lowest(from: Uuid) -> String {
    if from.is_nil() {
        return String::new();
    }
    from.to_string()
}

#[derive(FromRow)]
pub(crate) struct CheckpointRow {
    size: i64,
    root: Vec<u8>,
    note: String,
    signed_at: i64,
}

impl TryFrom<CheckpointRow> for Checkpoint {
    type Error = StoreError;

    fn try_from(row: CheckpointRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "checkpoint",
            id: &row.size.to_string(),
        };
        Ok(Self {
            size: at.parsed("size", row.size.try_into())?,
            root: at.bytes("root", &row.root)?,
            signed_at: at.time("signed_at", row.signed_at)?,
            note: row.note,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct LeafRow {
    leaf_index: i64,
    event_id: String,
    leaf: Vec<u8>,
}

impl TryFrom<LeafRow> for Leaf {
    type Error = StoreError;

    fn try_from(row: LeafRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "audit_leaves",
            id: &row.event_id,
        };
        Ok(Self {
            index: at.parsed("leaf_index", row.leaf_index.try_into())?,
            event_id: at.uuid("event_id", &row.event_id)?,
            hash: at.bytes("leaf", &row.leaf)?,
        })
    }
}

/// Hashes of a level, for reads and for sealing.
pub(crate) async fn hashes(
    executor: impl SqliteExecutor<'_>,
    level: u8,
    from: u64,
    count: u32,
) -> Result<Vec<Hash>, StoreError> {
    let query = if level == 0 {
        sqlx::query_scalar::<_, Vec<u8>>(LEAF_HASHES)
    } else {
        sqlx::query_scalar(NODE_HASHES)
    };
    let mut query = query.bind(bound(from)).bind(end(from, count));
    if level > 0 {
        query = query.bind(level);
    }
    let rows = query.fetch_all(executor).await.map_err(failed)?;
    let at = Row {
        table: "the tree's level",
        id: &level.to_string(),
    };
    rows.iter().map(|hash| at.bytes("hash", hash)).collect()
}

impl SqliteStore {
    async fn rows_of<T>(
        &self,
        statement: &'static str,
        from: i64,
        to: i64,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let query = sqlx::query_as(statement).bind(from).bind(to);
        query.fetch_all(&self.reader).await.map_err(failed)
    }
}

#[async_trait]
impl Tree for SqliteStore {
    async fn look(&self, from: Uuid) -> Result<Look, StoreError> {
        let mut connection = self.reader.acquire().await.map_err(failed)?;
        let query = sqlx::query_scalar(IS_WAITING).bind(lowest(from));
        let began = Instant::now();
        let is_waiting = query.fetch_one(&mut *connection).await.map_err(failed)?;
        Ok(Look {
            is_waiting,
            took: began.elapsed(),
        })
    }

    async fn waiting(&self, most: u32) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(WAITING).bind(most);
        let waiting = query.fetch_one(&self.reader).await.map_err(failed)?;
        Ok(u64::try_from(waiting).unwrap_or_default())
    }

    async fn begin_sealing(&self) -> Result<Option<Box<dyn Sealing>>, StoreError> {
        sealing::begin(self).await.map(Some)
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let query = sqlx::query_as::<_, CheckpointRow>(NEWEST);
        let row = query.fetch_optional(&self.reader).await.map_err(failed)?;
        row.map(Checkpoint::try_from).transpose()
    }

    async fn hashes(&self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        hashes(&self.reader, level, from, count).await
    }

    async fn leaves(&self, from: u64, count: u32) -> Result<Vec<Leaf>, StoreError> {
        let rows: Vec<LeafRow> = self.rows_of(LEAVES, bound(from), end(from, count)).await?;
        rows.into_iter().map(Leaf::try_from).collect()
    }

    async fn records(&self, from: u64, count: u32) -> Result<Vec<LeafRecord>, StoreError> {
        let (first, end) = (bound(from), end(from, count));
        let kept: Vec<(i64, Vec<u8>)> = self.rows_of(KEPT_RECORDS, first, end).await?;
        let mut kept: BTreeMap<i64, Vec<u8>> = kept.into_iter().collect();
        let mut records = BTreeMap::new();
        for table in EVENTS {
            let events: Vec<EventRow> = self.rows_of(table, first, end).await?;
            for row in events {
                let event = LoggedEvent::try_from(row)?;
                records.insert(event.event.id, event);
            }
        }
        let record = |leaf: Leaf| {
            let found = records.get(&leaf.event_id);
            let made = found.and_then(|found| Some(found.event.leaf(found.recorded_at?)));
            Ok(LeafRecord {
                leaf,
                record: match kept.remove(&bound(leaf.index)) {
                    Some(kept) => Some(kept),
                    None => made.transpose().map_err(not_canonical)?,
                },
                project_id: found
                    .and_then(|found| found.event.project_id)
                    .map(ProjectId),
            })
        };
        let leaves = self.leaves(from, count).await?;
        leaves.into_iter().map(record).collect()
    }

    async fn leaf_of(&self, event: Uuid) -> Result<Option<Leaf>, StoreError> {
        let query = sqlx::query_as::<_, LeafRow>(LEAF_OF).bind(event.to_string());
        let row = query.fetch_optional(&self.reader).await.map_err(failed)?;
        row.map(Leaf::try_from).transpose()
    }
}
