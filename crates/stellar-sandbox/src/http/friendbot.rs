//! `GET /friendbot?addr=G…`, answered once the account can be read.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use stellar_xdr::AccountId;
use tokio::sync::oneshot;

use super::json;
use crate::node::{Node, Request};

/// Makes the account and answers with the transaction that made it.
pub(super) async fn fund(State(node): State<Arc<Node>>, RawQuery(query): RawQuery) -> Response {
    let address = query
        .as_deref()
        .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("addr=")));
    let Some(account) = address.and_then(|address| address.parse::<AccountId>().ok()) else {
        return problem(StatusCode::BAD_REQUEST, "addr must be an account, G…");
    };
    let (to, answer) = oneshot::channel();
    node.ask(Request::Friendbot(account, to));
    let hash = match answer.await {
        Ok(Ok(hash)) => hash,
        Ok(Err(refused)) => return problem(StatusCode::BAD_REQUEST, &refused.to_string()),
        Err(_) => {
            let why = "the ledger did not close; nothing was done";
            return problem(StatusCode::SERVICE_UNAVAILABLE, why);
        }
    };
    match node.store.transaction(&hash, u32::MAX).await {
        Ok(Some(row)) => json(
            if row.succeeded {
                StatusCode::OK
            } else {
                StatusCode::BAD_REQUEST
            },
            &json!({
                "id": hex::encode(hash),
                "hash": hex::encode(hash),
                "successful": row.succeeded,
                "ledger": row.ledger,
                "envelope_xdr": STANDARD.encode(&row.envelope),
                "result_xdr": STANDARD.encode(&row.result),
                "result_meta_xdr": STANDARD.encode(&row.meta),
            }),
        ),
        _ => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the transaction could not be read back",
        ),
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    json(
        status,
        &json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": detail,
        }),
    )
}
