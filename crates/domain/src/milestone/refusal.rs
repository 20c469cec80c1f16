//! Why a command on a milestone is refused.

use thiserror::Error;

use super::state::MilestoneStatus;
use crate::audit::Action;
use crate::money::Amount;
use crate::project::BooksError;

/// A command that its milestone does not allow, with what the caller needs to do better.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{action} is refused for a milestone in {from}: {why}")]
pub struct TransitionError {
    /// Where the milestone stands.
    pub from: MilestoneStatus,
    /// What was asked.
    pub action: Action,
    /// Why not.
    pub why: Refusal,
}

/// The reason of a [`TransitionError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Only possible in draft.
    #[error("it is not a draft")]
    NotDraft,
    /// Only possible when submitted.
    #[error("it is not submitted")]
    NotSubmitted,
    /// Only possible when rejected.
    #[error("it is not rejected")]
    NotRejected,
    /// Only possible when approved.
    #[error("it is not approved")]
    NotApproved,
    /// Only possible when a burn is in flight.
    #[error("no burn is in flight for it")]
    NotDisbursing,
    /// A burn for it is in flight.
    #[error("a burn is in flight for it")]
    InFlight,
    /// It is disbursed for good.
    #[error("it is disbursed already")]
    AlreadyDisbursed,
    /// Whoever submitted may not approve.
    #[error("whoever submitted it may not approve it")]
    SubmitterMayNotApprove,
    /// Whoever approved may not disburse.
    #[error("whoever approved it may not disburse it")]
    ApproverMayNotDisburse,
    /// No bank transfer is recorded.
    #[error("no bank transfer is recorded for it")]
    NoBankTransfer,
    /// Nobody holds LP tokens, so a burn would drain the NAV from nobody.
    #[error("the project has no LP tokens outstanding")]
    NoLpTokens,
    /// Nothing would be burned.
    #[error("the amount must be more than zero")]
    AmountNotPositive,
    /// More than the NAV that is free.
    #[error("the amount is above the NAV available, {available}")]
    AmountAboveNav {
        /// NAV less what other burns in flight will take.
        available: Amount,
    },
    /// Not what was transferred.
    #[error("the amount differs from the bank transfer, {transfer}")]
    AmountDiffersFromTransfer {
        /// What was transferred.
        transfer: Amount,
    },
    /// The books would contradict themselves.
    #[error(transparent)]
    Books(#[from] BooksError),
}

impl Refusal {
    /// Stable and machine-readable.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotDraft => "milestone.not_draft",
            Self::NotSubmitted => "milestone.not_submitted",
            Self::NotRejected => "milestone.not_rejected",
            Self::NotApproved => "milestone.not_approved",
            Self::NotDisbursing => "milestone.not_disbursing",
            Self::InFlight => "milestone.disbursement_in_flight",
            Self::AlreadyDisbursed => "milestone.already_disbursed",
            Self::SubmitterMayNotApprove | Self::ApproverMayNotDisburse => {
                "milestone.maker_is_checker"
            }
            Self::NoBankTransfer => "milestone.no_bank_transfer",
            Self::NoLpTokens => "project.no_lp_tokens",
            Self::AmountNotPositive => "disbursement.amount_not_positive",
            Self::AmountAboveNav { .. } => "disbursement.amount_above_nav",
            Self::AmountDiffersFromTransfer { .. } => "disbursement.amount_differs_from_transfer",
            Self::Books(_) => "project.books_inconsistent",
        }
    }

    /// Why the transition table has no step for `action` in `status`.
    pub(crate) const fn of(status: MilestoneStatus, action: Action) -> Self {
        match (action, status) {
            (
                Action::BankTransferRecorded | Action::DisbursementPrepared,
                MilestoneStatus::Disbursing,
            ) => Self::InFlight,
            (
                Action::BankTransferRecorded | Action::DisbursementPrepared,
                MilestoneStatus::Disbursed,
            ) => Self::AlreadyDisbursed,
            (Action::BankTransferRecorded | Action::DisbursementPrepared, _) => Self::NotApproved,
            (Action::MilestoneApproved | Action::MilestoneRejected, _) => Self::NotSubmitted,
            (Action::MilestoneRevised, _) => Self::NotRejected,
            (Action::MilestoneDisbursed | Action::DisbursementFailed, _) => Self::NotDisbursing,
            _ => Self::NotDraft,
        }
    }
}
