//! The plan of a disbursement: checked once without locks, signed for, and checked again under them.

use thiserror::Error;

use super::{Disbursement, DisbursementState, PreparedBurn};
use crate::actor::Occasion;
use crate::audit::{Action, AuditEvent, Fact, Resource};
use crate::change::{Change, Write};
use crate::ids::{DisbursementId, MilestoneId, ProjectId};
use crate::milestone::{
    BankTransfer, Milestone, MilestoneState, MilestoneStatus, Refusal, TransitionError,
};
use crate::money::Amount;
use crate::project::{BooksError, BurnPolicy, Project};

/// What the ledger is asked to burn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurnOrder {
    /// How much.
    pub amount: Amount,
    /// The account whose tokens burn.
    pub wallet_account_id: String,
    /// The account whose sequence number is used.
    pub sequence_account_id: String,
    /// The leaf hash of the event that orders it.
    pub memo: [u8; 32],
}

/// A disbursement that the rules allow, and the event that orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a plan is nothing until it is prepared"]
pub struct DisbursementPlan {
    id: DisbursementId,
    amount: Amount,
    project_id: ProjectId,
    milestone_id: MilestoneId,
    milestone_version: i64,
    sequence_account_id: String,
    wallet_account_id: String,
    occasion: Occasion,
    event: AuditEvent,
}

/// Why a plan cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The milestone changed since the plan: plan again.
    #[error("the milestone changed since the disbursement was planned")]
    Stale,
    /// The rules no longer allow it.
    #[error(transparent)]
    Refused(#[from] TransitionError),
}

impl Milestone {
    /// Plans the burn for this milestone: the transfer's amount unless another is given, with the
    /// sequence number of the wallet unless a channel account lends its own.
    ///
    /// # Errors
    /// [`TransitionError`] for every rule that forbids it.
    pub fn plan_disbursement(
        &self,
        project: &Project,
        id: DisbursementId,
        amount: Option<Amount>,
        channel: Option<String>,
        occasion: Occasion,
    ) -> Result<DisbursementPlan, TransitionError> {
        let transfer = self.payable(project, amount, &occasion)?;
        let amount = amount.unwrap_or(transfer.amount);
        let wallet_account_id = project.wallet_account_id.clone();
        let sequence_account_id = channel.unwrap_or_else(|| wallet_account_id.clone());
        let event = AuditEvent::new(
            Action::DisbursementPrepared,
            Resource::Disbursement,
            id,
            &occasion,
        )
        .in_project(self.project_id)
        .on_milestone(
            self.id,
            Some(self.status()),
            Some(MilestoneStatus::Disbursing),
        )
        .with("amount", Fact::text(amount))
        .with("wallet_account_id", Fact::text(&wallet_account_id))
        .with("sequence_account_id", Fact::text(&sequence_account_id))
        .with("bank_transfer_reference", Fact::text(&transfer.reference));
        Ok(DisbursementPlan {
            id,
            amount,
            project_id: self.project_id,
            milestone_id: self.id,
            milestone_version: self.version,
            sequence_account_id,
            wallet_account_id,
            occasion,
            event,
        })
    }

    /// The transfer this milestone is paid by, if every rule for burning `amount` holds.
    fn payable(
        &self,
        project: &Project,
        amount: Option<Amount>,
        occasion: &Occasion,
    ) -> Result<&BankTransfer, TransitionError> {
        let action = Action::DisbursementPrepared;
        let refused = |why| self.refused(action, why);
        if self.project_id != project.id {
            return Err(refused(BooksError::OtherProject.into()));
        }
        let MilestoneState::Approved { approval, transfer } = &self.state else {
            return Err(refused(Refusal::of(self.status(), action)));
        };
        if self.policy.maker_checker && approval.approved.by == occasion.by.id {
            return Err(refused(Refusal::ApproverMayNotDisburse));
        }
        let transfer = transfer
            .as_ref()
            .ok_or_else(|| refused(Refusal::NoBankTransfer))?;
        if project.lp_tokens_outstanding.is_zero() {
            return Err(refused(Refusal::NoLpTokens));
        }
        let amount = amount.unwrap_or(transfer.amount);
        if amount.is_zero() {
            return Err(refused(Refusal::AmountNotPositive));
        }
        if self.policy.burn == BurnPolicy::ExactTransfer && amount != transfer.amount {
            return Err(refused(Refusal::AmountDiffersFromTransfer {
                transfer: transfer.amount,
            }));
        }
        let available = project.nav_available();
        if amount > available {
            return Err(refused(Refusal::AmountAboveNav { available }));
        }
        Ok(transfer)
    }
}

impl DisbursementPlan {
    /// The disbursement's id.
    #[must_use]
    pub const fn id(&self) -> DisbursementId {
        self.id
    }

    /// The account whose tokens burn.
    #[must_use]
    pub fn wallet_account_id(&self) -> &str {
        &self.wallet_account_id
    }

    /// The project that pays.
    #[must_use]
    pub const fn project_id(&self) -> ProjectId {
        self.project_id
    }

    /// The event that orders the burn. Its leaf hash is the burn's memo.
    #[must_use]
    pub const fn event(&self) -> &AuditEvent {
        &self.event
    }

    /// What to ask the ledger for.
    #[must_use]
    pub fn order(&self, memo: [u8; 32]) -> BurnOrder {
        BurnOrder {
            amount: self.amount,
            wallet_account_id: self.wallet_account_id.clone(),
            sequence_account_id: self.sequence_account_id.clone(),
            memo,
        }
    }

    /// Reserves the amount and keeps the signed burn, on the locked milestone and project.
    ///
    /// # Errors
    /// [`PlanError::Stale`] when the milestone changed since, or the rules' refusal.
    pub fn prepare(
        self,
        milestone: Milestone,
        project: Project,
        burn: PreparedBurn,
    ) -> Result<Change, PlanError> {
        let action = Action::DisbursementPrepared;
        if milestone.id != self.milestone_id
            || milestone.version != self.milestone_version
            || project.wallet_account_id != self.wallet_account_id
        {
            return Err(PlanError::Stale);
        }
        let transfer = milestone
            .payable(&project, Some(self.amount), &self.occasion)?
            .clone();
        let MilestoneState::Approved { approval, .. } = &milestone.state else {
            return Err(PlanError::Stale);
        };
        let state = MilestoneState::Disbursing {
            approval: approval.clone(),
            transfer,
            disbursement: self.id,
        };
        let project = project
            .reserve(self.amount)
            .map_err(|error| milestone.refused(action, error.into()))?;
        let disbursement = Disbursement {
            id: self.id,
            project_id: project.id,
            milestone_id: milestone.id,
            amount: self.amount,
            wallet_account_id: self.wallet_account_id,
            ordered_by: self.occasion.by.clone(),
            origin: self.occasion.origin.clone(),
            prepared_at: self.occasion.at,
            burn,
            state: DisbursementState::Prepared,
            attempts: 0,
            version: 1,
        };
        Ok(Change {
            project: Some(Write::Update(project)),
            milestone: Some(Write::Update(milestone.next(state, &self.occasion))),
            disbursement: Some(Write::Insert(disbursement)),
            ..Change::new(self.event)
        })
    }
}
