//! Who holds the wallets' keys, and signs with them.

use std::fmt;

use async_trait::async_trait;
use thiserror::Error;
use zeroize::Zeroizing;

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
    /// Names the master key that sealed it.
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
    /// The wallet is not in custody.
    #[error("no key is held for {0}")]
    UnknownWallet(String),
    /// Another master key sealed it, or it was altered.
    #[error("the key of {0} cannot be opened with the master key in force")]
    CannotOpen(String),
    /// The custodian or its store does not answer.
    #[error("custody is unavailable: {0}")]
    Unavailable(String),
}

/// Seals seeds and signs with them.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Custody: Send + Sync {
    /// Seals a seed for storing.
    fn seal(&self, seed: &SecretSeed) -> Result<SealedWallet, CustodyError>;

    /// A wallet whose key an external custodian holds already.
    fn adopt(&self, account_id: &str, custody: &str) -> Result<SealedWallet, CustodyError>;

    /// Signs a digest with the wallet's key (Ed25519).
    async fn sign(&self, account_id: &str, digest: [u8; 32]) -> Result<[u8; 64], CustodyError>;
}

/// Where sealed wallets are kept; written with their project through the unit of work.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait SealedWallets: Send + Sync {
    /// The sealed wallet of an account.
    async fn sealed_wallet(
        &self,
        account_id: &str,
    ) -> Result<Option<SealedWallet>, super::store::StoreError>;
}
