//! Reading for people: on connections of their own that cannot write and wait for no writer.
//!
//! Pages are cut by key, never by offset: what comes in between two pages moves nothing.

mod stats;
mod timeline;

use async_trait::async_trait;
use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::keys::ApiKey;
use tranche_application::ports::queries::{
    DisbursementFilter, MilestoneStats, Page, Queries, Timeline,
};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Disbursement, DisbursementId, Milestone, MilestoneId, Project, ProjectId};

use crate::credentials::KeyRow;
use crate::errors::{failed, unavailable};
use crate::milestones::select_milestones;
use crate::rows::disbursement::DisbursementRow;
use crate::rows::milestone::MilestoneRow;
use crate::rows::project::ProjectRow;
use crate::{MIGRATIONS, SqliteStore, disbursements, milestones, projects};

/// Every row, or the first that cannot be.
fn all<R, T>(rows: Result<Vec<R>, sqlx::Error>) -> Result<Vec<T>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow>,
    T: TryFrom<R, Error = StoreError>,
{
    rows.map_err(failed)?.into_iter().map(T::try_from).collect()
}

#[async_trait]
impl Queries for SqliteStore {
    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        projects::find(&self.reader, id).await
    }

    async fn projects(
        &self,
        only: Option<ProjectId>,
        page: Page,
    ) -> Result<Vec<Project>, StoreError> {
        let rows = sqlx::query_as::<_, ProjectRow>(
            "SELECT * FROM projects WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR id < ?2) \
             ORDER BY id DESC LIMIT ?3",
        )
        .bind(only.map(|id| id.to_string()))
        .bind(page.after.map(|id| id.to_string()))
        .bind(page.limit);
        all(rows.fetch_all(&self.reader).await)
    }

    async fn milestone(&self, id: MilestoneId) -> Result<Option<Milestone>, StoreError> {
        milestones::find(&self.reader, id).await
    }

    async fn milestones(
        &self,
        project: ProjectId,
        page: Page,
    ) -> Result<Vec<Milestone>, StoreError> {
        let rows = sqlx::query_as::<_, MilestoneRow>(select_milestones!(
            "WHERE m.project_id = ?1 AND (?2 IS NULL \
                 OR m.number > (SELECT number FROM milestones WHERE id = ?2)) \
             ORDER BY m.number LIMIT ?3"
        ))
        .bind(project.to_string())
        .bind(page.after.map(|id| id.to_string()))
        .bind(page.limit);
        all(rows.fetch_all(&self.reader).await)
    }

    async fn milestone_stats(&self, project: ProjectId) -> Result<MilestoneStats, StoreError> {
        stats::milestone_stats(&self.reader, project).await
    }

    async fn disbursement(&self, id: DisbursementId) -> Result<Option<Disbursement>, StoreError> {
        disbursements::find(&self.reader, id).await
    }

    async fn disbursements(
        &self,
        filter: &DisbursementFilter,
        page: Page,
    ) -> Result<Vec<Disbursement>, StoreError> {
        let rows = sqlx::query_as::<_, DisbursementRow>(
            "SELECT * FROM disbursements WHERE (?1 IS NULL OR state = ?1) \
                 AND (?2 IS NULL OR project_id = ?2) AND (?3 IS NULL OR id < ?3) \
             ORDER BY id DESC LIMIT ?4",
        )
        .bind(filter.state.as_ref())
        .bind(filter.project_id.map(|id| id.to_string()))
        .bind(page.after.map(|id| id.to_string()))
        .bind(page.limit);
        all(rows.fetch_all(&self.reader).await)
    }

    async fn timeline(&self, of: Timeline, page: Page) -> Result<Vec<LoggedEvent>, StoreError> {
        timeline::timeline(&self.reader, of, page).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        sqlx::query_as::<_, KeyRow>("SELECT * FROM api_keys WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.reader)
            .await
            .map_err(failed)?
            .map(ApiKey::try_from)
            .transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows =
            sqlx::query_as::<_, KeyRow>("SELECT * FROM api_keys ORDER BY created_at DESC, id DESC");
        all(rows.fetch_all(&self.reader).await)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let applied: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
                .fetch_all(&self.reader)
                .await
                .map_err(failed)?;
        let is_ours = MIGRATIONS
            .iter()
            .map(|migration| (migration.version, &*migration.checksum))
            .eq(applied
                .iter()
                .map(|(version, checksum)| (*version, checksum.as_slice())));
        if is_ours {
            Ok(())
        } else {
            Err(unavailable("the schema is not this program's: migrate"))
        }
    }
}
