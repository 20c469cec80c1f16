//! Retention: policies, runs, and legal holds.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use tranche_application::audit::retention::{HoldError, Retention, RunError};
use tranche_application::{Call, Outcome};
use tranche_domain::text::Reason;
use tranche_domain::{Held, Hold, Month, ProjectId, Severity};
use uuid::Uuid;

use super::Id;
use crate::answer::{self, Replay};
use crate::auth::{Authenticated, Permission};
use crate::bodies::{HoldBody, LiftHoldBody, RetentionRunBody};
use crate::form::{Flaw, Form, flag, text};
use crate::incoming::Incoming;
use crate::problem::{Problem, key_misused};
use crate::state::Served;
use crate::views::{HoldView, ReportView, RetentionView};

/// How long a run is waited for; one that takes longer goes on.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a look at the parts of the log is waited for.
const LOOK: Duration = Duration::from_secs(10);

/// Policies, holds, the last runs, and what becomes of each partition of the log
#[utoipa::path(get, path = "/v1/audit/retention", tag = "Audit",
    responses((status = 200, body = RetentionView), (status = 403, body = Problem)))]
pub async fn show(
    State(served): State<Served>,
    caller: Authenticated,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Monitor)?;
    everybodys(caller.scope)?;
    let overview = tokio::time::timeout(LOOK, served.retention.overview()).await;
    let overview = overview.map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "retention.counting",
            "the parts of the log could not be looked at in 10 seconds: they are being counted, or the store \
             does not answer; `tranche retention status` waits for longer",
        )
    })??;
    let next = served.retention_at.next(overview.at);
    answer::json(StatusCode::OK, &RetentionView::new(&overview, next))
}

/// Archives what is due and lets go what has expired, or tells what would be done
///
/// Only one run goes on at a time, and repeating one does no harm. One that takes long goes on after
/// a 202; `GET /v1/audit/retention` tells when it ended.
#[utoipa::path(post, path = "/v1/audit/retention/runs", tag = "Audit",
    request_body = RetentionRunBody,
    responses((status = 200, body = ReportView), (status = 202, description = "It goes on"),
        (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
pub async fn run(State(served): State<Served>, incoming: Incoming) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Retain)?;
    let dry_run = form.optional("dry_run", flag);
    form.finish(|| Some(()))?;
    everybodys(call.caller.scope)?;
    let retention = served.retention.clone();
    if dry_run.unwrap_or_default() {
        let report = retention.dry_run().await?;
        return answer::json(StatusCode::OK, &ReportView::from(&report));
    }
    // Whoever asked may go away: the run does not.
    let run = tokio::spawn(async move { retention.run(&call.caller, None).await });
    match tokio::time::timeout(PATIENCE, run).await {
        Ok(Ok(Ok(report))) => answer::json(StatusCode::OK, &ReportView::from(&report)),
        Ok(Ok(Err(error))) => Err(error.into()),
        Ok(Err(_)) => Err(Problem::internal()),
        Err(_) => answer::json(
            StatusCode::ACCEPTED,
            &serde_json::json!({ "under_way": true }),
        ),
    }
}

/// Places a legal hold: what it touches does not expire until it is lifted
///
/// A hold that touches a partition keeps all of it. Archiving goes on: archived events stay
/// queryable.
#[utoipa::path(post, path = "/v1/audit/retention/holds", tag = "Audit", request_body = HoldBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    responses((status = 201, body = HoldView), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
pub async fn place(State(served): State<Served>, incoming: Incoming) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Retain)?;
    let (what, reason) = read(form)?;
    let placed = served.retention.place(what, reason, &call).await?;
    told(&served, placed, &call, StatusCode::CREATED).await
}

/// The hold as it is now; for a call that is repeated, the first answer.
async fn told(
    served: &Served,
    outcome: Outcome<Hold>,
    call: &Call,
    status: StatusCode,
) -> Result<Response, Problem> {
    match outcome {
        Outcome::Done(hold) => {
            let key = call.idempotency.as_ref();
            answer::keep(&served.app, key, status, &HoldView::from(&hold)).await
        }
        Outcome::AlreadyApplied(answered) => match answer::replay(&answered)? {
            Replay::Answer(response) => Ok(response),
            Replay::Made(id) => {
                let hold = found(&served.retention, id).await?;
                answer::json(status, &HoldView::from(&hold))
            }
        },
    }
}

/// Lifts a legal hold
#[utoipa::path(delete, path = "/v1/audit/retention/holds/{id}", tag = "Audit",
    params(("id" = uuid::Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    request_body = LiftHoldBody,
    responses((status = 200, body = HoldView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn lift(
    State(served): State<Served>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Retain)?;
    let reason = form.required("reason", text(Reason::try_new));
    let reason = form.finish(|| reason)?;
    let lifted = served.retention.lift(id, &reason, &call).await?;
    told(&served, lifted, &call, StatusCode::OK).await
}

async fn found(retention: &Retention, id: Uuid) -> Result<Hold, Problem> {
    let hold = retention.hold(id).await?;
    hold.ok_or_else(|| Problem::not_found("hold"))
}

fn read(mut form: Form) -> Result<(Held, Reason), Problem> {
    let severity = form.optional("severity", |value| {
        let named = value.as_str().and_then(Severity::named);
        named.ok_or_else(|| "must be info, warning or critical".to_owned())
    });
    let from = form.optional("from_month", month);
    let to = form.optional("to_month", month);
    let project = form.optional("project_id", |value| {
        let id = value.as_str().and_then(|text| text.parse().ok());
        id.map(ProjectId)
            .ok_or_else(|| "must be a project's id".to_owned())
    });
    let reason = form.required("reason", text(Reason::try_new));
    let held = Held {
        severity,
        from,
        to,
        project,
    };
    form.finish(|| Some((held, reason?)))
}

fn month(value: &Value) -> Result<Month, Flaw> {
    let text = value.as_str().unwrap_or("");
    text.parse().map_err(|error| format!("{error}"))
}

/// Retention is about all projects at once.
fn everybodys(scope: Option<ProjectId>) -> Result<(), Problem> {
    match scope {
        None => Ok(()),
        Some(_) => Err(out_of_scope()),
    }
}

fn out_of_scope() -> Problem {
    Problem::out_of_scope("and retention is everybody's")
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        match error {
            RunError::UnderWay => Self::new(
                StatusCode::CONFLICT,
                "retention.under_way",
                "another run is under way; GET /v1/audit/retention tells when it ended",
            ),
            RunError::Store(error) => error.into(),
        }
    }
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Unknown => Self::not_found("hold"),
            HoldError::Lifted => Self::new(
                StatusCode::CONFLICT,
                "retention.hold_lifted",
                "the hold is lifted already",
            ),
            HoldError::Backwards => Self::field("to_month", "must not come before from_month"),
            HoldError::UnknownProject => Self::field("project_id", "there is no such project"),
            HoldError::OutOfScope => out_of_scope(),
            HoldError::KeyMisused => key_misused(),
            HoldError::Store(error) => error.into(),
        }
    }
}
