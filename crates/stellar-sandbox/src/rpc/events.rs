//! `getEvents`: contract events of classic payments, read from the stored metadata.
//!
//! An event's id is the place of its operation and its index there, in the form the real server
//! gives it, so that a page can start behind any event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, Limits, ReadXdr, TransactionMeta, WriteXdr,
};

use super::transactions::{Pagination, check_start};
use super::{Outcome, RpcError, only_base64};
use crate::faults::Fault;
use crate::node::Node;
use crate::store::Row;
use crate::xdr;

const DEFAULT_EVENTS: u32 = 100;
const MOST_EVENTS: u32 = 10_000;
const MOST_LEDGERS: u32 = 10_000;
const MOST_FILTERS: usize = 5;
const ROWS_AT_ONCE: u32 = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params {
    start_ledger: Option<u32>,
    end_ledger: Option<u32>,
    #[serde(default)]
    filters: Option<Vec<Filter>>,
    pagination: Option<Pagination>,
    xdr_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default, rename = "type")]
    kinds: String,
    #[serde(default)]
    contract_ids: Vec<String>,
    #[serde(default)]
    topics: Vec<Vec<String>>,
}

/// Ledger, order of the transaction, operation, event.
type Place = (u32, u32, u32, u32);

pub(super) async fn list(node: &Node, params: Params, fault: Option<Fault>) -> Outcome {
    only_base64(params.xdr_format.as_deref())?;
    let view = node.view(fault);
    let filters = params.filters.unwrap_or_default();
    if filters.len() > MOST_FILTERS {
        return Err(RpcError::invalid_params("maximum 5 filters per request"));
    }
    let page = params.pagination.unwrap_or_default();
    let limit = page.limit.unwrap_or(DEFAULT_EVENTS).max(1);
    if limit > MOST_EVENTS {
        return Err(RpcError::invalid_params("limit must not exceed 10000"));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let start = params.start_ledger.unwrap_or(0);
    let after = match page.cursor.filter(|cursor| !cursor.is_empty()) {
        Some(_) if start != 0 || params.end_ledger.is_some() => {
            return Err(RpcError::invalid_params(
                "startLedger and endLedger cannot be set with a cursor",
            ));
        }
        Some(cursor) => place(&cursor)
            .ok_or_else(|| RpcError::invalid_params(format!("invalid cursor: {cursor}")))?,
        None => {
            check_start(start, &view)?;
            (start, 0, 0, 0)
        }
    };
    // The end is exclusive, as in the request.
    let end = params
        .end_ledger
        .unwrap_or(u32::MAX)
        .min(after.0.saturating_add(MOST_LEDGERS))
        .min(view.latest.saturating_add(1));
    let through = end.saturating_sub(1);
    let found = scan(node, &filters, after, through, limit).await?;
    let is_full = found.len() >= limit;
    let cursor = match found.last() {
        Some((place, _)) if is_full => id(*place),
        _ => id((through.saturating_add(1), 0, 0, 0).max(after)),
    };
    let events: Vec<Value> = found.into_iter().map(|(_, event)| event).collect();
    Ok(json!({
        "events": events,
        "cursor": cursor,
        "latestLedger": view.latest,
        "latestLedgerCloseTime": view.latest_close_time.to_string(),
        "oldestLedger": view.oldest,
        "oldestLedgerCloseTime": view.oldest_close_time.to_string(),
    }))
}

async fn scan(
    node: &Node,
    filters: &[Filter],
    after: Place,
    through: u32,
    limit: usize,
) -> Result<Vec<(Place, Value)>, RpcError> {
    let mut found = Vec::new();
    // The transaction the cursor is in is read again for what is behind the cursor.
    let mut from = (after.0, after.1.saturating_sub(1));
    loop {
        let rows = node
            .store
            .transactions_after(from, through, ROWS_AT_ONCE)
            .await?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        from = (last.ledger, last.order);
        for row in &rows {
            for (place, event) in events_in(row)? {
                if place > after && matches(filters, &event) {
                    found.push((place, describe(row, place, &event)?));
                    if found.len() >= limit {
                        return Ok(found);
                    }
                }
            }
        }
    }
}

/// The contract events of the operations, each with its place; the events count from 1.
fn events_in(row: &Row) -> Result<Vec<(Place, ContractEvent)>, RpcError> {
    let TransactionMeta::V4(meta) = TransactionMeta::from_xdr(&row.meta, Limits::none())? else {
        return Ok(Vec::new());
    };
    let mut events = Vec::new();
    for (operation, effects) in (1..).zip(meta.operations.iter()) {
        for (index, event) in (1..).zip(effects.events.iter()) {
            events.push(((row.ledger, row.order, operation, index), event.clone()));
        }
    }
    Ok(events)
}

fn matches(filters: &[Filter], event: &ContractEvent) -> bool {
    filters.is_empty() || filters.iter().any(|filter| passes(filter, event))
}

fn passes(filter: &Filter, event: &ContractEvent) -> bool {
    let ContractEventBody::V0(body) = &event.body;
    let is_kind = filter.kinds.is_empty()
        || filter
            .kinds
            .split(',')
            .any(|kind| kind.trim() == kind_of(event));
    let contract = event.contract_id.as_ref().map(ToString::to_string);
    let is_contract = filter.contract_ids.is_empty()
        || contract.is_some_and(|contract| filter.contract_ids.contains(&contract));
    let is_topic = filter.topics.is_empty() || {
        let topics: Option<Vec<String>> = body
            .topics
            .iter()
            .map(|topic| topic.to_xdr_base64(Limits::none()).ok())
            .collect();
        topics.is_some_and(|topics| filter.topics.iter().any(|wanted| fits(wanted, &topics)))
    };
    is_kind && is_contract && is_topic
}

/// `*` stands for one topic, `**` at the end for any number of them.
fn fits(wanted: &[String], topics: &[String]) -> bool {
    let (wanted, open_end) = match wanted.split_last() {
        Some((last, rest)) if last == "**" => (rest, true),
        _ => (wanted, false),
    };
    let long_enough = if open_end {
        topics.len() >= wanted.len()
    } else {
        topics.len() == wanted.len()
    };
    long_enough
        && wanted
            .iter()
            .zip(topics)
            .all(|(wanted, topic)| wanted == "*" || wanted == topic)
}

fn kind_of(event: &ContractEvent) -> &'static str {
    match event.type_ {
        ContractEventType::Contract => "contract",
        ContractEventType::System => "system",
        ContractEventType::Diagnostic => "diagnostic",
    }
}

fn describe(row: &Row, place: Place, event: &ContractEvent) -> Result<Value, RpcError> {
    let ContractEventBody::V0(body) = &event.body;
    let topics = body
        .topics
        .iter()
        .map(xdr::encode_base64)
        .collect::<Result<Vec<_>, _>>()?;
    let closed_at = i64::try_from(row.close_time)
        .ok()
        .and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0))
        .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    Ok(json!({
        "type": kind_of(event),
        "ledger": row.ledger,
        "ledgerClosedAt": closed_at,
        "contractId": event.contract_id.as_ref().map(ToString::to_string),
        "id": id(place),
        "operationIndex": place.2.saturating_sub(1),
        "transactionIndex": row.order,
        "txHash": hex::encode(&row.hash),
        "inSuccessfulContractCall": true,
        "topic": topics,
        "value": STANDARD.encode(body.data.to_xdr(Limits::none())?),
    }))
}

/// The event's index counts from 0 in an id; behind an id means from the next index on.
fn id((ledger, order, operation, event): Place) -> String {
    let place = (u64::from(ledger) << 32) | (u64::from(order) << 12) | u64::from(operation);
    format!("{place:019}-{:010}", event.saturating_sub(1))
}

fn place(cursor: &str) -> Option<Place> {
    let (place, event) = cursor.split_once('-')?;
    let place: u64 = place.parse().ok()?;
    let event: u32 = event.parse().ok()?;
    Some((
        u32::try_from(place >> 32).ok()?,
        u32::try_from((place >> 12) & 0xF_FFFF).ok()?,
        u32::try_from(place & 0xFFF).ok()?,
        event.checked_add(1)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_fit_one_by_one_or_with_an_open_end() {
        let topics = ["a", "b", "c"].map(str::to_owned);
        let fits = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            super::fits(&wanted, &topics)
        };
        assert!(fits(&["a", "*", "c"]));
        assert!(fits(&["a", "**"]));
        assert!(fits(&["**"]));
        assert!(!fits(&["a", "b"]));
        assert!(!fits(&["b", "*", "*"]));
    }

    #[test]
    fn an_id_names_a_place() {
        let first = (7, 2, 1, 1);
        assert_eq!(place(&id(first)), Some(first));
    }
}
