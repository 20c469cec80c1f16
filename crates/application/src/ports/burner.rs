//! The ledger, as a place where tokens are burned.

use async_trait::async_trait;
use thiserror::Error;
use tranche_domain::Amount;
use tranche_domain::disbursement::{BurnId, BurnOrder, PreparedBurn, Replacement, Verdict};

/// Why the ledger could not be asked, or would refuse.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// It cannot be reached or does not answer properly; ask again later.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// It would refuse it as things stand: no tokens, not authorised, no fee.
    #[error("the ledger would refuse it: {detail}")]
    Refused {
        /// Stable and machine-readable, such as `underfunded`.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// The account that should lend its sequence number cannot: it is gone, or cannot pay the fee.
    /// Another one may.
    #[error("the sequence account cannot be used: {detail}")]
    UnfitSequenceAccount {
        /// Stable and machine-readable, such as `no_sequence_account`.
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
pub struct SubmitHint {
    /// Its words.
    pub said: String,
    /// The fee it asks for at present, in its own smallest unit, when it found the burn's too low.
    pub fee_asked: Option<u64>,
}

/// A burn that the ledger shows, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBurn {
    /// Names it on the ledger.
    pub id: BurnId,
    /// The ledger that holds it.
    pub ledger: u32,
    /// Whose tokens burned.
    pub wallet_account_id: String,
    /// How much.
    pub amount: Amount,
    /// What it carries, when that is 32 bytes: the leaf hash of the event that ordered it.
    pub memo: Option<[u8; 32]>,
}

/// All burns of some wallets in a range of closed ledgers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BurnsSeen {
    /// The first ledger that was searched; later than asked when the node remembers no further.
    pub from: u32,
    /// The last one: the newest closed ledger.
    pub to: u32,
    /// The burns, in the order of the ledger.
    pub burns: Vec<SeenBurn>,
}

/// Burns tokens, at most once for each prepared burn.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait LedgerBurner: Send + Sync {
    /// Names the network, as [`tranche_domain::LedgerSlot::network`] does.
    fn network(&self) -> &str;

    /// Builds and signs; nothing leaves the process but questions. Never called inside a unit of
    /// work.
    async fn prepare(&self, order: &BurnOrder) -> Result<PreparedBurn, LedgerError>;

    /// Sends the bytes of the newest envelope as they are. Idempotent. The answer is a hint.
    async fn submit(&self, burn: &PreparedBurn) -> Result<SubmitHint, LedgerError>;

    /// A further envelope for the same slot that offers the fee asked for; to be kept before it is
    /// sent. `None` when this side will not pay that much, or the newest envelope offers it already.
    async fn outbid(
        &self,
        burn: &PreparedBurn,
        fee_asked: u64,
    ) -> Result<Option<Replacement>, LedgerError>;

    /// The ledger's verdict over all of the burn's envelopes. `Undecided` is an answer.
    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError>;

    /// Every burn of these wallets from the ledger `from` on, up to the newest closed one, without
    /// a gap but the one that [`BurnsSeen::from`] admits. Without `from`, only where the ledger is.
    async fn burns_since(
        &self,
        from: Option<u32>,
        wallets: &[String],
    ) -> Result<BurnsSeen, LedgerError>;

    /// Whether the ledger answers, is the right one, and moves.
    async fn ready(&self) -> Result<(), LedgerError>;
}
