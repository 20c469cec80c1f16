//! Envelopes, hashes and signatures equal those of the official Python and JavaScript SDKs.

use std::num::NonZeroU64;

use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use stellar_strkey::ed25519::PrivateKey;
use stellar_xdr::{AccountId, Limits, TransactionEnvelope, WriteXdr};
use tranche_adapters_stellar::account;
use tranche_adapters_stellar::envelope::{Burn, Draft, EnvelopeError};
use tranche_adapters_stellar::network::Network;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../stellar_vectors.json")).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name}"))
}

fn number<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    value.as_u64().and_then(|number| T::try_from(number).ok())
}

fn id(all: &Value, name: &str) -> AccountId {
    account::parse(text(&all["keys"][name], "public")).unwrap()
}

fn sign(all: &Value, name: &str, digest: &[u8; 32]) -> (AccountId, [u8; 64]) {
    let seed = PrivateKey::from_string(text(&all["keys"][name], "secret")).unwrap();
    let signature = SigningKey::from_bytes(&seed.0).sign(digest);
    (id(all, name), signature.to_bytes())
}

fn burn(all: &Value, inputs: &Value) -> Burn {
    for absent in ["memo_text", "muxed_id"] {
        assert!(inputs[absent].is_null(), "no burn of ours has a {absent}");
    }
    let issuer = id(all, text(inputs, "issuer"));
    Burn {
        source: id(all, text(inputs, "source")),
        wallet: inputs["op_source"].as_str().map(|name| id(all, name)),
        sequence: text(inputs, "sequence").parse().unwrap(),
        fee: number(&inputs["fee"]).unwrap(),
        min_time: number(&inputs["min_time"]).unwrap(),
        max_time: NonZeroU64::new(number(&inputs["max_time"]).unwrap()).unwrap(),
        ledgers: number(&inputs["min_ledger"]).zip(number(&inputs["max_ledger"])),
        memo: hex::decode(text(inputs, "memo_hash"))
            .unwrap()
            .try_into()
            .unwrap(),
        asset: format!("{}:{issuer}", text(inputs, "asset_code"))
            .parse()
            .unwrap(),
        amount: text(inputs, "amount_stroops").parse().unwrap(),
    }
}

fn base64(envelope: &TransactionEnvelope) -> String {
    envelope.to_xdr_base64(Limits::none()).unwrap()
}

fn signatures(envelope: &TransactionEnvelope) -> Vec<(String, String)> {
    let signatures = match envelope {
        TransactionEnvelope::Tx(tx) => &tx.signatures,
        TransactionEnvelope::TxFeeBump(bump) => &bump.signatures,
        TransactionEnvelope::TxV0(_) => panic!("never built"),
    };
    let hex = |bytes: &[u8]| hex::encode(bytes);
    signatures
        .iter()
        .map(|signature| (hex(&signature.hint.0), hex(&signature.signature.0)))
        .collect()
}

fn expected_signatures(of: &Value) -> Vec<(String, String)> {
    let signatures = of["signatures"].as_array().unwrap();
    let pair = |one| {
        (
            text(one, "hint_hex").to_owned(),
            text(one, "signature_hex").to_owned(),
        )
    };
    signatures.iter().map(pair).collect()
}

#[test]
fn every_vector_is_reproduced_byte_for_byte() {
    let all = vectors();
    let vectors = all["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 4);
    let mut bumps = 0;
    for vector in vectors {
        let (name, inputs) = (text(vector, "name"), &vector["inputs"]);
        let network = Network::new(text(inputs, "network").to_owned());
        assert_eq!(
            hex::encode(network.id()),
            text(vector, "network_id_hex"),
            "{name}"
        );
        let draft = Draft::burn(&burn(&all, inputs), &network).unwrap();
        let hash = draft.hash();
        assert_eq!(hex::encode(hash), text(vector, "hash_hex"), "{name}");
        let signers = inputs["signers"].as_array().unwrap().iter();
        let signed: Vec<_> = signers
            .map(|signer| sign(&all, signer.as_str().unwrap(), &hash))
            .collect();
        let envelope = draft.sign(&signed).unwrap();
        assert_eq!(
            base64(&envelope),
            text(vector, "envelope_xdr_base64"),
            "{name}"
        );
        assert_eq!(signatures(&envelope), expected_signatures(vector), "{name}");

        let (bump, wanted) = (&inputs["fee_bump"], &vector["fee_bump"]);
        assert_eq!(bump.is_null(), wanted.is_null(), "{name}");
        if bump.is_null() {
            continue;
        }
        bumps += 1;
        let TransactionEnvelope::Tx(inner) = envelope else {
            panic!("{name}");
        };
        let sponsor = text(bump, "fee_source");
        let fee = bump["fee"].as_i64().unwrap();
        let draft = Draft::fee_bump(inner, id(&all, sponsor), fee, &network).unwrap();
        assert_eq!(
            hex::encode(draft.hash()),
            text(wanted, "hash_hex"),
            "{name}"
        );
        let signed = [sign(&all, sponsor, &draft.hash())];
        let envelope = draft.sign(&signed).unwrap();
        assert_eq!(
            base64(&envelope),
            text(wanted, "envelope_xdr_base64"),
            "{name}"
        );
        assert_eq!(signatures(&envelope), expected_signatures(wanted), "{name}");
    }
    assert_eq!(bumps, 1);
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let all = vectors();
    let inputs = &all["vectors"][0]["inputs"];
    let network = Network::new(text(inputs, "network").to_owned());
    let draft = Draft::burn(&burn(&all, inputs), &network).unwrap();
    let (_, foreign) = sign(&all, "channel", &draft.hash());
    let wallet = id(&all, "wallet");
    let error = draft.sign(&[(wallet.clone(), foreign)]).unwrap_err();
    assert_eq!(error, EnvelopeError::ForeignSignature(wallet.to_string()));
}
