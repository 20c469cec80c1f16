//! Hand-made burns, envelopes and results for the unit tests.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, InnerTransactionResult, InnerTransactionResultExt, InnerTransactionResultPair,
    InnerTransactionResultResult, Limits, OperationResult, OperationResultTr, PaymentResult,
    TransactionEnvelope, TransactionResult, TransactionResultExt, TransactionResultResult,
    WriteXdr,
};
use tranche_application::ports::entropy::Entropy;

use crate::account;
use crate::envelope::{Burn, Draft};
use crate::network::Network;

pub const ISSUER: &str = "GAMXHYZYJYWQCRGKUI27IMJZY5DV64IGRZAAKFBQUWXG7YL2DC6IX7LX";

pub fn network() -> Network {
    Network::new("Test SDF Network ; September 2015".to_owned())
}

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(name).into())
}

pub fn id(key: &SigningKey) -> AccountId {
    account::of_key(key.verifying_key().to_bytes())
}

pub fn burn(sequence: i64) -> Burn {
    Burn {
        source: id(&key("wallet")),
        wallet: None,
        sequence,
        fee: 100,
        min_time: 0,
        max_time: NonZeroU64::new(1_795_000_000).unwrap(),
        ledgers: None,
        memo: [7; 32],
        asset: format!("NGNTS:{ISSUER}").parse().unwrap(),
        amount: 5,
    }
}

/// A signed burn and its hash.
pub fn signed(burn: &Burn) -> (TransactionEnvelope, [u8; 32]) {
    let draft = Draft::burn(burn, &network()).unwrap();
    let hash = draft.hash();
    let signature = key("wallet").sign(&hash).to_bytes();
    (
        draft.sign(&[(burn.source.clone(), signature)]).unwrap(),
        hash,
    )
}

/// A fee bump around a signed burn.
pub fn bumped(envelope: &TransactionEnvelope) -> TransactionEnvelope {
    let TransactionEnvelope::Tx(inner) = envelope.clone() else {
        panic!("only a plain transaction can be bumped");
    };
    let sponsor = key("sponsor");
    let draft = Draft::fee_bump(inner, id(&sponsor), 2_000, &network()).unwrap();
    let signature = sponsor.sign(&draft.hash()).to_bytes();
    draft.sign(&[(id(&sponsor), signature)]).unwrap()
}

pub fn base64(value: &impl WriteXdr) -> String {
    value.to_xdr_base64(Limits::none()).unwrap()
}

pub fn result(result: TransactionResultResult) -> TransactionResult {
    TransactionResult {
        fee_charged: 100,
        result,
        ext: TransactionResultExt::V0,
    }
}

pub fn inner(hash: [u8; 32], result: InnerTransactionResultResult) -> InnerTransactionResultPair {
    InnerTransactionResultPair {
        transaction_hash: stellar_xdr::Hash(hash),
        result: InnerTransactionResult {
            fee_charged: 100,
            result,
            ext: InnerTransactionResultExt::V0,
        },
    }
}

pub fn payment(payment: PaymentResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::Payment(payment))
}

/// Counts, and hashes the count: every value is new, and the same in each run.
#[derive(Default)]
pub struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.salt())
    }

    fn salt(&self) -> [u8; 16] {
        let [first, _] = *self.secret().as_chunks::<16>().0 else {
            panic!("two halves");
        };
        first
    }

    fn secret(&self) -> [u8; 32] {
        Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes()).into()
    }
}
