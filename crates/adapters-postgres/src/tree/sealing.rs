//! A turn of sealing: one transaction.
//!
//! It takes the leaves it sees waiting and follows no counter: one that commits late waits until it
//! is seen. The advisory lock is the transaction's, so a sealer that dies frees it.

use async_trait::async_trait;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Hash, Leaf, Node, Sealing};
use uuid::Uuid;

use super::{CheckpointRow, LeafRow, NEWEST, bound, hashes};
use crate::PostgresStore;
use crate::scope;
use crate::timed::Timed;

/// A statement of its own: the next one's snapshot must be younger than the lock.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(7236273650213)";

/// A leaf that has its number keeps it, and its event is not counted twice.
const NUMBER: &str = "WITH taken AS (
        DELETE FROM audit_pending WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM audit_pending WHERE event_id >= $2 ORDER BY event_id LIMIT $1))
        RETURNING event_id, severity, occurred_at, action, resource_type, leaf_hash
    ), due AS MATERIALIZED (
        SELECT taken.*, row_number() OVER (ORDER BY event_id) AS place FROM taken
        WHERE NOT EXISTS (SELECT FROM audit_leaves l WHERE l.event_id = taken.event_id)
    ), leaves AS (
        INSERT INTO audit_leaves (leaf_index, event_id, leaf_hash)
        SELECT (SELECT coalesce(max(leaf_index), -1) FROM audit_leaves) + place,
            event_id, leaf_hash
        FROM due ORDER BY place
        RETURNING leaf_index, event_id, leaf_hash
    ), hours AS (
        SELECT date_trunc('hour', occurred_at, 'UTC') AS starts_at, severity, action,
            resource_type, count(*) AS events
        FROM due GROUP BY 1, 2, 3, 4
    ), counted AS (
        INSERT INTO audit_rollups AS kept
            (bucket, starts_at, severity, action, resource_type, events)
        SELECT 'hour', starts_at, severity, action, resource_type, events FROM hours
        UNION ALL
        SELECT 'day', date_trunc('day', starts_at, 'UTC'), severity, action, resource_type,
            sum(events)
        FROM hours GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT (bucket, starts_at, severity, action, resource_type)
            DO UPDATE SET events = kept.events + excluded.events
    )
    SELECT leaf_index, event_id, leaf_hash, NULL::bytea AS record FROM leaves ORDER BY leaf_index";

/// A former checkpoint is remembered if it stood for a minute, or the last one remembered is a
/// minute older. Clocks may go back.
const KEEP: &str = "WITH nodes AS (
        INSERT INTO audit_nodes (level, place, hash)
        SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
    ), former AS (
        INSERT INTO audit_checkpoints (size, root, note, signed_at)
        SELECT size, root, note, signed_at FROM audit_tree t
        WHERE size < $4 AND (
            $7 - signed_at >= interval '1 minute' OR coalesce((
                SELECT t.signed_at - c.signed_at NOT BETWEEN interval '-1 minute'
                    AND interval '59.999999 seconds'
                FROM audit_checkpoints c ORDER BY size DESC LIMIT 1), true))
    )
    INSERT INTO audit_tree AS kept (size, root, note, signed_at) VALUES ($4, $5, $6, $7)
    ON CONFLICT (is_newest) DO UPDATE SET size = excluded.size, root = excluded.root,
        note = excluded.note, signed_at = excluded.signed_at";
/// Whoever else notifies in a transaction waits for the others that do: only the sealer does.
const NOTIFY: &str = "SELECT pg_notify('audit_sealed', '')";

struct Turn(Timed);

pub(super) async fn begin(store: &PostgresStore) -> Result<Option<Box<dyn Sealing>>, StoreError> {
    let mut work = store.timed_from(scope::BEGIN_SEALING).await?;
    let (until, connection) = work.ask();
    let turn = sqlx::query_scalar(TURN).fetch_one(connection);
    let is_ours: bool = until.wait(turn).await?;
    if !is_ours {
        work.roll_back().await?;
        return Ok(None);
    }
    Ok(Some(Box::new(Turn(work))))
}

#[async_trait]
impl Sealing for Turn {
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        let (until, connection) = self.0.ask();
        let query = sqlx::query_as::<_, CheckpointRow>(NEWEST);
        let row = until.wait(query.fetch_optional(connection)).await?;
        row.map(Checkpoint::try_from).transpose()
    }

    async fn hashes(&mut self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        let (until, connection) = self.0.ask();
        hashes(until, connection, level, from, count).await
    }

    async fn number(&mut self, from: Uuid, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let (until, connection) = self.0.ask();
        let query = sqlx::query_as::<_, LeafRow>(NUMBER)
            .bind(i64::from(limit))
            .bind(from);
        let rows = until.wait(query.fetch_all(connection)).await?;
        rows.iter().map(Leaf::try_from).collect()
    }

    async fn keep(&mut self, nodes: &[Node], checkpoint: &Checkpoint) -> Result<(), StoreError> {
        fn of<T>(nodes: &[Node], column: impl Fn(&Node) -> T) -> Vec<T> {
            nodes.iter().map(column).collect()
        }
        let (until, connection) = self.0.ask();
        let query = sqlx::query(KEEP)
            .bind(of(nodes, |node| i16::from(node.level)))
            .bind(of(nodes, |node| bound(node.place)))
            .bind(of(nodes, |node| node.hash.to_vec()))
            .bind(bound(checkpoint.size))
            .bind(checkpoint.root.as_slice())
            .bind(checkpoint.note.as_str())
            .bind(checkpoint.signed_at);
        until.wait(query.execute(connection)).await?;
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        let (until, connection) = self.0.ask();
        until.wait(sqlx::query(NOTIFY).execute(connection)).await?;
        self.0.commit().await
    }
}
