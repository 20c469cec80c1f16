//! The `Custody` port: each wallet's key is held by the custodian that its row names.
//!
//! | module | promise |
//! |---|---|
//! | `local` | seeds and secrets sealed under master keys in this process |
//! | `vault` | keys that never leave a Vault server, which signs |
//! | `scrub` | nothing of a key stays behind on the stack |
//!
//! No error, log line or `Debug` output holds key material.

mod local;
mod master_key;
mod scrub;
mod vault;

use std::sync::Arc;

use async_trait::async_trait;
use tranche_application::ports::custody::{
    Custodian, Custody, CustodyError, SealedWallet, SealedWallets, Sealer, SecretSeed,
};

use crate::account;
pub use local::{LOCAL, LocalCustody};
pub use master_key::{MasterKey, MasterKeyError};
pub use vault::{VAULT, VaultConfig, VaultToken, VaultTransit};

/// Routes each wallet to its custodian.
pub struct Custodians {
    local: Arc<LocalCustody>,
    outside: Vec<Arc<dyn Custodian>>,
    wallets: Arc<dyn SealedWallets>,
}

impl Custodians {
    /// The local custody alone; which custodian a wallet has is read from `wallets`.
    #[must_use]
    pub fn new(local: Arc<LocalCustody>, wallets: Arc<dyn SealedWallets>) -> Self {
        Self {
            local,
            outside: Vec::new(),
            wallets,
        }
    }

    /// And one that holds keys elsewhere.
    #[must_use]
    pub fn with(mut self, custodian: Arc<dyn Custodian>) -> Self {
        self.outside.push(custodian);
        self
    }

    fn outside(&self, name: &str) -> Result<&dyn Custodian, CustodyError> {
        let mut custodians = self.outside.iter().map(Arc::as_ref);
        custodians
            .find(|custodian| custodian.name() == name)
            .ok_or(CustodyError::UnknownCustodian)
    }

    async fn kept(&self, account_id: &str) -> Result<Option<SealedWallet>, CustodyError> {
        let kept = self.wallets.sealed_wallet(account_id).await;
        kept.map_err(|error| CustodyError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Custody for Custodians {
    fn seal(&self, seed: &SecretSeed) -> Result<SealedWallet, CustodyError> {
        self.local.seal(seed)
    }

    async fn adopt(&self, account_id: &str, custody: &str) -> Result<SealedWallet, CustodyError> {
        account::parse(account_id).ok_or(CustodyError::NotAnAccount)?;
        if custody != LOCAL {
            let (name, key) = custody.split_once(':').unwrap_or((custody, account_id));
            return self.outside(name)?.adopt(account_id, key).await;
        }
        // Sealed here for a project that is gone: nobody may have its seed in clear. Sealed anew, it
        // opens with the key of now, and it is known now that it opens.
        let kept = self.kept(account_id).await?;
        let kept = kept.filter(|wallet| wallet.custody == LOCAL);
        let kept = kept.ok_or_else(|| CustodyError::NoSuchKey(account_id.to_owned()))?;
        self.local.reseal(&kept)
    }

    async fn sign(&self, account_id: &str, digest: [u8; 32]) -> Result<[u8; 64], CustodyError> {
        let wallet = self
            .kept(account_id)
            .await?
            .ok_or_else(|| CustodyError::UnknownWallet(account_id.to_owned()))?;
        if wallet.account_id != account_id {
            return Err(CustodyError::CannotOpen(account_id.to_owned()));
        }
        if wallet.custody == LOCAL {
            return self.local.sign(&wallet, &digest);
        }
        self.outside(&wallet.custody)?.sign(&wallet, digest).await
    }
}

#[cfg(test)]
mod tests;
