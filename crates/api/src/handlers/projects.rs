//! Projects.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tranche_application::Outcome;
use tranche_application::ports::custody::SecretSeed;
use tranche_application::projects::{DeleteProjectError, NewWallet, OpenProject};
use tranche_domain::text::ProjectName;
use tranche_domain::{BurnPolicy, Policy, ProjectId};

use super::Id;
use crate::answer::{self, Replay};
use crate::auth::{Authenticated, Permission};
use crate::bodies::OpenProjectBody;
use crate::form::{Form, amount, flag, positive_amount, text};
use crate::incoming::Incoming;
use crate::page::{Breadcrumb, Listing, PageQuery, Params, one_more};
use crate::problem::{Problem, key_misused};
use crate::state::{App, Served};
use crate::views::ProjectView;

/// Opens a project
///
/// Its wallet's seed is sealed before it is kept and never shown again. On the sandbox ledger a
/// wallet that holds the NAV is opened if none is given.
#[utoipa::path(post, path = "/v1/projects", tag = "Projects", request_body = OpenProjectBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    responses((status = 201, body = ProjectView), (status = 422, body = Problem)))]
pub async fn open(State(app): State<App>, incoming: Incoming) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::OpenProjects)?;
    let new = read(form)?;
    match app.projects.open(new, &call).await? {
        Outcome::Done(project) => {
            let view = ProjectView::from(&project);
            answer::keep(&app, call.idempotency.as_ref(), StatusCode::CREATED, &view).await
        }
        Outcome::AlreadyApplied(answered) => match answer::replay(&answered)? {
            Replay::Answer(response) => Ok(response),
            Replay::Made(id) => {
                let project = app.reading.project(ProjectId(id), &call.caller).await?;
                let project = project.ok_or_else(|| Problem::not_found("project"))?;
                answer::json(StatusCode::CREATED, &ProjectView::from(&project))
            }
        },
    }
}

fn read(mut form: Form) -> Result<OpenProject, Problem> {
    let name = form.required("name", text(ProjectName::try_new));
    let nav = form.required("nav", positive_amount);
    let lp_tokens_outstanding = form.required("lp_tokens_outstanding", amount);
    let wallet = form
        .object("wallet", "wallet.", wallet)
        .unwrap_or(NewWallet::Opened);
    let maker_checker = form.optional("maker_checker", flag).unwrap_or(true);
    let burn = form
        .optional("burn_policy", |value| match value.as_str() {
            Some("exact_transfer") => Ok(BurnPolicy::ExactTransfer),
            Some("any_amount") => Ok(BurnPolicy::AnyAmount),
            _ => Err("must be exact_transfer or any_amount".to_owned()),
        })
        .unwrap_or_default();
    form.finish(|| {
        Some(OpenProject {
            name: name?,
            nav: nav?,
            lp_tokens_outstanding: lp_tokens_outstanding?,
            wallet,
            policy: Policy {
                maker_checker,
                burn,
            },
        })
    })
}

fn wallet(form: &mut Form) -> Option<NewWallet> {
    let word = |value: &serde_json::Value| match value.as_str() {
        Some(word) if (1..=200).contains(&word.len()) => Ok(word.to_owned()),
        _ => Err("must be a string of 1 to 200 characters".to_owned()),
    };
    let seed = form.optional("secret_seed", word);
    let account_id = form.optional("account_id", word);
    let custody = form.optional("custody", word);
    match (seed, account_id, custody) {
        (Some(seed), None, None) => Some(NewWallet::Seed(SecretSeed::new(seed))),
        (None, Some(account_id), Some(custody)) => Some(NewWallet::Held {
            account_id,
            custody,
        }),
        _ => {
            // What is there and wrong has been said already.
            if form.is_flawless() {
                let message = "is required, or account_id and custody without it";
                form.flaw("secret_seed", message.to_owned());
            }
            None
        }
    }
}

/// Lists projects, newest first
#[utoipa::path(get, path = "/v1/projects", tag = "Projects", params(PageQuery),
    responses((status = 200, body = Listing<ProjectView>)))]
pub async fn list(
    State(app): State<App>,
    caller: Authenticated,
    Params(query): Params<PageQuery>,
    OriginalUri(here): OriginalUri,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Read)?;
    let page = query.page()?;
    let projects = app.reading.projects(one_more(page), &caller).await?;
    let way = vec![Breadcrumb::new("Projects", "/v1/projects")];
    let listing = Listing::new(
        projects,
        page,
        &here,
        way,
        |row| row.id.0,
        |row| ProjectView::from(row),
    );
    answer::json(StatusCode::OK, &listing)
}

/// Reads a project
#[utoipa::path(get, path = "/v1/projects/{id}", tag = "Projects",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = ProjectView), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    caller: Authenticated,
    Id(id): Id,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Read)?;
    let project = app.reading.project(ProjectId(id), &caller).await?;
    let project = project.ok_or_else(|| Problem::not_found("project"))?;
    answer::json(StatusCode::OK, &ProjectView::from(&project))
}

impl From<DeleteProjectError> for Problem {
    fn from(error: DeleteProjectError) -> Self {
        let conflict = |code, detail: &str| Self::new(StatusCode::CONFLICT, code, detail);
        match error {
            DeleteProjectError::NotFound => Self::not_found("project"),
            DeleteProjectError::OutOfScope => Self::new(
                StatusCode::FORBIDDEN,
                "auth.out_of_scope",
                "this key is for one project only and cannot delete it",
            ),
            DeleteProjectError::HadMilestones(_) => conflict(
                "project.has_milestones",
                "the project has or had milestones: its books stay with their evidence",
            ),
            DeleteProjectError::HasWebhooks => conflict(
                "project.has_webhooks",
                "webhooks are for this project alone; delete them first",
            ),
            DeleteProjectError::VersionMismatch { current } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "project.stale",
                format!("the project is at version {current}; read it again"),
            )
            .with("version", json!(current)),
            DeleteProjectError::KeyMisused => key_misused(),
            DeleteProjectError::Store(error) => error.into(),
        }
    }
}

/// Deletes a project that never had a milestone
///
/// Its assessment trails go with it. Its wallet's record of custody stays: a project with that wallet
/// may be opened again, where it was sealed here with `"custody": "local"`. What was recorded of it stays in the audit log.
#[utoipa::path(delete, path = "/v1/projects/{id}", tag = "Projects",
    params(("id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; another one stops the call")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "It has or had milestones, or webhooks are for it alone", body = Problem),
        (status = 412, body = Problem), (status = 503, body = Problem)))]
pub async fn delete(
    State(served): State<Served>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (mut call, form) = incoming.call(Permission::OpenProjects)?;
    form.finish(|| Some(()))?;
    // DELETE repeats safely by itself: the second finds nothing.
    call.idempotency = None;
    served.app.projects.delete(ProjectId(id), &call).await?;
    served.operations.trails.forget(ProjectId(id));
    Ok(StatusCode::NO_CONTENT.into_response())
}
