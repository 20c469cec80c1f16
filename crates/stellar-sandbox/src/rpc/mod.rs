//! The JSON-RPC protocol of Stellar RPC, as its clients see it.
//!
//! One request, one answer; params are an object or absent. Numbers that may pass 2^53 are decimal
//! strings, exactly where the real server has them so. Batches are refused.

mod entries;
mod events;
mod network;
mod transactions;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::faults::Fault;
use crate::node::Node;

/// What a method comes to.
pub(crate) type Outcome = Result<Value, RpcError>;

/// An error of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl RpcError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, message)
    }
}

impl From<stellar_xdr::Error> for RpcError {
    fn from(error: stellar_xdr::Error) -> Self {
        Self::internal(format!("a ledger value does not encode: {error}"))
    }
}

impl From<sqlx::Error> for RpcError {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the state file could not be read");
        Self::internal("the ledger store could not be read")
    }
}

/// A request that parsed.
pub(crate) struct Call {
    id: Value,
    pub(crate) method: String,
    params: Map<String, Value>,
}

impl Call {
    /// Reads a request; the error is the whole answer to one that does not parse.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Value> {
        let request: Value = serde_json::from_slice(body)
            .map_err(|_| failure(&Value::Null, &RpcError::new(-32700, "parse error")))?;
        let Value::Object(mut request) = request else {
            let error = RpcError::new(-32600, "invalid request: one object is expected");
            return Err(failure(&Value::Null, &error));
        };
        let id = request.remove("id").unwrap_or(Value::Null);
        let refuse = |code, message: &str| failure(&id, &RpcError::new(code, message));
        if request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(refuse(-32600, "invalid request: jsonrpc must be \"2.0\""));
        }
        let Some(Value::String(method)) = request.remove("method") else {
            return Err(refuse(-32600, "invalid request: method is missing"));
        };
        match request.remove("params") {
            None | Some(Value::Null) => Ok(Self {
                id,
                method,
                params: Map::new(),
            }),
            Some(Value::Object(params)) => Ok(Self { id, method, params }),
            Some(_) => Err(refuse(-32602, "invalid parameters: an object is expected")),
        }
    }

    /// Carries the call out.
    pub(crate) async fn answer(self, node: &Node, fault: Option<Fault>) -> Value {
        match dispatch(node, &self.method, Value::Object(self.params), fault).await {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": self.id, "result": result }),
            Err(error) => failure(&self.id, &error),
        }
    }
}

async fn dispatch(node: &Node, method: &str, params: Value, fault: Option<Fault>) -> Outcome {
    match method {
        "sendTransaction" => transactions::send(node, &read(params)?, fault),
        "getTransaction" => transactions::get(node, read(params)?, fault).await,
        "getTransactions" => transactions::list(node, read(params)?, fault).await,
        "getEvents" => events::list(node, read(params)?, fault).await,
        "getLedgerEntries" => entries::get(node, &read(params)?, fault),
        "getLatestLedger" => network::latest_ledger(node, fault),
        "getNetwork" => Ok(network::network(node)),
        "getHealth" => network::health(node, fault),
        "getFeeStats" => Ok(network::fee_stats(node, fault)),
        "getVersionInfo" => Ok(network::version_info()),
        _ => Err(RpcError::new(
            -32601,
            format!("no such method \"{method}\""),
        )),
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    serde_json::from_value(params)
        .map_err(|error| RpcError::invalid_params(format!("invalid parameters: {error}")))
}

/// Only the base64 form is served.
fn only_base64(format: Option<&str>) -> Result<(), RpcError> {
    match format {
        None | Some("" | "base64") => Ok(()),
        Some(other) => Err(RpcError::invalid_params(format!(
            "expected xdrFormat to be 'base64', got '{other}'"
        ))),
    }
}

fn failure(id: &Value, error: &RpcError) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": { "code": error.code, "message": error.message },
    })
}
