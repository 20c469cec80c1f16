//! The ledger on Stellar: burns built, signed, sent and judged over JSON-RPC.
//!
//! | module | promise |
//! |---|---|
//! | [`asset`], [`account`], [`network`] | names as the ledger writes them, and their XDR |
//! | [`envelope`] | the bytes of a burn, equal to those of the official SDKs |
//! | `rpc` | transport only: questions, deadlines, bounds; no judgement |
//! | `node`, `providers` | the servers, each believed with care, and asked in turn |
//! | `classify` | what one remote answer means; pure |
//! | `preflight` | what the ledger would refuse, found out before signing; pure |
//! | [`burner`] | the `LedgerBurner` port over the above |
//! | [`custody`] | the `Custody` port: seeds sealed under a master key, or keys held by Vault |
//! | [`funder`] | the `ChannelFunder` port, paid for by an account of the operator's |
//! | [`sandbox`] | the `WalletOpener` and `ChannelFunder` ports, on a ledger that gives them away |
//!
//! # TLS
//! `https` URLs use rustls. The process's `main` installs a crypto provider first, so that no two
//! libraries choose differently; without one the HTTP client falls back to its own. `http` URLs,
//! such as the sandbox on loopback, need neither a provider nor the system's certificates.

pub mod account;
pub mod asset;
pub mod burner;
mod classify;
pub mod config;
pub mod custody;
mod entries;
pub mod envelope;
pub mod funder;
mod http;
mod keypair;
pub mod network;
mod node;
mod preflight;
mod providers;
mod rpc;
pub mod sandbox;
#[cfg(test)]
mod testing;

pub use asset::{Asset, AssetError};
pub use burner::StellarBurner;
pub use config::{ConfigError, StellarConfig};
pub use custody::{
    Custodians, LocalCustody, MasterKey, MasterKeyError, VaultConfig, VaultToken, VaultTransit,
};
pub use funder::FunderAccount;
pub use sandbox::{SandboxChannels, SandboxWallets};
