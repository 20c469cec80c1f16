//! What happened to a project or a milestone, from log and outbox alike.

use sqlx::SqlitePool;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::queries::{Page, Timeline};
use tranche_application::ports::store::StoreError;

use super::{all, before};
use crate::rows::event::EventRow;

/// The newest of all three tables, each cut by its own index first. One statement, so that an event on
/// its way from one to the other is seen once. The leaf is looked up for the rows of the page alone.
macro_rules! select_timeline {
    ($owner:literal) => {
        concat!(
            "SELECT page.*, (SELECT leaf_index FROM audit_leaves WHERE event_id = page.id) \
                 AS leaf_index FROM (SELECT * FROM ( \
                 SELECT id, milestone_id, project_id, occurred_at, recorded_at, severity, action, \
                     actor_id, actor_role, resource_type, resource_id, previous_status, \
                     new_status, changes, metadata, details, ip_address, user_agent, request_id, \
                     salt \
                 FROM audit_events WHERE ",
            $owner,
            " = ?1 AND id < ?2 AND (?4 IS NULL OR project_id = ?4) ORDER BY id DESC LIMIT ?3) \
             UNION ALL SELECT * FROM ( \
                 SELECT id, milestone_id, project_id, occurred_at, recorded_at, severity, action, \
                     actor_id, actor_role, resource_type, resource_id, previous_status, \
                     new_status, changes, metadata, details, ip_address, user_agent, request_id, \
                     salt \
                 FROM audit_archive WHERE ",
            $owner,
            " = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3) \
             UNION ALL SELECT * FROM ( \
                 SELECT id, milestone_id, project_id, occurred_at, NULL, severity, action, \
                     actor_id, actor_role, resource_type, resource_id, previous_status, \
                     new_status, changes, metadata, details, ip_address, user_agent, request_id, \
                     salt \
                 FROM audit_outbox WHERE ",
            $owner,
            " = ?1 AND id < ?2 AND (?4 IS NULL OR project_id = ?4) ORDER BY id DESC LIMIT ?3) \
             ORDER BY id DESC LIMIT ?3) page ORDER BY id DESC"
        )
    };
}

pub(super) async fn timeline(
    pool: &SqlitePool,
    of: Timeline,
    scope: Scope,
    page: Page,
) -> Result<Vec<LoggedEvent>, StoreError> {
    let (statement, owner) = match of {
        Timeline::Project(id) => (select_timeline!("project_id"), id.to_string()),
        Timeline::Milestone(id) => (select_timeline!("milestone_id"), id.to_string()),
    };
    let rows = sqlx::query_as::<_, EventRow>(statement)
        .bind(owner)
        .bind(before(page))
        .bind(page.limit)
        .bind(only(scope));
    all(rows.fetch_all(pool).await)
}

/// The only project whose events are seen, where it is one.
fn only(scope: Scope) -> Option<String> {
    match scope {
        Scope::All => None,
        Scope::Project(id) => Some(id.to_string()),
    }
}
