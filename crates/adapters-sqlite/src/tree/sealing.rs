//! A turn of sealing: one transaction.
//!
//! The write lock lets one process seal at a time and shows it everything that is committed, so the
//! statements see the same leaves waiting. Another process waits for its turn.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Hash, Leaf, Node, Sealing};
use uuid::Uuid;

use super::{CheckpointRow, LEAVES, LeafRow, NEWEST, bound, hashes, lowest};
use crate::SqliteStore;
use crate::errors::{failed, not_committed};
use crate::rows::micros;

/// A leaf that has its number keeps it, and its event is not counted twice.
macro_rules! due {
    () => {
        "due AS (SELECT * FROM (SELECT * FROM audit_pending WHERE event_id >= ?2 ORDER BY event_id LIMIT ?1) \
         waiting WHERE NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.event_id = waiting.event_id))"
    };
}

const COUNT: &str = concat!(
    "WITH ",
    due!(),
    ", buckets (bucket, length) AS (VALUES ('hour', 3600000000), ('day', 86400000000)) \
     INSERT INTO audit_rollups (bucket, starts_at, severity, action, resource_type, events) \
     SELECT bucket, \
         e.occurred_at - (e.occurred_at % length + length) % length AS starts_at, \
         e.severity, e.action, e.resource_type, count(*) \
     FROM due JOIN audit_events e ON e.id = due.event_id CROSS JOIN buckets \
     GROUP BY 1, 2, 3, 4, 5 \
     ON CONFLICT DO UPDATE SET events = events + excluded.events"
);
const NUMBER: &str = concat!(
    "WITH ",
    due!(),
    " INSERT INTO audit_leaves (leaf_index, event_id, leaf) \
     SELECT (SELECT coalesce(max(leaf_index), -1) FROM audit_leaves) \
         + row_number() OVER (ORDER BY event_id), event_id, leaf \
     FROM due"
);
const TAKE: &str = "DELETE FROM audit_pending WHERE event_id IN \
    (SELECT event_id FROM audit_pending WHERE event_id >= ?2 ORDER BY event_id LIMIT ?1)";

const NEXT: &str = "SELECT coalesce(max(leaf_index), -1) + 1 FROM audit_leaves";
const NODE: &str = "INSERT INTO audit_nodes (level, place, hash) VALUES (?, ?, ?)";
/// A former checkpoint is remembered if it stood for a minute, or the last one remembered is a
/// minute older. Clocks may go back.
const FORMER: &str = "INSERT INTO audit_checkpoints (size, root, note, signed_at) \
    SELECT size, root, note, signed_at FROM audit_tree t \
    WHERE size < ?1 AND (?2 - signed_at >= 60000000 OR coalesce( \
        (SELECT t.signed_at - c.signed_at NOT BETWEEN -60000000 AND 59999999 \
         FROM audit_checkpoints c ORDER BY size DESC LIMIT 1), true))";
const GROW: &str = "UPDATE audit_tree SET size = ?1, root = ?2, note = ?3, signed_at = ?4";
const FIRST: &str = "INSERT INTO audit_tree (size, root, note, signed_at) VALUES (?1, ?2, ?3, ?4)";

struct Turn(Transaction<'static, Sqlite>);

pub(super) async fn begin(store: &SqliteStore) -> Result<Box<dyn Sealing>, StoreError> {
    Ok(Box::new(Turn(store.transaction().await?)))
}

#[async_trait]
impl Sealing for Turn {
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        let query = sqlx::query_as::<_, CheckpointRow>(NEWEST);
        let row = query.fetch_optional(&mut *self.0).await.map_err(failed)?;
        row.map(Checkpoint::try_from).transpose()
    }

    async fn hashes(&mut self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        hashes(&mut *self.0, level, from, count).await
    }

    async fn number(&mut self, from: Uuid, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let next: i64 = sqlx::query_scalar(NEXT)
            .fetch_one(&mut *self.0)
            .await
            .map_err(failed)?;
        for statement in [COUNT, NUMBER, TAKE] {
            let done = sqlx::query(statement).bind(limit).bind(lowest(from));
            done.execute(&mut *self.0).await.map_err(failed)?;
        }
        let rows = sqlx::query_as::<_, LeafRow>(LEAVES)
            .bind(next)
            .bind(i64::MAX)
            .fetch_all(&mut *self.0)
            .await
            .map_err(failed)?;
        rows.into_iter().map(Leaf::try_from).collect()
    }

    async fn keep(&mut self, nodes: &[Node], checkpoint: &Checkpoint) -> Result<(), StoreError> {
        for node in nodes {
            let kept = sqlx::query(NODE)
                .bind(node.level)
                .bind(bound(node.place))
                .bind(node.hash.as_slice());
            kept.execute(&mut *self.0).await.map_err(failed)?;
        }
        let former = sqlx::query(FORMER)
            .bind(bound(checkpoint.size))
            .bind(micros(checkpoint.signed_at));
        former.execute(&mut *self.0).await.map_err(failed)?;
        for statement in [GROW, FIRST] {
            let kept = sqlx::query(statement)
                .bind(bound(checkpoint.size))
                .bind(checkpoint.root.as_slice())
                .bind(checkpoint.note.as_str())
                .bind(micros(checkpoint.signed_at));
            let kept = kept.execute(&mut *self.0).await.map_err(failed)?;
            if kept.rows_affected() > 0 {
                break;
            }
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.0.commit().await.map_err(not_committed)
    }
}
