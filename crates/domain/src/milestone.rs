//! A milestone and the commands on it.
//!
//! A command consumes the milestone and returns a [`Change`]: the next state and the event that
//! proves it. What a command may do in which state is the table in [`state`].

pub mod refusal;
pub mod state;

use chrono::{DateTime, Utc};

pub use refusal::{Refusal, TransitionError};
pub use state::{Approval, BankTransfer, MilestoneState, MilestoneStatus, Stamp};

use crate::actor::Occasion;
use crate::audit::{Action, AuditEvent, Fact, Resource};
use crate::change::{Change, Write};
use crate::ids::{MilestoneId, ProjectId};
use crate::money::Amount;
use crate::project::{BooksError, Policy, Project};
use crate::text::{Description, Reason, Title};

/// A step of a project's work that is paid when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// Names the milestone.
    pub id: MilestoneId,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// Its place in the project, unique there, from 1.
    pub number: i32,
    /// What it is called.
    pub title: Title,
    /// What it is to achieve.
    pub description: Option<Description>,
    /// What it is planned to cost.
    pub target_amount: Amount,
    /// Where it stands.
    pub state: MilestoneState,
    /// The rules of its project.
    pub policy: Policy,
    /// When it was drafted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts its states; 1 is the first.
    pub version: i64,
}

/// What drafts a milestone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMilestone {
    /// Its id.
    pub id: MilestoneId,
    /// Its place in the project.
    pub number: i32,
    /// What it is called.
    pub title: Title,
    /// What it is to achieve.
    pub description: Option<Description>,
    /// What it is planned to cost.
    pub target_amount: Amount,
}

/// What to edit; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MilestoneEdit {
    /// A new title.
    pub title: Option<Title>,
    /// A new description, or `Some(None)` for none.
    pub description: Option<Option<Description>>,
    /// A new target.
    pub target_amount: Option<Amount>,
}

/// What came of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Edited {
    /// Something changed.
    Changed(Box<Change>),
    /// Everything was so already: nothing to record.
    Unchanged(Box<Milestone>),
}

impl Milestone {
    /// Drafts a milestone; the project counts it.
    ///
    /// # Errors
    /// [`BooksError`] when the project's counter is at its end.
    pub fn draft(
        new: NewMilestone,
        project: Project,
        occasion: &Occasion,
    ) -> Result<Change, BooksError> {
        let milestone = Self {
            id: new.id,
            project_id: project.id,
            number: new.number,
            title: new.title,
            description: new.description,
            target_amount: new.target_amount,
            state: MilestoneState::Draft,
            policy: project.policy,
            created_at: occasion.at,
            updated_at: occasion.at,
            version: 1,
        };
        let event = milestone.described(
            milestone
                .event(Action::MilestoneCreated, occasion)
                .on_milestone(milestone.id, None, Some(MilestoneStatus::Draft)),
        );
        Ok(Change {
            project: Some(Write::Update(project.with_milestone()?)),
            milestone: Some(Write::Insert(milestone)),
            ..Change::new(event)
        })
    }

    /// Where it stands, by name.
    #[must_use]
    pub const fn status(&self) -> MilestoneStatus {
        self.state.status()
    }

    /// Edits a draft.
    ///
    /// # Errors
    /// [`TransitionError`] when it is not a draft.
    pub fn edit(
        mut self,
        edit: MilestoneEdit,
        occasion: &Occasion,
    ) -> Result<Edited, TransitionError> {
        self.next_status(Action::MilestoneUpdated)?;
        let before = self.clone();
        if let Some(title) = edit.title {
            self.title = title;
        }
        if let Some(description) = edit.description {
            self.description = description;
        }
        if let Some(target_amount) = edit.target_amount {
            self.target_amount = target_amount;
        }
        if self == before {
            return Ok(Edited::Unchanged(Box::new(self)));
        }
        let draft = Some(MilestoneStatus::Draft);
        let event = self
            .event(Action::MilestoneUpdated, occasion)
            .on_milestone(self.id, draft, draft)
            .change("title", Fact::text(&before.title), Fact::text(&self.title))
            .change(
                "description",
                Fact::maybe(before.description.as_ref()),
                Fact::maybe(self.description.as_ref()),
            )
            .change(
                "target_amount",
                Fact::text(before.target_amount),
                Fact::text(self.target_amount),
            );
        let next = self.next(MilestoneState::Draft, occasion);
        Ok(Edited::Changed(Box::new(Change {
            milestone: Some(Write::Update(next)),
            ..Change::new(event)
        })))
    }

    /// Deletes a draft; the project no longer counts it.
    ///
    /// # Errors
    /// [`TransitionError`] when it is not a draft.
    pub fn delete(self, project: Project, occasion: &Occasion) -> Result<Change, TransitionError> {
        let action = Action::MilestoneDeleted;
        if self.status() != MilestoneStatus::Draft {
            return Err(self.refused(action, Refusal::of(self.status(), action)));
        }
        let event = self.described(self.event(action, occasion).on_milestone(
            self.id,
            Some(MilestoneStatus::Draft),
            None,
        ));
        let project = project
            .named(self.project_id)
            .and_then(Project::without_milestone)
            .map_err(|error| self.refused(action, error.into()))?;
        Ok(Change {
            project: Some(Write::Update(project)),
            milestone: Some(Write::Delete(self.next(MilestoneState::Draft, occasion))),
            ..Change::new(event)
        })
    }

    /// Hands a draft in for approval.
    ///
    /// # Errors
    /// [`TransitionError`] when it is not a draft.
    pub fn submit(self, occasion: &Occasion) -> Result<Change, TransitionError> {
        self.next_status(Action::MilestoneSubmitted)?;
        let state = MilestoneState::Submitted {
            submitted: occasion.stamp(),
        };
        Ok(self.step(Action::MilestoneSubmitted, state, occasion, |event| event))
    }

    /// Turns a submitted milestone down.
    ///
    /// # Errors
    /// [`TransitionError`] when it is not submitted.
    pub fn reject(self, reason: Reason, occasion: &Occasion) -> Result<Change, TransitionError> {
        let action = Action::MilestoneRejected;
        let MilestoneState::Submitted { submitted } = &self.state else {
            return Err(self.refused(action, Refusal::NotSubmitted));
        };
        let fact = Fact::text(&reason);
        let state = MilestoneState::Rejected {
            submitted: submitted.clone(),
            rejected: occasion.stamp(),
            reason,
        };
        Ok(self.step(action, state, occasion, |event| event.with("reason", fact)))
    }

    /// Takes a rejected milestone back to draft, so that work can go on.
    ///
    /// # Errors
    /// [`TransitionError`] when it is not rejected.
    pub fn revise(self, occasion: &Occasion) -> Result<Change, TransitionError> {
        self.next_status(Action::MilestoneRevised)?;
        Ok(self.step(
            Action::MilestoneRevised,
            MilestoneState::Draft,
            occasion,
            |event| event,
        ))
    }

    /// Approves a submitted milestone.
    ///
    /// # Errors
    /// [`TransitionError`] when it is not submitted, or its submitter approves.
    pub fn approve(self, occasion: &Occasion) -> Result<Change, TransitionError> {
        let action = Action::MilestoneApproved;
        let MilestoneState::Submitted { submitted } = &self.state else {
            return Err(self.refused(action, Refusal::NotSubmitted));
        };
        if self.policy.maker_checker && submitted.by == occasion.by.id {
            return Err(self.refused(action, Refusal::SubmitterMayNotApprove));
        }
        let fact = Fact::text(&submitted.by);
        let approval = Approval {
            submitted: submitted.clone(),
            approved: occasion.stamp(),
        };
        let state = MilestoneState::Approved {
            approval,
            transfer: None,
        };
        let target = Fact::text(self.target_amount);
        Ok(self.step(action, state, occasion, |event| {
            event
                .with("submitted_by", fact)
                .with("target_amount", target)
        }))
    }

    /// Records the bank transfer of an approved milestone; a second one replaces the first, and
    /// its notes stay where none are given.
    ///
    /// # Errors
    /// [`TransitionError`] when it is not approved, or a burn is in flight or done.
    pub fn record_transfer(
        self,
        mut transfer: BankTransfer,
        occasion: &Occasion,
    ) -> Result<Change, TransitionError> {
        let action = Action::BankTransferRecorded;
        let MilestoneState::Approved {
            approval,
            transfer: before,
        } = &self.state
        else {
            return Err(self.refused(action, Refusal::of(self.status(), action)));
        };
        let (approval, before) = (approval.clone(), before.clone());
        if transfer.notes.is_none() {
            transfer.notes = before.as_ref().and_then(|before| before.notes.clone());
        }
        let after = transfer.clone();
        let state = MilestoneState::Approved {
            approval,
            transfer: Some(transfer),
        };
        Ok(self.step(action, state, occasion, |event| {
            let old = before.as_ref();
            event
                .change(
                    "reference",
                    Fact::maybe(old.map(|old| &old.reference)),
                    Fact::text(&after.reference),
                )
                .change(
                    "amount",
                    Fact::maybe(old.map(|old| old.amount)),
                    Fact::text(after.amount),
                )
                .change(
                    "date",
                    Fact::maybe(old.map(|old| old.date)),
                    Fact::text(after.date),
                )
                .change(
                    "notes",
                    Fact::maybe(old.and_then(|old| old.notes.as_ref())),
                    Fact::maybe(after.notes.as_ref()),
                )
        }))
    }

    /// The status after `action`, from the table.
    pub(crate) fn next_status(&self, action: Action) -> Result<MilestoneStatus, TransitionError> {
        let from = self.status();
        from.after(action)
            .ok_or_else(|| self.refused(action, Refusal::of(from, action)))
    }

    pub(crate) const fn refused(&self, action: Action, why: Refusal) -> TransitionError {
        TransitionError {
            from: self.status(),
            action,
            why,
        }
    }

    /// The next version of this milestone.
    pub(crate) fn next(mut self, state: MilestoneState, occasion: &Occasion) -> Self {
        self.state = state;
        self.updated_at = occasion.at;
        self.version += 1;
        self
    }

    fn event(&self, action: Action, occasion: &Occasion) -> AuditEvent {
        AuditEvent::new(action, Resource::Milestone, self.id, occasion).in_project(self.project_id)
    }

    fn described(&self, event: AuditEvent) -> AuditEvent {
        event
            .with("number", Fact::Count(i64::from(self.number)))
            .with("title", Fact::text(&self.title))
            .with("description", Fact::maybe(self.description.as_ref()))
            .with("target_amount", Fact::text(self.target_amount))
    }

    /// A step that touches this milestone alone. The event reads its statuses off the states.
    fn step(
        self,
        action: Action,
        state: MilestoneState,
        occasion: &Occasion,
        tell: impl FnOnce(AuditEvent) -> AuditEvent,
    ) -> Change {
        let (from, to) = (Some(self.status()), Some(state.status()));
        let event = tell(self.event(action, occasion).on_milestone(self.id, from, to));
        Change {
            milestone: Some(Write::Update(self.next(state, occasion))),
            ..Change::new(event)
        }
    }
}
