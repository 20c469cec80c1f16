//! Who signed, and whether their weights reach a threshold.
//!
//! A signature counts once for each check but may serve several checks (the transaction's source
//! and an operation's). One that served none at the end makes the transaction `txBAD_AUTH_EXTRA`.

use ed25519_dalek::{Signature, VerifyingKey};
use stellar_xdr::{AccountEntry, DecoratedSignature, Signer, SignerKey, Uint256};

use super::frame::Frame;
use crate::xdr::{self, Digest32};

/// The level an operation asks of its source account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Low,
    Medium,
    High,
}

/// The weight an account asks for at this level. Zero still asks for one valid signature.
pub(crate) fn needed(entry: &AccountEntry, level: Level) -> u32 {
    let [_, low, medium, high] = entry.thresholds.0;
    u32::from(match level {
        Level::Low => low,
        Level::Medium => medium,
        Level::High => high,
    })
}

/// The account's signers, the master key among them while it has weight.
pub(crate) fn signers_of(entry: &AccountEntry) -> Vec<Signer> {
    let [master, ..] = entry.thresholds.0;
    let mut signers = entry.signers.to_vec();
    if master > 0 {
        signers.push(master_signer(
            xdr::public_key(&entry.account_id),
            u32::from(master),
        ));
    }
    signers
}

pub(crate) fn master_signer(key: &Digest32, weight: u32) -> Signer {
    Signer {
        key: SignerKey::Ed25519(Uint256(*key)),
        weight,
    }
}

/// Checks the signatures of one payload and remembers which were used.
pub(crate) struct SignatureChecker<'a> {
    frame: &'a Frame,
    payload: Digest32,
    signatures: &'a [DecoratedSignature],
    used: Vec<bool>,
}

impl<'a> SignatureChecker<'a> {
    /// Over the transaction that carries the sequence number.
    pub(crate) fn inner(frame: &'a Frame) -> Self {
        Self::over(frame, frame.inner_hash, &frame.signatures)
    }

    /// Over the envelope of a fee bump.
    pub(crate) fn outer(frame: &'a Frame, signatures: &'a [DecoratedSignature]) -> Self {
        Self::over(frame, frame.hash, signatures)
    }

    fn over(frame: &'a Frame, payload: Digest32, signatures: &'a [DecoratedSignature]) -> Self {
        Self {
            frame,
            payload,
            signatures,
            used: vec![false; signatures.len()],
        }
    }

    /// Whether the account's signers reach the level.
    pub(crate) fn account(&mut self, entry: &AccountEntry, level: Level) -> bool {
        self.reaches(signers_of(entry), needed(entry, level))
    }

    /// Whether these signers reach the weight.
    pub(crate) fn reaches(&mut self, mut signers: Vec<Signer>, needed: u32) -> bool {
        let mut total = 0_u32;
        for signer in &signers {
            if matches!(&signer.key, SignerKey::PreAuthTx(Uint256(hash)) if *hash == self.payload) {
                total = total.saturating_add(signer.weight.min(255));
                if total >= needed {
                    return true;
                }
            }
        }
        for (index, decorated) in self.signatures.iter().enumerate() {
            let Some(found) = signers
                .iter()
                .position(|signer| self.matches(signer, decorated))
            else {
                continue;
            };
            let signer = signers.swap_remove(found);
            if let Some(used) = self.used.get_mut(index) {
                *used = true;
            }
            total = total.saturating_add(signer.weight.min(255));
            if total >= needed {
                return true;
            }
        }
        false
    }

    pub(crate) fn all_used(&self) -> bool {
        self.used.iter().all(|used| *used)
    }

    fn matches(&self, signer: &Signer, decorated: &DecoratedSignature) -> bool {
        let bytes = decorated.signature.0.as_slice();
        match &signer.key {
            SignerKey::Ed25519(Uint256(key)) => {
                decorated.hint.0 == hint(key)
                    && self.frame.verified(*key, bytes, self.payload, || {
                        is_signed(key, &self.payload, bytes)
                    })
            }
            SignerKey::HashX(Uint256(key)) => {
                decorated.hint.0 == hint(key) && xdr::sha256(bytes) == *key
            }
            SignerKey::Ed25519SignedPayload(extra) => {
                let key = &extra.ed25519.0;
                let payload = extra.payload.as_slice();
                decorated.hint.0 == payload_hint(key, payload) && is_signed(key, payload, bytes)
            }
            SignerKey::PreAuthTx(_) => false,
        }
    }
}

/// The last four bytes of a key.
pub(crate) fn hint(key: &Digest32) -> [u8; 4] {
    let [.., a, b, c, d] = *key;
    [a, b, c, d]
}

fn payload_hint(key: &Digest32, payload: &[u8]) -> [u8; 4] {
    let mut tail = [0_u8; 4];
    let start = payload.len().saturating_sub(4);
    for (slot, byte) in tail.iter_mut().zip(payload.iter().skip(start)) {
        *slot = *byte;
    }
    for (slot, byte) in tail.iter_mut().zip(hint(key)) {
        *slot ^= byte;
    }
    tail
}

fn is_signed(key: &Digest32, message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_bytes(key),
        Signature::from_slice(signature),
    ) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}
