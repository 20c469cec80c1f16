//! The `WalletOpener` port: on the sandbox ledger, a new wallet for the asking.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use serde_json::json;
use stellar_strkey::ed25519::PrivateKey;
use tranche_application::ports::burner::LedgerError;
use tranche_application::ports::custody::SecretSeed;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::wallets::WalletOpener;
use tranche_domain::Amount;

use crate::account;
use crate::asset::Asset;
use crate::config::ConfigError;
use crate::http::Endpoint;

/// Pays for the reserve and, at the least fee, for millions of burns.
const XLM: &str = "100";
/// What a refusal may contribute to an error.
const LONGEST_REASON: usize = 200;

/// Opens wallets that the sandbox funds.
pub struct SandboxWallets {
    fund: Endpoint,
    asset: Asset,
    entropy: Arc<dyn Entropy>,
}

impl SandboxWallets {
    /// Connects to nothing yet. `rpc_url` is the sandbox's.
    ///
    /// # Errors
    /// [`ConfigError`] for a URL or timeout that cannot work.
    pub fn try_new(
        rpc_url: &str,
        asset: Asset,
        timeout: Duration,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            fund: Endpoint::try_new(rpc_url, timeout)?.at("/sandbox/fund"),
            asset,
            entropy,
        })
    }
}

#[async_trait]
impl WalletOpener for SandboxWallets {
    async fn open(&self, balance: Amount) -> Result<SecretSeed, LedgerError> {
        let (account, seed) = keypair(self.entropy.as_ref());
        let request = json!({
            "account": account,
            "asset": self.asset.to_string(),
            "amount": balance.to_string(),
            "xlm": XLM,
        });
        let answer = self
            .fund
            .post(&request)
            .await
            .map_err(|error| LedgerError::Unavailable(format!("sandbox: {error}")))?;
        if (200..300).contains(&answer.status) {
            return Ok(seed);
        }
        let reason: String = String::from_utf8_lossy(&answer.body)
            .chars()
            .take(LONGEST_REASON)
            .collect();
        let detail = format!("the sandbox answers HTTP {}: {reason}", answer.status);
        if (400..500).contains(&answer.status) {
            Err(LedgerError::Misconfigured(detail))
        } else {
            Err(LedgerError::Unavailable(detail))
        }
    }
}

/// A new account and its seed.
fn keypair(entropy: &dyn Entropy) -> (String, SecretSeed) {
    let private = PrivateKey(entropy.secret());
    let public = SigningKey::from_bytes(&private.0)
        .verifying_key()
        .to_bytes();
    // Of its final size at once: a string that grows leaves copies behind that nobody wipes.
    let mut seed = String::with_capacity(PrivateKey::ENCODED_LEN);
    let _never_fails = write!(seed, "{}", private.as_unredacted());
    (account::of_key(public).to_string(), SecretSeed::new(seed))
}
