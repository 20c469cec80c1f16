//! A disbursement: one order to burn for one milestone, from the plan to the ledger's verdict.
//!
//! ```text
//! milestone     approved ──prepare──► disbursing ──settle──► disbursed
//!                    ▲                    └──fail───► approved
//! disbursement                 prepared ─► submitted ─► settled | failed      (needs_operator)
//! ```
//!
//! The plan is made with no lock held and fixes the event, because the burn's memo is that event's
//! leaf hash. The rules are checked again on the locked rows before anything is written.

pub mod operator;
pub mod plan;
pub mod verdict;

use std::fmt;

use chrono::{DateTime, Utc};
use thiserror::Error;

pub use operator::{Judgement, Proposal, ResolutionError};
pub use plan::{BurnOrder, DisbursementPlan, PlanError};
pub use verdict::Verdict;

use crate::actor::{Actor, Occasion, Origin};
use crate::audit::{Action, AuditEvent, Fact, Resource};
use crate::change::{Change, Write};
use crate::ids::{DisbursementId, MilestoneId, ProjectId};
use crate::milestone::{Milestone, MilestoneState, Refusal, Stamp, TransitionError};
use crate::money::Amount;
use crate::project::Project;

/// Names a burn on its ledger before it is sent: on Stellar the transaction hash in hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BurnId(pub String);

impl fmt::Display for BurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place on the ledger that at most one burn can ever take: a network, an account, and its
/// next sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LedgerSlot {
    /// The network, by its passphrase or chain name.
    pub network: String,
    /// The account whose sequence is used.
    pub account: String,
    /// The sequence number.
    pub sequence: i64,
}

/// A burn that is built and signed and has not left the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedBurn {
    /// Names it on the ledger.
    pub id: BurnId,
    /// The signed bytes, to be sent as they are.
    pub envelope: Vec<u8>,
    /// The leaf hash of the event that ordered it, carried on the ledger.
    pub memo: [u8; 32],
    /// The place it takes.
    pub slot: LedgerSlot,
    /// It cannot be included in a ledger that closes later, by the ledger's clock.
    pub valid_until: DateTime<Utc>,
    /// The last closed ledger when it was signed: no trace of it lies before.
    pub signed_at_ledger: u32,
    /// Further envelopes for the same place, oldest first. The ledger takes one of them all at most.
    pub replacements: Vec<Replacement>,
}

/// A further signed envelope for a burn, in the same [`LedgerSlot`] and with the same memo: a higher
/// fee around the same transaction (the same id), or the burn signed anew (another id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// Names what it burns by on the ledger.
    pub id: BurnId,
    /// The signed bytes.
    pub envelope: Vec<u8>,
    /// It cannot be included in a ledger that closes later.
    pub valid_until: DateTime<Utc>,
}

impl PreparedBurn {
    /// Every name under which the burn may appear on the ledger, each once, the first one first.
    pub fn ids(&self) -> impl Iterator<Item = &BurnId> {
        let later = self.replacements.iter().enumerate();
        std::iter::once(&self.id).chain(later.filter_map(|(index, replacement)| {
            let before = &self.replacements[..index];
            let known = replacement.id == self.id || before.iter().any(|r| r.id == replacement.id);
            (!known).then_some(&replacement.id)
        }))
    }

    /// When the last of its envelopes ends: it cannot be included in a ledger that closes later.
    #[must_use]
    pub fn lasts_until(&self) -> DateTime<Utc> {
        let later = self.replacements.iter().map(|later| later.valid_until);
        later.fold(self.valid_until, DateTime::max)
    }

    /// The bytes to send: those of the newest envelope.
    #[must_use]
    pub fn newest_envelope(&self) -> &[u8] {
        self.replacements
            .last()
            .map_or(&self.envelope, |newest| &newest.envelope)
    }
}

/// Why a disbursement ended without a burn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable and machine-readable: `expired`, `sequence_taken`, or the ledger's code.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// Where a disbursement stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisbursementState {
    /// Signed and kept; not known to have been sent.
    Prepared,
    /// Sent at least once.
    Submitted,
    /// The ledger proves nothing: a person must look. Still open.
    NeedsOperator {
        /// What could not be decided.
        reason: String,
        /// What one person proposes; a second one decides.
        proposal: Option<Proposal>,
    },
    /// Burned, and the books with it.
    Settled {
        /// When the books were settled.
        at: DateTime<Utc>,
        /// Names the burn on the ledger: one of [`PreparedBurn::ids`].
        burn: BurnId,
        /// The ledger that holds the burn.
        ledger: u32,
    },
    /// Proven never to burn; released.
    Failed {
        /// When it was released.
        at: DateTime<Utc>,
        /// Why.
        failure: Failure,
    },
}

impl DisbursementState {
    /// The state's name as stored and answered.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Submitted => "submitted",
            Self::NeedsOperator { .. } => "needs_operator",
            Self::Settled { .. } => "settled",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether the ledger may still have the last word.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self, Self::Settled { .. } | Self::Failed { .. })
    }
}

/// One order to burn for one milestone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disbursement {
    /// Names the disbursement.
    pub id: DisbursementId,
    /// The project that pays.
    pub project_id: ProjectId,
    /// The milestone that earned it.
    pub milestone_id: MilestoneId,
    /// How much burns.
    pub amount: Amount,
    /// The account whose tokens burn.
    pub wallet_account_id: String,
    /// Who ordered it.
    pub ordered_by: Actor,
    /// From where.
    pub origin: Origin,
    /// When it was prepared.
    pub prepared_at: DateTime<Utc>,
    /// The signed burn.
    pub burn: PreparedBurn,
    /// Where it stands.
    pub state: DisbursementState,
    /// How often it was sent.
    pub attempts: i64,
    /// Counts its states; 1 is the first.
    pub version: i64,
}

/// A verdict that does not fit what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerdictError {
    /// It has ended already: nothing to do.
    #[error("the disbursement has ended already")]
    Ended,
    /// The milestone does not carry this disbursement.
    #[error(transparent)]
    Milestone(#[from] TransitionError),
}

impl Disbursement {
    /// The burn is final: milestone, NAV, counters and price follow, together.
    ///
    /// # Errors
    /// [`VerdictError`] when it ended already or the milestone is not disbursing under it.
    pub fn settle(
        self,
        milestone: Milestone,
        project: Project,
        burn: BurnId,
        ledger: u32,
        occasion: &Occasion,
    ) -> Result<Change, VerdictError> {
        let action = Action::MilestoneDisbursed;
        let (approval, transfer) = self.in_flight(&milestone, action)?;
        let (old_nav, old_price) = (project.nav, project.lp_token_price());
        let project = project
            .named(self.project_id)
            .and_then(|project| project.settle(self.amount, occasion.at))
            .map_err(|error| milestone.refused(action, error.into()))?;
        let state = MilestoneState::Disbursed {
            approval,
            transfer,
            // Whoever ordered it, whoever carries it out: maker-checker was checked for them.
            disbursed: Stamp {
                by: self.ordered_by.id.clone(),
                at: occasion.at,
            },
            burned: self.amount,
            burn: burn.clone(),
        };
        let event = AuditEvent::new(action, Resource::Milestone, milestone.id, occasion)
            .in_project(project.id)
            .on_milestone(milestone.id, Some(milestone.status()), Some(state.status()))
            .change("nav", Fact::text(old_nav), Fact::text(project.nav))
            .change(
                "lp_token_price",
                Fact::maybe(old_price),
                Fact::maybe(project.lp_token_price()),
            )
            .with("amount", Fact::text(self.amount))
            .with("tx_hash", Fact::text(&burn))
            .with("ledger", Fact::Count(i64::from(ledger)))
            .with("new_nav", Fact::text(project.nav))
            .with("lp_token_price", Fact::maybe(project.lp_token_price()))
            .with("disbursement_id", Fact::text(self.id));
        Ok(Change {
            project: Some(Write::Update(project)),
            milestone: Some(Write::Update(milestone.next(state, occasion))),
            disbursement: Some(Write::Update(self.next(DisbursementState::Settled {
                at: occasion.at,
                burn,
                ledger,
            }))),
            ..Change::new(event)
        })
    }

    /// The burn is proven never to happen: the reservation is released and the milestone is
    /// approved as before.
    ///
    /// # Errors
    /// [`VerdictError`] when it ended already or the milestone is not disbursing under it.
    pub fn fail(
        self,
        milestone: Milestone,
        project: Project,
        failure: Failure,
        occasion: &Occasion,
    ) -> Result<Change, VerdictError> {
        let action = Action::DisbursementFailed;
        let (approval, transfer) = self.in_flight(&milestone, action)?;
        let project = project
            .named(self.project_id)
            .and_then(|project| project.release(self.amount))
            .map_err(|error| milestone.refused(action, error.into()))?;
        let state = MilestoneState::Approved {
            approval,
            transfer: Some(transfer),
        };
        let event = self
            .event(action, &milestone, state.status(), occasion)
            .with("code", Fact::text(&failure.code))
            .with("detail", Fact::text(&failure.detail));
        Ok(Change {
            project: Some(Write::Update(project)),
            milestone: Some(Write::Update(milestone.next(state, occasion))),
            disbursement: Some(Write::Update(self.next(DisbursementState::Failed {
                at: occasion.at,
                failure,
            }))),
            ..Change::new(event)
        })
    }

    /// The ledger's answers prove nothing: the disbursement stays open and a person is called.
    ///
    /// # Errors
    /// [`VerdictError`] when it ended already or the milestone is not disbursing under it.
    pub fn call_operator(
        self,
        milestone: &Milestone,
        reason: String,
        occasion: &Occasion,
    ) -> Result<Change, VerdictError> {
        let action = Action::DisbursementNeedsOperator;
        self.in_flight(milestone, action)?;
        let event = self
            .event(action, milestone, milestone.status(), occasion)
            .with("reason", Fact::text(&reason));
        Ok(Change {
            disbursement: Some(Write::Update(self.next(DisbursementState::NeedsOperator {
                reason,
                proposal: None,
            }))),
            ..Change::new(event)
        })
    }

    /// A further envelope for the same place, kept before it is sent.
    ///
    /// # Errors
    /// [`VerdictError`] when it ended already or the milestone is not disbursing under it.
    pub fn replace(
        mut self,
        milestone: &Milestone,
        replacement: Replacement,
        occasion: &Occasion,
    ) -> Result<Change, VerdictError> {
        let action = Action::DisbursementReplaced;
        self.in_flight(milestone, action)?;
        let event = self
            .event(action, milestone, milestone.status(), occasion)
            .with("replacement_tx_hash", Fact::text(&replacement.id))
            .with(
                "valid_until",
                Fact::text(replacement.valid_until.to_rfc3339()),
            );
        self.burn.replacements.push(replacement);
        let state = self.state.clone();
        Ok(Change {
            disbursement: Some(Write::Update(self.next(state))),
            ..Change::new(event)
        })
    }

    /// One more sending of the same bytes. A hint, not a state the evidence rests on. One that has
    /// ended stays as it is.
    #[must_use]
    pub fn sent(mut self) -> Self {
        if !self.state.is_open() {
            return self;
        }
        self.attempts += 1;
        let state = match self.state {
            DisbursementState::Prepared => DisbursementState::Submitted,
            ref other => other.clone(),
        };
        self.next(state)
    }

    fn in_flight(
        &self,
        milestone: &Milestone,
        action: Action,
    ) -> Result<(crate::milestone::Approval, crate::milestone::BankTransfer), VerdictError> {
        if !self.state.is_open() {
            return Err(VerdictError::Ended);
        }
        match &milestone.state {
            MilestoneState::Disbursing {
                approval,
                transfer,
                disbursement,
            } if *disbursement == self.id => Ok((approval.clone(), transfer.clone())),
            _ => Err(milestone.refused(action, Refusal::NotDisbursing).into()),
        }
    }

    fn event(
        &self,
        action: Action,
        milestone: &Milestone,
        to: crate::milestone::MilestoneStatus,
        occasion: &Occasion,
    ) -> AuditEvent {
        AuditEvent::new(action, Resource::Disbursement, self.id, occasion)
            .in_project(self.project_id)
            .on_milestone(self.milestone_id, Some(milestone.status()), Some(to))
            .with("amount", Fact::text(self.amount))
            .with("tx_hash", Fact::text(&self.burn.id))
    }

    fn next(mut self, state: DisbursementState) -> Self {
        self.state = state;
        self.version += 1;
        self
    }
}
