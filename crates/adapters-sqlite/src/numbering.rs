//! Numbers for the events in the log.
//!
//! The write lock lets one process number at a time and shows it everything that is committed, so
//! the three statements see the same leaves waiting. Another process waits for its turn.

use async_trait::async_trait;
use tranche_application::ports::numbering::Numbering;
use tranche_application::ports::store::StoreError;

use crate::SqliteStore;
use crate::errors::{failed, not_committed};

/// A leaf that has its number keeps it, and its event is not counted twice.
macro_rules! due {
    () => {
        "due AS (SELECT * FROM (SELECT * FROM audit_pending ORDER BY event_id LIMIT ?1) waiting \
         WHERE NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.event_id = waiting.event_id))"
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
    (SELECT event_id FROM audit_pending ORDER BY event_id LIMIT ?1)";

#[async_trait]
impl Numbering for SqliteStore {
    async fn number(&self, limit: u32) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.transaction().await?;
        let mut numbered = 0;
        for statement in [COUNT, NUMBER, TAKE] {
            let done = sqlx::query(statement)
                .bind(limit)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            if statement == NUMBER {
                numbered = done.rows_affected();
            }
        }
        transaction.commit().await.map_err(not_committed)?;
        Ok(Some(numbered))
    }
}
