//! Numbers for the events in the log.
//!
//! The numberer takes the leaves it sees waiting and follows no counter: one that commits late waits
//! until it is seen. The advisory lock is the transaction's, so a numberer that dies frees it.

use async_trait::async_trait;
use tranche_application::ports::numbering::Numbering;
use tranche_application::ports::store::StoreError;

use crate::PostgresStore;

/// A statement of its own: the next one's snapshot must be younger than the lock.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(7236273650213)";

/// A leaf that has its number keeps it, and its event is not counted twice.
const NUMBER: &str = "WITH taken AS (
        DELETE FROM audit_pending WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM audit_pending ORDER BY event_id LIMIT $1))
        RETURNING event_id, severity, occurred_at, action, resource_type, leaf_hash
    ), due AS MATERIALIZED (
        SELECT taken.*, row_number() OVER (ORDER BY event_id) AS place FROM taken
        WHERE NOT EXISTS (SELECT FROM audit_leaves l WHERE l.event_id = taken.event_id)
    ), leaves AS (
        INSERT INTO audit_leaves (leaf_index, event_id, leaf_hash)
        SELECT (SELECT coalesce(max(leaf_index), -1) FROM audit_leaves) + place,
            event_id, leaf_hash
        FROM due ORDER BY place
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
    SELECT count(*) FROM due";

#[async_trait]
impl Numbering for PostgresStore {
    async fn number(&self, limit: u32) -> Result<Option<u64>, StoreError> {
        let mut work = self.timed().await?;
        let (until, connection) = work.ask();
        let turn = sqlx::query_scalar(TURN).fetch_one(connection);
        let is_ours: bool = until.wait(turn).await?;
        if !is_ours {
            work.roll_back().await?;
            return Ok(None);
        }
        let number = sqlx::query_scalar::<_, i64>(NUMBER).bind(i64::from(limit));
        let (until, connection) = work.ask();
        let number = number.fetch_one(connection);
        let numbered = until.wait(number).await?;
        work.commit().await?;
        Ok(Some(u64::try_from(numbered).unwrap_or_default()))
    }
}
