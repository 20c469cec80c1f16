//! Answers: views as JSON with their `ETag`, and a repeated call's first answer again.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tranche_application::idempotency::{Answered, IdempotencyKey};

use uuid::Uuid;

use crate::problem::Problem;
use crate::state::App;

/// A JSON answer; a view with a `version` gets it as its `ETag`.
pub fn json(status: StatusCode, view: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_string(view).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::internal()
    })?;
    Ok(raw(status, body))
}

/// What an answer is looked at for; the rest of it may be long.
#[derive(Deserialize)]
struct Versioned {
    version: Option<i64>,
}

fn raw(status: StatusCode, body: String) -> Response {
    let etag = serde_json::from_str::<Versioned>(&body)
        .ok()
        .and_then(|view| view.version)
        .and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok());
    let kind = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    let mut response = (status, kind, body).into_response();
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// Gives an answer and keeps it, so that the same call gets the same answer again. The effect is
/// committed already: failing to keep the answer is logged, and the key still knows what it made.
pub async fn keep(
    app: &App,
    key: Option<&IdempotencyKey>,
    status: StatusCode,
    view: &impl Serialize,
) -> Result<Response, Problem> {
    let body = serde_json::to_string(view).map_err(|_| Problem::internal())?;
    if let Some(key) = key {
        let kept = async {
            let mut work = app.services.store.begin().await?;
            work.idempotency()
                .keep_answer(key, status.as_u16(), &body)
                .await?;
            work.commit().await
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "an answer was not kept");
        }
    }
    Ok(raw(status, body))
}

/// What a repeated call is answered with.
pub enum Replay {
    /// The first answer, as it was given.
    Answer(Response),
    /// What it made, to be shown as it stands: the first answer was never kept.
    Made(Uuid),
}

/// The answer to a call that was carried out before.
pub fn replay(answered: &Answered) -> Result<Replay, Problem> {
    if let Some((status, body)) = &answered.answer {
        let status = StatusCode::from_u16(*status).map_err(|_| Problem::internal())?;
        let mut response = raw(status, body.clone());
        response.headers_mut().insert(
            HeaderName::from_static("idempotency-replayed"),
            HeaderValue::from_static("true"),
        );
        return Ok(Replay::Answer(response));
    }
    answered
        .made
        .map(Replay::Made)
        .ok_or_else(Problem::internal)
}
