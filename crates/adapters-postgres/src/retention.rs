//! The parts of the log: what there is, what is held, what left.

mod rows;
mod turn;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Connection;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::retention::{Expired, HoldRepo, Part, RetentionStore, Run, Turn};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Action, Hold, Month, Severity};
use uuid::Uuid;

use crate::PostgresStore;
use crate::errors::failed;
use crate::unit_of_work::PostgresUnitOfWork;
use rows::{ExpiredRow, HoldRow, PartRow, RunRow};

const PARTS: &str = "SELECT * FROM audit_parts() ORDER BY severity, month, archived DESC, name";
/// The longest look at the parts.
const LONGEST_LOOK: Duration = Duration::from_mins(5);
const BOUND_LOOK: &str = "SELECT set_config('statement_timeout', $1, false),
    set_config('client_connection_check_interval', '1s', false)";
const HOLDS: &str = "SELECT * FROM audit_holds WHERE $1 OR lifted_at IS NULL
    ORDER BY placed_at DESC, id DESC LIMIT $2";
const HOLD: &str = "SELECT * FROM audit_holds WHERE id = $1 FOR UPDATE";
const RUNS: &str = "SELECT * FROM audit_retention_runs ORDER BY begun DESC LIMIT $1";
const EXPIRED: &str = "SELECT * FROM audit_expired ORDER BY expired_at DESC, id DESC LIMIT $1";
const ANNOUNCED: &str = "SELECT EXISTS (SELECT FROM audit_leaves WHERE event_id = id)
    FROM audit_events WHERE severity = 'critical' AND resource_id = $1 AND action = $2
    ORDER BY id LIMIT 1";
const PLACE: &str = "INSERT INTO audit_holds
        (id, severity, from_month, to_month, project_id, reason, placed_by, placed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const LIFT: &str = "UPDATE audit_holds SET lifted_by = $2, lifted_at = $3, lift_reason = $4
    WHERE id = $1";

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn parts(&self) -> Result<Vec<Part>, StoreError> {
        // What has no statistics yet is counted, which may take longer than any request, so not on its
        // connections; one look at a time, and none goes on for somebody who went away.
        let _turn = self.looking.lock().await;
        let mut connection = self.upkeep_connection().await?;
        sqlx::query(BOUND_LOOK)
            .bind(LONGEST_LOOK.as_millis().to_string())
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        let rows: Vec<PartRow> = sqlx::query_as(PARTS)
            .fetch_all(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)?;
        rows.into_iter().map(Part::try_from).collect()
    }

    async fn holds(&self, lifted: bool, limit: u32) -> Result<Vec<Hold>, StoreError> {
        let rows: Vec<HoldRow> = sqlx::query_as(HOLDS)
            .bind(lifted)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
        rows.into_iter().map(Hold::try_from).collect()
    }

    async fn runs(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        let rows: Vec<RunRow> = sqlx::query_as(RUNS)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
        Ok(rows.into_iter().map(Run::from).collect())
    }

    async fn expired(&self, limit: u32) -> Result<Vec<Expired>, StoreError> {
        let rows: Vec<ExpiredRow> = sqlx::query_as(EXPIRED)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
        rows.into_iter().map(Expired::try_from).collect()
    }

    async fn announced(&self, name: &str) -> Result<Option<bool>, StoreError> {
        let mut reading = self.reading(Scope::All).await?;
        sqlx::query_scalar(ANNOUNCED)
            .bind(name)
            .bind(Action::RetentionExpiring.as_str())
            .fetch_optional(&mut *reading)
            .await
            .map_err(failed)
    }

    async fn take_turn(&self) -> Result<Option<Box<dyn Turn>>, StoreError> {
        turn::take(self).await
    }
}

#[async_trait]
impl HoldRepo for PostgresUnitOfWork {
    async fn place(&mut self, hold: &Hold) -> Result<(), StoreError> {
        let what = hold.held;
        let placed = sqlx::query(PLACE)
            .bind(hold.id)
            .bind(what.severity.map(Severity::as_str))
            .bind(what.from.map(Month::first_day))
            .bind(what.to.map(Month::first_day))
            .bind(what.project.map(|project| project.0))
            .bind(hold.reason.as_str())
            .bind(&hold.placed_by)
            .bind(hold.placed_at)
            .execute(self.connection()?)
            .await;
        self.judge(placed)?;
        Ok(())
    }

    async fn lock(&mut self, id: Uuid) -> Result<Option<Hold>, StoreError> {
        let row = sqlx::query_as::<_, HoldRow>(HOLD)
            .bind(id)
            .fetch_optional(self.connection()?)
            .await;
        self.judge(row)?.map(Hold::try_from).transpose()
    }

    async fn lift(&mut self, hold: &Hold) -> Result<(), StoreError> {
        let lifted = hold.lifted.as_ref();
        let lifted = sqlx::query(LIFT)
            .bind(hold.id)
            .bind(lifted.map(|lifted| lifted.by.as_str()))
            .bind(lifted.map(|lifted| lifted.at))
            .bind(lifted.map(|lifted| lifted.reason.as_str()))
            .execute(self.connection()?)
            .await;
        self.judge(lifted)?;
        Ok(())
    }
}
