//! A network, told from others by its passphrase: signatures for one are worth nothing on another.

use sha2::{Digest, Sha256};

/// A Stellar network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    passphrase: String,
    id: [u8; 32],
}

impl Network {
    /// The network with this passphrase.
    #[must_use]
    pub fn new(passphrase: String) -> Self {
        let id = Sha256::digest(passphrase.as_bytes()).into();
        Self { passphrase, id }
    }

    /// The passphrase, as the network's operators publish it.
    #[must_use]
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// The SHA-256 of the passphrase, which every transaction hash begins with.
    #[must_use]
    pub const fn id(&self) -> [u8; 32] {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_published_ones() {
        for (passphrase, id) in [
            (
                "Public Global Stellar Network ; September 2015",
                "7ac33997544e3175d266bd022439b22cdb16508c01163f26e5cb2a3e1045a979",
            ),
            (
                "Test SDF Network ; September 2015",
                "cee0302d59844d32bdca915c8203dd44b33fbb7edc19051ea37abedf28ecd472",
            ),
        ] {
            assert_eq!(hex::encode(Network::new(passphrase.into()).id()), id);
        }
    }
}
