//! Questions to a Stellar RPC server: JSON-RPC 2.0 over HTTP POST. Transport only; what an answer
//! means is decided elsewhere.
//!
//! Every method is one request with one deadline and no retry: asking again is the caller's
//! decision, and sending again is safe for the same bytes only.

pub mod wire;

use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;
use tranche_application::ports::burner::LedgerError;

use crate::http::{Endpoint, TransportError};
use wire::{
    GetEvents, GetHealth, GetLedgerEntries, GetNetwork, GetTransaction, GetTransactions, Response,
    SendTransaction,
};

/// How many transactions one page asks for; the protocol's default allows 200.
pub const PAGE: usize = 100;
/// How many events one page asks for: a tenth of what the protocol allows.
pub const EVENTS: usize = 1_000;
/// What a remote message may contribute to one of ours.
const LONGEST_MESSAGE: usize = 200;

/// Why a question has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RpcError {
    /// No answer at all.
    #[error("{method}: {source}")]
    Transport {
        /// What was asked.
        method: &'static str,
        /// Why.
        source: TransportError,
    },
    /// An HTTP status that is not success: a proxy, a limit, a server that is down.
    #[error("{method}: the server answers HTTP {status}")]
    Status {
        /// What was asked.
        method: &'static str,
        /// The status.
        status: u16,
    },
    /// The server answers with an error.
    #[error("{method}: the server answers error {code}: {message}")]
    Remote {
        /// What was asked.
        method: &'static str,
        /// The JSON-RPC code.
        code: i64,
        /// The server's words, cut short.
        message: String,
    },
    /// Not the protocol.
    #[error("{method}: the answer is not understood: {detail}")]
    Malformed {
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl From<RpcError> for LedgerError {
    fn from(error: RpcError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Where a listing begins.
pub enum Start<'a> {
    /// With the first of a ledger.
    Ledger(u32),
    /// Behind the page before.
    Cursor(&'a str),
}

impl Start<'_> {
    /// The parameters of a page of up to `limit`.
    fn params(&self, limit: usize) -> Value {
        match self {
            Self::Ledger(ledger) => {
                json!({ "startLedger": ledger, "pagination": { "limit": limit } })
            }
            Self::Cursor(cursor) => json!({ "pagination": { "cursor": cursor, "limit": limit } }),
        }
    }
}

/// Which events are listed.
pub struct EventFilter {
    /// The contract that emits them, `C…`.
    pub contract: String,
    /// The base64 of a topic each, or `*` for any.
    pub topics: [String; 3],
}

/// A client of one server.
pub struct Rpc {
    endpoint: Endpoint,
    requests: AtomicU64,
}

impl Rpc {
    /// Asks nothing yet.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            requests: AtomicU64::new(1),
        }
    }

    /// The network the server belongs to.
    pub async fn get_network(&self) -> Result<GetNetwork, RpcError> {
        self.call("getNetwork", None).await
    }

    /// Whether the server follows its network. An unhealthy one answers with an error.
    pub async fn get_health(&self) -> Result<GetHealth, RpcError> {
        self.call("getHealth", None).await
    }

    /// The state of ledger entries, all at the ledger that the answer names. `keys` are the base64
    /// of `LedgerKey`s.
    pub async fn get_ledger_entries(&self, keys: &[String]) -> Result<GetLedgerEntries, RpcError> {
        self.call("getLedgerEntries", Some(json!({ "keys": keys })))
            .await
    }

    /// Sends a `TransactionEnvelope`, in base64. Whatever comes back is only a hint.
    pub async fn send_transaction(&self, envelope: &str) -> Result<SendTransaction, RpcError> {
        self.call("sendTransaction", Some(json!({ "transaction": envelope })))
            .await
    }

    /// What the server knows of a transaction, by its hash in hex.
    pub async fn get_transaction(&self, hash: &str) -> Result<GetTransaction, RpcError> {
        self.call("getTransaction", Some(json!({ "hash": hash })))
            .await
    }

    /// Up to [`PAGE`] transactions in the order of the ledger. A page that is not full reaches
    /// the answer's `latest_ledger`.
    pub async fn get_transactions(&self, from: Start<'_>) -> Result<GetTransactions, RpcError> {
        self.call("getTransactions", Some(from.params(PAGE))).await
    }

    /// Up to [`EVENTS`] events in the order of the ledger. A page may hold fewer and not reach the
    /// answer's `latest_ledger`: its cursor says how far it came.
    pub async fn get_events(
        &self,
        from: Start<'_>,
        filter: &EventFilter,
    ) -> Result<GetEvents, RpcError> {
        let mut params = from.params(EVENTS);
        if let Some(params) = params.as_object_mut() {
            let filter = json!({
                "type": "contract",
                "contractIds": [filter.contract],
                "topics": [filter.topics],
            });
            params.insert("filters".to_owned(), json!([filter]));
        }
        self.call("getEvents", Some(params)).await
    }

    async fn call<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Option<Value>,
    ) -> Result<R, RpcError> {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        if let (Some(params), Some(request)) = (params, request.as_object_mut()) {
            request.insert("params".to_owned(), params);
        }
        let answer = self
            .endpoint
            .post(&request)
            .await
            .map_err(|source| RpcError::Transport { method, source })?;
        if !(200..300).contains(&answer.status) {
            return Err(RpcError::Status {
                method,
                status: answer.status,
            });
        }
        let malformed = |detail: String| RpcError::Malformed { method, detail };
        let response: Response<R> = serde_json::from_slice(&answer.body)
            .map_err(|error| malformed(cut(&error.to_string())))?;
        match (response.result, response.error) {
            (_, Some(error)) => Err(RpcError::Remote {
                method,
                code: error.code,
                message: cut(&error.message),
            }),
            (Some(result), None) => Ok(result),
            (None, None) => Err(malformed("neither result nor error".to_owned())),
        }
    }
}

fn cut(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).collect()
}
