//! Puts custody together: the master keys, the pepper they seal, and the custodians.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use tranche_adapters_stellar::{
    Custodians, LocalCustody, MasterKey, VaultConfig, VaultToken, VaultTransit,
};
use tranche_application::audit::tree::note::LogKey;
use tranche_application::keys::KeyRing;
use tranche_application::keys::log_key::{LogKeyError, kept_log_key, log_key};
use tranche_application::keys::pepper::{Kept, PepperError, key_ring};
use zeroize::Zeroizing;

use crate::config::{Config, TokenSource, Vault};
use crate::master_key::{has_master_key, master_keys};
use crate::system::SystemEntropy;
use crate::wiring::Stores;

/// How long Vault may take for one answer.
const VAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What seals, and the pepper of the service's former days.
pub struct Keyholder {
    /// Seals and opens under the master keys given.
    pub local: Arc<LocalCustody>,
    /// The pepper that the only master key given gave before there was a sealed one.
    former_pepper: Option<Zeroizing<[u8; 32]>>,
}

impl Keyholder {
    /// Reads the master keys.
    pub async fn of(config: &Config) -> anyhow::Result<Self> {
        let keys = master_keys(config, &SystemEntropy).await?;
        let former_pepper = match &keys[..] {
            [only] => Some(only.former_pepper()),
            _ => None,
        };
        let local = sealing_under(keys).context("TRANCHE_MASTER_KEY: is required")?;
        Ok(Self {
            local: Arc::new(local),
            former_pepper,
        })
    }

    /// As [`Keyholder::of`], and makes no master key: `None` where there is none.
    pub async fn found(config: &Config) -> anyhow::Result<Option<Self>> {
        if !has_master_key(config) {
            return Ok(None);
        }
        Self::of(config).await.map(Some)
    }

    /// The key ring under the pepper that the store keeps; made and kept at the first start.
    pub async fn key_ring(&self, stores: &Stores) -> anyhow::Result<KeyRing> {
        let kept = Kept {
            store: stores.store.as_ref(),
            queries: stores.queries.as_ref(),
            secrets: stores.secrets.as_ref(),
            sealer: self.local.as_ref(),
        };
        key_ring(kept, self.former_pepper.clone(), &SystemEntropy)
            .await
            .map_err(|error| match error {
                PepperError::Store(error) => error.into(),
                other => anyhow::Error::new(other).context("TRANCHE_MASTER_KEY"),
            })
    }

    /// The key that signs the log's checkpoints; made and kept at the first start.
    pub async fn log_key(&self, config: &Config, stores: &Stores) -> anyhow::Result<LogKey> {
        let key = log_key(
            stores.store.as_ref(),
            stores.secrets.as_ref(),
            self.local.as_ref(),
            &SystemEntropy,
            config.log_origin.clone(),
        );
        key.await.map_err(no_log_key)
    }

    /// The key that signs the log's checkpoints, if there is one; makes none.
    pub async fn kept_log_key(
        &self,
        config: &Config,
        stores: &Stores,
    ) -> anyhow::Result<Option<LogKey>> {
        let origin = config.log_origin.clone();
        let key = kept_log_key(stores.secrets.as_ref(), self.local.as_ref(), origin);
        key.await.map_err(no_log_key)
    }

    /// Routes wallets to their custodians.
    pub fn custodians(&self, config: &Config, stores: &Stores) -> anyhow::Result<Custodians> {
        let custodians = Custodians::new(self.local.clone(), stores.wallets.clone());
        Ok(match &config.custody.vault {
            Some(vault) => custodians.with(Arc::new(transit(vault)?)),
            None => custodians,
        })
    }
}

fn no_log_key(error: LogKeyError) -> anyhow::Error {
    match error {
        LogKeyError::Store(error) => error.into(),
        other => anyhow::Error::new(other).context("TRANCHE_MASTER_KEY"),
    }
}

fn sealing_under(keys: Vec<MasterKey>) -> Option<LocalCustody> {
    let mut keys = keys.into_iter();
    let local = LocalCustody::new(keys.next()?, Arc::new(SystemEntropy));
    Some(keys.fold(local, LocalCustody::also_opening))
}

fn transit(vault: &Vault) -> anyhow::Result<VaultTransit> {
    let token = match &vault.token {
        TokenSource::Given(token) => {
            VaultToken::Given(Zeroizing::new(token.expose_secret().to_owned()))
        }
        TokenSource::File(path) => VaultToken::File(path.clone()),
    };
    VaultTransit::try_new(VaultConfig {
        address: vault.address.clone(),
        mount: vault.mount.clone(),
        token,
        timeout: VAULT_TIMEOUT,
    })
    .context("TRANCHE_VAULT_ADDR")
}
