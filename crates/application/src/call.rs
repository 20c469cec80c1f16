//! A call from outside: who calls, under which conditions, and what came of it.

use tranche_domain::{Actor, Origin, ProjectId};

use crate::idempotency::{Answered, IdempotencyKey};

/// Who calls, from where, and how far they may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who, in the role that allows this call.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// The only project they may see, or all.
    pub scope: Option<ProjectId>,
}

impl Caller {
    /// Whether the caller may know that this project exists.
    #[must_use]
    pub fn sees(&self, project: ProjectId) -> bool {
        self.scope.is_none_or(|only| only == project)
    }
}

/// A call that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// Makes the call safe to repeat.
    pub idempotency: Option<IdempotencyKey>,
    /// The version the caller has seen; another one stops the call.
    pub expected_version: Option<i64>,
}

/// What came of a call. That it was made before is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// Done now.
    Done(T),
    /// Done before, under the same idempotency key.
    AlreadyApplied(Answered),
}
