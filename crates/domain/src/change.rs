//! A change and its evidence are one value.

use crate::audit::AuditEvent;
use crate::disbursement::Disbursement;
use crate::milestone::Milestone;
use crate::project::Project;

/// What becomes of a stored value. The value carries its **next** version; the store writes it only
/// where the version before it still stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write<T> {
    /// It comes to be.
    Insert(T),
    /// It replaces its former self.
    Update(T),
    /// It goes; what is given is the version of its absence.
    Delete(T),
}

impl<T> Write<T> {
    /// The value written, whatever becomes of it.
    pub const fn value(&self) -> &T {
        match self {
            Self::Insert(value) | Self::Update(value) | Self::Delete(value) => value,
        }
    }
}

/// Everything that moves together in one act, with the event that proves it.
///
/// Only the domain's commands make one, and a store takes nothing else: a milestone without its
/// event, or a burn without its NAV, cannot be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change is nothing until it is recorded and committed"]
pub struct Change {
    pub(crate) project: Option<Write<Project>>,
    pub(crate) milestone: Option<Write<Milestone>>,
    pub(crate) disbursement: Option<Write<Disbursement>>,
    pub(crate) event: AuditEvent,
}

impl Change {
    pub(crate) const fn new(event: AuditEvent) -> Self {
        Self {
            project: None,
            milestone: None,
            disbursement: None,
            event,
        }
    }

    /// The project's next state, if it changes.
    #[must_use]
    pub const fn project(&self) -> Option<&Write<Project>> {
        self.project.as_ref()
    }

    /// The milestone's next state, if it changes.
    #[must_use]
    pub const fn milestone(&self) -> Option<&Write<Milestone>> {
        self.milestone.as_ref()
    }

    /// The disbursement's next state, if it changes.
    #[must_use]
    pub const fn disbursement(&self) -> Option<&Write<Disbursement>> {
        self.disbursement.as_ref()
    }

    /// The evidence.
    #[must_use]
    pub const fn event(&self) -> &AuditEvent {
        &self.event
    }
}
