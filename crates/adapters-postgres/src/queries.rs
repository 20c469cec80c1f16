//! Reads outside any unit of work, each one statement and so one snapshot.
//!
//! Lists page by key, never by offset. A first page starts from the greatest key there is, so that
//! one statement, and one plan, serves every page.

mod stats;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgExecutor, PgPool};
use tranche_application::audit::record::LoggedEvent;
use tranche_application::keys::ApiKey;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::queries::{
    DisbursementFilter, MilestoneStats, Page, Queries, Timeline,
};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Disbursement, DisbursementId, Milestone, MilestoneId, Project, ProjectId};
use uuid::Uuid;

use crate::audit::select_event;
use crate::disbursements::select_disbursement;
use crate::errors::failed;
use crate::milestones::select_milestone;
use crate::projects::select_project;
use crate::record::Binding;
use crate::rows::{ApiKeyRow, DisbursementRow, LoggedRow, MilestoneRow, ProjectRow};
use crate::{PostgresStore, check_schema};

const PROJECT: &str = concat!(select_project!(), " WHERE id = $1");
const PROJECTS: &str = concat!(
    select_project!(),
    " WHERE id < $1 ORDER BY id DESC LIMIT $2"
);
const ONLY_PROJECT: &str = concat!(select_project!(), " WHERE id < $1 AND id = $3 LIMIT $2");

const MILESTONE: &str = concat!(select_milestone!(), " WHERE m.id = $1");
/// Numbers are unique in a project, so the number alone is the key.
const MILESTONES: &str = concat!(
    select_milestone!(),
    " WHERE m.project_id = $1 AND m.number > $2 ORDER BY m.number LIMIT $3"
);

const DISBURSEMENT: &str = concat!(select_disbursement!(), " WHERE id = $1");

macro_rules! disbursements {
    ($filter:literal) => {
        concat!(
            select_disbursement!(),
            " WHERE id < $1",
            $filter,
            " ORDER BY id DESC LIMIT $2"
        )
    };
}
const DISBURSEMENTS: &str = disbursements!("");
const DISBURSEMENTS_IN: &str = disbursements!(" AND state = $3");
const DISBURSEMENTS_OF: &str = disbursements!(" AND project_id = $3");
const DISBURSEMENTS_IN_OF: &str = disbursements!(" AND state = $3 AND project_id = $4");

/// An event on its way from the outbox to the log is in exactly one of them in every snapshot.
/// The leaf is looked up for the rows of the page alone: a join might read every leaf there is.
macro_rules! timeline {
    ($of:literal) => {
        concat!(
            "SELECT page.*, (SELECT leaf_index FROM audit_leaves WHERE event_id = page.id) \
             AS leaf_index FROM ((",
            select_event!(),
            ", recorded_at FROM audit_events WHERE ",
            $of,
            " = $1 AND id < $2 ORDER BY id DESC LIMIT $3) UNION ALL (",
            select_event!(),
            ", recorded_at FROM audit_archive WHERE ",
            $of,
            " = $1 AND id < $2 ORDER BY id DESC LIMIT $3) UNION ALL (",
            select_event!(),
            ", NULL FROM audit_outbox WHERE ",
            $of,
            " = $1 AND id < $2 ORDER BY id DESC LIMIT $3) ORDER BY id DESC LIMIT $3) page \
             ORDER BY id DESC"
        )
    };
}
const PROJECT_TIMELINE: &str = timeline!("project_id");
const MILESTONE_TIMELINE: &str = timeline!("milestone_id");

macro_rules! select_key {
    () => {
        "SELECT id, subject, roles, project_id, hash, rate_limit, created_at, revoked_at \
         FROM api_keys"
    };
}
const KEY: &str = concat!(select_key!(), " WHERE id = $1");
const KEYS: &str = concat!(select_key!(), " ORDER BY created_at DESC, id DESC");

fn before(page: Page) -> Uuid {
    page.after.unwrap_or(Uuid::max())
}

async fn one<R, T>(pool: &PgPool, query: Binding<'_>) -> Result<Option<T>, StoreError>
where
    R: for<'r> FromRow<'r, PgRow>,
    T: TryFrom<R, Error = StoreError>,
{
    let row = query.fetch_optional(pool).await.map_err(failed)?;
    row.map(|row| R::from_row(&row).map_err(failed)?.try_into())
        .transpose()
}

async fn many<'e, R, T>(from: impl PgExecutor<'e>, query: Binding<'_>) -> Result<Vec<T>, StoreError>
where
    R: for<'r> FromRow<'r, PgRow>,
    T: TryFrom<R, Error = StoreError>,
{
    let rows = query.fetch_all(from).await.map_err(failed)?;
    rows.iter()
        .map(|row| R::from_row(row).map_err(failed)?.try_into())
        .collect()
}

#[async_trait]
impl Queries for PostgresStore {
    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        one::<ProjectRow, _>(self.pool(), sqlx::query(PROJECT).bind(id.0)).await
    }

    async fn projects(
        &self,
        only: Option<ProjectId>,
        page: Page,
    ) -> Result<Vec<Project>, StoreError> {
        let text = if only.is_some() {
            ONLY_PROJECT
        } else {
            PROJECTS
        };
        let mut query = sqlx::query(text)
            .bind(before(page))
            .bind(i64::from(page.limit));
        if let Some(only) = only {
            query = query.bind(only.0);
        }
        many::<ProjectRow, _>(self.pool(), query).await
    }

    async fn milestone(&self, id: MilestoneId) -> Result<Option<Milestone>, StoreError> {
        one::<MilestoneRow, _>(self.pool(), sqlx::query(MILESTONE).bind(id.0)).await
    }

    async fn milestones(
        &self,
        project: ProjectId,
        page: Page<i32>,
    ) -> Result<Vec<Milestone>, StoreError> {
        let query = sqlx::query(MILESTONES)
            .bind(project.0)
            .bind(page.after.unwrap_or(0))
            .bind(i64::from(page.limit));
        many::<MilestoneRow, _>(self.pool(), query).await
    }

    async fn milestone_stats(&self, project: ProjectId) -> Result<MilestoneStats, StoreError> {
        stats::of(self.pool(), project).await
    }

    async fn disbursement(&self, id: DisbursementId) -> Result<Option<Disbursement>, StoreError> {
        one::<DisbursementRow, _>(self.pool(), sqlx::query(DISBURSEMENT).bind(id.0)).await
    }

    async fn disbursements(
        &self,
        filter: &DisbursementFilter,
        page: Page,
    ) -> Result<Vec<Disbursement>, StoreError> {
        let text = match (&filter.state, filter.project_id) {
            (None, None) => DISBURSEMENTS,
            (Some(_), None) => DISBURSEMENTS_IN,
            (None, Some(_)) => DISBURSEMENTS_OF,
            (Some(_), Some(_)) => DISBURSEMENTS_IN_OF,
        };
        let mut query = sqlx::query(text)
            .bind(before(page))
            .bind(i64::from(page.limit));
        if let Some(state) = &filter.state {
            query = query.bind(state);
        }
        if let Some(project) = filter.project_id {
            query = query.bind(project.0);
        }
        many::<DisbursementRow, _>(self.pool(), query).await
    }

    async fn timeline(
        &self,
        of: Timeline,
        scope: Scope,
        page: Page,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let (text, id) = match of {
            Timeline::Project(id) => (PROJECT_TIMELINE, id.0),
            Timeline::Milestone(id) => (MILESTONE_TIMELINE, id.0),
        };
        let query = sqlx::query(text)
            .bind(id)
            .bind(before(page))
            .bind(i64::from(page.limit));
        let mut reading = self.reading(scope).await?;
        many::<LoggedRow, _>(&mut *reading, query).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        one::<ApiKeyRow, _>(self.pool(), sqlx::query(KEY).bind(id)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        many::<ApiKeyRow, _>(self.pool(), sqlx::query(KEYS)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        check_schema(self.pool()).await
    }
}
