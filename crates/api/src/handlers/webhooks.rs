//! Webhooks: who is told of which events.

pub mod asked;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tranche_application::idempotency::Answered;
use tranche_application::webhooks::{MOST, WebhookError};
use tranche_application::{Call, Caller, Outcome};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Id;
use crate::answer;
use crate::auth::{Authenticated, Permission};
use crate::bodies::{EmptyBody, ReplayBody, WebhookBody};
use crate::incoming::Incoming;
use crate::page::{Breadcrumb, Navigation};
use crate::problem::{Problem, key_misused};
use crate::state::Served;
use crate::views::WebhookView;

/// Every webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookList {
    /// The webhooks, newest first.
    data: Vec<WebhookView>,
    /// Where it is.
    navigation: Navigation,
}

/// Lists webhooks, newest first
#[utoipa::path(get, path = "/v1/webhooks", tag = "Webhooks",
    responses((status = 200, body = WebhookList), (status = 403, body = Problem)))]
pub async fn list(
    State(served): State<Served>,
    caller: Authenticated,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Webhooks)?;
    let webhooks = served.webhooks.list(&caller).await?;
    let list = WebhookList {
        data: webhooks.iter().map(WebhookView::from).collect(),
        navigation: Navigation {
            breadcrumbs: vec![Breadcrumb::new("Webhooks", "/v1/webhooks")],
            here: "/v1/webhooks".to_owned(),
        },
    };
    answer::json(StatusCode::OK, &list)
}

/// Makes a webhook
///
/// From now on each event that the filter lets through is posted to the address, in the order of the
/// log, until it answers 2xx; signed as the Standard Webhooks specification says. The secret is shown
/// in this answer alone: a repeated call with the same `Idempotency-Key` is answered without it.
#[utoipa::path(post, path = "/v1/webhooks", tag = "Webhooks", request_body = WebhookBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    responses((status = 201, body = WebhookView), (status = 403, body = Problem),
        (status = 409, description = "There are as many as there may be", body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn create(State(served): State<Served>, incoming: Incoming) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Webhooks)?;
    let new = asked::webhook(form, served.reach)?;
    match served.webhooks.create(&new, &call).await? {
        Outcome::Done(made) => {
            let view = WebhookView::with_secret(&made.webhook, &made.secret);
            answer::json(StatusCode::CREATED, &view)
        }
        Outcome::AlreadyApplied(before) => {
            again(&served, StatusCode::CREATED, &before, &call).await
        }
    }
}

/// Reads a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "Webhooks", params(("id" = Uuid, Path)),
    responses((status = 200, body = WebhookView), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub async fn show(
    State(served): State<Served>,
    caller: Authenticated,
    Id(id): Id,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Webhooks)?;
    shown(&served, StatusCode::OK, id, &caller).await
}

/// Deletes a webhook
///
/// A delivery that is under way may still arrive.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "Webhooks",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn delete(
    State(served): State<Served>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Webhooks)?;
    form.finish(|| Some(()))?;
    served.webhooks.delete(id, &call).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Goes on with a webhook, from where it stood or from an earlier event
///
/// Enables it again if it was disabled. Events from `from` on are posted again, with the ids that they
/// had.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "Webhooks", request_body = ReplayBody,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    responses((status = 200, body = WebhookView), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn replay(
    State(served): State<Served>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Webhooks)?;
    let from = form.optional("from", asked::leaf_index);
    form.finish(|| Some(()))?;
    match served.webhooks.replay(id, from, &call).await? {
        Outcome::Done(()) => shown(&served, StatusCode::OK, id, &call.caller).await,
        Outcome::AlreadyApplied(before) => again(&served, StatusCode::OK, &before, &call).await,
    }
}

/// Signs with a new secret
///
/// It is shown in this answer alone. For a day the former one signs as well, so that each message has
/// two signatures.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret", tag = "Webhooks", request_body = EmptyBody,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    responses((status = 200, body = WebhookView), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub async fn rotate_secret(
    State(served): State<Served>,
    Id(id): Id,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, form) = incoming.call(Permission::Webhooks)?;
    form.finish(|| Some(()))?;
    match served.webhooks.rotate(id, &call).await? {
        Outcome::Done(secret) => {
            let webhook = served.webhooks.show(id, &call.caller).await?;
            let webhook = webhook.ok_or_else(|| Problem::not_found("webhook"))?;
            let view = WebhookView::with_secret(&webhook, &secret);
            answer::json(StatusCode::OK, &view)
        }
        Outcome::AlreadyApplied(before) => again(&served, StatusCode::OK, &before, &call).await,
    }
}

/// A repeated call: the webhook as it is, without its secret, which is nowhere kept in clear.
async fn again(
    served: &Served,
    status: StatusCode,
    before: &Answered,
    call: &Call,
) -> Result<Response, Problem> {
    let id = before.made.ok_or_else(Problem::internal)?;
    shown(served, status, id, &call.caller).await
}

async fn shown(
    served: &Served,
    status: StatusCode,
    id: Uuid,
    caller: &Caller,
) -> Result<Response, Problem> {
    let webhook = served.webhooks.show(id, caller).await?;
    let webhook = webhook.ok_or_else(|| Problem::not_found("webhook"))?;
    answer::json(status, &WebhookView::from(&webhook))
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NotFound => Self::not_found("webhook"),
            WebhookError::TooMany => Self::new(
                StatusCode::CONFLICT,
                "webhook.too_many",
                format!("there are {MOST} webhooks, and no more may be; delete one first"),
            ),
            WebhookError::BeyondTheEnd { end, .. } => Self::field(
                "from",
                format!("must be at most {end}, the leaf index that the next event gets"),
            ),
            WebhookError::KeyMisused => key_misused(),
            WebhookError::Custody(error) => error.into(),
            WebhookError::Store(error) => error.into(),
        }
    }
}
