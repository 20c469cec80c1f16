//! The books as the watch sees them: what is kept of the ledger's burns, and where books and ledger
//! differ.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::ProjectId;

use super::burner::BurnsSeen;
use super::store::StoreError;

/// In what way books and ledger differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The ledger holds a burn of the project's wallet that no disbursement ordered.
    UnknownBurn,
    /// The ledger holds a second burn for one disbursement, or one for a disbursement that failed.
    ExcessBurn,
    /// A burn's amount or wallet is not the one ordered, or none of the envelopes kept made it.
    OtherBurn,
    /// A settled disbursement has no burn in the ledgers watched.
    MissingBurn,
    /// The NAV has not gone down by the sum of the settled burns.
    Nav,
    /// The reservation is not the sum of the open disbursements.
    Reservation,
    /// A version of a milestone has no event (M14).
    MissingEvent,
}

impl DifferenceKind {
    /// By gravity, the gravest first; a store names a kind by its place here.
    pub const ALL: [Self; 7] = [
        Self::UnknownBurn,
        Self::ExcessBurn,
        Self::OtherBurn,
        Self::MissingBurn,
        Self::Nav,
        Self::Reservation,
        Self::MissingEvent,
    ];

    /// The kind at this place of [`DifferenceKind::ALL`].
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when there is none: a row must not be passed over.
    pub fn at(place: i64) -> Result<Self, StoreError> {
        let kind = usize::try_from(place).ok().and_then(|at| Self::ALL.get(at));
        kind.copied()
            .ok_or_else(|| StoreError::Inconsistent(format!("there is no difference {place}")))
    }

    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownBurn => "unknown_burn",
            Self::ExcessBurn => "excess_burn",
            Self::OtherBurn => "other_burn",
            Self::MissingBurn => "missing_burn",
            Self::Nav => "nav",
            Self::Reservation => "reservation",
            Self::MissingEvent => "missing_event",
        }
    }

    /// Whether the ledger holds more than the books know, so that sending could pay again.
    #[must_use]
    pub const fn forbids_sending(self) -> bool {
        matches!(self, Self::UnknownBurn | Self::ExcessBurn | Self::OtherBurn)
    }
}

/// One row in which books and ledger differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In what way.
    pub kind: DifferenceKind,
    /// Whose books.
    pub project_id: ProjectId,
    /// What it is about: a transaction, a disbursement, a project, or a milestone's version.
    pub subject: String,
    /// What the books say.
    pub books: String,
    /// What the ledger, or the log, says.
    pub found: String,
}

/// How far the ledger was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The first ledger watched.
    pub from: u32,
    /// The last one: every burn of our wallets up to it is kept.
    pub to: u32,
}

/// The books, for the watch.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Books: Send + Sync {
    /// How far a network was watched, or `None` before the first time.
    async fn watched(&self, network: &str) -> Result<Option<Watched>, StoreError>;

    /// The ledger at which the oldest disbursement on a network was signed.
    async fn first_signed(&self, network: &str) -> Result<Option<u32>, StoreError>;

    /// The wallets of all projects.
    async fn wallets(&self) -> Result<Vec<String>, StoreError>;

    /// Keeps the burns seen and moves the watch to their last ledger, together. Burns kept before
    /// stay as they are, and the watch never moves back. After a gap it begins anew.
    async fn keep_seen(
        &self,
        network: &str,
        seen: &BurnsSeen,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Where the burns kept and the books differ, the gravest kind first; at most `limit` rows.
    /// Judged on one snapshot of the store.
    async fn differences(&self, network: &str, limit: u32) -> Result<Vec<Difference>, StoreError>;

    /// Milestone versions without their event in log or outbox, as [`DifferenceKind::MissingEvent`];
    /// at most `limit` rows.
    async fn missing_events(&self, limit: u32) -> Result<Vec<Difference>, StoreError>;
}
