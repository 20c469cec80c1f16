//! `sendTransaction`, `getTransaction` and `getTransactions`.
//!
//! The ledger range is read before the store and the store is asked up to it, so an answer never
//! speaks of a transaction in a ledger it does not know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use stellar_xdr::{Limits, OperationMetaV2, ReadXdr, TransactionMeta};

use super::{Outcome, RpcError, only_base64};
use crate::chain::View;
use crate::faults::Fault;
use crate::ledger::frame::Frame;
use crate::node::{Answer, Node};
use crate::store::Row;
use crate::xdr;

const MOST_ROWS: u32 = 200;
const DEFAULT_ROWS: u32 = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Send {
    #[serde(default)]
    transaction: String,
    xdr_format: Option<String>,
}

pub(super) fn send(node: &Node, params: &Send, fault: Option<Fault>) -> Outcome {
    only_base64(params.xdr_format.as_deref())?;
    let frame = Frame::decode(&params.transaction, node.network.id)
        .map_err(|_| RpcError::invalid_params("invalid_xdr"))?;
    let hash = frame.hash;
    let answer = if fault == Some(Fault::TryAgainLater) {
        Answer::TryAgainLater
    } else {
        let frame = Arc::new(frame);
        if fault == Some(Fault::Repeat) {
            node.submit(Arc::clone(&frame))?;
        }
        node.submit(frame)?
    };
    let view = node.view(fault);
    let mut result = Map::new();
    let status = match answer {
        Answer::Pending => "PENDING",
        Answer::Duplicate => "DUPLICATE",
        Answer::TryAgainLater => "TRY_AGAIN_LATER",
        Answer::Error(refused) => {
            let refused = xdr::encode_base64(&*refused)?;
            result.insert("errorResultXdr".to_owned(), refused.into());
            "ERROR"
        }
    };
    result.insert("status".to_owned(), status.into());
    result.insert("hash".to_owned(), hex::encode(hash).into());
    result.insert("latestLedger".to_owned(), view.latest.into());
    let close_time = view.latest_close_time.to_string();
    result.insert("latestLedgerCloseTime".to_owned(), close_time.into());
    Ok(Value::Object(result))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Get {
    #[serde(default)]
    hash: String,
    xdr_format: Option<String>,
}

pub(super) async fn get(node: &Node, params: Get, fault: Option<Fault>) -> Outcome {
    only_base64(params.xdr_format.as_deref())?;
    if params.hash.len() != 64 {
        return Err(RpcError::invalid_params(format!(
            "unexpected hash length ({})",
            params.hash.len()
        )));
    }
    let mut hash = [0_u8; 32];
    hex::decode_to_slice(&params.hash, &mut hash)
        .map_err(|error| RpcError::invalid_params(format!("incorrect hash: {error}")))?;
    let view = node.view(fault);
    let found = node.store.transaction(&hash, view.latest).await?;
    let mut answer = range(&view);
    answer.insert("txHash".to_owned(), params.hash.into());
    match found.filter(|row| row.ledger >= view.oldest) {
        Some(row) => {
            answer.extend(details(&row)?);
            let created_at = row.close_time.to_string();
            answer.insert("createdAt".to_owned(), created_at.into());
        }
        None => {
            for (name, value) in [
                ("status", json!("NOT_FOUND")),
                ("applicationOrder", json!(0)),
                ("feeBump", json!(false)),
                ("events", json!({})),
                ("ledger", json!(0)),
                ("createdAt", json!("0")),
            ] {
                answer.insert(name.to_owned(), value);
            }
        }
    }
    Ok(Value::Object(answer))
}

fn range(view: &View) -> Map<String, Value> {
    let mut range = Map::new();
    for (name, value) in [
        ("latestLedger", json!(view.latest)),
        (
            "latestLedgerCloseTime",
            json!(view.latest_close_time.to_string()),
        ),
        ("oldestLedger", json!(view.oldest)),
        (
            "oldestLedgerCloseTime",
            json!(view.oldest_close_time.to_string()),
        ),
    ] {
        range.insert(name.to_owned(), value);
    }
    range
}

/// What both methods say of an included transaction.
fn details(row: &Row) -> Result<Map<String, Value>, RpcError> {
    let mut details = Map::new();
    for (name, value) in [
        (
            "status",
            json!(if row.succeeded { "SUCCESS" } else { "FAILED" }),
        ),
        ("applicationOrder", json!(row.order)),
        ("feeBump", json!(row.is_bump)),
        ("envelopeXdr", json!(STANDARD.encode(&row.envelope))),
        ("resultXdr", json!(STANDARD.encode(&row.result))),
        ("resultMetaXdr", json!(STANDARD.encode(&row.meta))),
        ("events", events_of(&row.meta)?),
        ("ledger", json!(row.ledger)),
    ] {
        details.insert(name.to_owned(), value);
    }
    Ok(details)
}

fn events_of(meta: &[u8]) -> Result<Value, RpcError> {
    let TransactionMeta::V4(meta) = TransactionMeta::from_xdr(meta, Limits::none())? else {
        return Ok(json!({}));
    };
    let transaction = meta
        .events
        .iter()
        .map(xdr::encode_base64)
        .collect::<Result<Vec<_>, _>>()?;
    let encode = |operation: &OperationMetaV2| {
        operation
            .events
            .iter()
            .map(xdr::encode_base64)
            .collect::<Result<Vec<_>, _>>()
    };
    let contract = meta
        .operations
        .iter()
        .map(encode)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "transactionEventsXdr": transaction,
        "contractEventsXdr": contract,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    start_ledger: Option<u32>,
    pagination: Option<Pagination>,
    xdr_format: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Pagination {
    pub(super) cursor: Option<String>,
    pub(super) limit: Option<u32>,
}

pub(super) async fn list(node: &Node, params: List, fault: Option<Fault>) -> Outcome {
    only_base64(params.xdr_format.as_deref())?;
    let view = node.view(fault);
    let page = params.pagination.unwrap_or_default();
    let limit = page
        .limit
        .filter(|limit| *limit > 0)
        .unwrap_or(DEFAULT_ROWS);
    if limit > MOST_ROWS {
        return Err(RpcError::invalid_params(format!(
            "limit must not exceed {MOST_ROWS}"
        )));
    }
    let start = params.start_ledger.unwrap_or(0);
    let after = match page.cursor.filter(|cursor| !cursor.is_empty()) {
        Some(_) if start != 0 => {
            return Err(RpcError::invalid_params(
                "startLedger and cursor cannot both be set",
            ));
        }
        Some(cursor) => place(&cursor)
            .ok_or_else(|| RpcError::invalid_params(format!("invalid cursor: {cursor}")))?,
        None => {
            check_start(start, &view)?;
            (start, 0)
        }
    };
    let rows = node
        .store
        .transactions_after(after, view.latest, limit)
        .await?;
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let last = rows.last().map_or(after, |row| (row.ledger, row.order));
    // A page that is not full has seen the latest ledger to its end.
    let reached = if is_full {
        last
    } else {
        last.max((view.latest, 0))
    };
    let transactions = rows
        .iter()
        .map(|row| {
            let mut listed = details(row)?;
            listed.insert("txHash".to_owned(), hex::encode(&row.hash).into());
            listed.insert("createdAt".to_owned(), row.close_time.into());
            Ok(Value::Object(listed))
        })
        .collect::<Result<Vec<_>, RpcError>>()?;
    Ok(json!({
        "transactions": transactions,
        "latestLedger": view.latest,
        "latestLedgerCloseTimestamp": view.latest_close_time,
        "oldestLedger": view.oldest,
        "oldestLedgerCloseTimestamp": view.oldest_close_time,
        "cursor": cursor(reached),
    }))
}

pub(super) fn check_start(start: u32, view: &View) -> Result<(), RpcError> {
    if start < view.oldest || start > view.latest {
        return Err(RpcError::new(
            -32600,
            format!(
                "start ledger must be between the oldest ledger: {} and the latest ledger: {} \
                 for this rpc instance",
                view.oldest, view.latest
            ),
        ));
    }
    Ok(())
}

/// A place in the ledgers as one number: 32 bits ledger, 20 bits order, 12 bits operation.
fn cursor((ledger, order): (u32, u32)) -> String {
    ((u64::from(ledger) << 32) | (u64::from(order) << 12) | 1).to_string()
}

fn place(cursor: &str) -> Option<(u32, u32)> {
    let id: u64 = cursor.parse().ok()?;
    let ledger = u32::try_from(id >> 32).ok()?;
    let order = u32::try_from((id >> 12) & 0xF_FFFF).ok()?;
    Some((ledger, order))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_a_place() {
        assert_eq!(place(&cursor((7, 3))), Some((7, 3)));
        assert_eq!(place("-1"), None);
    }
}
