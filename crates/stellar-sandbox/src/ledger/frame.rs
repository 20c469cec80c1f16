//! A decoded envelope with its hash and what the checks ask of it.
//!
//! A fee bump has two of everything: its own hash, signatures and fee source, and those of the
//! transaction inside. Sequence number, bounds, memo and operations are always the inner one's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use stellar_xdr::{
    AccountId, DecoratedSignature, Error, FeeBumpTransactionInnerTx, LedgerBounds, Operation,
    Preconditions, PreconditionsV2, ReadXdr, TimeBounds, Transaction, TransactionEnvelope,
};

use super::BASE_FEE;
use crate::xdr::{self, Digest32};

/// Whether a key made a signature over a payload.
type Verified = HashMap<(Digest32, Vec<u8>, Digest32), bool>;

/// A transaction as the ledger works with it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) envelope: TransactionEnvelope,
    pub(crate) tx: Transaction,
    pub(crate) signatures: Vec<DecoratedSignature>,
    /// The hash of the envelope as sent.
    pub(crate) hash: Digest32,
    /// The hash of the transaction that carries the sequence number.
    pub(crate) inner_hash: Digest32,
    pub(crate) bump: Option<Bump>,
    /// Signatures already looked at, by key and hash: the same envelope is checked at submission
    /// and again at close.
    verified: Mutex<Verified>,
}

/// The outer half of a fee bump.
#[derive(Debug)]
pub(crate) struct Bump {
    pub(crate) fee_source: AccountId,
    pub(crate) fee: i64,
    pub(crate) signatures: Vec<DecoratedSignature>,
}

impl Frame {
    pub(crate) fn decode(base64: &str, network_id: Digest32) -> Result<Self, Error> {
        let envelope = TransactionEnvelope::from_xdr_base64(base64, xdr::untrusted())?;
        Self::new(envelope, network_id)
    }

    pub(crate) fn new(envelope: TransactionEnvelope, network_id: Digest32) -> Result<Self, Error> {
        let hash = envelope.hash(network_id)?;
        let (tx, signatures, bump) = match &envelope {
            TransactionEnvelope::TxV0(v0) => {
                (Transaction::from(&v0.tx), v0.signatures.to_vec(), None)
            }
            TransactionEnvelope::Tx(v1) => (v1.tx.clone(), v1.signatures.to_vec(), None),
            TransactionEnvelope::TxFeeBump(outer) => {
                let FeeBumpTransactionInnerTx::Tx(inner) = &outer.tx.inner_tx;
                let bump = Bump {
                    fee_source: xdr::unmuxed(&outer.tx.fee_source),
                    fee: outer.tx.fee,
                    signatures: outer.signatures.to_vec(),
                };
                (inner.tx.clone(), inner.signatures.to_vec(), Some(bump))
            }
        };
        let inner_hash = if bump.is_some() {
            tx.hash(network_id)?
        } else {
            hash
        };
        Ok(Self {
            envelope,
            tx,
            signatures,
            hash,
            inner_hash,
            bump,
            verified: Mutex::default(),
        })
    }

    /// The account whose sequence number the transaction takes.
    pub(crate) fn source(&self) -> AccountId {
        xdr::unmuxed(&self.tx.source_account)
    }

    /// The account that pays.
    pub(crate) fn fee_source(&self) -> AccountId {
        self.bump
            .as_ref()
            .map_or_else(|| self.source(), |bump| bump.fee_source.clone())
    }

    pub(crate) fn sequence(&self) -> i64 {
        self.tx.seq_num.0
    }

    /// The most the payer is willing to pay, in stroops.
    pub(crate) fn fee_bid(&self) -> i64 {
        self.bump
            .as_ref()
            .map_or_else(|| i64::from(self.tx.fee), |bump| bump.fee)
    }

    /// Operations that count for fees; the bump counts as one more.
    pub(crate) fn fee_operations(&self) -> i64 {
        let inner = i64::try_from(self.tx.operations.len()).unwrap_or(i64::MAX);
        inner.max(1).saturating_add(i64::from(self.bump.is_some()))
    }

    /// The least the network takes, in stroops.
    pub(crate) fn least_fee(&self) -> i64 {
        self.fee_operations().saturating_mul(BASE_FEE)
    }

    /// The account an operation acts for.
    pub(crate) fn operation_source(&self, operation: &Operation) -> AccountId {
        operation
            .source_account
            .as_ref()
            .map_or_else(|| self.source(), xdr::unmuxed)
    }

    pub(crate) fn time_bounds(&self) -> Option<&TimeBounds> {
        match &self.tx.cond {
            Preconditions::None => None,
            Preconditions::Time(bounds) => Some(bounds),
            Preconditions::V2(v2) => v2.time_bounds.as_ref(),
        }
    }

    pub(crate) fn ledger_bounds(&self) -> Option<&LedgerBounds> {
        self.preconditions()
            .and_then(|v2| v2.ledger_bounds.as_ref())
    }

    pub(crate) fn preconditions(&self) -> Option<&PreconditionsV2> {
        match &self.tx.cond {
            Preconditions::V2(v2) => Some(v2),
            _ => None,
        }
    }

    /// Whether `check` holds for this signature; asked once per key, signature and payload.
    pub(crate) fn verified(
        &self,
        key: Digest32,
        signature: &[u8],
        payload: Digest32,
        check: impl FnOnce() -> bool,
    ) -> bool {
        let mut seen = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        *seen
            .entry((key, signature.to_vec(), payload))
            .or_insert_with(check)
    }
}
