//! Re-wraps whatever a master key seals, under the master key in force.
//!
//! Row by row, each in a unit of work of its own and guarded by the key that sealed it before: safe
//! to end half-way, to repeat, and to run beside services and beside another rotation. Every wallet
//! is opened, also one that is in place already, so that what no key opens is found out here. The
//! pepper of API keys comes last: while it needs the former key, no service starts without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::keys::log_key::LOG_KEY;
use crate::keys::pepper::PEPPER;
use crate::ports::custody::{CustodyError, SealedSecret, SealedSecrets, SealedWallet, Sealer};
use crate::ports::store::{Store, StoreError};
use crate::ports::subject_keys::SubjectKey;
use crate::ports::webhooks::Webhooks;

/// How many wallets are read at once.
const PAGE: u32 = 100;
/// The service's own secrets, the pepper last.
const SECRETS: [&str; 2] = [LOG_KEY, PEPPER];

/// What a rotation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Wallets and secrets re-wrapped.
    pub rewrapped: u64,
    /// Those that the key in force had sealed already, or that somebody else re-wrapped meanwhile.
    pub in_place: u64,
    /// Wallets whose keys an external custodian holds: nothing is sealed.
    pub outside: u64,
    /// What no master key given opens: accounts, and names of secrets.
    pub unopened: Vec<String>,
}

/// What seals what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many wallets and secrets each master key seals, by its id.
    pub sealed: BTreeMap<String, u64>,
    /// How many wallets each external custodian holds, by its name.
    pub outside: BTreeMap<String, u64>,
}

/// Rotates, and says what there is to rotate.
pub struct Rotation {
    store: Arc<dyn Store>,
    secrets: Arc<dyn SealedSecrets>,
    sealer: Arc<dyn Sealer>,
    /// The name of wallets that are sealed here.
    local: &'static str,
    webhooks: Arc<dyn Webhooks>,
}

impl Rotation {
    /// Over this store, under this sealer's key in force; `local` names the custody it seals for.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        secrets: Arc<dyn SealedSecrets>,
        sealer: Arc<dyn Sealer>,
        local: &'static str,
        webhooks: Arc<dyn Webhooks>,
    ) -> Self {
        Self {
            store,
            secrets,
            sealer,
            local,
            webhooks,
        }
    }

    /// Re-wraps everything, and tells `progress` now and then how far it is.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer; what was re-wrapped until then stays so.
    pub async fn run(&self, mut progress: impl FnMut(&Rotated)) -> Result<Rotated, StoreError> {
        let mut done = Rotated::default();
        let mut last = String::new();
        loop {
            let page = self.secrets.wallets_after(&last, PAGE).await?;
            let Some(end) = page.last() else { break };
            last.clone_from(&end.account_id);
            for wallet in &page {
                self.wallet(wallet, &mut done).await?;
            }
            progress(&done);
        }
        last.clear();
        loop {
            let page = self.webhooks.webhook_secrets_after(&last, PAGE).await?;
            let Some(end) = page.last() else { break };
            last.clone_from(&end.name);
            for secret in &page {
                self.webhook_secret(secret, &mut done).await?;
            }
            progress(&done);
        }
        self.subject_keys(&mut done).await?;
        for secret in SECRETS {
            self.secret(secret, &mut done).await?;
        }
        Ok(done)
    }

    async fn wallet(&self, wallet: &SealedWallet, done: &mut Rotated) -> Result<(), StoreError> {
        if wallet.custody != self.local {
            done.outside += 1;
            return Ok(());
        }
        let Some(resealed) = opened(&wallet.account_id, self.sealer.reseal(wallet), done) else {
            return Ok(());
        };
        if wallet.key_id == self.sealer.key_id() {
            done.in_place += 1;
            return Ok(());
        }
        let mut work = self.store.begin().await?;
        let ours = work
            .credentials()
            .reseal_wallet(&resealed, &wallet.key_id)
            .await?;
        work.commit().await?;
        done.count(ours);
        Ok(())
    }

    async fn subject_keys(&self, done: &mut Rotated) -> Result<(), StoreError> {
        let mut last = Uuid::nil();
        loop {
            let page = self.secrets.subject_keys_after(last, PAGE).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = end.id;
            for key in &page {
                self.subject_key(key, done).await?;
            }
        }
    }

    async fn subject_key(&self, key: &SubjectKey, done: &mut Rotated) -> Result<(), StoreError> {
        let secret = key.secret();
        let Some(opened_key) = opened(&secret.name, self.sealer.open_secret(&secret), done) else {
            return Ok(());
        };
        if key.key_id == self.sealer.key_id() {
            done.in_place += 1;
            return Ok(());
        }
        let resealed = self.sealer.seal_secret(&secret.name, &opened_key);
        let Some(resealed) = opened(&secret.name, resealed, done) else {
            return Ok(());
        };
        let resealed = SubjectKey {
            key_id: resealed.key_id,
            sealed: resealed.sealed,
            ..key.clone()
        };
        let mut work = self.store.begin().await?;
        let ours = work
            .credentials()
            .reseal_subject_key(&resealed, &key.key_id)
            .await?;
        work.commit().await?;
        done.count(ours);
        Ok(())
    }

    async fn secret(&self, name: &str, done: &mut Rotated) -> Result<(), StoreError> {
        let Some(sealed) = self.secrets.sealed_secret(name).await? else {
            return Ok(());
        };
        let Some(resealed) = self.resealed(&sealed, done) else {
            return Ok(());
        };
        let mut work = self.store.begin().await?;
        let ours = work
            .credentials()
            .reseal_secret(&resealed, &sealed.key_id)
            .await?;
        work.commit().await?;
        done.count(ours);
        Ok(())
    }

    async fn webhook_secret(
        &self,
        sealed: &SealedSecret,
        done: &mut Rotated,
    ) -> Result<(), StoreError> {
        let Some(resealed) = self.resealed(sealed, done) else {
            return Ok(());
        };
        let mut work = self.store.begin().await?;
        let ours = work
            .webhooks()
            .reseal_webhook_secret(&resealed, &sealed.key_id)
            .await?;
        work.commit().await?;
        done.count(ours);
        Ok(())
    }

    /// A secret under the key in force, if another one sealed it and it opens.
    fn resealed(&self, sealed: &SealedSecret, done: &mut Rotated) -> Option<SealedSecret> {
        let name = &sealed.name;
        let secret = opened(name, self.sealer.open_secret(sealed), done)?;
        if sealed.key_id == self.sealer.key_id() {
            done.in_place += 1;
            return None;
        }
        opened(name, self.sealer.seal_secret(name, &secret), done)
    }

    /// Counts what each key seals.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn census(&self) -> Result<Census, StoreError> {
        let mut census = Census::default();
        let mut last = String::new();
        loop {
            let page = self.secrets.wallets_after(&last, PAGE).await?;
            let Some(end) = page.last() else { break };
            last.clone_from(&end.account_id);
            for wallet in page {
                let of = if wallet.custody == self.local {
                    census.sealed.entry(wallet.key_id)
                } else {
                    census.outside.entry(wallet.custody)
                };
                *of.or_default() += 1;
            }
        }
        last.clear();
        loop {
            let page = self.webhooks.webhook_secrets_after(&last, PAGE).await?;
            let Some(end) = page.last() else { break };
            last.clone_from(&end.name);
            for secret in page {
                *census.sealed.entry(secret.key_id).or_default() += 1;
            }
        }
        let mut last = Uuid::nil();
        loop {
            let page = self.secrets.subject_keys_after(last, PAGE).await?;
            let Some(end) = page.last() else { break };
            last = end.id;
            for key in page {
                *census.sealed.entry(key.key_id).or_default() += 1;
            }
        }
        for name in SECRETS {
            if let Some(secret) = self.secrets.sealed_secret(name).await? {
                *census.sealed.entry(secret.key_id).or_default() += 1;
            }
        }
        Ok(census)
    }
}

impl Rotated {
    fn count(&mut self, ours: bool) {
        if ours {
            self.rewrapped += 1;
        } else {
            self.in_place += 1;
        }
    }
}

/// What was opened; what was not is noted by name.
fn opened<T>(name: &str, outcome: Result<T, CustodyError>, done: &mut Rotated) -> Option<T> {
    match outcome {
        Ok(opened) => Some(opened),
        Err(error) => {
            tracing::warn!(name, %error, "left as it is");
            done.unopened.push(name.to_owned());
            None
        }
    }
}
