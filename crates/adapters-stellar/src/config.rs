//! What the adapter must be told, and why it may refuse to start.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::asset::Asset;

/// The least fee the ledger takes for one operation, in stroops.
const BASE_FEE: u32 = 100;
/// A burn that outlives this keeps its wallet locked for too long.
const LONGEST_TTL: Duration = Duration::from_hours(1);

/// How to reach the ledger and what to burn there.
#[derive(Clone)]
pub struct StellarConfig {
    /// Where the Stellar RPC server listens, `http` or `https`. May hold a provider's key, and is
    /// therefore never printed.
    pub rpc_url: String,
    /// Names the network. A server of another network is never signed for.
    pub network_passphrase: String,
    /// The asset that burns.
    pub asset: Asset,
    /// How long a signed burn can be included, by the ledger's clock; whole seconds, up to one
    /// hour. [`StellarConfig::BURN_TTL`] unless there is a reason.
    pub burn_ttl: Duration,
    /// The most that a burn may cost, in stroops; the ledger charges its clearing price.
    pub max_fee: u32,
    /// How long one question to the server may take, from connecting to the last byte.
    pub timeout: Duration,
}

impl StellarConfig {
    /// Three minutes: some thirty ledgers, and short enough to wait for when nothing happens.
    pub const BURN_TTL: Duration = Duration::from_mins(3);
    /// 10,000 stroops (0.001 XLM): a hundred times the least, for times of surge pricing.
    pub const MAX_FEE: u32 = 10_000;
    /// 10 s.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// With the usual limits.
    #[must_use]
    pub const fn new(rpc_url: String, network_passphrase: String, asset: Asset) -> Self {
        Self {
            rpc_url,
            network_passphrase,
            asset,
            burn_ttl: Self::BURN_TTL,
            max_fee: Self::MAX_FEE,
            timeout: Self::TIMEOUT,
        }
    }

    /// # Errors
    /// [`ConfigError`] for the first setting that cannot work.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.network_passphrase.is_empty() {
            return Err(ConfigError::Passphrase);
        }
        if self.burn_ttl.as_secs() == 0 || self.burn_ttl > LONGEST_TTL {
            return Err(ConfigError::BurnTtl);
        }
        if self.max_fee < BASE_FEE {
            return Err(ConfigError::MaxFee);
        }
        Ok(())
    }
}

impl fmt::Debug for StellarConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StellarConfig")
            .field("network_passphrase", &self.network_passphrase)
            .field("asset", &self.asset)
            .field("burn_ttl", &self.burn_ttl)
            .field("max_fee", &self.max_fee)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A setting that cannot work. Never holds the URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Not an `http` or `https` URL with a host.
    #[error("the RPC URL must be http:// or https:// with a host")]
    RpcUrl,
    /// Empty.
    #[error("the network passphrase must not be empty")]
    Passphrase,
    /// Zero, or longer than an hour.
    #[error("the burn's time to live must be between 1 s and 1 h")]
    BurnTtl,
    /// Below what any ledger takes.
    #[error("the most a burn may cost must be at least 100 stroops")]
    MaxFee,
    /// Zero.
    #[error("the timeout must not be zero")]
    Timeout,
    /// TLS could not be set up: no system certificates, for instance.
    #[error("the HTTP client cannot be set up: {0}")]
    HttpClient(String),
}
