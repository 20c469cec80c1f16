//! Projects inside a unit of work.

use async_trait::async_trait;
use tranche_application::ports::store::{ProjectRepo, StoreError};
use tranche_domain::{Project, ProjectId};

use crate::record::{Binding, Kind};
use crate::rows::{ProjectRow, burn_policy_name};
use crate::unit_of_work::PostgresUnitOfWork;

/// What a change may alter.
macro_rules! mutable {
    () => {
        "name, nav, nav_reserved, lp_tokens_outstanding, total_milestones, completed_milestones, \
         last_milestone_date, wallet_account_id, maker_checker, burn_policy, version"
    };
}

macro_rules! select_project {
    () => {
        "SELECT id, name, nav, nav_reserved, lp_tokens_outstanding, total_milestones, \
         completed_milestones, last_milestone_date, wallet_account_id, maker_checker, \
         burn_policy, created_at, version FROM projects"
    };
}
pub(crate) use select_project;

/// `NO KEY` leaves rows free to refer to the project meanwhile; nothing ever changes its key.
const LOCK: &str = concat!(select_project!(), " WHERE id = $1 FOR NO KEY UPDATE");

const INSERT: &str = concat!(
    "project AS (INSERT INTO projects (",
    mutable!(),
    ", id, created_at, opening_nav) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING 1)"
);
/// Of the first to the last of several changes as well: the version before the first one stands.
pub(crate) const UPDATE: &str = concat!(
    "project AS (UPDATE projects SET (",
    mutable!(),
    ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ? AND version = ? RETURNING 1)"
);
const DELETE: &str =
    "project AS (DELETE FROM projects WHERE id = ? AND version = ? - 1 RETURNING 1)";

pub(crate) const fn part(kind: Kind) -> &'static str {
    match kind {
        Kind::Insert => INSERT,
        Kind::Update => UPDATE,
        Kind::Delete => DELETE,
    }
}

pub(crate) fn bind<'q>(query: Binding<'q>, kind: Kind, project: &'q Project) -> Binding<'q> {
    match kind {
        Kind::Insert => mutable(query, project)
            .bind(project.id.0)
            .bind(project.created_at)
            .bind(project.nav.stroops()),
        Kind::Update => bind_update(query, project, project.version - 1),
        Kind::Delete => query.bind(project.id.0).bind(project.version),
    }
}

/// The last state of a project whose version `before` must still stand.
pub(crate) fn bind_update<'q>(
    query: Binding<'q>,
    project: &'q Project,
    before: i64,
) -> Binding<'q> {
    mutable(query, project).bind(project.id.0).bind(before)
}

fn mutable<'q>(query: Binding<'q>, project: &'q Project) -> Binding<'q> {
    query
        .bind(project.name.as_str())
        .bind(project.nav.stroops())
        .bind(project.nav_reserved.stroops())
        .bind(project.lp_tokens_outstanding.stroops())
        .bind(project.total_milestones)
        .bind(project.completed_milestones)
        .bind(project.last_milestone_date)
        .bind(project.wallet_account_id.as_str())
        .bind(project.policy.maker_checker)
        .bind(burn_policy_name(project.policy.burn))
        .bind(project.version)
}

#[async_trait]
impl ProjectRepo for PostgresUnitOfWork {
    async fn lock(&mut self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        let row = sqlx::query_as::<_, ProjectRow>(LOCK)
            .bind(id.0)
            .fetch_optional(self.connection()?)
            .await;
        self.judge(row)?.map(Project::try_from).transpose()
    }
}
