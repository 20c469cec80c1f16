//! Keys sealed under master keys in this process.
//!
//! A seed is in clear only while it is sealed and while it signs, and is wiped after. What is stored is
//! a nonce and an XChaCha20-Poly1305 ciphertext bound to the account and to the master key's id, so a
//! sealed seed moved to another account's row does not open. Secrets of the service itself are sealed
//! the same way, bound to their names.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signer, SigningKey};
use stellar_strkey::ed25519::PrivateKey;
use tranche_application::ports::custody::{
    CustodyError, SealedSecret, SealedWallet, Sealer, SecretSeed,
};
use tranche_application::ports::entropy::Entropy;
use zeroize::Zeroizing;

use super::MasterKey;
use super::scrub::leaving_nothing;
use crate::account;

/// The name of this custodian in [`SealedWallet::custody`].
pub const LOCAL: &str = "local";
pub(super) const NONCE: usize = 24;
/// What the ciphertext of a seed is authenticated with begins with this; account ids have one
/// length, so the parts after it cannot shift.
pub(super) const SEED: &[u8] = b"tranche sealed seed v1\0";
/// The same for a secret, whose name ends where a master key's id of one length begins.
const SECRET: &[u8] = b"tranche sealed secret v1\0";

/// Seals and signs under master keys.
pub struct LocalCustody {
    /// The one in force first, then those that open only.
    keys: Vec<MasterKey>,
    key_id: String,
    entropy: Arc<dyn Entropy>,
}

impl LocalCustody {
    /// Seals and opens under `key`.
    #[must_use]
    pub fn new(key: MasterKey, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            key_id: key.id().to_owned(),
            keys: vec![key],
            entropy,
        }
    }

    /// Also opens what another master key sealed: a former one, or the next.
    #[must_use]
    pub fn also_opening(mut self, key: MasterKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Seals a seed for storing.
    ///
    /// # Errors
    /// [`CustodyError::NotASeed`].
    pub fn seal(&self, seed: &SecretSeed) -> Result<SealedWallet, CustodyError> {
        leaving_nothing(|| {
            let seed =
                PrivateKey::from_string(seed.expose()).map_err(|_| CustodyError::NotASeed)?;
            self.seal_key(&SigningKey::from_bytes(&seed.0))
        })
    }

    /// Signs a digest with the wallet's key.
    ///
    /// # Errors
    /// [`CustodyError::CannotOpen`] when no master key here sealed it for this very account.
    pub fn sign(&self, wallet: &SealedWallet, digest: &[u8]) -> Result<[u8; 64], CustodyError> {
        leaving_nothing(|| Ok(self.open_key(wallet)?.sign(digest).to_bytes()))
    }

    fn seal_key(&self, key: &SigningKey) -> Result<SealedWallet, CustodyError> {
        let account_id = account::of_key(key.verifying_key().to_bytes()).to_string();
        Ok(SealedWallet {
            sealed_seed: self.encrypt(SEED, &account_id, key.as_bytes())?,
            custody: LOCAL.to_owned(),
            key_id: self.key_id.clone(),
            account_id,
        })
    }

    fn open_key(&self, wallet: &SealedWallet) -> Result<SigningKey, CustodyError> {
        let account_id = &wallet.account_id;
        let seed = self.decrypt(SEED, account_id, &wallet.key_id, &wallet.sealed_seed)?;
        let key = SigningKey::from_bytes(&seed);
        let account = account::of_key(key.verifying_key().to_bytes());
        if account.to_string() == *account_id {
            Ok(key)
        } else {
            Err(CustodyError::CannotOpen(account_id.clone()))
        }
    }

    /// Nonce and ciphertext, under the master key in force.
    fn encrypt(&self, kind: &[u8], name: &str, clear: &[u8; 32]) -> Result<Vec<u8>, CustodyError> {
        let random = Zeroizing::new(self.entropy.secret());
        let mut nonce = XNonce::default();
        nonce.copy_from_slice(&random[..NONCE]);
        let aad = bound_to(kind, name, &self.key_id);
        let payload = Payload {
            msg: clear,
            aad: &aad,
        };
        let sealed = cipher(&self.keys[0]).encrypt(&nonce, payload);
        let ciphertext = sealed.map_err(|_| CustodyError::CannotOpen(name.to_owned()))?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }

    fn decrypt(
        &self,
        kind: &[u8],
        name: &str,
        key_id: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, CustodyError> {
        let cannot = || CustodyError::CannotOpen(name.to_owned());
        let key = self.keys.iter().find(|key| key.id() == key_id);
        let key = key.ok_or_else(cannot)?;
        let (nonce, msg) = sealed.split_at_checked(NONCE).ok_or_else(cannot)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| cannot())?;
        let aad = bound_to(kind, name, key_id);
        let opened = cipher(key).decrypt(&nonce, Payload { msg, aad: &aad });
        let opened = Zeroizing::new(opened.map_err(|_| cannot())?);
        let mut clear = Zeroizing::new([0; 32]);
        if opened.len() != clear.len() {
            return Err(cannot());
        }
        clear.copy_from_slice(&opened);
        Ok(clear)
    }
}

impl Sealer for LocalCustody {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn has(&self, key_id: &str) -> bool {
        self.keys.iter().any(|key| key.id() == key_id)
    }

    fn seal_secret(&self, name: &str, secret: &[u8; 32]) -> Result<SealedSecret, CustodyError> {
        Ok(SealedSecret {
            name: name.to_owned(),
            key_id: self.key_id.clone(),
            sealed: self.encrypt(SECRET, name, secret)?,
        })
    }

    fn open_secret(&self, sealed: &SealedSecret) -> Result<Zeroizing<[u8; 32]>, CustodyError> {
        self.decrypt(SECRET, &sealed.name, &sealed.key_id, &sealed.sealed)
    }

    fn reseal(&self, wallet: &SealedWallet) -> Result<SealedWallet, CustodyError> {
        leaving_nothing(|| self.seal_key(&self.open_key(wallet)?))
    }
}

pub(super) fn cipher(key: &MasterKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

/// What a ciphertext belongs to.
pub(super) fn bound_to(kind: &[u8], name: &str, key_id: &str) -> Vec<u8> {
    [kind, name.as_bytes(), key_id.as_bytes()].concat()
}
