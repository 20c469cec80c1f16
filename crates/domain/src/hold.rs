//! Legal holds: what must not expire, whatever its age, until somebody says why it may.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::actor::Occasion;
use crate::audit::{Action, AuditEvent, Fact, Resource, Severity};
use crate::change::Change;
use crate::ids::ProjectId;
use crate::retention::Month;
use crate::text::Reason;

/// Which events a hold keeps: those that everything given here is true of; nothing given is all.
/// Events leave by whole parts of the log, one severity and month each, so a hold that touches one
/// event of a part keeps all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Of this severity.
    pub severity: Option<Severity>,
    /// Of this month and later.
    pub from: Option<Month>,
    /// Of this month and earlier.
    pub to: Option<Month>,
    /// In this project.
    pub project: Option<ProjectId>,
}

impl Held {
    /// Whether it may touch a part of the log, as far as severity and month tell.
    #[must_use]
    pub fn reaches(&self, severity: Severity, month: Month) -> bool {
        self.severity.is_none_or(|only| only == severity)
            && self.from.is_none_or(|from| from <= month)
            && self.to.is_none_or(|to| month <= to)
    }
}

/// How a hold ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// Who lifted it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: Reason,
}

/// A legal hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Names it.
    pub id: Uuid,
    /// What it keeps.
    pub held: Held,
    /// Why.
    pub reason: Reason,
    /// Who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: DateTime<Utc>,
    /// How it ended, if it did.
    pub lifted: Option<Lifted>,
}

impl Hold {
    /// Places a hold.
    pub fn place(id: Uuid, held: Held, reason: Reason, occasion: &Occasion) -> (Self, Change) {
        let placed = Self {
            id,
            held,
            reason,
            placed_by: occasion.by.id.clone(),
            placed_at: occasion.at,
            lifted: None,
        };
        let event = placed.event(Action::RetentionHoldPlaced, &placed.reason, occasion);
        (placed, Change::new(event))
    }

    /// Lifts it; `None` when it is lifted already.
    #[must_use = "the hold stands until the change is recorded"]
    pub fn lift(mut self, reason: Reason, occasion: &Occasion) -> Option<(Self, Change)> {
        if self.lifted.is_some() {
            return None;
        }
        let event = self.event(Action::RetentionHoldLifted, &reason, occasion);
        self.lifted = Some(Lifted {
            by: occasion.by.id.clone(),
            at: occasion.at,
            reason,
        });
        Some((self, Change::new(event)))
    }

    fn event(&self, action: Action, reason: &Reason, occasion: &Occasion) -> AuditEvent {
        let Held {
            severity,
            from,
            to,
            project,
        } = self.held;
        let mut event = AuditEvent::new(action, Resource::RetentionHold, self.id, occasion)
            .with("reason", Fact::text(reason))
            .with("severity", Fact::maybe(severity.map(Severity::as_str)))
            .with("from_month", Fact::maybe(from))
            .with("to_month", Fact::maybe(to))
            .with("project", Fact::maybe(project));
        event.project_id = project;
        event
    }
}
