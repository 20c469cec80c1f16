//! What only a sandbox offers: money without signatures, misbehaviour on request, and a clock that
//! tests turn.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;

use super::json;
use crate::faults::{Fault, Setting};
use crate::ledger::grant::Grant;
use crate::node::{Node, Request};
use crate::xdr;

/// XLM an account has at least when the request does not say.
const DEFAULT_LUMENS: i64 = 100 * xdr::UNIT;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fund {
    account: String,
    asset: Option<String>,
    amount: Option<String>,
    xlm: Option<String>,
}

/// `{account, asset?, amount?, xlm?}`: the account exists, trusts the asset without limit, holds
/// `amount` more of it, and has at least `xlm` lumens (100 if absent). `asset` and `amount` come
/// together or not at all. Answers once it is on disk and can be read.
pub(super) async fn fund(State(node): State<Arc<Node>>, body: Bytes) -> Response {
    let grant = match read(&body).and_then(|fund| grant(&fund)) {
        Ok(grant) => grant,
        Err(why) => return unprocessable(&why),
    };
    let (account, asset) = (
        grant.account.to_string(),
        grant
            .credit
            .as_ref()
            .map(|(asset, _)| xdr::asset_name(asset)),
    );
    let (to, answer) = oneshot::channel();
    node.ask(Request::Grant(grant, to));
    match answer.await {
        Ok(Ok(granted)) => json(
            StatusCode::OK,
            &json!({
                "account": account,
                "asset": asset,
                "balance": granted.balance.map(xdr::format_amount),
                "xlm": xdr::format_amount(granted.lumens),
                "ledger": granted.ledger,
            }),
        ),
        Ok(Err(refused)) => unprocessable(&refused.to_string()),
        Err(_) => json(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "error": "the ledger did not close; nothing was done" }),
        ),
    }
}

fn grant(fund: &Fund) -> Result<Grant, String> {
    let account = fund
        .account
        .parse()
        .map_err(|_| "account must be an account, G…".to_owned())?;
    let amount = |name: &str, text: &str| {
        xdr::parse_amount(text).ok_or_else(|| {
            format!("{name} must be a decimal string, 0 or more, with at most 7 decimals")
        })
    };
    let credit = match (&fund.asset, &fund.amount) {
        (Some(asset), Some(text)) => {
            let parsed =
                xdr::parse_credit(asset).ok_or_else(|| "asset must be CODE:G…".to_owned())?;
            Some((parsed, amount("amount", text)?))
        }
        (None, None) => None,
        _ => return Err("asset and amount come together".to_owned()),
    };
    let lumens = match &fund.xlm {
        Some(text) => amount("xlm", text)?,
        None => DEFAULT_LUMENS,
    };
    Ok(Grant {
        account,
        credit,
        lumens,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFault {
    fault: String,
    calls: Option<u32>,
    method: Option<String>,
    fee: Option<i64>,
}

/// `{fault, calls?, method?, fee?}`: the next `calls` calls (1 if absent) misbehave, of `method`
/// alone if it is given; `fee` comes with `fee_pressure`. Answers what is in force.
pub(super) async fn set_fault(State(node): State<Arc<Node>>, body: Bytes) -> Response {
    let wanted: SetFault = match read(&body) {
        Ok(wanted) => wanted,
        Err(why) => return unprocessable(&why),
    };
    let fault = wanted.fault.parse::<Fault>();
    if wanted.fee.is_some() != (fault == Ok(Fault::FeePressure)) {
        return unprocessable("fee comes with fee_pressure, in stroops an operation");
    }
    if wanted.fault == "clear" {
        node.faults.clear();
    } else if let Ok(fault) = fault {
        let setting = Setting {
            calls: wanted.calls.unwrap_or(1),
            method: wanted.method,
            fee: wanted.fee.unwrap_or(0),
        };
        node.faults.set(fault, setting);
    } else {
        let known = Fault::ALL.map(Fault::name).join(", ");
        return unprocessable(&format!(
            "unknown fault \"{}\"; known are {known} and clear",
            wanted.fault
        ));
    }
    faults(State(node)).await
}

/// What is in force, with the calls that are left.
pub(super) async fn faults(State(node): State<Arc<Node>>) -> Response {
    json(
        StatusCode::OK,
        &json!({ "in_force": node.faults.in_force() }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    held: Option<bool>,
    skip_seconds: Option<u32>,
}

/// `{held?, skip_seconds?}`: while held, the timer closes no ledgers (a grant still does); the next
/// ledger closes at least `skip_seconds` after the last. Answers where the clock is.
pub(super) async fn clock(State(node): State<Arc<Node>>, body: Bytes) -> Response {
    let turn: Turn = match read(&body) {
        Ok(turn) => turn,
        Err(why) => return unprocessable(&why),
    };
    if let Some(seconds) = turn.skip_seconds {
        node.skip(seconds.into());
    }
    if let Some(held) = turn.held {
        node.hold(held).await;
    }
    json(
        StatusCode::OK,
        &json!({ "now": node.now(), "held": node.is_held() }),
    )
}

/// The sandbox's own asset and its network.
pub(super) async fn asset(State(node): State<Arc<Node>>) -> Response {
    json(
        StatusCode::OK,
        &json!({
            "asset": xdr::asset_name(&node.network.asset()),
            "network_passphrase": node.network.passphrase,
        }),
    )
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn unprocessable(why: &str) -> Response {
    json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "error": why }))
}
