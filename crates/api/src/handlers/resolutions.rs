//! Resolutions: two people decide what the ledger's answers cannot.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use tranche_application::{Call, Outcome};
use tranche_domain::disbursement::Judgement;
use tranche_domain::text::Reason;
use tranche_domain::{BurnId, Disbursement, DisbursementId};

use super::Id;
use crate::answer::{self, Replay};
use crate::auth::Permission;
use crate::bodies::{EmptyBody, ResolutionBody};
use crate::form::{Flaw, Form, text, whole};
use crate::incoming::Incoming;
use crate::problem::Problem;
use crate::state::App;
use crate::views::DisbursementView;

/// Proposes how a disbursement ended that needs an operator
///
/// The ledger is asked once more; what it contradicts, or may still decide, is refused. Nothing
/// moves until a second person confirms.
#[utoipa::path(post, path = "/v1/disbursements/{id}/resolution", tag = "Disbursements",
    params(("id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; another one stops the call"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    request_body = ResolutionBody,
    responses((status = 200, body = DisbursementView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn propose(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Resolve)?;
    let why = form.required("why", text(Reason::try_new));
    let judgement = judgement(&mut form);
    let (why, judgement) = form.finish(|| Some((why?, judgement?)))?;
    let outcome = app
        .disbursements
        .propose(DisbursementId(id), judgement, why, &call)
        .await?;
    respond(&app, &call, outcome).await
}

/// Confirms what another person proposed
///
/// The books follow at once: settled or released, with both names in the evidence.
#[utoipa::path(post, path = "/v1/disbursements/{id}/resolution/confirm", tag = "Disbursements",
    params(("id" = uuid::Uuid, Path),
        ("If-Match" = String, Header, description = "Required: the ETag that was read; another one stops the call"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    request_body = EmptyBody,
    responses((status = 200, body = DisbursementView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 428, body = Problem), (status = 503, body = Problem)))]
pub async fn confirm(
    State(app): State<App>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Resolve)?;
    form.finish(|| Some(()))?;
    let outcome = app.disbursements.confirm(DisbursementId(id), &call).await?;
    respond(&app, &call, outcome).await
}

fn judgement(form: &mut Form) -> Option<Judgement> {
    let name = form.required("judgement", |value| match value.as_str() {
        Some(name @ ("burned" | "failed")) => Ok(name.to_owned()),
        _ => Err("must be burned or failed".to_owned()),
    })?;
    if name == "failed" {
        return Some(Judgement::Failed);
    }
    let burn = form.required("tx_hash", hash);
    let ledger = form.required("ledger", whole(1, i32::MAX));
    Some(Judgement::Burned {
        burn: burn?,
        ledger: u32::try_from(ledger?).ok()?,
    })
}

fn hash(value: &Value) -> Result<BurnId, Flaw> {
    let text = value
        .as_str()
        .filter(|text| (1..=200).contains(&text.len()));
    text.map(|text| BurnId(text.to_owned()))
        .ok_or_else(|| "must be one of the disbursement's tx_hashes".to_owned())
}

/// Shows the disbursement, or the first answer again.
async fn respond(
    app: &App,
    call: &Call,
    outcome: Outcome<Disbursement>,
) -> Result<Response, Problem> {
    match outcome {
        Outcome::Done(disbursement) => {
            let view = DisbursementView::from(&disbursement);
            answer::keep(app, call.idempotency.as_ref(), StatusCode::OK, &view).await
        }
        Outcome::AlreadyApplied(answered) => match answer::replay(&answered)? {
            Replay::Answer(response) => Ok(response),
            Replay::Made(id) => {
                let id = DisbursementId(id);
                let disbursement = app.reading.disbursement(id, &call.caller).await?;
                let disbursement =
                    disbursement.ok_or_else(|| Problem::not_found("disbursement"))?;
                answer::json(StatusCode::OK, &DisbursementView::from(&disbursement))
            }
        },
    }
}
