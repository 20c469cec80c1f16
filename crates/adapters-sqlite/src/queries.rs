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
use tranche_application::ports::audit_search::Scope;
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

/// Where a page of a list, newest first, begins: before this id. Without one, before what sorts
/// after every UUID in its text form.
pub(crate) fn before(page: Page) -> String {
    page.after
        .map_or_else(|| "~".to_owned(), |id| id.to_string())
}

macro_rules! select_disbursements {
    ($filter:literal) => {
        concat!(
            "SELECT * FROM disbursements WHERE ",
            $filter,
            "id < ?3 ORDER BY id DESC LIMIT ?4"
        )
    };
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
        if let Some(id) = only {
            let found = self.project(id).await?;
            let is_next = page.after.is_none_or(|after| id.0 < after);
            return Ok(found.filter(|_| is_next).into_iter().collect());
        }
        let rows = sqlx::query_as::<_, ProjectRow>(
            "SELECT * FROM projects WHERE id < ? ORDER BY id DESC LIMIT ?",
        )
        .bind(before(page))
        .bind(page.limit);
        all(rows.fetch_all(&self.reader).await)
    }

    async fn milestone(&self, id: MilestoneId) -> Result<Option<Milestone>, StoreError> {
        milestones::find(&self.reader, id).await
    }

    async fn milestones(
        &self,
        project: ProjectId,
        page: Page<i32>,
    ) -> Result<Vec<Milestone>, StoreError> {
        let rows = sqlx::query_as::<_, MilestoneRow>(select_milestones!(
            "WHERE m.project_id = ?1 AND m.number > ?2 ORDER BY m.number LIMIT ?3"
        ))
        .bind(project.to_string())
        .bind(page.after.unwrap_or(0))
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
        // A statement for each filter: each has its index.
        let statement = match (&filter.state, filter.project_id) {
            (None, None) => select_disbursements!(""),
            (Some(_), None) => select_disbursements!("state = ?1 AND "),
            (None, Some(_)) => select_disbursements!("project_id = ?2 AND "),
            (Some(_), Some(_)) => select_disbursements!("state = ?1 AND project_id = ?2 AND "),
        };
        let rows = sqlx::query_as::<_, DisbursementRow>(statement)
            .bind(filter.state.as_ref())
            .bind(filter.project_id.map(|id| id.to_string()))
            .bind(before(page))
            .bind(page.limit);
        all(rows.fetch_all(&self.reader).await)
    }

    async fn timeline(
        &self,
        of: Timeline,
        scope: Scope,
        page: Page,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        timeline::timeline(&self.reader, of, scope, page).await
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
