//! The daily clean-up, once for all processes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::trails::TrailCleanUps;

use super::BEGIN;
use crate::PostgresStore;
use crate::audit;

/// A turn that lasts beyond any that could be had now was taken by a clock far ahead.
const TAKE: &str = "INSERT INTO trail_clean_ups AS kept (due_at, held_until) VALUES ($1, $2)
    ON CONFLICT (due_at) DO UPDATE SET held_until = excluded.held_until
    WHERE kept.ended_at IS NULL AND (kept.held_until <= $3 OR kept.held_until > $4)";
const END: &str = "INSERT INTO trail_clean_ups AS kept (due_at, ended_at, trails)
    VALUES ($1, $2, $3)
    ON CONFLICT (due_at) DO UPDATE SET ended_at = excluded.ended_at, trails = excluded.trails
    WHERE kept.ended_at IS NULL";
const FORGET: &str = "DELETE FROM trail_clean_ups WHERE due_at < (
    SELECT min(due_at) FROM (
        SELECT due_at FROM trail_clean_ups ORDER BY due_at DESC LIMIT 100) last)";

#[async_trait]
impl TrailCleanUps for PostgresStore {
    async fn take_clean_up(
        &self,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let taken = sqlx::query(TAKE)
            .bind(due_at)
            .bind(until)
            .bind(now)
            .bind(until + (until - now))
            .execute(self.pool());
        Ok(self.deadline().wait(taken).await?.rows_affected() == 1)
    }

    async fn end_clean_up(
        &self,
        due_at: DateTime<Utc>,
        ended_at: DateTime<Utc>,
        trails: u64,
        event: &EventRecord,
    ) -> Result<bool, StoreError> {
        let mut work = self.trails(BEGIN, Scope::All).await?;
        let ended = sqlx::query(END)
            .bind(due_at)
            .bind(ended_at)
            .bind(i64::try_from(trails).unwrap_or(i64::MAX));
        let (until, connection) = work.ask();
        let ended = until.wait(ended.execute(connection)).await?;
        if ended.rows_affected() == 0 {
            return Ok(false);
        }
        let (until, connection) = work.ask();
        let posted = audit::bind(sqlx::query(audit::POST.as_str()), event);
        until.wait(posted.execute(connection)).await?;
        let (until, connection) = work.ask();
        until.wait(sqlx::query(FORGET).execute(connection)).await?;
        work.commit().await?;
        Ok(true)
    }
}
