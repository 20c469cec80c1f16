//! What the processes of the pipeline tell of themselves.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tranche_application::audit::meters::Report;
use tranche_application::ports::reports::Reports;
use tranche_application::ports::store::StoreError;

use crate::SqliteStore;
use crate::errors::{failed, unwritable};
use crate::rows::micros;

#[async_trait]
impl Reports for SqliteStore {
    async fn publish(&self, report: &Report) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit_reports (process, at, report) VALUES (?, ?, ?) \
             ON CONFLICT DO UPDATE SET at = excluded.at, report = excluded.report",
        )
        .bind(&report.process)
        .bind(micros(report.at))
        .bind(serde_json::to_string(report).map_err(unwritable)?)
        .execute(&self.writer)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn since(&self, moment: DateTime<Utc>) -> Result<Vec<Report>, StoreError> {
        let kept: Vec<(i64, String)> =
            sqlx::query_as("SELECT at, report FROM audit_reports ORDER BY process")
                .fetch_all(&self.reader)
                .await
                .map_err(failed)?;
        // Readers wait for nobody: only what is to be forgotten asks for the write lock.
        let oldest = micros(moment - TimeDelta::days(1));
        if kept.iter().any(|(at, _)| *at < oldest) {
            sqlx::query("DELETE FROM audit_reports WHERE at < ?")
                .bind(oldest)
                .execute(&self.writer)
                .await
                .map_err(failed)?;
        }
        let recent = kept.iter().filter(|(at, _)| *at >= micros(moment));
        recent
            .map(|(_, report)| serde_json::from_str(report).map_err(unwritable))
            .collect()
    }
}
