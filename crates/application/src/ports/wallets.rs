//! Opening wallets on a ledger that allows it: the sandbox.

use async_trait::async_trait;
use tranche_domain::Amount;

use super::burner::LedgerError;
use super::custody::SecretSeed;

/// Opens funded wallets.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait WalletOpener: Send + Sync {
    /// A new wallet that holds `balance` of the asset and enough for fees.
    async fn open(&self, balance: Amount) -> Result<SecretSeed, LedgerError>;
}
