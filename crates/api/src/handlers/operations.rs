//! Whether the service lives and is ready.

use std::fmt::Display;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::state::Operations;

/// The longest that a part may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether each part is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `unavailable`.
    status: &'static str,
    /// Store and migrations: `ok`, or what is wrong.
    store: String,
    /// Ledger: `ok`, or what is wrong.
    ledger: String,
    /// The audit log's tree: `sound`, `contradicted` or `not_kept`. The service works meanwhile.
    audit_log: &'static str,
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
pub async fn readyz(State(operations): State<Operations>) -> Response {
    let (store, ledger) = tokio::join!(
        in_time("store", operations.queries.ready()),
        in_time("ledger", async {
            match &operations.burner {
                Some(burner) => burner.ready().await,
                None => Ok(()),
            }
        })
    );
    let ready = store && ledger;
    let tell = |ok, what: &str| {
        if ok {
            "ok".to_owned()
        } else {
            format!("{what} unavailable")
        }
    };
    let readiness = Readiness {
        status: if ready { "ready" } else { "unavailable" },
        store: tell(store, "store"),
        ledger: tell(ledger, "ledger"),
        audit_log: operations
            .monitoring
            .keeper()
            .map_or("sound", |keeper| keeper.standing().evidence().as_str()),
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}

/// Whether a part says in time that it is ready.
async fn in_time<E: Display>(
    part: &'static str,
    ready: impl Future<Output = Result<(), E>> + Send,
) -> bool {
    match timeout(PATIENCE, ready).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(part, %error, "not ready");
            false
        }
        Err(_) => {
            tracing::warn!(part, "not ready: no answer in time");
            false
        }
    }
}
