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
    /// Where the Stellar RPC servers listen, `http` or `https`: the first is preferred, the others
    /// are asked when it is unavailable. They may hold a provider's key, and are therefore never
    /// printed.
    pub rpc_urls: Vec<String>,
    /// A server of another provider that must come to the same verdict before any verdict is final.
    pub witness_rpc_url: Option<String>,
    /// Names the network. A server of another network is never signed for.
    pub network_passphrase: String,
    /// The asset that burns.
    pub asset: Asset,
    /// How long a signed burn can be included, by the ledger's clock; whole seconds, up to one
    /// hour. [`StellarConfig::BURN_TTL`] unless there is a reason.
    pub burn_ttl: Duration,
    /// The most that a burn may cost at first, in stroops; the ledger charges its clearing price.
    pub max_fee: u32,
    /// The most that a burn may ever cost, in stroops, however much the ledger asks for.
    pub most_fee: u64,
    /// How long one question to the server may take, from connecting to the last byte.
    pub timeout: Duration,
}

impl StellarConfig {
    /// Three minutes: some thirty ledgers, and short enough to wait for when nothing happens.
    pub const BURN_TTL: Duration = Duration::from_mins(3);
    /// 10,000 stroops (0.001 XLM): a hundred times the least, for times of surge pricing.
    pub const MAX_FEE: u32 = 10_000;
    /// 10,000,000 stroops (1 XLM).
    pub const MOST_FEE: u64 = 10_000_000;
    /// 10 s.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// With the usual limits.
    #[must_use]
    pub const fn new(rpc_urls: Vec<String>, network_passphrase: String, asset: Asset) -> Self {
        Self {
            rpc_urls,
            witness_rpc_url: None,
            network_passphrase,
            asset,
            burn_ttl: Self::BURN_TTL,
            max_fee: Self::MAX_FEE,
            most_fee: Self::MOST_FEE,
            timeout: Self::TIMEOUT,
        }
    }

    /// What a burn offers at first.
    pub(crate) fn first_fee(&self) -> u32 {
        let most = u32::try_from(self.most_fee).unwrap_or(u32::MAX);
        self.max_fee.min(most)
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
        if self.max_fee < BASE_FEE || self.most_fee < u64::from(BASE_FEE) {
            return Err(ConfigError::MaxFee);
        }
        let witness = self.witness_rpc_url.as_ref();
        if witness.is_some_and(|witness| self.rpc_urls.contains(witness)) {
            return Err(ConfigError::Witness);
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
            .field("most_fee", &self.most_fee)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A setting that cannot work. Never holds a URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// None, or not an `http` or `https` URL with a host.
    #[error("the RPC URL must be http:// or https:// with a host")]
    RpcUrl,
    /// A server that bears witness to itself.
    #[error("the witness must be another RPC server than those it is to confirm")]
    Witness,
    /// Empty.
    #[error("the network passphrase must not be empty")]
    Passphrase,
    /// Zero, or longer than an hour.
    #[error("the burn's time to live must be between 1 s and 1 h")]
    BurnTtl,
    /// Below what any ledger takes.
    #[error("the most a burn may cost must be at least 100 stroops")]
    MaxFee,
    /// Not a seed.
    #[error("the channel funder's seed must be a secret seed, S…")]
    Funder,
    /// Less than an account needs to exist.
    #[error("a channel account must begin with at least 1 XLM")]
    StartingBalance,
    /// Zero.
    #[error("the timeout must not be zero")]
    Timeout,
    /// TLS could not be set up: no system certificates, for instance.
    #[error("the HTTP client cannot be set up: {0}")]
    HttpClient(String),
}
