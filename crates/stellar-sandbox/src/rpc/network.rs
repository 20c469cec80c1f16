//! What the network and this server say of themselves.

use serde_json::{Value, json};

use super::{Outcome, RpcError};
use crate::chain::Chain;
use crate::faults::Fault;
use crate::ledger::PROTOCOL_VERSION;
use crate::ledger::close;
use crate::node::Node;
use crate::store::RETENTION_LEDGERS;
use crate::xdr;

/// Seconds without a ledger after which the server calls itself unhealthy, at the least.
const UNHEALTHY_AFTER: u64 = 30;

pub(super) fn network(node: &Node) -> Value {
    json!({
        "friendbotUrl": node.friendbot_url(),
        "passphrase": node.network.passphrase,
        "protocolVersion": PROTOCOL_VERSION,
    })
}

pub(super) fn health(node: &Node, fault: Option<Fault>) -> Outcome {
    let view = node.view(fault);
    let latency = node.now().saturating_sub(view.latest_close_time);
    // A sandbox may close ledgers more rarely than a real network does.
    let limit = UNHEALTHY_AFTER.max(node.interval.as_secs().saturating_mul(3));
    if latency > limit {
        return Err(RpcError::internal(format!(
            "latency ({latency}s) since last known ledger closed is too high (>{limit}s)"
        )));
    }
    Ok(json!({
        "status": "healthy",
        "latestLedger": view.latest,
        "latestLedgerCloseTime": view.latest_close_time.to_string(),
        "oldestLedger": view.oldest,
        "oldestLedgerCloseTime": view.oldest_close_time.to_string(),
        "ledgerRetentionWindow": RETENTION_LEDGERS,
    }))
}

pub(super) fn latest_ledger(node: &Node, fault: Option<Fault>) -> Outcome {
    node.with_chain(|chain| {
        let (tip, latest) = chain.latest(fault == Some(Fault::Lag));
        let (header, included) = match latest {
            Some(latest) => (latest.header.clone(), latest.included.as_slice()),
            None => (close::header_of(tip), [].as_slice()),
        };
        let meta = close::close_meta(tip.hash, &header, included)?;
        Ok(json!({
            "id": hex::encode(tip.hash),
            "protocolVersion": PROTOCOL_VERSION,
            "sequence": tip.ledger,
            "closeTime": tip.close_time.to_string(),
            "headerXdr": xdr::encode_base64(&header)?,
            "metadataXdr": xdr::encode_base64(&meta)?,
        }))
    })
}

pub(super) fn fee_stats(node: &Node, fault: Option<Fault>) -> Value {
    let latest = node.view(fault).latest;
    node.with_chain(|chain| {
        json!({
            "sorobanInclusionFee": distribution(Vec::new(), chain),
            "inclusionFee": distribution(chain.fees().collect(), chain),
            "latestLedger": latest,
        })
    })
}

/// Percentiles by nearest rank; all zero when nothing was charged.
fn distribution(mut fees: Vec<i64>, chain: &Chain) -> Value {
    fees.sort_unstable();
    let at = |percent: usize| {
        let rank = fees.len().saturating_mul(percent).div_ceil(100).max(1);
        fees.get(rank - 1).copied().unwrap_or(0).to_string()
    };
    json!({
        "max": at(100),
        "min": fees.first().copied().unwrap_or(0).to_string(),
        "mode": mode(&fees).to_string(),
        "p10": at(10), "p20": at(20), "p30": at(30), "p40": at(40), "p50": at(50),
        "p60": at(60), "p70": at(70), "p80": at(80), "p90": at(90), "p95": at(95),
        "p99": at(99),
        "transactionCount": fees.len().to_string(),
        "ledgerCount": chain.fee_ledgers(),
    })
}

/// The most frequent value of a sorted list, the smallest if several are.
fn mode(sorted: &[i64]) -> i64 {
    let mut best = (0_usize, 0_i64);
    for run in sorted.chunk_by(|a, b| a == b) {
        if let Some(value) = run.first()
            && run.len() > best.0
        {
            best = (run.len(), *value);
        }
    }
    best.1
}

pub(super) fn version_info() -> Value {
    json!({
        "version": concat!("stellar-sandbox ", env!("CARGO_PKG_VERSION")),
        "commitHash": "",
        "buildTimestamp": "",
        "captiveCoreVersion": "none",
        "protocolVersion": PROTOCOL_VERSION,
    })
}

#[cfg(test)]
mod tests {
    use super::mode;

    #[test]
    fn the_mode_is_the_most_frequent_fee() {
        assert_eq!(mode(&[]), 0);
        assert_eq!(mode(&[100, 100, 200, 300, 300]), 100);
        assert_eq!(mode(&[100, 200, 200]), 200);
    }
}
