//! What people decide when the ledger's answers prove nothing: one proposes with reasons, a second
//! one confirms. Neither moves money by it: a burn that happened is written down, or one that never
//! will is released.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{BurnId, Disbursement, DisbursementState, Failure, VerdictError};
use crate::actor::Occasion;
use crate::audit::{Action, Fact};
use crate::change::{Change, Write};
use crate::milestone::Milestone;
use crate::project::Project;
use crate::text::Reason;

/// The code of a [`Failure`] that people decided.
pub const DECIDED_BY_OPERATORS: &str = "decided_by_operators";

/// How a disbursement ended, in the judgement of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The burn happened.
    Burned {
        /// The transaction that burned.
        burn: BurnId,
        /// The ledger that holds it.
        ledger: u32,
    },
    /// It did not happen and never will.
    Failed,
}

impl Judgement {
    /// Its name as stored and answered.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Burned { .. } => "burned",
            Self::Failed => "failed",
        }
    }
}

/// What one person proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// How it ended.
    pub judgement: Judgement,
    /// How they know.
    pub why: Reason,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Why people's judgement is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolutionError {
    /// The ledger decides this one.
    #[error("the disbursement is {0}: only one that needs an operator is resolved by people")]
    NotAsked(&'static str),
    /// Nothing was proposed.
    #[error("nothing is proposed yet: one person proposes, a second one confirms")]
    NoProposal,
    /// The proposer may not confirm.
    #[error("whoever proposed may not confirm: a second person must look")]
    SamePerson,
    /// Not one of this burn's names.
    #[error("{0} is not a transaction of this disbursement")]
    OtherBurn(BurnId),
    /// The ledger closed before the burn was signed.
    #[error("the burn was signed at ledger {0}: no earlier one can hold it")]
    TooEarly(u32),
    /// The stored values do not fit each other.
    #[error(transparent)]
    Verdict(#[from] VerdictError),
}

impl Disbursement {
    /// Whether the judgement could be true of this burn at all.
    ///
    /// # Errors
    /// [`ResolutionError`] for a transaction that is not its own, or a ledger before its signing.
    pub fn admits(&self, judgement: &Judgement) -> Result<(), ResolutionError> {
        let Judgement::Burned { burn, ledger } = judgement else {
            return Ok(());
        };
        if !self.burn.ids().any(|id| id == burn) {
            return Err(ResolutionError::OtherBurn(burn.clone()));
        }
        if *ledger <= self.burn.signed_at_ledger {
            return Err(ResolutionError::TooEarly(self.burn.signed_at_ledger));
        }
        Ok(())
    }

    /// One person's judgement, in the place of any before it.
    ///
    /// # Errors
    /// [`ResolutionError`] unless an operator was called.
    pub fn propose(
        self,
        milestone: &Milestone,
        judgement: Judgement,
        why: Reason,
        occasion: &Occasion,
    ) -> Result<Change, ResolutionError> {
        let action = Action::DisbursementResolutionProposed;
        let DisbursementState::NeedsOperator { reason, .. } = &self.state else {
            return Err(ResolutionError::NotAsked(self.state.as_str()));
        };
        let reason = reason.clone();
        self.admits(&judgement)?;
        self.in_flight(milestone, action)?;
        let mut event = self
            .event(action, milestone, milestone.status(), occasion)
            .with("judgement", Fact::text(judgement.as_str()))
            .with("why", Fact::text(why.as_str()));
        if let Judgement::Burned { burn, ledger } = &judgement {
            event = event
                .with("burned_tx_hash", Fact::text(burn))
                .with("ledger", Fact::Count(i64::from(*ledger)));
        }
        let proposal = Proposal {
            judgement,
            why,
            by: occasion.by.id.clone(),
            at: occasion.at,
        };
        Ok(Change {
            disbursement: Some(Write::Update(self.next(DisbursementState::NeedsOperator {
                reason,
                proposal: Some(proposal),
            }))),
            ..Change::new(event)
        })
    }

    /// A second person agrees: the books follow as after a verdict of the ledger, and the event
    /// names both.
    ///
    /// # Errors
    /// [`ResolutionError`] unless another person proposed.
    pub fn confirm(
        self,
        milestone: Milestone,
        project: Project,
        occasion: &Occasion,
    ) -> Result<Change, ResolutionError> {
        let DisbursementState::NeedsOperator { proposal, .. } = &self.state else {
            return Err(ResolutionError::NotAsked(self.state.as_str()));
        };
        let proposal = proposal.clone().ok_or(ResolutionError::NoProposal)?;
        if proposal.by == occasion.by.id {
            return Err(ResolutionError::SamePerson);
        }
        let mut change = match proposal.judgement {
            Judgement::Burned { burn, ledger } => {
                self.settle(milestone, project, burn, ledger, occasion)?
            }
            Judgement::Failed => {
                let failure = Failure {
                    code: DECIDED_BY_OPERATORS.to_owned(),
                    detail: proposal.why.as_str().to_owned(),
                };
                self.fail(milestone, project, failure, occasion)?
            }
        };
        change.event = change
            .event
            .with("proposed_by", Fact::text(&proposal.by))
            .with("confirmed_by", Fact::text(&occasion.by.id))
            .with("why", Fact::text(proposal.why.as_str()));
        Ok(change)
    }
}
