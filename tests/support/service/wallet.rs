//! A wallet whose seed the tests know, which can pay past the service.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use stellar_strkey::ed25519::{PrivateKey, PublicKey};
use stellar_xdr::{
    AccountId, AlphaNum12, Asset, AssetCode12, ChangeTrustAsset, ChangeTrustOp, DecoratedSignature,
    Limits, Memo, MuxedAccount, Operation, OperationBody, PaymentOp, Preconditions, SequenceNumber,
    Signature, SignatureHint, Transaction, TransactionEnvelope, TransactionExt,
    TransactionV1Envelope, Uint256, WriteXdr,
};

use super::PASSPHRASE;

/// A keypair that the service does not know yet.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// `G…`
    pub account: String,
    /// `S…`
    pub seed: String,
    /// The seed's bytes.
    pub bytes: [u8; 32],
}

impl Wallet {
    /// A fresh keypair; good enough for money that is none.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            let random = RandomState::new().build_hasher().finish();
            chunk.copy_from_slice(&random.to_be_bytes());
        }
        let public = SigningKey::from_bytes(&bytes).verifying_key().to_bytes();
        Self {
            account: PublicKey(public).to_string().as_str().to_owned(),
            seed: PrivateKey(bytes)
                .as_unredacted()
                .to_string()
                .as_str()
                .to_owned(),
            bytes,
        }
    }

    /// A signed payment of one stroop of XLM to itself that uses this sequence number: its envelope
    /// in base64, and its hash.
    pub fn pays_itself(&self, sequence: i64) -> (String, String) {
        self.signed(
            sequence,
            vec![OperationBody::Payment(PaymentOp {
                destination: muxed(&self.account),
                asset: Asset::Native,
                amount: 1,
            })],
        )
    }

    /// A signed transaction that gives all tokens back to their issuer, closes the trustline and
    /// merges the account into the issuer's: afterwards it does not exist.
    pub fn leaves(&self, sequence: i64, asset: &str, stroops: i64) -> (String, String) {
        let (code, issuer) = asset.split_once(':').expect("CODE:ISSUER");
        let mut padded = [0; 12];
        padded[..code.len()].copy_from_slice(code.as_bytes());
        let line = AlphaNum12 {
            asset_code: AssetCode12(padded),
            issuer: issuer.parse().expect("an account, G…"),
        };
        let give_back = PaymentOp {
            destination: muxed(issuer),
            asset: Asset::CreditAlphanum12(line.clone()),
            amount: stroops,
        };
        let close = ChangeTrustOp {
            line: ChangeTrustAsset::CreditAlphanum12(line),
            limit: 0,
        };
        self.signed(
            sequence,
            vec![
                OperationBody::Payment(give_back),
                OperationBody::ChangeTrust(close),
                OperationBody::AccountMerge(muxed(issuer)),
            ],
        )
    }

    fn signed(&self, sequence: i64, operations: Vec<OperationBody>) -> (String, String) {
        let key = SigningKey::from_bytes(&self.bytes);
        let public = key.verifying_key().to_bytes();
        let account = MuxedAccount::Ed25519(Uint256(public));
        let operations: Vec<Operation> = operations
            .into_iter()
            .map(|body| Operation {
                source_account: None,
                body,
            })
            .collect();
        let tx = Transaction {
            source_account: account,
            fee: 300,
            seq_num: SequenceNumber(sequence),
            cond: Preconditions::None,
            memo: Memo::None,
            operations: operations.try_into().expect("a few operations"),
            ext: TransactionExt::V0,
        };
        let network: [u8; 32] = Sha256::digest(PASSPHRASE).into();
        let hash = tx.hash(network).expect("a hash");
        let [.., a, b, c, d] = public;
        let signature = DecoratedSignature {
            hint: SignatureHint([a, b, c, d]),
            signature: Signature(
                key.sign(&hash)
                    .to_bytes()
                    .to_vec()
                    .try_into()
                    .expect("64 bytes"),
            ),
        };
        let envelope = TransactionEnvelope::Tx(TransactionV1Envelope {
            tx,
            signatures: vec![signature].try_into().expect("one signature"),
        });
        let envelope = envelope.to_xdr_base64(Limits::none());
        (envelope.expect("an envelope"), hex::encode(hash))
    }
}

fn muxed(account: &str) -> MuxedAccount {
    let account: AccountId = account.parse().expect("an account, G…");
    account.into()
}
