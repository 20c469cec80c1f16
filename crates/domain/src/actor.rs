//! Who does something, from where, and on which occasion.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ids::EventId;
use crate::milestone::Stamp;

/// What someone may do. Duties are separate on purpose: `Admin` is not above the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads projects and milestones.
    Viewer,
    /// Creates, edits, deletes, submits and revises milestones.
    Manager,
    /// Approves and rejects milestones.
    Approver,
    /// Records bank transfers and disburses.
    Treasurer,
    /// Reads, verifies and exports the audit log.
    Auditor,
    /// Sends audit events and assessment trails from another service.
    Service,
    /// Keeps projects, keys and retention; reads everything.
    Admin,
}

impl Role {
    /// Every role, for exhaustive tables and tests.
    pub const ALL: [Self; 7] = [
        Self::Viewer,
        Self::Manager,
        Self::Approver,
        Self::Treasurer,
        Self::Auditor,
        Self::Service,
        Self::Admin,
    ];

    /// The role's name as written in keys, events and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Manager => "manager",
            Self::Approver => "approver",
            Self::Treasurer => "treasurer",
            Self::Auditor => "auditor",
            Self::Service => "service",
            Self::Admin => "admin",
        }
    }

    /// The role of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who acts: the subject of the credential and the role that allowed the act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The credential's subject.
    pub id: String,
    /// The role under which the act was allowed.
    pub role: Role,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub ip_address: Option<IpAddr>,
    /// The client's `User-Agent`, as sent.
    pub user_agent: Option<String>,
    /// The request's id, also in the answer's `X-Request-Id`.
    pub request_id: Option<String>,
    /// What is sealed of address and program, which are absent then.
    pub sealed: Option<SealedOrigin>,
}

/// Where a request came from, for those alone who have the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedOrigin {
    /// Names the key.
    pub key: Uuid,
    /// What the key opens.
    pub content: Vec<u8>,
}

/// One act: who, from where, when, and the id and salt of the event that will prove it.
///
/// Time, id and salt come from the outside, so that the domain stays pure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// Who acts.
    pub by: Actor,
    /// From where.
    pub origin: Origin,
    /// When.
    pub at: DateTime<Utc>,
    /// The id of the audit event of this act.
    pub event_id: EventId,
    /// Hides the event's body behind its hash in the public tree.
    pub salt: [u8; 16],
}

impl Occasion {
    /// Who and when, as a milestone's state keeps it.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp {
            by: self.by.id.clone(),
            at: self.at,
        }
    }
}
