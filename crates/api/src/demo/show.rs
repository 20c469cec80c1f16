//! What the demo prints.

use std::time::Instant;

use serde_json::Value;

use super::books::Finding;
use crate::config::Config;
use crate::serve::say;

/// The first lines: what runs where.
pub fn title(config: &Config, ledger: Option<&str>) {
    say("Tranche: one milestone, from draft to burned\n");
    say(&format!("  store    {}", config.database));
    let ledger = ledger.map_or("Stellar RPC, as configured".to_owned(), |url| {
        format!("the sandbox, speaking the Stellar RPC protocol at {url}")
    });
    say(&format!("  ledger   {ledger}\n"));
}

/// One step of the walk.
pub fn step(number: u8, what: &str, detail: &str, began: Instant) {
    let took = began.elapsed().as_millis();
    say(&format!(
        "  {number}  {what:<31}  {detail:<38}  {took:>5} ms"
    ));
}

/// NAV, price and burn, before and after.
pub fn books(before: &Value, after: &Value, disbursement: &Value) {
    let row = |label: &str, name: &str| {
        let of = |view: &Value| grouped(view[name].as_str().unwrap_or("none"), "");
        say(&format!("  {label:<16}{:>22}{:>22}", of(before), of(after)));
    };
    say(&format!("\n  {:<16}{:>22}{:>22}", "", "before", "after"));
    row("NAV", "nav");
    row("LP token price", "lp_token_price");
    let text = |name: &str| disbursement[name].as_str().unwrap_or("?").to_owned();
    say(&format!(
        "\n  burn     {}  in ledger {}",
        text("tx_hash"),
        disbursement["ledger"]
    ));
    say(&format!("  memo     {}", text("memo_hash")));
    say("           the hash of the audit event that ordered the burn, carried by the ledger");
}

/// The milestone's audit events, oldest first.
pub fn timeline(listing: &Value) {
    say("\n  audit timeline");
    let rows = listing["data"].as_array().cloned().unwrap_or_default();
    for row in rows.iter().rev() {
        let text = |pointer: &str| row.pointer(pointer).and_then(Value::as_str).unwrap_or("");
        let time = text("/occurred_at").get(11..23).unwrap_or("").to_owned();
        let step = match (text("/previous_status"), text("/new_status")) {
            ("", to) => to.to_owned(),
            (from, to) if from == to => from.to_owned(),
            (from, to) => format!("{from} → {to}"),
        };
        let (action, severity) = (text("/action"), text("/severity"));
        let who = format!("{} ({})", text("/actor/id"), text("/actor/role"));
        say(&format!(
            "  {time}  {severity:<8}  {action:<34}  {step:<24}  {who}"
        ));
    }
}

/// Whether the books agree.
pub fn findings(findings: &[Finding]) {
    say("\n  the books");
    for Finding { claim, holds } in findings {
        say(&format!(
            "  {}  {claim}",
            if *holds { "✓" } else { "✗ NOT TRUE:" }
        ));
    }
}

/// Where to look next.
pub fn farewell(base: &str, key: &str) {
    say(&format!("\n  serving  {base}"));
    say(&format!(
        "  try it   {base}/docs   (every call, to read and to try)"
    ));
    say(&format!("  a key    {key}"));
    say("           it may do every duty; the checks hold: you cannot approve what you submit\n");
    say(&format!(
        "  curl -H 'Authorization: Bearer {key}' {base}/v1/projects\n"
    ));
    say("  Ctrl-C stops; the data stays.");
}

/// An amount with its thousands apart and its decimals whole.
pub fn grouped(amount: &str, unit: &str) -> String {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return amount.to_owned();
    }
    let mut grouped = String::new();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{grouped}{point}{fraction}{unit}")
}
