//! A request's id: the caller's if it sent a decent one, else ours; in every answer and event.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, info, info_span};

use crate::state::App;

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

/// Gives the request its id, its log span, and the answer the same id.
pub async fn middleware(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let id = match given {
        Some(id) if (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) => {
            id.to_owned()
        }
        _ => app.entropy.id().to_string(),
    };
    let span = info_span!("request", id, method = %request.method(), path = request.uri().path());
    request.extensions_mut().insert(RequestId(id.clone()));
    let path = request.uri().path().to_owned();
    let mut response = async {
        let response = PATH.scope(path, next.run(request)).await;
        info!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
