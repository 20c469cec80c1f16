//! A request's id: the caller's if it sent a decent one, else ours; in every answer and event.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, debug, info, info_span};

use crate::state::Operations;

const HEADER: &str = "x-request-id";

tokio::task_local! {
    static PATH: String;
}

/// The path of the request at hand; empty outside one.
pub fn path() -> String {
    PATH.try_with(Clone::clone).unwrap_or_default()
}

/// The id of the request at hand.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// What machines ask every few seconds: told at `debug` alone.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Gives the request its id, its log span and its line in the log, and the answer the same id.
pub async fn middleware(
    State(operations): State<Operations>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let id = match given {
        Some(id) if (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) => {
            id.to_owned()
        }
        _ => operations.entropy.id().to_string(),
    };
    let span = info_span!("request", id, method = %request.method(), path = request.uri().path());
    let (began, method) = (Instant::now(), request.method().clone());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(RequestId(id.clone()));
    let path = request.uri().path().to_owned();
    let mut response = async {
        let response = PATH.scope(path, next.run(request)).await;
        let (status, took) = (response.status(), began.elapsed());
        let route = matched.as_ref().map_or("none", MatchedPath::as_str);
        operations.metrics.answered(&method, route, status, took);
        let status = status.as_u16();
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if PROBES.contains(&route) {
            debug!(request_id = id, %method, route, status, ms, "answered");
        } else {
            info!(request_id = id, %method, route, status, ms, "answered");
        }
        response
    }
    .instrument(span)
    .await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
