//! What a remote answer about an included transaction means. Pure, and distrustful: an answer whose
//! parts do not fit each other is not understood, rather than half believed.

pub mod codes;
pub mod held;

use stellar_xdr::{
    Limits, OperationResult, OperationResultTr, PaymentResult, ReadXdr, TransactionResult,
    TransactionResultResult,
};
use thiserror::Error;
use tranche_domain::disbursement::BurnId;
use tranche_domain::disbursement::verdict::Lookup;

use crate::rpc::wire::{GetTransaction, Status};
use held::{Held, used_its_sequence};

/// Deep and long enough for every envelope, result and entry that a ledger holds.
pub const LIMITS: Limits = Limits {
    depth: 500,
    len: 4 * 1024 * 1024,
};

/// An answer whose parts are missing, unreadable, or do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the answer about {hash} is not understood: {detail}")]
pub struct Garbled {
    hash: String,
    detail: String,
}

/// One name of a burn, as the ledger would hold it.
#[derive(Clone, Copy, Debug)]
pub struct Ours {
    /// The hash of the transaction, without signatures.
    pub hash: [u8; 32],
    /// The network's id, which the hash begins with.
    pub network_id: [u8; 32],
}

/// A transaction that some answer shows as included.
pub struct Included<'a> {
    /// Whether it was applied.
    pub status: Status,
    /// The base64 of its `TransactionEnvelope`.
    pub envelope: &'a str,
    /// The base64 of its `TransactionResult`.
    pub result: &'a str,
    /// The ledger that holds it.
    pub ledger: u32,
}

/// Reads base64 XDR.
///
/// # Errors
/// In words, when it is not that.
pub fn decode<T: ReadXdr>(base64: &str) -> Result<T, String> {
    T::from_xdr_base64(base64, LIMITS).map_err(|error| error.to_string())
}

impl Ours {
    /// What the answer to looking the burn up by its hash means.
    ///
    /// # Errors
    /// [`Garbled`], which proves nothing.
    pub fn lookup(&self, answer: &GetTransaction) -> Result<Lookup, Garbled> {
        if answer.status == Status::NotFound {
            return Ok(Lookup::NotFound);
        }
        let (Some(envelope), Some(result)) = (&answer.envelope_xdr, &answer.result_xdr) else {
            return Err(self.garbled("included, without envelope or result"));
        };
        self.included(&Included {
            status: answer.status,
            envelope,
            result,
            ledger: answer.ledger,
        })
    }

    /// What an included transaction that was found under the burn's hash means.
    ///
    /// # Errors
    /// [`Garbled`], which proves nothing.
    pub fn included(&self, included: &Included<'_>) -> Result<Lookup, Garbled> {
        let unreadable =
            |what, error: String| self.garbled(format!("its {what} is unreadable: {error}"));
        let envelope = decode(included.envelope).map_err(|error| unreadable("envelope", error))?;
        let result: TransactionResult =
            decode(included.result).map_err(|error| unreadable("result", error))?;
        let held = Held::of(&envelope, self.network_id)
            .map_err(|error| unreadable("envelope", error.to_string()))?;
        let same = held.hash == self.hash;
        let ledger = included.ledger;
        match included.status {
            Status::NotFound => Ok(Lookup::NotFound),
            Status::Success => Ok(Lookup::Succeeded {
                burn: BurnId(hex::encode(self.hash)),
                ledger,
                as_ordered: same && self.burned(&held, &result),
            }),
            Status::Failed if !same => Err(self.garbled("the envelope is another transaction's")),
            // The fee bump around it was charged and stopped: the burn inside did not run, may
            // still, and has not used its sequence number.
            Status::Failed if held.bumped && !self.inner_failed(&result) => Ok(Lookup::NotFound),
            // Included, charged, and stopped at the sequence number itself: it is not used by that,
            // and the search decides who used it.
            Status::Failed if !used_its_sequence(&result, held.bumped) => Ok(Lookup::NotFound),
            Status::Failed => match codes::of_result(&result) {
                Some(code) => Ok(Lookup::Failed {
                    ledger,
                    code: code.to_owned(),
                }),
                None => Err(self.garbled("failed, with the result of a success")),
            },
        }
    }

    /// Whether the result says that exactly one payment was made, by this transaction.
    fn burned(&self, held: &Held, result: &TransactionResult) -> bool {
        let operations = match &result.result {
            TransactionResultResult::TxSuccess(operations) if !held.bumped => operations,
            TransactionResultResult::TxFeeBumpInnerSuccess(inner)
                if held.bumped && inner.transaction_hash.0 == self.hash =>
            {
                match &inner.result.result {
                    stellar_xdr::InnerTransactionResultResult::TxSuccess(operations) => operations,
                    _ => return false,
                }
            }
            _ => return false,
        };
        matches!(
            operations.as_slice(),
            [OperationResult::OpInner(OperationResultTr::Payment(
                PaymentResult::Success
            ))]
        )
    }

    fn inner_failed(&self, result: &TransactionResult) -> bool {
        matches!(
            &result.result,
            TransactionResultResult::TxFeeBumpInnerFailed(inner)
                if inner.transaction_hash.0 == self.hash
        )
    }

    fn garbled(&self, detail: impl Into<String>) -> Garbled {
        Garbled {
            hash: hex::encode(self.hash),
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests;
