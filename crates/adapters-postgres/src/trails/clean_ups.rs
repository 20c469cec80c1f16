//! The daily clean-up, once for all processes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::trails::TrailCleanUps;
use uuid::Uuid;

use super::BEGIN;
use crate::PostgresStore;
use crate::audit;
use crate::timed::Timed;

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
const HAS_ENDED: &str =
    "SELECT EXISTS (SELECT FROM trail_clean_ups WHERE due_at = $1 AND ended_at IS NOT NULL)";

/// A project that is gone, and that nobody else is clearing.
const REMOVED: &str = "SELECT project_id FROM trail_removals ORDER BY project_id LIMIT 1
    FOR UPDATE SKIP LOCKED";
const CLEAR_TRAILS: &str = "WITH gone AS MATERIALIZED (
        SELECT message_id FROM assessment_trails WHERE project_id = $1
        ORDER BY created_at, message_id LIMIT $2 FOR UPDATE SKIP LOCKED)
    DELETE FROM assessment_trails trail USING gone WHERE trail.message_id = gone.message_id";
const CLEAR_SUMS: &str = "WITH gone AS MATERIALIZED (
        SELECT project_id, bucket, starts_at, model FROM trail_rollups WHERE project_id = $1
        ORDER BY bucket, starts_at, model LIMIT $2 FOR UPDATE SKIP LOCKED)
    DELETE FROM trail_rollups sum USING gone
    WHERE sum.project_id = gone.project_id AND sum.bucket = gone.bucket
        AND sum.starts_at = gone.starts_at AND sum.model = gone.model";
const CLEARED: &str = "DELETE FROM trail_removals WHERE project_id = $1
    AND NOT EXISTS (SELECT FROM assessment_trails WHERE project_id = $1)
    AND NOT EXISTS (SELECT FROM trail_rollups WHERE project_id = $1)";

/// Deletes up to `limit` rows of a project; says how many.
async fn delete(
    work: &mut Timed,
    text: &'static str,
    project: Uuid,
    limit: u32,
) -> Result<u64, StoreError> {
    let query = sqlx::query(text).bind(project).bind(i64::from(limit));
    let (until, connection) = work.ask();
    Ok(until.wait(query.execute(connection)).await?.rows_affected())
}

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

    async fn has_clean_up_ended(&self, due_at: DateTime<Utc>) -> Result<bool, StoreError> {
        let ended = sqlx::query_scalar(HAS_ENDED).bind(due_at);
        self.deadline().wait(ended.fetch_one(self.pool())).await
    }

    async fn clear_removed(&self, limit: u32) -> Result<u64, StoreError> {
        let mut work = self.trails(BEGIN, Scope::All).await?;
        let (until, connection) = work.ask();
        let project = sqlx::query_scalar(REMOVED).fetch_optional(connection);
        let Some(project) = until.wait(project).await? else {
            return Ok(0);
        };
        let mut gone = delete(&mut work, CLEAR_TRAILS, project, limit).await?;
        if gone == 0 {
            gone = delete(&mut work, CLEAR_SUMS, project, limit).await?;
        }
        if gone == 0 {
            let cleared = sqlx::query(CLEARED).bind(project);
            let (until, connection) = work.ask();
            gone = until
                .wait(cleared.execute(connection))
                .await?
                .rows_affected();
        }
        work.commit().await?;
        Ok(gone)
    }
}
