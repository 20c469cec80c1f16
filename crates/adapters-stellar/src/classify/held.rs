//! What an envelope holds for the ledger: whose sequence number it uses, and under which hash a fee
//! bump carries it.

use stellar_xdr::{
    AccountId, Error, FeeBumpTransactionInnerTx, Hash, InnerTransactionResultResult as Inner, Memo,
    Transaction, TransactionEnvelope, TransactionResult, TransactionResultResult as Outer,
};

use crate::account;

/// The transaction in an envelope; that inside a fee bump, when it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its hash.
    pub hash: [u8; 32],
    /// The account whose sequence number it uses.
    pub source: AccountId,
    /// The sequence number.
    pub sequence: i64,
    /// What it carries, when that is a hash.
    pub memo: Option<[u8; 32]>,
    /// Whether a fee bump carries it.
    pub bumped: bool,
}

impl Held {
    /// Looks into an envelope.
    ///
    /// # Errors
    /// When it cannot be encoded again for hashing.
    pub fn of(envelope: &TransactionEnvelope, network_id: [u8; 32]) -> Result<Self, Error> {
        let held = |hash, tx: &Transaction, bumped| Self {
            hash,
            source: tx.source_account.clone().account_id(),
            sequence: tx.seq_num.0,
            memo: carried(&tx.memo),
            bumped,
        };
        Ok(match envelope {
            TransactionEnvelope::TxV0(v0) => Self {
                hash: v0.hash(network_id)?,
                source: account::of_key(v0.tx.source_account_ed25519.0),
                sequence: v0.tx.seq_num.0,
                memo: carried(&v0.tx.memo),
                bumped: false,
            },
            TransactionEnvelope::Tx(v1) => held(v1.hash(network_id)?, &v1.tx, false),
            TransactionEnvelope::TxFeeBump(bump) => {
                let FeeBumpTransactionInnerTx::Tx(inner) = &bump.tx.inner_tx;
                held(inner.hash(network_id)?, &inner.tx, true)
            }
        })
    }
}

const fn carried(memo: &Memo) -> Option<[u8; 32]> {
    match memo {
        Memo::Hash(Hash(hash)) => Some(*hash),
        _ => None,
    }
}

/// Whether an included transaction with this result used its sequence number. The ledger moves it
/// for success and failure alike, except when the sequence itself was the trouble, the account was
/// gone, or a fee bump stopped before the transaction inside it.
pub const fn used_its_sequence(result: &TransactionResult, bumped: bool) -> bool {
    match &result.result {
        Outer::TxFeeBumpInnerSuccess(_) => true,
        Outer::TxFeeBumpInnerFailed(inner) => {
            !matches!(inner.result.result, Inner::TxBadSeq | Inner::TxNoAccount)
        }
        Outer::TxBadSeq | Outer::TxNoAccount => false,
        _ => !bumped,
    }
}
