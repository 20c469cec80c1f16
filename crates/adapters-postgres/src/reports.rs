//! What the processes of the pipeline tell of themselves.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::audit::meters::Report;
use tranche_application::ports::reports::Reports;
use tranche_application::ports::store::StoreError;

use crate::PostgresStore;
use crate::errors::unwritable;

const PUBLISH: &str = "INSERT INTO audit_reports (process, at, report) VALUES ($1, $2, $3)
    ON CONFLICT (process) DO UPDATE SET at = excluded.at, report = excluded.report";
const SINCE: &str = "WITH forgotten AS (
        DELETE FROM audit_reports WHERE at < $1 - interval '1 day')
    SELECT report FROM audit_reports WHERE at >= $1 ORDER BY process";

#[async_trait]
impl Reports for PostgresStore {
    async fn publish(&self, report: &Report) -> Result<(), StoreError> {
        let published = sqlx::query(PUBLISH)
            .bind(&report.process)
            .bind(report.at)
            .bind(serde_json::to_string(report).map_err(unwritable)?)
            .execute(self.pool());
        self.deadline().wait(published).await?;
        Ok(())
    }

    async fn since(&self, moment: DateTime<Utc>) -> Result<Vec<Report>, StoreError> {
        let reports = sqlx::query_scalar::<_, String>(SINCE).bind(moment);
        let reports = reports.fetch_all(self.pool());
        let reports = self.deadline().wait(reports).await?;
        reports
            .iter()
            .map(|report| serde_json::from_str(report).map_err(unwritable))
            .collect()
    }
}
