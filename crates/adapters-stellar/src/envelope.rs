//! The bytes of a burn: a payment of an issued asset to its issuer, built, hashed and signed. And
//! those that open the channel accounts which lend burns their sequence numbers.
//!
//! Equal, byte for byte, to what the official SDKs make of the same inputs (`tests/it/vectors.rs`).
//! A transaction here always has an end (`max_time`) and never a relaxed sequence (`minSeqNum`): the
//! proof that a burn happens at most once rests on both.

use std::num::NonZeroU64;

use ed25519_dalek::{Signature as Ed25519, VerifyingKey};
use stellar_xdr::{
    AccountId, CreateAccountOp, DecoratedSignature, FeeBumpTransaction, FeeBumpTransactionEnvelope,
    FeeBumpTransactionExt, FeeBumpTransactionInnerTx, Hash, LedgerBounds, Memo, MuxedAccount,
    Operation, OperationBody, PaymentOp, Preconditions, PreconditionsV2, SequenceNumber, Signature,
    SignatureHint, TimeBounds, TimePoint, Transaction, TransactionEnvelope, TransactionExt,
    TransactionV1Envelope, VecM,
};
use thiserror::Error;

use crate::account;
use crate::asset::Asset;
use crate::network::Network;

/// A burn, before it is a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burn {
    /// The account that pays the fee and whose sequence number is used.
    pub source: AccountId,
    /// The account whose tokens burn, when it is another one.
    pub wallet: Option<AccountId>,
    /// The source's sequence number plus one.
    pub sequence: i64,
    /// The most it may cost, in stroops.
    pub fee: u32,
    /// It cannot be included in a ledger that closes before this second; 0 for no such bound.
    pub min_time: u64,
    /// It cannot be included in a ledger that closes after this second.
    pub max_time: NonZeroU64,
    /// The first ledger that may hold it, and the first that may not any more.
    pub ledgers: Option<(u32, u32)>,
    /// Carried on the ledger as `MEMO_HASH`.
    pub memo: [u8; 32],
    /// What burns.
    pub asset: Asset,
    /// How much, in stroops.
    pub amount: i64,
}

/// The opening of accounts, before it is a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The account that pays.
    pub source: AccountId,
    /// Its sequence number plus one.
    pub sequence: i64,
    /// The most it may cost beside the balances, in stroops.
    pub fee: u32,
    /// It cannot be included in a ledger that closes after this second.
    pub max_time: NonZeroU64,
    /// The accounts, up to a hundred.
    pub accounts: Vec<AccountId>,
    /// What each begins with, in stroops of XLM.
    pub starting_balance: i64,
}

/// Why there is no envelope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The transaction cannot be written down.
    #[error("the transaction cannot be encoded: {0}")]
    Encoding(String),
    /// A signature was not made with the account's key.
    #[error("the signature given for {0} was not made with its key")]
    ForeignSignature(String),
}

impl From<stellar_xdr::Error> for EnvelopeError {
    fn from(error: stellar_xdr::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A transaction that waits for its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a draft is nothing until it is signed"]
pub struct Draft {
    body: Body,
    hash: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    Plain(Transaction),
    FeeBump(FeeBumpTransaction),
}

impl Draft {
    /// The transaction of a burn.
    ///
    /// # Errors
    /// [`EnvelopeError::Encoding`], which no burn that can be written down has been seen to cause.
    pub fn burn(burn: &Burn, network: &Network) -> Result<Self, EnvelopeError> {
        let payment = Operation {
            source_account: burn.wallet.clone().map(MuxedAccount::from),
            body: OperationBody::Payment(PaymentOp {
                destination: burn.asset.issuer().clone().into(),
                asset: burn.asset.to_xdr(),
                amount: burn.amount,
            }),
        };
        Self::plain(
            Transaction {
                source_account: burn.source.clone().into(),
                fee: burn.fee,
                seq_num: SequenceNumber(burn.sequence),
                cond: preconditions(burn),
                memo: Memo::Hash(Hash(burn.memo)),
                operations: vec![payment].try_into()?,
                ext: TransactionExt::V0,
            },
            network,
        )
    }

    /// The transaction that opens accounts.
    ///
    /// # Errors
    /// [`EnvelopeError::Encoding`] for more than a hundred.
    pub fn opening(opening: &Opening, network: &Network) -> Result<Self, EnvelopeError> {
        let create = |destination: &AccountId| Operation {
            source_account: None,
            body: OperationBody::CreateAccount(CreateAccountOp {
                destination: destination.clone(),
                starting_balance: opening.starting_balance,
            }),
        };
        let operations: Vec<_> = opening.accounts.iter().map(create).collect();
        Self::plain(
            Transaction {
                source_account: opening.source.clone().into(),
                fee: opening.fee,
                seq_num: SequenceNumber(opening.sequence),
                cond: Preconditions::Time(TimeBounds {
                    min_time: TimePoint(0),
                    max_time: TimePoint(opening.max_time.get()),
                }),
                memo: Memo::None,
                operations: operations.try_into()?,
                ext: TransactionExt::V0,
            },
            network,
        )
    }

    fn plain(transaction: Transaction, network: &Network) -> Result<Self, EnvelopeError> {
        let hash = transaction.hash(network.id())?;
        Ok(Self {
            body: Body::Plain(transaction),
            hash,
        })
    }

    /// A fee bump around a signed transaction: the same burn with the same sequence number and
    /// hash, for a higher `fee` (in stroops) that another account may pay.
    ///
    /// # Errors
    /// As [`Draft::burn`].
    pub fn fee_bump(
        inner: TransactionV1Envelope,
        fee_source: AccountId,
        fee: i64,
        network: &Network,
    ) -> Result<Self, EnvelopeError> {
        let bump = FeeBumpTransaction {
            fee_source: fee_source.into(),
            fee,
            inner_tx: FeeBumpTransactionInnerTx::Tx(inner),
            ext: FeeBumpTransactionExt::V0,
        };
        let hash = bump.hash(network.id())?;
        Ok(Self {
            body: Body::FeeBump(bump),
            hash,
        })
    }

    /// What is signed, and names the transaction on the ledger. Signatures are not part of it.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The envelope with these signatures, in this order, each checked against its account's key.
    ///
    /// # Errors
    /// [`EnvelopeError::ForeignSignature`] for a signature that the ledger would refuse.
    pub fn sign(
        self,
        signatures: &[(AccountId, [u8; 64])],
    ) -> Result<TransactionEnvelope, EnvelopeError> {
        let signatures: VecM<DecoratedSignature, 20> = signatures
            .iter()
            .map(|(signer, signature)| decorate(signer, signature, &self.hash))
            .collect::<Result<Vec<_>, _>>()?
            .try_into()?;
        Ok(match self.body {
            Body::Plain(tx) => TransactionEnvelope::Tx(TransactionV1Envelope { tx, signatures }),
            Body::FeeBump(tx) => {
                TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx, signatures })
            }
        })
    }
}

fn preconditions(burn: &Burn) -> Preconditions {
    let time = TimeBounds {
        min_time: TimePoint(burn.min_time),
        max_time: TimePoint(burn.max_time.get()),
    };
    match burn.ledgers {
        None => Preconditions::Time(time),
        Some((min_ledger, max_ledger)) => Preconditions::V2(PreconditionsV2 {
            time_bounds: Some(time),
            ledger_bounds: Some(LedgerBounds {
                min_ledger,
                max_ledger,
            }),
            // Never set: it would let the burn skip sequence numbers.
            min_seq_num: None,
            min_seq_age: stellar_xdr::Duration(0),
            min_seq_ledger_gap: 0,
            extra_signers: VecM::default(),
        }),
    }
}

fn decorate(
    signer: &AccountId,
    signature: &[u8; 64],
    hash: &[u8; 32],
) -> Result<DecoratedSignature, EnvelopeError> {
    let key = account::key(signer);
    VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(hash, &Ed25519::from_bytes(signature)))
        .map_err(|_| EnvelopeError::ForeignSignature(signer.to_string()))?;
    let [.., a, b, c, d] = *key;
    Ok(DecoratedSignature {
        hint: SignatureHint([a, b, c, d]),
        signature: Signature(signature.to_vec().try_into()?),
    })
}
