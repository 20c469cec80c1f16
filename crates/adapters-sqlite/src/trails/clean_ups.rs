//! The daily clean-up, once for all processes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::trails::TrailCleanUps;

use crate::SqliteStore;
use crate::audit;
use crate::errors::{failed, not_committed};
use crate::rows::micros;

/// A turn that lasts beyond any that could be had now was taken by a clock far ahead.
const TAKE: &str = "INSERT INTO trail_clean_ups (due_at, held_until) VALUES (?1, ?2) \
     ON CONFLICT (due_at) DO UPDATE SET held_until = excluded.held_until \
     WHERE ended_at IS NULL AND (trail_clean_ups.held_until <= ?3 \
         OR trail_clean_ups.held_until > ?4)";
const END: &str = "INSERT INTO trail_clean_ups (due_at, ended_at, trails) VALUES (?, ?, ?) \
     ON CONFLICT (due_at) DO UPDATE SET ended_at = excluded.ended_at, trails = excluded.trails \
     WHERE trail_clean_ups.ended_at IS NULL";
const FORGET: &str = "DELETE FROM trail_clean_ups WHERE due_at NOT IN ( \
     SELECT due_at FROM trail_clean_ups ORDER BY due_at DESC LIMIT 100)";
const HAS_ENDED: &str =
    "SELECT EXISTS (SELECT 1 FROM trail_clean_ups WHERE due_at = ? AND ended_at IS NOT NULL)";

const REMOVED: &str = "SELECT project_id FROM trail_removals ORDER BY project_id LIMIT 1";
const CLEAR_TRAILS: &str = "DELETE FROM assessment_trails WHERE rowid IN ( \
     SELECT rowid FROM assessment_trails WHERE project_id = ?1 LIMIT ?2)";
const CLEAR_SUMS: &str = "DELETE FROM trail_rollups WHERE project_id = ?1 \
     AND (bucket, starts_at, model) IN ( \
         SELECT bucket, starts_at, model FROM trail_rollups WHERE project_id = ?1 LIMIT ?2)";
/// Asked for when nothing else is left.
const CLEARED: &str = "DELETE FROM trail_removals WHERE project_id = ?1";

#[async_trait]
impl TrailCleanUps for SqliteStore {
    async fn take_clean_up(
        &self,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let taken = sqlx::query(TAKE)
            .bind(micros(due_at))
            .bind(micros(until))
            .bind(micros(now))
            .bind(micros(until + (until - now)))
            .execute(&self.writer)
            .await
            .map_err(failed)?;
        Ok(taken.rows_affected() == 1)
    }

    async fn end_clean_up(
        &self,
        due_at: DateTime<Utc>,
        ended_at: DateTime<Utc>,
        trails: u64,
        event: &EventRecord,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.transaction().await?;
        let ended = sqlx::query(END)
            .bind(micros(due_at))
            .bind(micros(ended_at))
            .bind(i64::try_from(trails).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if ended.rows_affected() == 0 {
            return Ok(false);
        }
        audit::put_into_outbox(&mut transaction, event).await?;
        sqlx::query(FORGET)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(not_committed)?;
        Ok(true)
    }

    async fn has_clean_up_ended(&self, due_at: DateTime<Utc>) -> Result<bool, StoreError> {
        let ended = sqlx::query_scalar(HAS_ENDED).bind(micros(due_at));
        ended.fetch_one(&self.reader).await.map_err(failed)
    }

    async fn clear_removed(&self, limit: u32) -> Result<u64, StoreError> {
        // Mostly there is none, and then nobody has to wait for this.
        let removed = sqlx::query_scalar(REMOVED).fetch_optional(&self.reader);
        let removed: Option<String> = removed.await.map_err(failed)?;
        let Some(project) = removed else { return Ok(0) };
        let mut transaction = self.transaction().await?;
        let mut gone = 0;
        for text in [CLEAR_TRAILS, CLEAR_SUMS, CLEARED] {
            let rows = sqlx::query(text)
                .bind(&project)
                .bind(limit)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            gone = rows.rows_affected();
            if gone > 0 {
                break;
            }
        }
        transaction.commit().await.map_err(not_committed)?;
        Ok(gone)
    }
}
