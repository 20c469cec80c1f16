//! Who holds the wallets' keys and signs with them, and what is sealed under a master key.

use std::fmt;

use async_trait::async_trait;
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::store::StoreError;
use super::subject_keys::SubjectKey;

/// A wallet's secret seed on its way into custody. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct SecretSeed(Zeroizing<String>);

impl SecretSeed {
    /// Takes the seed as its ledger writes it, `S…` on Stellar.
    #[must_use]
    pub fn new(seed: String) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The seed in clear, for the custodian alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSeed(…)")
    }
}

/// A wallet whose seed is sealed: safe to store.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedWallet {
    /// The wallet's account on the ledger.
    pub account_id: String,
    /// Who holds the key: `local`, or an external custodian that keeps it outside.
    pub custody: String,
    /// Names the master key that sealed it, or the key that an external custodian holds.
    pub key_id: String,
    /// Nonce and ciphertext; the account id is authenticated with it. Empty when held outside.
    pub sealed_seed: Vec<u8>,
}

impl fmt::Debug for SealedWallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedWallet")
            .field("account_id", &self.account_id)
            .field("custody", &self.custody)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// A secret of the service itself, sealed: safe to store.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// What it is for.
    pub name: String,
    /// Names the master key that sealed it.
    pub key_id: String,
    /// Nonce and ciphertext; the name is authenticated with it.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSecret")
            .field("name", &self.name)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Why the custodian did not do it. Never holds key material.
#[derive(Debug, Error)]
pub enum CustodyError {
    /// Not a seed of this ledger.
    #[error("is not a valid secret seed")]
    NotASeed,
    /// Not an account of this ledger.
    #[error("is not a valid account id")]
    NotAnAccount,
    /// No such custodian here.
    #[error("no custodian of this name is configured")]
    UnknownCustodian,
    /// The custodian holds no key of this name that can sign for an account.
    #[error("the custodian holds no Ed25519 key named {0}")]
    NoSuchKey(String),
    /// The custodian's key signs for another account.
    #[error("the custodian's key {0} is not this account's key")]
    NotItsKey(String),
    /// The wallet is not in custody.
    #[error("no key is held for {0}")]
    UnknownWallet(String),
    /// A master key that is not given sealed it, or it was altered.
    #[error("what is sealed for {0} cannot be opened with the master keys given")]
    CannotOpen(String),
    /// The custodian refuses, and will until somebody sets it up otherwise.
    #[error("custody is set up wrongly: {0}")]
    Misconfigured(String),
    /// The custodian or its store does not answer: try again.
    #[error("custody is unavailable: {0}")]
    Unavailable(String),
}

/// Seals seeds, and signs with the keys in custody, wherever they are held.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Custody: Send + Sync {
    /// Seals a seed for storing.
    fn seal(&self, seed: &SecretSeed) -> Result<SealedWallet, CustodyError>;

    /// A wallet whose key an external custodian holds already: `custody` is the custodian's name,
    /// and its name for the key after a colon where that is not the account id.
    async fn adopt(&self, account_id: &str, custody: &str) -> Result<SealedWallet, CustodyError>;

    /// Signs a digest with the wallet's key (Ed25519).
    async fn sign(&self, account_id: &str, digest: [u8; 32]) -> Result<[u8; 64], CustodyError>;
}

/// One that holds keys outside of this process.
#[async_trait]
pub trait Custodian: Send + Sync {
    /// Its name in [`SealedWallet::custody`].
    fn name(&self) -> &'static str;

    /// Makes sure that its key `key` is the account's, and pins it.
    async fn adopt(&self, account_id: &str, key: &str) -> Result<SealedWallet, CustodyError>;

    /// Signs a digest with the wallet's key (Ed25519). The signature has been verified.
    async fn sign(&self, wallet: &SealedWallet, digest: [u8; 32])
    -> Result<[u8; 64], CustodyError>;
}

/// Seals under the master key in force; opens what any master key that is given has sealed.
pub trait Sealer: Send + Sync {
    /// Names the master key in force.
    fn key_id(&self) -> &str;

    /// Whether the master key of this name is given.
    fn has(&self, key_id: &str) -> bool;

    /// Seals a secret of the service itself.
    fn seal_secret(&self, name: &str, secret: &[u8; 32]) -> Result<SealedSecret, CustodyError>;

    /// Opens one.
    fn open_secret(&self, sealed: &SealedSecret) -> Result<Zeroizing<[u8; 32]>, CustodyError>;

    /// The same wallet, sealed under the master key in force.
    fn reseal(&self, wallet: &SealedWallet) -> Result<SealedWallet, CustodyError>;
}

/// Where sealed wallets are kept; written with their project through the unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait SealedWallets: Send + Sync {
    /// The sealed wallet of an account.
    async fn sealed_wallet(&self, account_id: &str) -> Result<Option<SealedWallet>, StoreError>;
}

/// Everything in the store that a master key seals; written through the unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait SealedSecrets: Send + Sync {
    /// A secret of the service itself.
    async fn sealed_secret(&self, name: &str) -> Result<Option<SealedSecret>, StoreError>;

    /// Up to `limit` wallets by account id, from the first after `account_id`.
    async fn wallets_after(
        &self,
        account_id: &str,
        limit: u32,
    ) -> Result<Vec<SealedWallet>, StoreError>;

    /// Up to `limit` subjects' keys in force by id, from the first after `id`.
    async fn subject_keys_after(&self, id: Uuid, limit: u32)
    -> Result<Vec<SubjectKey>, StoreError>;
}
