//! The parts of the log: what there is, what is held, what left.

mod rows;
mod turn;

use async_trait::async_trait;
use tranche_application::ports::retention::{Expired, HoldRepo, Part, RetentionStore, Run, Turn};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Hold, Month, Severity};
use uuid::Uuid;

use crate::PostgresStore;
use crate::errors::failed;
use crate::unit_of_work::PostgresUnitOfWork;
use rows::{ExpiredRow, HoldRow, PartRow, RunRow};

const PARTS: &str = "SELECT * FROM audit_parts() ORDER BY severity, month, archived DESC, name";
const HOLDS: &str = "SELECT * FROM audit_holds WHERE $1 OR lifted_at IS NULL
    ORDER BY placed_at DESC, id DESC LIMIT $2";
const HOLD: &str = "SELECT * FROM audit_holds WHERE id = $1 FOR UPDATE";
const RUNS: &str = "SELECT * FROM audit_retention_runs ORDER BY begun DESC LIMIT $1";
const EXPIRED: &str = "SELECT * FROM audit_expired ORDER BY expired_at DESC, id DESC LIMIT $1";
const PLACE: &str = "INSERT INTO audit_holds
        (id, severity, from_month, to_month, project_id, reason, placed_by, placed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const LIFT: &str = "UPDATE audit_holds SET lifted_by = $2, lifted_at = $3, lift_reason = $4
    WHERE id = $1";

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn parts(&self) -> Result<Vec<Part>, StoreError> {
        let rows: Vec<PartRow> = sqlx::query_as(PARTS)
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
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
