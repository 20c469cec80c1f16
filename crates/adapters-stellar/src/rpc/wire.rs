//! The answers as they are on the wire, read tolerantly: times come as strings or as numbers, lists
//! may be null, and a zero stands for "nothing".

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use tranche_domain::disbursement::verdict::ClosedLedger;

/// A JSON-RPC answer.
#[derive(Deserialize)]
pub struct Response<R> {
    /// Present when it worked.
    pub result: Option<R>,
    /// Present when it did not.
    pub error: Option<Remote>,
}

/// A JSON-RPC error.
#[derive(Deserialize)]
pub struct Remote {
    /// Its code.
    #[serde(default)]
    pub code: i64,
    /// Its words.
    #[serde(default)]
    pub message: String,
}

/// The answer to `getNetwork`.
#[derive(Deserialize)]
pub struct GetNetwork {
    /// Names the network.
    pub passphrase: String,
}

/// The answer to `getHealth`.
#[derive(Deserialize)]
pub struct GetHealth {
    /// `healthy`.
    pub status: String,
}

/// The answer to `getLedgerEntries`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetLedgerEntries {
    /// Those that exist.
    #[serde(default, deserialize_with = "or_default")]
    pub entries: Vec<Entry>,
    /// The ledger whose state they are.
    pub latest_ledger: u32,
}

/// A ledger entry.
#[derive(Deserialize)]
pub struct Entry {
    /// The base64 of a `LedgerEntryData`.
    pub xdr: String,
}

/// The answer to `sendTransaction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendTransaction {
    /// `PENDING`, `DUPLICATE`, `TRY_AGAIN_LATER` or `ERROR`.
    pub status: String,
    /// The base64 of a `TransactionResult`, with `ERROR`.
    #[serde(default)]
    pub error_result_xdr: Option<String>,
}

/// What the server knows of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Included and applied.
    Success,
    /// Included and failed.
    Failed,
    /// Not among the ledgers it keeps.
    NotFound,
}

/// The answer to `getTransaction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetTransaction {
    /// What it knows.
    pub status: Status,
    /// The newest ledger it keeps.
    pub latest_ledger: u32,
    /// When that closed, in seconds.
    #[serde(default, deserialize_with = "seconds")]
    pub latest_ledger_close_time: Option<i64>,
    /// The oldest ledger it keeps.
    #[serde(default, deserialize_with = "or_default")]
    pub oldest_ledger: u32,
    /// The ledger that holds the transaction.
    #[serde(default, deserialize_with = "or_default")]
    pub ledger: u32,
    /// The base64 of a `TransactionEnvelope`.
    #[serde(default)]
    pub envelope_xdr: Option<String>,
    /// The base64 of a `TransactionResult`.
    #[serde(default)]
    pub result_xdr: Option<String>,
}

impl GetTransaction {
    /// The newest closed ledger that the answer shows, if it says when that closed.
    pub fn closed(&self) -> Option<ClosedLedger> {
        Some(ClosedLedger {
            sequence: self.latest_ledger,
            closed_at: DateTime::<Utc>::from_timestamp(self.latest_ledger_close_time?, 0)?,
        })
    }
}

/// The answer to `getTransactions`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetTransactions {
    /// A page of them, in the order of the ledger.
    #[serde(default, deserialize_with = "or_default")]
    pub transactions: Vec<Record>,
    /// The newest ledger it keeps.
    pub latest_ledger: u32,
    /// The oldest ledger it keeps.
    #[serde(default, deserialize_with = "or_default")]
    pub oldest_ledger: u32,
    /// Where the next page begins.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// One transaction of a listing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Whether it was applied.
    pub status: Status,
    /// Its hash in hex; the outer one of a fee bump.
    pub tx_hash: String,
    /// The base64 of a `TransactionEnvelope`.
    pub envelope_xdr: String,
    /// The base64 of a `TransactionResult`.
    pub result_xdr: String,
    /// The ledger that holds it.
    pub ledger: u32,
}

/// The answer to `getEvents`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetEvents {
    /// A page of them, in the order of the ledger.
    #[serde(default, deserialize_with = "or_default")]
    pub events: Vec<Event>,
    /// The newest ledger it keeps.
    pub latest_ledger: u32,
    /// Where the next page begins, and how far this one came.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// One event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the ledgers.
    pub id: String,
    /// The ledger that holds it.
    pub ledger: u32,
    /// The hash in hex of its transaction; the outer one of a fee bump.
    pub tx_hash: String,
    /// The contract that emitted it, `C…`.
    pub contract_id: String,
    /// The base64 of `ScVal`s.
    pub topic: Vec<String>,
    /// The base64 of an `ScVal`.
    pub value: String,
}

/// Seconds as a number or as a decimal string; zero and the empty string stand for nothing.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    let value = match Option::<Either>::deserialize(deserializer)? {
        None => 0,
        Some(Either::Number(value)) => value,
        Some(Either::Text(text)) if text.is_empty() => 0,
        Some(Either::Text(text)) => text.parse().map_err(serde::de::Error::custom)?,
    };
    Ok(Some(value).filter(|value| *value > 0))
}

/// What null stands for.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(json: &str) -> GetTransaction {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn close_times_come_as_strings_or_numbers() {
        for time in ["\"1795000000\"", "1795000000"] {
            let answer = transaction(&format!(
                r#"{{"status":"NOT_FOUND","latestLedger":7,"latestLedgerCloseTime":{time},
                    "oldestLedger":2,"oldestLedgerCloseTime":"1","applicationOrder":0,
                    "feeBump":false,"events":{{}},"ledger":0,"createdAt":"0"}}"#
            ));
            let closed = answer.closed().unwrap();
            assert_eq!(closed.sequence, 7);
            assert_eq!(closed.closed_at.timestamp(), 1_795_000_000);
            assert_eq!((answer.ledger, answer.envelope_xdr), (0, None));
        }
    }

    #[test]
    fn a_zero_or_missing_close_time_is_none() {
        for time in ["\"0\"", "0", "null", "\"\""] {
            let answer = transaction(&format!(
                r#"{{"status":"NOT_FOUND","latestLedger":7,"latestLedgerCloseTime":{time}}}"#
            ));
            assert_eq!(answer.closed(), None, "{time}");
        }
        assert_eq!(
            transaction(r#"{"status":"FAILED","latestLedger":7}"#).closed(),
            None
        );
    }

    #[test]
    fn lists_may_be_null_or_missing() {
        for json in [
            r#"{"entries":null,"latestLedger":9}"#,
            r#"{"latestLedger":9}"#,
        ] {
            let answer: GetLedgerEntries = serde_json::from_str(json).unwrap();
            assert!(answer.entries.is_empty());
        }
        let page: GetTransactions =
            serde_json::from_str(r#"{"transactions":null,"latestLedger":9,"cursor":""}"#).unwrap();
        assert!(page.transactions.is_empty());
    }

    #[test]
    fn an_unknown_status_is_not_understood() {
        let json = r#"{"status":"MAYBE","latestLedger":9}"#;
        assert!(serde_json::from_str::<GetTransaction>(json).is_err());
    }
}
