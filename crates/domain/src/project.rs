//! A project: its value, what of it is reserved for burns in flight, and the price of its LP token.

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::actor::Occasion;
use crate::audit::{Action, AuditEvent, Fact, Resource};
use crate::change::{Change, Write};
use crate::ids::ProjectId;
use crate::money::{Amount, Price};
use crate::text::ProjectName;

/// Whether a burn must equal the bank transfer it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BurnPolicy {
    /// To the stroop.
    #[default]
    ExactTransfer,
    /// Any amount the NAV allows, for example where fees were kept back.
    AnyAmount,
}

/// The rules that a project sets for its milestones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whoever submitted may not approve, whoever approved may not disburse.
    pub maker_checker: bool,
    /// Whether a burn must equal its transfer.
    pub burn: BurnPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            maker_checker: true,
            burn: BurnPolicy::default(),
        }
    }
}

/// A project and its books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Names the project.
    pub id: ProjectId,
    /// What people call it.
    pub name: ProjectName,
    /// Net asset value: what the LP tokens share.
    pub nav: Amount,
    /// The part of the NAV that burns in flight will take; never more than the NAV.
    pub nav_reserved: Amount,
    /// How many LP tokens share the NAV.
    pub lp_tokens_outstanding: Amount,
    /// How many milestones there are.
    pub total_milestones: i64,
    /// How many are disbursed.
    pub completed_milestones: i64,
    /// When the last one was disbursed.
    pub last_milestone_date: Option<DateTime<Utc>>,
    /// The ledger account whose tokens are burned.
    pub wallet_account_id: String,
    /// The rules for its milestones.
    pub policy: Policy,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// Counts its states; 1 is the first.
    pub version: i64,
}

/// What opens a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProject {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: ProjectName,
    /// Its value at the start.
    pub nav: Amount,
    /// How many LP tokens share it; none is allowed, but then nothing can be disbursed.
    pub lp_tokens_outstanding: Amount,
    /// The ledger account whose tokens are burned.
    pub wallet_account_id: String,
    /// The rules for its milestones.
    pub policy: Policy,
}

/// The books would contradict themselves. Never expected: the rules are checked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BooksError {
    /// The milestone or the disbursement is another project's.
    #[error("it belongs to another project")]
    OtherProject,
    /// More was to be reserved than is there.
    #[error("the NAV does not cover the reservation")]
    NavTooSmall,
    /// More was to be released or burned than was reserved.
    #[error("the amount was not reserved")]
    NotReserved,
    /// A counter left its range.
    #[error("a counter left its range")]
    CounterOutOfRange,
}

/// The project had a milestone once: its books and evidence stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a project that ever had a milestone stays")]
pub struct HadMilestones;

impl Project {
    /// Opens a project.
    pub fn open(new: NewProject, occasion: &Occasion) -> Change {
        let project = Self {
            id: new.id,
            name: new.name,
            nav: new.nav,
            nav_reserved: Amount::ZERO,
            lp_tokens_outstanding: new.lp_tokens_outstanding,
            total_milestones: 0,
            completed_milestones: 0,
            last_milestone_date: None,
            wallet_account_id: new.wallet_account_id,
            policy: new.policy,
            created_at: occasion.at,
            version: 1,
        };
        let event = project.described(Action::ProjectCreated, occasion);
        Change {
            project: Some(Write::Insert(project)),
            ..Change::new(event)
        }
    }

    /// Deletes a project that never had a milestone. Its wallet is not the project's to take away:
    /// tokens may lie there.
    ///
    /// # Errors
    /// [`HadMilestones`] when it had one, even if that is deleted.
    pub fn delete(self, occasion: &Occasion) -> Result<Change, HadMilestones> {
        // Whatever changes a project does so for a milestone.
        if self.version != 1 {
            return Err(HadMilestones);
        }
        let event = self.described(Action::ProjectDeleted, occasion);
        Ok(Change {
            project: Some(Write::Delete(self.next())),
            ..Change::new(event)
        })
    }

    /// An event that says what the project is.
    fn described(&self, action: Action, occasion: &Occasion) -> AuditEvent {
        AuditEvent::new(action, Resource::Project, self.id, occasion)
            .in_project(self.id)
            .with("name", Fact::text(&self.name))
            .with("nav", Fact::text(self.nav))
            .with(
                "lp_tokens_outstanding",
                Fact::text(self.lp_tokens_outstanding),
            )
            .with("wallet_account_id", Fact::text(&self.wallet_account_id))
    }

    /// The price of one LP token: NAV ÷ tokens outstanding; none without tokens.
    #[must_use]
    pub fn lp_token_price(&self) -> Option<Price> {
        Price::per_token(self.nav, self.lp_tokens_outstanding)
    }

    /// The NAV that no burn in flight has a claim on.
    #[must_use]
    pub fn nav_available(&self) -> Amount {
        self.nav
            .checked_sub(self.nav_reserved)
            .unwrap_or(Amount::ZERO)
    }

    /// This project, if it is the one named.
    pub(crate) fn named(self, id: ProjectId) -> Result<Self, BooksError> {
        if self.id == id {
            Ok(self)
        } else {
            Err(BooksError::OtherProject)
        }
    }

    pub(crate) fn with_milestone(mut self) -> Result<Self, BooksError> {
        self.total_milestones = self
            .total_milestones
            .checked_add(1)
            .ok_or(BooksError::CounterOutOfRange)?;
        Ok(self.next())
    }

    pub(crate) fn without_milestone(mut self) -> Result<Self, BooksError> {
        self.total_milestones = self
            .total_milestones
            .checked_sub(1)
            .filter(|rest| *rest >= self.completed_milestones)
            .ok_or(BooksError::CounterOutOfRange)?;
        Ok(self.next())
    }

    pub(crate) fn reserve(mut self, amount: Amount) -> Result<Self, BooksError> {
        self.nav_reserved = self
            .nav_reserved
            .checked_add(amount)
            .filter(|reserved| *reserved <= self.nav)
            .ok_or(BooksError::NavTooSmall)?;
        Ok(self.next())
    }

    pub(crate) fn release(mut self, amount: Amount) -> Result<Self, BooksError> {
        self.nav_reserved = self
            .nav_reserved
            .checked_sub(amount)
            .ok_or(BooksError::NotReserved)?;
        Ok(self.next())
    }

    pub(crate) fn settle(mut self, amount: Amount, at: DateTime<Utc>) -> Result<Self, BooksError> {
        self.nav_reserved = self
            .nav_reserved
            .checked_sub(amount)
            .ok_or(BooksError::NotReserved)?;
        self.nav = self
            .nav
            .checked_sub(amount)
            .ok_or(BooksError::NavTooSmall)?;
        self.completed_milestones = self
            .completed_milestones
            .checked_add(1)
            .filter(|completed| *completed <= self.total_milestones)
            .ok_or(BooksError::CounterOutOfRange)?;
        self.last_milestone_date = Some(at);
        Ok(self.next())
    }

    fn next(mut self) -> Self {
        self.version += 1;
        self
    }
}
