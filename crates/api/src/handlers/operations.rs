//! Whether the service lives and is ready.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::App;

/// Whether each part is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `unavailable`.
    status: &'static str,
    /// Store and migrations: `ok`, or what is wrong.
    store: String,
    /// Ledger: `ok`, or what is wrong.
    ledger: String,
}

/// The process lives
#[utoipa::path(get, path = "/healthz", tag = "Operations", security(()),
    responses((status = 200, description = "It lives")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Store, migrations and ledger answer
#[utoipa::path(get, path = "/readyz", tag = "Operations", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub async fn readyz(State(app): State<App>) -> Response {
    let (store, ledger) = tokio::join!(app.queries.ready(), app.burner.ready());
    let ready = store.is_ok() && ledger.is_ok();
    if let Err(error) = &store {
        tracing::warn!(%error, "the store is not ready");
    }
    if let Err(error) = &ledger {
        tracing::warn!(%error, "the ledger is not ready");
    }
    let tell = |ok, what: &str| {
        if ok {
            "ok".to_owned()
        } else {
            format!("{what} unavailable")
        }
    };
    let readiness = Readiness {
        status: if ready { "ready" } else { "unavailable" },
        store: tell(store.is_ok(), "store"),
        ledger: tell(ledger.is_ok(), "ledger"),
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}
