//! Milestones.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tranche_application::milestones::{CreateMilestone, RecordTransfer};
use tranche_application::{Call, Outcome};
use tranche_domain::milestone::MilestoneEdit;
use tranche_domain::text::{Description, Notes, Reason, Title, TransferReference};
use tranche_domain::{Milestone, MilestoneId, ProjectId};

use super::Id;
use crate::answer::{self, Replay};
use crate::auth::{Authenticated, Permission};
use crate::bodies::{
    BankTransferBody, CreateMilestoneBody, EditMilestoneBody, EmptyBody, RejectBody,
};
use crate::form::{day, positive_amount, text, whole};
use crate::incoming::Incoming;
use crate::page::{Breadcrumb, Listing, PageQuery, Params, one_more};
use crate::problem::Problem;
use crate::state::App;
use crate::views::{MilestoneView, StatsView};

/// The largest milestone number.
const MAX_NUMBER: i32 = 1_000_000;

/// Drafts a milestone
#[utoipa::path(post, path = "/v1/projects/{id}/milestones", tag = "Milestones",
    params(("id" = uuid::Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    request_body = CreateMilestoneBody,
    responses((status = 201, body = MilestoneView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Id(project): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Manage)?;
    let number = form.required("number", whole(1, MAX_NUMBER));
    let title = form.required("title", text(Title::try_new));
    let description = form.optional("description", text(Description::try_new));
    let target_amount = form.required("target_amount", positive_amount);
    let new = form.finish(|| {
        Some(CreateMilestone {
            number: number?,
            title: title?,
            description,
            target_amount: target_amount?,
        })
    })?;
    let outcome = app
        .milestones
        .create(ProjectId(project), new, &call)
        .await?;
    respond(&app, &call, StatusCode::CREATED, outcome).await
}

/// Lists a project's milestones, by number
#[utoipa::path(get, path = "/v1/projects/{id}/milestones", tag = "Milestones",
    params(("id" = uuid::Uuid, Path), PageQuery),
    responses((status = 200, body = Listing<MilestoneView>), (status = 404, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    caller: Authenticated,
    Id(project): Id,
    Params(query): Params<PageQuery>,
    OriginalUri(here): OriginalUri,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Read)?;
    let page = query.page()?;
    let rows = app
        .reading
        .milestones(ProjectId(project), one_more(page), &caller)
        .await?;
    let rows = rows.ok_or_else(|| Problem::not_found("project"))?;
    let way = vec![
        Breadcrumb::new("Projects", "/v1/projects"),
        Breadcrumb::new("Project", format!("/v1/projects/{project}")),
        Breadcrumb::new("Milestones", format!("/v1/projects/{project}/milestones")),
    ];
    let listing = Listing::new(
        rows,
        page,
        &here,
        way,
        |row| row.number,
        |row| MilestoneView::from(row),
    );
    answer::json(StatusCode::OK, &listing)
}

/// A project's milestones in figures
#[utoipa::path(get, path = "/v1/projects/{id}/milestones/stats", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = StatsView), (status = 404, body = Problem)))]
pub async fn stats(
    State(app): State<App>,
    caller: Authenticated,
    Id(project): Id,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Read)?;
    let stats = app
        .reading
        .milestone_stats(ProjectId(project), &caller)
        .await?;
    let stats = stats.ok_or_else(|| Problem::not_found("project"))?;
    answer::json(StatusCode::OK, &StatsView::from(&stats))
}

/// Reads a milestone
#[utoipa::path(get, path = "/v1/milestones/{id}", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = MilestoneView), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    caller: Authenticated,
    Id(id): Id,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Read)?;
    let milestone = app.reading.milestone(MilestoneId(id), &caller).await?;
    let milestone = milestone.ok_or_else(|| Problem::not_found("milestone"))?;
    answer::json(StatusCode::OK, &MilestoneView::from(&milestone))
}

/// Edits a draft
#[utoipa::path(patch, path = "/v1/milestones/{id}", tag = "Milestones",
    params(("id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; another one stops the call")),
    request_body = EditMilestoneBody,
    responses((status = 200, body = MilestoneView), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub async fn edit(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Manage)?;
    let title = form.optional("title", text(Title::try_new));
    let description = form.nullable("description", text(Description::try_new));
    let target_amount = form.optional("target_amount", positive_amount);
    let edit = form.finish(|| {
        Some(MilestoneEdit {
            title,
            description,
            target_amount,
        })
    })?;
    let outcome = app.milestones.edit(MilestoneId(id), edit, &call).await?;
    respond(&app, &call, StatusCode::OK, outcome).await
}

/// Deletes a draft
#[utoipa::path(delete, path = "/v1/milestones/{id}", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 204), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub async fn delete(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (mut call, form) = incoming.call(Permission::Manage)?;
    form.finish(|| Some(()))?;
    // DELETE repeats safely by itself: the second finds nothing.
    call.idempotency = None;
    app.milestones.delete(MilestoneId(id), &call).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Hands a draft in for approval
#[utoipa::path(post, path = "/v1/milestones/{id}/submit", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)), request_body = EmptyBody,
    responses((status = 200, body = MilestoneView), (status = 409, body = Problem)))]
pub async fn submit(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Manage)?;
    form.finish(|| Some(()))?;
    let outcome = app.milestones.submit(MilestoneId(id), &call).await?;
    respond(&app, &call, StatusCode::OK, outcome).await
}

/// Approves a submitted milestone
#[utoipa::path(post, path = "/v1/milestones/{id}/approve", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)), request_body = EmptyBody,
    responses((status = 200, body = MilestoneView), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn approve(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Approve)?;
    form.finish(|| Some(()))?;
    let outcome = app.milestones.approve(MilestoneId(id), &call).await?;
    respond(&app, &call, StatusCode::OK, outcome).await
}

/// Takes a rejected milestone back to draft
#[utoipa::path(post, path = "/v1/milestones/{id}/revise", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)), request_body = EmptyBody,
    responses((status = 200, body = MilestoneView), (status = 409, body = Problem)))]
pub async fn revise(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Manage)?;
    form.finish(|| Some(()))?;
    let outcome = app.milestones.revise(MilestoneId(id), &call).await?;
    respond(&app, &call, StatusCode::OK, outcome).await
}

/// Turns a submitted milestone down
#[utoipa::path(post, path = "/v1/milestones/{id}/reject", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)), request_body = RejectBody,
    responses((status = 200, body = MilestoneView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn reject(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Approve)?;
    let reason = form.required("reason", text(Reason::try_new));
    let reason = form.finish(|| reason)?;
    let outcome = app
        .milestones
        .reject(MilestoneId(id), reason, &call)
        .await?;
    respond(&app, &call, StatusCode::OK, outcome).await
}

/// Records the bank transfer of an approved milestone
#[utoipa::path(post, path = "/v1/milestones/{id}/bank-transfer", tag = "Milestones",
    params(("id" = uuid::Uuid, Path)), request_body = BankTransferBody,
    responses((status = 200, body = MilestoneView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn record_transfer(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Disburse)?;
    let reference = form.required("reference", text(TransferReference::try_new));
    let amount = form.required("amount", positive_amount);
    let date = form.required("date", day);
    let notes = form.optional("notes", text(Notes::try_new));
    let transfer = form.finish(|| {
        Some(RecordTransfer {
            reference: reference?,
            amount: amount?,
            date: date?,
            notes,
        })
    })?;
    let outcome = app
        .milestones
        .record_transfer(MilestoneId(id), transfer, &call)
        .await?;
    respond(&app, &call, StatusCode::OK, outcome).await
}

/// Shows the milestone, or the first answer again.
async fn respond(
    app: &App,
    call: &Call,
    status: StatusCode,
    outcome: Outcome<Milestone>,
) -> Result<Response, Problem> {
    match outcome {
        Outcome::Done(milestone) => {
            let view = MilestoneView::from(&milestone);
            answer::keep(app, call.idempotency.as_ref(), status, &view).await
        }
        Outcome::AlreadyApplied(answered) => match answer::replay(&answered)? {
            Replay::Answer(response) => Ok(response),
            Replay::Made(id) => {
                let milestone = app.reading.milestone(MilestoneId(id), &call.caller).await?;
                let milestone = milestone.ok_or_else(|| Problem::not_found("milestone"))?;
                answer::json(status, &MilestoneView::from(&milestone))
            }
        },
    }
}
