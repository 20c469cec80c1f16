//! `getLedgerEntries`: accounts and trustlines as of the latest ledger.

use serde::Deserialize;
use serde_json::{Value, json};
use stellar_xdr::{LedgerKey, ReadXdr};

use super::{Outcome, RpcError, only_base64};
use crate::faults::Fault;
use crate::node::Node;
use crate::xdr;

const MOST_KEYS: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params {
    #[serde(default)]
    keys: Vec<String>,
    xdr_format: Option<String>,
}

/// Missing entries are left out; found ones come in the order asked.
pub(super) fn get(node: &Node, params: &Params, fault: Option<Fault>) -> Outcome {
    only_base64(params.xdr_format.as_deref())?;
    if params.keys.len() > MOST_KEYS {
        return Err(RpcError::invalid_params(format!(
            "key count ({}) exceeds maximum supported ({MOST_KEYS})",
            params.keys.len()
        )));
    }
    let keys = params
        .keys
        .iter()
        .enumerate()
        .map(|(index, key)| {
            LedgerKey::from_xdr_base64(key, xdr::untrusted()).map_err(|_| {
                RpcError::invalid_params(format!(
                    "cannot unmarshal key value {key} at index {index}"
                ))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (view, found) = node.entries(&keys, fault);
    let mut entries: Vec<Value> = Vec::new();
    for (key, entry) in params.keys.iter().zip(found) {
        if let Some(entry) = entry {
            entries.push(json!({
                "key": key,
                "xdr": xdr::encode_base64(&entry.data)?,
                "lastModifiedLedgerSeq": entry.last_modified_ledger_seq,
                "extXdr": xdr::encode_base64(&entry.ext)?,
            }));
        }
    }
    Ok(json!({ "entries": entries, "latestLedger": view.latest }))
}
