//! Assessment trails: what a language model said of a project, why, and what it cost.

pub mod asked;

use axum::extract::{FromRequestParts, OriginalUri, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tranche_application::Call;
use tranche_application::trails::backend::SwitchError;
use tranche_application::trails::{Backend, Saved, TrailError};
use tranche_domain::trail::{TrailRefusal, TrailRefusals};
use tranche_domain::{MessageId, ProjectId};
use uuid::Uuid;

use super::Id;
use crate::answer;
use crate::auth::{Authenticated, Permission};
use crate::bodies::{TrailBackendBody, TrailBatchBody, TrailBody, TrailPatchBody};
use crate::form::Form;
use crate::incoming::Incoming;
use crate::page::{Breadcrumb, Navigation, Params};
use crate::problem::{FieldError, Problem};
use crate::rate_limit::Kind;
use crate::state::Served;
use crate::views::{AnalyticsView, ComparisonView, MigrationView, TrailBackendView, TrailView};
use asked::{Documents, RangeQuery};

/// The largest body of a trail, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// A project and one of its messages in a path. What is no id names nothing.
pub struct Place {
    project: ProjectId,
    message: MessageId,
}

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<(Uuid, Uuid)>::from_request_parts(parts, state).await {
            Ok(Path((project, message))) => Ok(Self {
                project: ProjectId(project),
                message: MessageId(message),
            }),
            Err(_) => Err(none()),
        }
    }
}

/// Puts a message's trail
///
/// `{}` or a part of it opens a placeholder; with model, tokens and cost it is completed. What is there
/// is replaced as a whole, but a completed one keeps a model, tokens and a cost. The same body again
/// changes nothing. A change of a completed trail is recorded.
///
/// Counted as sending events is.
#[utoipa::path(put, path = "/v1/projects/{id}/assessment/trails/{message_id}", tag = "Assessment",
    params(("id" = Uuid, Path), ("message_id" = Uuid, Path, description = "The sender's, of any version"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; another one stops the call")),
    request_body = TrailBody,
    responses((status = 200, description = "It was there", body = TrailView),
        (status = 201, description = "It is new", body = TrailView),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem),
        (status = 503, body = Problem)))]
pub async fn put(
    State(served): State<Served>,
    caller: Authenticated,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    limited(&served, caller, request, async |call, form, body| {
        let now = served.app.services.clock.now();
        let content = asked::content(form, &Documents::of(body)?, now)?;
        let Place { project, message } = place;
        let saved = served
            .operations
            .trails
            .put(project, message, content, &call)
            .await?;
        shown(&saved)
    })
    .await
}

/// Changes parts of a message's trail
///
/// What is not named stays, of tokens and cost too. With model, tokens and cost it is completed. A change
/// of a completed trail is recorded.
///
/// Counted as sending events is.
#[utoipa::path(patch, path = "/v1/projects/{id}/assessment/trails/{message_id}", tag = "Assessment",
    params(("id" = Uuid, Path), ("message_id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; another one stops the call")),
    request_body = TrailPatchBody,
    responses((status = 200, body = TrailView),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem),
        (status = 503, body = Problem)))]
pub async fn patch(
    State(served): State<Served>,
    caller: Authenticated,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    limited(&served, caller, request, async |call, form, body| {
        let amendment = asked::amendment(form, &Documents::of(body)?)?;
        let Place { project, message } = place;
        let saved = served
            .operations
            .trails
            .amend(project, message, amendment, &call)
            .await?;
        shown(&saved)
    })
    .await
}

/// For whoever may write trails, as often as they may send events.
async fn limited(
    served: &Served,
    caller: Authenticated,
    request: Request,
    write: impl AsyncFnOnce(Call, Form, &[u8]) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    caller.may(Permission::WriteTrails)?;
    let allowance = served.limits.check(Kind::Ingest, caller.account())?;
    let written = async {
        let incoming = Incoming::read(caller, request, BODY_LIMIT).await?;
        let body = incoming.body();
        let (call, form) = incoming.call(Permission::WriteTrails)?;
        write(call, form, &body).await
    };
    let mut answer = written.await.into_response();
    if let Some(allowance) = allowance {
        allowance.tell(&mut answer);
    }
    Ok(answer)
}

fn shown(saved: &Saved) -> Result<Response, Problem> {
    let status = if saved.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    answer::json(status, &TrailView::from(&saved.trail))
}

/// Reads a message's trail
#[utoipa::path(get, path = "/v1/assessment/trails/{message_id}", tag = "Assessment",
    params(("message_id" = Uuid, Path)),
    responses((status = 200, body = TrailView), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn show(
    State(served): State<Served>,
    caller: Authenticated,
    Id(message): Id,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::ReadTrails)?;
    let trail = served
        .operations
        .trails
        .read(MessageId(message), &caller)
        .await?;
    let trail = trail.ok_or_else(none)?;
    answer::json(StatusCode::OK, &TrailView::from(&trail))
}

/// What a project's messages cost
///
/// In all, by day in UTC (days without messages too) and by model, and the newest trails. Trails that were
/// cleaned up count as well, to the hour: of a range that begins or ends within an hour, messages of that
/// hour count as long as their trails are there.
#[utoipa::path(get, path = "/v1/projects/{id}/assessment/analytics", tag = "Assessment",
    params(("id" = Uuid, Path), RangeQuery),
    responses((status = 200, body = AnalyticsView), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn analytics(
    State(served): State<Served>,
    caller: Authenticated,
    Id(project): Id,
    Params(query): Params<RangeQuery>,
    OriginalUri(here): OriginalUri,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::ReadTrails)?;
    let range = query.range(served.app.services.clock.now())?;
    let project = ProjectId(project);
    let analytics = served
        .operations
        .trails
        .analytics(project, range, &caller)
        .await?;
    let analytics = analytics.ok_or_else(|| Problem::not_found("project"))?;
    let address = format!("/v1/projects/{project}");
    let navigation = Navigation {
        breadcrumbs: vec![
            Breadcrumb::new("Projects", "/v1/projects"),
            Breadcrumb::new("Project", address.clone()),
            Breadcrumb::new("Assessment", format!("{address}/assessment/analytics")),
        ],
        here: here.to_string(),
    };
    let view = AnalyticsView::new(project, &analytics, navigation);
    answer::json(StatusCode::OK, &view)
}

/// Where trails are kept
///
/// In the process that answers: each has a memory of its own.
#[utoipa::path(get, path = "/v1/assessment/trails/backend", tag = "Assessment",
    responses((status = 200, body = TrailBackendView), (status = 403, body = Problem)))]
pub async fn backend(
    State(served): State<Served>,
    caller: Authenticated,
) -> Result<Response, Problem> {
    everybodys(&caller)?;
    answer::json(StatusCode::OK, &in_force(&served).await)
}

/// Keeps trails elsewhere from now on
///
/// Until the process ends; then `TRANCHE_TRAILS` holds. Nobody gets to the database while it lacks a trail
/// that the memory holds.
#[utoipa::path(put, path = "/v1/assessment/trails/backend", tag = "Assessment",
    request_body = TrailBackendBody,
    responses((status = 200, body = TrailBackendView), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn switch(State(served): State<Served>, incoming: Incoming) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::KeepTrails)?;
    in_scope(call.caller.scope)?;
    let backend = asked::backend(form)?;
    served
        .operations
        .trails
        .switch(backend, &call.caller)
        .await?;
    answer::json(StatusCode::OK, &in_force(&served).await)
}

async fn in_force(served: &Served) -> TrailBackendView {
    TrailBackendView {
        backend: served.operations.trails.backend().await.as_str(),
    }
}

/// Copies a batch of trails from the memory into the database
///
/// From the memory of the process that answers; what the database has of the same or a later version
/// stays. Safe to repeat.
#[utoipa::path(post, path = "/v1/assessment/trails/migration", tag = "Assessment",
    request_body = TrailBatchBody,
    responses((status = 200, body = MigrationView), (status = 403, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn migrate(
    State(served): State<Served>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::KeepTrails)?;
    in_scope(call.caller.scope)?;
    let batch = asked::batch(form)?;
    let migrated = served
        .operations
        .trails
        .migrate(batch.after, batch.limit)
        .await?;
    answer::json(StatusCode::OK, &MigrationView::from(migrated))
}

/// Compares a batch of trails in the memory with the database
#[utoipa::path(post, path = "/v1/assessment/trails/comparison", tag = "Assessment",
    request_body = TrailBatchBody,
    responses((status = 200, body = ComparisonView), (status = 403, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn compare(
    State(served): State<Served>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::KeepTrails)?;
    in_scope(call.caller.scope)?;
    let batch = asked::batch(form)?;
    let compared = served
        .operations
        .trails
        .compare(batch.after, batch.limit)
        .await?;
    answer::json(StatusCode::OK, &ComparisonView::from(compared))
}

fn everybodys(caller: &Authenticated) -> Result<(), Problem> {
    in_scope(caller.may(Permission::KeepTrails)?.scope)
}

/// The memory holds trails of all projects.
fn in_scope(scope: Option<ProjectId>) -> Result<(), Problem> {
    match scope {
        None => Ok(()),
        Some(_) => Err(out_of_scope()),
    }
}

fn out_of_scope() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "auth.out_of_scope",
        "this key is for one project only; where trails are kept is everybody's",
    )
}

/// No trail of that message, or none that the caller may know of: the two are told alike.
fn none() -> Problem {
    Problem::not_found("trail")
}

impl From<TrailError> for Problem {
    fn from(error: TrailError) -> Self {
        match error {
            TrailError::NotFound => none(),
            TrailError::ProjectNotFound => Self::not_found("project"),
            TrailError::VersionMismatch { current } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "trail.stale",
                format!("the trail is at version {current}; read it again"),
            )
            .with("version", json!(current)),
            TrailError::Refused(refusal) => refusal.into(),
            TrailError::Store(error) => error.into(),
        }
    }
}

impl From<TrailRefusals> for Problem {
    fn from(refusals: TrailRefusals) -> Self {
        let error = |refusal: &TrailRefusal| FieldError {
            field: refusal.field().unwrap_or("body").to_owned(),
            message: refusal.to_string(),
        };
        Self::invalid(refusals.all().iter().map(error).collect())
    }
}

/// What is in the way of a change of the backend, and what to do about it.
fn not_copied(missing: u64, from: Backend, to: Backend) -> String {
    let (place, remedy) = match to {
        Backend::Memory => ("memory", "wait until they are older than memory keeps them"),
        Backend::Dual | Backend::Database => ("the database", "migrate, and compare"),
    };
    let first = match from {
        Backend::Dual => "",
        Backend::Memory | Backend::Database => "switch to dual, then ",
    };
    format!("{missing} trails are not in {place}, or not as they are: {first}{remedy}")
}

impl From<SwitchError> for Problem {
    fn from(error: SwitchError) -> Self {
        match error {
            SwitchError::NotCopied { missing, from, to } => Self::new(
                StatusCode::CONFLICT,
                "trails.not_copied",
                not_copied(missing, from, to),
            )
            .with("missing", json!(missing)),
            SwitchError::Busy { from } => Self::new(
                StatusCode::CONFLICT,
                "trails.busy",
                match from {
                    Backend::Dual => "trails are being written: try again",
                    Backend::Memory | Backend::Database => {
                        "trails are being written: switch to dual first"
                    }
                },
            ),
            SwitchError::OutOfScope => out_of_scope(),
            SwitchError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Backend, Problem, SwitchError};

    #[test]
    fn a_refused_change_of_the_backend_says_what_to_do() {
        let table = [
            (
                Backend::Memory,
                Backend::Database,
                "3 trails are not in the database, or not as they are: switch to dual, then migrate, and \
                 compare",
            ),
            (
                Backend::Dual,
                Backend::Database,
                "3 trails are not in the database, or not as they are: migrate, and compare",
            ),
            (
                Backend::Dual,
                Backend::Memory,
                "3 trails are not in memory, or not as they are: wait until they are older than memory \
                 keeps them",
            ),
        ];
        for (from, to, expected) in table {
            let missing = 3;
            let refused = Problem::from(SwitchError::NotCopied { missing, from, to });
            assert_eq!(refused.detail, expected);
        }
        for (from, expected) in [
            (Backend::Dual, "try again"),
            (Backend::Memory, "switch to dual first"),
            (Backend::Database, "switch to dual first"),
        ] {
            let refused = Problem::from(SwitchError::Busy { from });
            assert_eq!(
                refused.detail,
                format!("trails are being written: {expected}")
            );
        }
    }
}
