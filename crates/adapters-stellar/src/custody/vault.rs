//! Keys that never leave a Vault server: its transit engine signs, over HTTP.
//!
//! Adopting compares public keys, so a wallet never names a key that is not its account's, and pins
//! the key's version, because Vault makes a new key pair when a key is rotated. Every signature is
//! verified before it is used. The token is read anew for each request where it comes from a file, as
//! Vault's agent renews it there, and no error holds it.

mod client;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};
use tranche_application::ports::custody::{Custodian, CustodyError, SealedWallet};

use crate::account;
use crate::config::ConfigError;
use client::{Client, Fault};
pub use client::{VaultConfig, VaultToken};

/// The name of this custodian in [`SealedWallet::custody`].
pub const VAULT: &str = "vault";

/// A Vault server's transit engine.
pub struct VaultTransit(Client);

impl VaultTransit {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] for an address or a timeout that cannot work.
    pub fn try_new(config: VaultConfig) -> Result<Self, ConfigError> {
        Client::try_new(config).map(Self)
    }
}

#[async_trait]
impl Custodian for VaultTransit {
    fn name(&self) -> &'static str {
        VAULT
    }

    async fn adopt(&self, account_id: &str, key: &str) -> Result<SealedWallet, CustodyError> {
        let public = public_key(account_id)?;
        let no_such_key = || CustodyError::NoSuchKey(key.to_owned());
        if !is_key_name(key) {
            return Err(no_such_key());
        }
        let found = match self.0.get(&format!("keys/{key}")).await {
            Ok(found) => found,
            Err(Fault::NotFound) => return Err(no_such_key()),
            Err(fault) => return Err(fault.into()),
        };
        if found["type"] != "ed25519" {
            return Err(no_such_key());
        }
        let version = version_of(&found["keys"], public.as_bytes())
            .ok_or_else(|| CustodyError::NotItsKey(key.to_owned()))?;
        Ok(SealedWallet {
            account_id: account_id.to_owned(),
            custody: VAULT.to_owned(),
            key_id: Pinned { key, version }.to_string(),
            sealed_seed: Vec::new(),
        })
    }

    async fn sign(
        &self,
        wallet: &SealedWallet,
        digest: [u8; 32],
    ) -> Result<[u8; 64], CustodyError> {
        let public = public_key(&wallet.account_id)?;
        let pinned = Pinned::read(&wallet.key_id)
            .ok_or_else(|| CustodyError::UnknownWallet(wallet.account_id.clone()))?;
        let body = json!({ "input": STANDARD.encode(digest), "key_version": pinned.version });
        let answer = self.0.post(&format!("sign/{}", pinned.key), &body).await;
        let answer = answer.map_err(CustodyError::from)?;
        let wrong = || {
            let key = pinned.key;
            CustodyError::Misconfigured(format!("Vault's signature by {key} is not the account's"))
        };
        let signature = answer["signature"]
            .as_str()
            .and_then(|text| signature(text, pinned.version))
            .ok_or_else(wrong)?;
        public
            .verify_strict(&digest, &Signature::from_bytes(&signature))
            .map_err(|_| wrong())?;
        Ok(signature)
    }
}

impl From<Fault> for CustodyError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(why) => Self::Unavailable(why),
            Fault::Refused(why) => Self::Misconfigured(why),
            Fault::NotFound => Self::Misconfigured("Vault has no such key".to_owned()),
        }
    }
}

/// A key of Vault at one of its versions, as [`SealedWallet::key_id`] has it: `NAME/v3`.
struct Pinned<'a> {
    key: &'a str,
    version: u64,
}

impl<'a> Pinned<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (key, version) = text.rsplit_once("/v")?;
        let version = version.parse().ok()?;
        is_key_name(key).then_some(Self { key, version })
    }
}

impl std::fmt::Display for Pinned<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/v{}", self.key, self.version)
    }
}

/// Vault's own rule for names; also what keeps a name from being a path.
fn is_key_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(|c| word(c) || matches!(c, '-' | '.'))
        && name.starts_with(word)
        && name.ends_with(word)
}

fn public_key(account_id: &str) -> Result<VerifyingKey, CustodyError> {
    let account = account::parse(account_id).ok_or(CustodyError::NotAnAccount)?;
    VerifyingKey::from_bytes(account::key(&account)).map_err(|_| CustodyError::NotAnAccount)
}

/// The newest version of a key whose public half is this one.
fn version_of(keys: &Value, public: &[u8; 32]) -> Option<u64> {
    let versions = keys.as_object()?.iter().filter(|(_, key)| {
        let encoded = key["public_key"].as_str().unwrap_or_default();
        STANDARD.decode(encoded).is_ok_and(|bytes| bytes == public)
    });
    versions
        .filter_map(|(version, _)| version.parse().ok())
        .max()
}

/// The signature in `vault:v3:BASE64`, if it is by this version.
fn signature(text: &str, version: u64) -> Option<[u8; 64]> {
    let encoded = text.strip_prefix(&format!("vault:v{version}:"))?;
    STANDARD.decode(encoded).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
