//! What only a sandbox ledger offers: accounts for the asking. The `WalletOpener` and
//! `ChannelFunder` ports on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tranche_application::ports::burner::LedgerError;
use tranche_application::ports::channels::ChannelFunder;
use tranche_application::ports::custody::SecretSeed;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::wallets::WalletOpener;
use tranche_domain::Amount;

use crate::asset::Asset;
use crate::config::ConfigError;
use crate::http::Endpoint;
use crate::keypair::keypair;

/// Pays for the reserve and, at the least fee, for millions of burns.
const XLM: &str = "100";
/// What a refusal may contribute to an error.
const LONGEST_REASON: usize = 200;

/// The sandbox's purse.
struct Purse(Endpoint);

impl Purse {
    fn try_new(rpc_url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        Ok(Self(
            Endpoint::try_new(rpc_url, timeout)?.at("/sandbox/fund"),
        ))
    }

    /// Returns once the ledger shows what was asked for.
    async fn give(&self, request: &Value) -> Result<(), LedgerError> {
        let answer = self
            .0
            .post(request)
            .await
            .map_err(|error| LedgerError::Unavailable(format!("sandbox: {error}")))?;
        if (200..300).contains(&answer.status) {
            return Ok(());
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

/// Opens wallets that the sandbox funds.
pub struct SandboxWallets {
    purse: Purse,
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
            purse: Purse::try_new(rpc_url, timeout)?,
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
        self.purse.give(&request).await?;
        Ok(seed)
    }
}

/// Opens channel accounts that the sandbox funds.
pub struct SandboxChannels {
    purse: Purse,
    entropy: Arc<dyn Entropy>,
}

impl SandboxChannels {
    /// Connects to nothing yet. `rpc_url` is the sandbox's.
    ///
    /// # Errors
    /// [`ConfigError`] for a URL or timeout that cannot work.
    pub fn try_new(
        rpc_url: &str,
        timeout: Duration,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            purse: Purse::try_new(rpc_url, timeout)?,
            entropy,
        })
    }
}

#[async_trait]
impl ChannelFunder for SandboxChannels {
    fn draw(&self) -> SecretSeed {
        keypair(self.entropy.as_ref()).1
    }

    async fn fund(&self, account_ids: &[String]) -> Result<(), LedgerError> {
        for account in account_ids {
            let request = json!({ "account": account, "xlm": XLM });
            self.purse.give(&request).await?;
        }
        Ok(())
    }
}
