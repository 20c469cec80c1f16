//! The `Custody` port: seeds sealed under a master key in this process.
//!
//! A seed is in clear only while it is sealed and while it signs, and is wiped after. What is stored is
//! a nonce and an XChaCha20-Poly1305 ciphertext bound to the account and to the master key's id, so a
//! sealed seed moved to another account's row does not open. No error, log line or `Debug` output holds
//! key material.

mod master_key;

use std::sync::Arc;

use async_trait::async_trait;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signer, SigningKey};
use stellar_strkey::ed25519::PrivateKey;
use tranche_application::ports::custody::{
    Custody, CustodyError, SealedWallet, SealedWallets, SecretSeed,
};
use tranche_application::ports::entropy::Entropy;
use zeroize::Zeroizing;

use crate::account;
pub use master_key::{MasterKey, MasterKeyError};

/// The name of this custodian in [`SealedWallet::custody`].
pub const LOCAL: &str = "local";
const NONCE: usize = 24;
/// What the ciphertext is authenticated with begins with this.
const CONTEXT: &[u8] = b"tranche sealed seed v1\0";

/// Keeps seeds sealed under master keys, and signs with them.
pub struct LocalCustody {
    key: MasterKey,
    retired: Vec<MasterKey>,
    wallets: Arc<dyn SealedWallets>,
    entropy: Arc<dyn Entropy>,
}

impl LocalCustody {
    /// Seals and opens under `key`; reads sealed wallets from `wallets`.
    #[must_use]
    pub fn new(key: MasterKey, wallets: Arc<dyn SealedWallets>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            key,
            retired: Vec::new(),
            wallets,
            entropy,
        }
    }

    /// Also opens what a former master key sealed, until everything is sealed anew.
    #[must_use]
    pub fn with_retired(mut self, key: MasterKey) -> Self {
        self.retired.push(key);
        self
    }

    /// The same wallet, sealed under the master key in force.
    ///
    /// # Errors
    /// [`CustodyError::CannotOpen`] when no master key here opens it.
    pub fn reseal(&self, wallet: &SealedWallet) -> Result<SealedWallet, CustodyError> {
        self.seal_key(&self.open(wallet)?)
    }

    fn seal_key(&self, key: &SigningKey) -> Result<SealedWallet, CustodyError> {
        let account_id = account::of_key(key.verifying_key().to_bytes()).to_string();
        let key_id = self.key.id().to_owned();
        let random = Zeroizing::new(self.entropy.secret());
        let mut nonce = XNonce::default();
        nonce.copy_from_slice(&random[..NONCE]);
        let sealed = cipher(&self.key).encrypt(
            &nonce,
            Payload {
                msg: key.as_bytes(),
                aad: &bound_to(&account_id, &key_id),
            },
        );
        let ciphertext = sealed.map_err(|_| CustodyError::CannotOpen(account_id.clone()))?;
        Ok(SealedWallet {
            sealed_seed: [nonce.as_slice(), &ciphertext].concat(),
            custody: LOCAL.to_owned(),
            account_id,
            key_id,
        })
    }

    /// The wallet's key, if a master key here sealed it for this very account.
    fn open(&self, wallet: &SealedWallet) -> Result<SigningKey, CustodyError> {
        let cannot = || CustodyError::CannotOpen(wallet.account_id.clone());
        let key = std::iter::once(&self.key)
            .chain(&self.retired)
            .find(|key| key.id() == wallet.key_id)
            .ok_or_else(cannot)?;
        let (nonce, ciphertext) = wallet
            .sealed_seed
            .split_at_checked(NONCE)
            .ok_or_else(cannot)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| cannot())?;
        let aad = bound_to(&wallet.account_id, &wallet.key_id);
        let opened = cipher(key).decrypt(
            &nonce,
            Payload {
                msg: ciphertext,
                aad: &aad,
            },
        );
        let seed = Zeroizing::new(opened.map_err(|_| cannot())?);
        let signing = SigningKey::try_from(seed.as_slice()).map_err(|_| cannot())?;
        let account = account::of_key(signing.verifying_key().to_bytes());
        if account.to_string() != wallet.account_id {
            return Err(cannot());
        }
        Ok(signing)
    }
}

fn cipher(key: &MasterKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

/// What a ciphertext belongs to. Account ids have one length, so the parts cannot shift.
fn bound_to(account_id: &str, key_id: &str) -> Vec<u8> {
    [CONTEXT, account_id.as_bytes(), key_id.as_bytes()].concat()
}

#[async_trait]
impl Custody for LocalCustody {
    fn seal(&self, seed: &SecretSeed) -> Result<SealedWallet, CustodyError> {
        let seed = PrivateKey::from_string(seed.expose()).map_err(|_| CustodyError::NotASeed)?;
        self.seal_key(&SigningKey::from_bytes(&seed.0))
    }

    /// No external custodian is configured here, so every name is unknown.
    fn adopt(&self, account_id: &str, _custody: &str) -> Result<SealedWallet, CustodyError> {
        account::parse(account_id).ok_or(CustodyError::NotAnAccount)?;
        Err(CustodyError::UnknownCustodian)
    }

    async fn sign(&self, account_id: &str, digest: [u8; 32]) -> Result<[u8; 64], CustodyError> {
        let wallet = self
            .wallets
            .sealed_wallet(account_id)
            .await
            .map_err(|error| CustodyError::Unavailable(error.to_string()))?
            .ok_or_else(|| CustodyError::UnknownWallet(account_id.to_owned()))?;
        if wallet.custody != LOCAL {
            return Err(CustodyError::UnknownCustodian);
        }
        if wallet.account_id != account_id {
            return Err(CustodyError::CannotOpen(account_id.to_owned()));
        }
        Ok(self.open(&wallet)?.sign(&digest).to_bytes())
    }
}

#[cfg(test)]
mod tests;
