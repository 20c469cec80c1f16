//! The ledger, as a place where tokens are burned.

use async_trait::async_trait;
use thiserror::Error;
use tranche_domain::disbursement::{BurnOrder, PreparedBurn, Verdict};

/// Why the ledger could not be asked, or would refuse.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// It cannot be reached or does not answer properly; ask again later.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// It would refuse the burn as things stand: no tokens, not authorised, no fee.
    #[error("the ledger would refuse the burn: {detail}")]
    Refused {
        /// Stable and machine-readable, such as `underfunded`.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// This side is set up wrongly: another network, a key that is not the wallet's.
    #[error("the ledger adapter is set up wrongly: {0}")]
    Misconfigured(String),
}

/// What the ledger answered to a sending. It proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitHint(pub String);

/// Burns tokens, at most once for each prepared burn.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait LedgerBurner: Send + Sync {
    /// Builds and signs; nothing leaves the process but questions. Never called inside a unit of
    /// work.
    async fn prepare(&self, order: &BurnOrder) -> Result<PreparedBurn, LedgerError>;

    /// Sends the bytes as they are. Idempotent. The answer is a hint.
    async fn submit(&self, burn: &PreparedBurn) -> Result<SubmitHint, LedgerError>;

    /// The ledger's verdict. `Undecided` is an answer.
    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError>;

    /// Whether the ledger answers, is the right one, and moves.
    async fn ready(&self) -> Result<(), LedgerError>;
}
