//! A key that seals seeds and secrets.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tranche_application::keys::keyed_hash;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"tranche master key id v1\0";
const FORMER_PEPPER: &[u8] = b"tranche api key pepper v1";
const ID_BYTES: usize = 8;

/// A 256-bit master key. Wiped when dropped; never printed.
pub struct MasterKey {
    key: Zeroizing<[u8; 32]>,
    id: String,
}

/// Why a text is not a [`MasterKey`]. Does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MasterKeyError {
    /// Not 64 hex digits.
    #[error("the master key must be 64 hex digits (32 bytes)")]
    NotHex,
    /// One byte over and over: a placeholder, not a key.
    #[error("the master key must be random")]
    NotRandom,
}

impl MasterKey {
    /// Reads a key of 64 hex digits. Space around it, as files have it, is ignored.
    ///
    /// # Errors
    /// [`MasterKeyError`] for anything else, and for a placeholder such as all zeros.
    pub fn from_hex(text: &str) -> Result<Self, MasterKeyError> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut()).map_err(|_| MasterKeyError::NotHex)?;
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(MasterKeyError::NotRandom);
        }
        let digest = Sha256::new().chain_update(LABEL).chain_update(key.as_ref());
        let id = hex::encode(&digest.finalize()[..ID_BYTES]);
        Ok(Self { key, id })
    }

    /// Names the key without revealing it: sixteen hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pepper that API keys had before theirs was random and kept sealed.
    #[must_use]
    pub fn former_pepper(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(keyed_hash(&self.key, FORMER_PEPPER))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn has_an_id_and_shows_nothing_else() {
        let key = MasterKey::from_hex(&format!("{KEY}\n")).unwrap();
        assert_eq!(key.id().len(), 16);
        assert_eq!(format!("{key:?}"), format!("MasterKey({})", key.id()));
        assert_ne!(key.id(), &KEY[..16]);
        let other = MasterKey::from_hex(&KEY.replace("1f", "2f")).unwrap();
        assert_ne!(key.id(), other.id());
    }

    #[test]
    fn gives_the_pepper_that_it_always_gave() {
        let key = MasterKey::from_hex(KEY).unwrap();
        // HMAC-SHA-256 of the label under the key, by another implementation.
        let expected = "a6d2595084dcd5e9cb32d395efc3f483d0e1ae7512e6d1feb15c45e9d5effba4";
        assert_eq!(hex::encode(*key.former_pepper()), expected);
    }

    #[test]
    fn refuses_what_is_no_key() {
        for text in ["", "00", &KEY[2..], &KEY.replace('a', "g")] {
            let error = MasterKey::from_hex(text).err();
            assert_eq!(error, Some(MasterKeyError::NotHex), "{text}");
        }
        let error = MasterKey::from_hex(&"00".repeat(32)).err();
        assert_eq!(error, Some(MasterKeyError::NotRandom));
    }
}
