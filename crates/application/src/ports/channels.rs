//! Channel accounts: accounts that lend their sequence numbers, so that one wallet has many burns in
//! flight. A channel is leased exactly while an open disbursement names it, so nothing but a verdict
//! can release it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::DisbursementId;

use super::burner::LedgerError;
use super::custody::SecretSeed;
use super::store::StoreError;

/// A channel account on its way into the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChannel {
    /// The network it is on.
    pub network: String,
    /// The account.
    pub account_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A channel account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The account.
    pub account_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the ledger showed it; before that it is not used.
    pub funded_at: Option<DateTime<Utc>>,
    /// The open disbursement that has it.
    pub leased_by: Option<DisbursementId>,
}

/// Reads the pool.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Channels: Send + Sync {
    /// All channel accounts on a network, oldest first.
    async fn channels(&self, network: &str) -> Result<Vec<Channel>, StoreError>;
}

/// Makes channel accounts on the ledger.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ChannelFunder: Send + Sync {
    /// A fresh key, unknown to the ledger.
    fn draw(&self) -> SecretSeed;

    /// Opens these accounts with enough for reserves and fees; one that exists is left as it is.
    /// When it returns, the ledger shows them all. At most 100 at once.
    async fn fund(&self, account_ids: &[String]) -> Result<(), LedgerError>;
}
