//! The states of a milestone, and every step between them, on one screen.
//!
//! ```text
//! draft ─submit─► submitted ─approve─► approved ─prepare─► disbursing ─settle─► disbursed
//!   ▲                 └─reject─► rejected       ▲               │
//!   └─────────revise──────────────┘             └─────fail──────┘
//! ```

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};

use crate::audit::Action;
use crate::disbursement::BurnId;
use crate::ids::DisbursementId;
use crate::money::Amount;
use crate::text::{Notes, Reason, TransferReference};

/// Who did it and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The actor's id.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The two signatures behind an approved milestone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who handed it in.
    pub submitted: Stamp,
    /// Who approved it.
    pub approved: Stamp,
}

/// The bank transfer that pays a milestone in Naira.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankTransfer {
    /// The bank's reference, used once in a project.
    pub reference: TransferReference,
    /// What was transferred.
    pub amount: Amount,
    /// The day of the transfer.
    pub date: NaiveDate,
    /// What else there is to say.
    pub notes: Option<Notes>,
}

/// Where a milestone stands, with all that is known there and nothing that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MilestoneState {
    /// Being written.
    Draft,
    /// Waiting for approval.
    Submitted {
        /// Who handed it in.
        submitted: Stamp,
    },
    /// Turned down; it can be revised.
    Rejected {
        /// Who handed it in.
        submitted: Stamp,
        /// Who turned it down.
        rejected: Stamp,
        /// Why.
        reason: Reason,
    },
    /// Approved; paid by bank once there is a transfer.
    Approved {
        /// Who submitted and approved.
        approval: Approval,
        /// How it was paid.
        transfer: Option<BankTransfer>,
    },
    /// A burn for it is in flight.
    Disbursing {
        /// Who submitted and approved.
        approval: Approval,
        /// How it was paid.
        transfer: BankTransfer,
        /// The order in flight.
        disbursement: DisbursementId,
    },
    /// Burned and settled: the end.
    Disbursed {
        /// Who submitted and approved.
        approval: Approval,
        /// How it was paid.
        transfer: BankTransfer,
        /// Who disbursed it.
        disbursed: Stamp,
        /// How much was burned.
        burned: Amount,
        /// The burn on the ledger.
        burn: BurnId,
    },
}

impl MilestoneState {
    /// The state's name.
    #[must_use]
    pub const fn status(&self) -> MilestoneStatus {
        match self {
            Self::Draft => MilestoneStatus::Draft,
            Self::Submitted { .. } => MilestoneStatus::Submitted,
            Self::Rejected { .. } => MilestoneStatus::Rejected,
            Self::Approved { .. } => MilestoneStatus::Approved,
            Self::Disbursing { .. } => MilestoneStatus::Disbursing,
            Self::Disbursed { .. } => MilestoneStatus::Disbursed,
        }
    }
}

/// The name of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MilestoneStatus {
    /// Being written.
    Draft,
    /// Waiting for approval.
    Submitted,
    /// Turned down.
    Rejected,
    /// Approved.
    Approved,
    /// A burn is in flight.
    Disbursing,
    /// Burned and settled.
    Disbursed,
}

impl MilestoneStatus {
    /// Every status, in the order of a milestone's life.
    pub const ALL: [Self; 6] = [
        Self::Draft,
        Self::Submitted,
        Self::Rejected,
        Self::Approved,
        Self::Disbursing,
        Self::Disbursed,
    ];

    /// The transition table: the status after `action`, or `None` where it is not allowed.
    #[must_use]
    pub const fn after(self, action: Action) -> Option<Self> {
        match (self, action) {
            (Self::Draft, Action::MilestoneUpdated)
            | (Self::Rejected, Action::MilestoneRevised) => Some(Self::Draft),
            (Self::Draft, Action::MilestoneSubmitted) => Some(Self::Submitted),
            (Self::Submitted, Action::MilestoneRejected) => Some(Self::Rejected),
            (Self::Submitted, Action::MilestoneApproved)
            | (Self::Approved, Action::BankTransferRecorded)
            | (Self::Disbursing, Action::DisbursementFailed) => Some(Self::Approved),
            (Self::Approved, Action::DisbursementPrepared) => Some(Self::Disbursing),
            (Self::Disbursing, Action::MilestoneDisbursed) => Some(Self::Disbursed),
            _ => None,
        }
    }

    /// The status's name as stored, answered and logged.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Rejected => "rejected",
            Self::Approved => "approved",
            Self::Disbursing => "disbursing",
            Self::Disbursed => "disbursed",
        }
    }

    /// The status of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

impl fmt::Display for MilestoneStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
