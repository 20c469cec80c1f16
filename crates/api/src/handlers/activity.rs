//! Activity: the audit events of one milestone or project.

use axum::extract::{OriginalUri, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use tranche_application::ports::queries::Timeline;
use tranche_domain::{MilestoneId, ProjectId};

use super::Id;
use crate::answer;
use crate::auth::{Authenticated, Permission};
use crate::page::{Breadcrumb, Listing, PageQuery, Params, one_more};
use crate::problem::Problem;
use crate::state::Served;
use crate::views::EventView;

/// What happened to a milestone, newest first
#[utoipa::path(get, path = "/v1/milestones/{id}/activity", tag = "Activity",
    params(("id" = uuid::Uuid, Path), PageQuery),
    responses((status = 200, body = Listing<EventView>), (status = 404, body = Problem)))]
pub async fn of_milestone(
    State(served): State<Served>,
    caller: Authenticated,
    Id(id): Id,
    Params(query): Params<PageQuery>,
    OriginalUri(here): OriginalUri,
) -> Result<Response, Problem> {
    let way = vec![
        Breadcrumb::new("Milestone", format!("/v1/milestones/{id}")),
        Breadcrumb::new("Activity", format!("/v1/milestones/{id}/activity")),
    ];
    timeline(
        &served,
        &caller,
        Timeline::Milestone(MilestoneId(id)),
        &query,
        &here,
        way,
    )
    .await
}

/// What happened in a project, newest first
#[utoipa::path(get, path = "/v1/projects/{id}/activity", tag = "Activity",
    params(("id" = uuid::Uuid, Path), PageQuery),
    responses((status = 200, body = Listing<EventView>), (status = 404, body = Problem)))]
pub async fn of_project(
    State(served): State<Served>,
    caller: Authenticated,
    Id(id): Id,
    Params(query): Params<PageQuery>,
    OriginalUri(here): OriginalUri,
) -> Result<Response, Problem> {
    let way = vec![
        Breadcrumb::new("Projects", "/v1/projects"),
        Breadcrumb::new("Project", format!("/v1/projects/{id}")),
        Breadcrumb::new("Activity", format!("/v1/projects/{id}/activity")),
    ];
    timeline(
        &served,
        &caller,
        Timeline::Project(ProjectId(id)),
        &query,
        &here,
        way,
    )
    .await
}

async fn timeline(
    served: &Served,
    caller: &Authenticated,
    of: Timeline,
    query: &PageQuery,
    here: &Uri,
    way: Vec<Breadcrumb>,
) -> Result<Response, Problem> {
    let unseals = caller.may(Permission::Unseal).is_ok();
    let caller = caller.may(Permission::Read)?;
    let page = query.page()?;
    let reading = &served.app.reading;
    let events = reading.timeline(of, one_more(page), &caller).await?;
    let what = match of {
        Timeline::Project(_) => "project",
        Timeline::Milestone(_) => "milestone",
    };
    let mut events = events.ok_or_else(|| Problem::not_found(what))?;
    let shown = events.iter_mut().map(|logged| &mut logged.event);
    served.app.sensitive.show(shown, unseals).await?;
    let events = served.app.searching.named(events).await?;
    served.reads.timeline(of, &caller);
    let listing = Listing::new(
        events,
        page,
        here,
        way,
        |row| row.logged.event.id,
        |row| EventView::from(row),
    );
    answer::json(StatusCode::OK, &listing)
}
