//! The HTTP face: JSON-RPC at `/`, friendbot, and what tests ask of a sandbox.
//!
//! | route | who |
//! |---|---|
//! | `POST /` | Stellar clients, JSON-RPC |
//! | `GET`, `POST /friendbot?addr=G…` | as on test networks |
//! | `POST /sandbox/fund`, `GET /sandbox/asset` | tests and the program around |
//! | `GET`, `POST /sandbox/faults`, `POST /sandbox/clock` | tests |

mod connection;
mod friendbot;
mod sandbox;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;

use self::connection::{Connection, Cuttable};
use crate::faults::Fault;
use crate::node::Node;
use crate::rpc::Call;

/// Bytes a request may have.
const BODY_LIMIT: usize = 512 * 1024;

/// Serves until the node stops.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Node>) -> std::io::Result<()> {
    let stopping = node.stopping.clone();
    let service = routes(node).into_make_service_with_connect_info::<Connection>();
    axum::serve(Cuttable(listener), service)
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .await
}

fn routes(node: Arc<Node>) -> Router {
    Router::new()
        .route("/", post(json_rpc))
        .route("/friendbot", get(friendbot::fund).post(friendbot::fund))
        .route("/sandbox/fund", post(sandbox::fund))
        .route(
            "/sandbox/faults",
            get(sandbox::faults).post(sandbox::set_fault),
        )
        .route("/sandbox/clock", post(sandbox::clock))
        .route("/sandbox/asset", get(sandbox::asset))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(node)
}

async fn json_rpc(
    State(node): State<Arc<Node>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    body: Bytes,
) -> Response {
    let call = match Call::parse(&body) {
        Ok(call) => call,
        Err(refused) => return json(StatusCode::OK, &refused),
    };
    let fault = node.faults.take_for(&call.method);
    match fault {
        Some(Fault::Hang) => {
            node.stopping.cancelled().await;
            connection.cut()
        }
        Some(Fault::Error500) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the sandbox was told to fail",
        )
            .into_response(),
        Some(Fault::LoseAnswer) => {
            call.answer(&node, fault).await;
            connection.cut()
        }
        _ => json(StatusCode::OK, &call.answer(&node, fault).await),
    }
}

fn json(status: StatusCode, body: &Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, body.to_string()).into_response()
}
