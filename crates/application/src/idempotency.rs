//! The same request twice: one effect, one answer.
//!
//! The key is claimed in the unit of work that makes the effect, so that a crash between effect
//! and answer leaves a key that knows what it made.

use uuid::Uuid;

/// A caller's key with the fingerprint of what it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is: keys of different callers never meet.
    pub subject: String,
    /// The key as sent.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub fingerprint: [u8; 32],
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key is new and now this unit of work's.
    New,
    /// It was used before, for the same request.
    Used(Answered),
    /// It was used before, for another request.
    Misused,
}

/// What a used key knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// What it made.
    pub made: Option<Uuid>,
    /// The answer as it was given: status and body.
    pub answer: Option<(u16, String)>,
}
