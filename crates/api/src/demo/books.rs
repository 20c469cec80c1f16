//! Whether the books agree: service, evidence and ledger, each asked on its own.

use anyhow::Context;
use serde_json::{Value, json};
use tranche_domain::Amount;

/// One thing that must hold.
pub struct Finding {
    /// What must hold.
    pub claim: String,
    /// Whether it does.
    pub holds: bool,
}

fn finding(claim: impl Into<String>, holds: bool) -> Finding {
    Finding {
        claim: claim.into(),
        holds,
    }
}

/// Compares what the service says with its evidence, and with the ledger where it can be asked.
pub async fn check(
    before: &Value,
    after: &Value,
    settled: &Value,
    timeline: &Value,
    amount: &str,
    ledger: Option<&str>,
) -> anyhow::Result<Vec<Finding>> {
    let burned: Amount = amount.parse()?;
    let decrease = money(before, "/nav")?.checked_sub(money(after, "/nav")?);
    let events: Vec<&str> = timeline
        .pointer("/data")
        .and_then(Value::as_array)
        .map(|rows| {
            rows.iter()
                .filter_map(|row| row["action"].as_str())
                .collect()
        })
        .unwrap_or_default();
    let count = |action: &str| events.iter().filter(|event| **event == action).count();
    let mut findings = vec![
        finding(
            "the NAV fell by what was burned, to the stroop",
            decrease == Some(burned),
        ),
        finding(
            "nothing is reserved any more",
            money(after, "/nav_reserved")?.is_zero(),
        ),
        finding(
            "the milestone and the disbursement name the same burn",
            settled.pointer("/milestone/stellar_burn_tx_hash") == settled.pointer("/burn_tx_hash")
                && settled.pointer("/disbursement/tx_hash") == settled.pointer("/burn_tx_hash"),
        ),
        finding(
            "the log has one order and one disbursement",
            count("disbursement.prepared") == 1 && count("milestone.disbursed") == 1,
        ),
    ];
    if let Some(url) = ledger {
        findings.extend(ask_ledger(url, settled).await?);
    }
    Ok(findings)
}

/// Asks the ledger itself, over its own protocol.
async fn ask_ledger(url: &str, settled: &Value) -> anyhow::Result<Vec<Finding>> {
    let hash = settled
        .pointer("/burn_tx_hash")
        .and_then(Value::as_str)
        .context("no burn hash")?;
    let question = json!({ "jsonrpc": "2.0", "id": 1, "method": "getTransaction",
        "params": { "hash": hash } });
    let http = reqwest::Client::builder().no_proxy().build()?;
    let answer: Value = http.post(url).json(&question).send().await?.json().await?;
    let result = &answer["result"];
    Ok(vec![
        finding(
            "the ledger holds the burn, and it succeeded",
            result["status"] == "SUCCESS",
        ),
        finding(
            "the ledger's envelope, memo included, is the one that was signed and kept",
            result.get("envelopeXdr") == settled.pointer("/disbursement/envelope_xdr"),
        ),
    ])
}

fn money(view: &Value, pointer: &str) -> anyhow::Result<Amount> {
    let text = view.pointer(pointer).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("an answer has no {pointer}"))?
        .parse()?)
}
