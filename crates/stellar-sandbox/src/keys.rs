//! The network's own accounts: the root that holds all XLM, and the issuer of NGNTS.
//!
//! Both seeds follow from the passphrase, so a sandbox with the same passphrase has the same
//! accounts everywhere. They guard nothing of value, and nobody outside a sandbox should fund them.

use ed25519_dalek::SigningKey;
use stellar_xdr::{AccountId, Asset, AssetCode, AssetCode12};

use crate::xdr::{self, Digest32};

/// What distinguishes one network from another.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) passphrase: String,
    /// SHA-256 of the passphrase; part of every signed payload.
    pub(crate) id: Digest32,
}

impl Network {
    pub(crate) fn new(passphrase: &str) -> Self {
        Self {
            passphrase: passphrase.to_owned(),
            id: xdr::sha256(passphrase.as_bytes()),
        }
    }

    /// The genesis account; as on every Stellar network its seed is the network id.
    pub(crate) fn root(&self) -> SigningKey {
        SigningKey::from_bytes(&self.id)
    }

    /// The issuer of NGNTS.
    pub(crate) fn issuer(&self) -> SigningKey {
        let seed = xdr::sha256(format!("NGNTS issuer of {}", self.passphrase).as_bytes());
        SigningKey::from_bytes(&seed)
    }

    pub(crate) fn issuer_account(&self) -> AccountId {
        account_of(&self.issuer())
    }

    /// The asset the sandbox's issuer issues.
    pub(crate) fn asset(&self) -> Asset {
        let code = AssetCode::CreditAlphanum12(AssetCode12(*b"NGNTS\0\0\0\0\0\0\0"));
        xdr::credit(code, self.issuer_account())
    }
}

pub(crate) fn account_of(key: &SigningKey) -> AccountId {
    xdr::account_id(key.verifying_key().to_bytes())
}
