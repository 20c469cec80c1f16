//! A fresh account: its key as the ledger writes it, wiped where it passed.

use std::fmt::Write as _;

use ed25519_dalek::SigningKey;
use stellar_strkey::ed25519::PrivateKey;
use tranche_application::ports::custody::SecretSeed;
use tranche_application::ports::entropy::Entropy;

use crate::account;

/// A new account and its seed.
pub fn keypair(entropy: &dyn Entropy) -> (String, SecretSeed) {
    let private = PrivateKey(entropy.secret());
    let public = SigningKey::from_bytes(&private.0)
        .verifying_key()
        .to_bytes();
    // Of its final size at once: a string that grows leaves copies behind that nobody wipes.
    let mut seed = String::with_capacity(PrivateKey::ENCODED_LEN);
    let _never_fails = write!(seed, "{}", private.as_unredacted());
    (account::of_key(public).to_string(), SecretSeed::new(seed))
}
