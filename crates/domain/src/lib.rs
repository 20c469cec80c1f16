//! The rules of Tranche, with nothing else in the way: no I/O, no clock, no randomness.
//!
//! A command takes a value and returns a [`Change`]: the next state together with the audit event
//! that proves it. There is no other way to obtain a next state, so no state without evidence.

pub mod actor;
pub mod audit;
pub mod change;
pub mod disbursement;
pub mod hold;
pub mod ids;
pub mod milestone;
pub mod money;
pub mod project;
pub mod retention;
pub mod text;
pub mod trail;

pub use actor::{Actor, Occasion, Origin, Role};
pub use audit::{Action, AuditEvent, Fact, FieldChange, Severity};
pub use change::{Change, Write};
pub use disbursement::{
    BurnId, Disbursement, DisbursementPlan, DisbursementState, Failure, LedgerSlot, PreparedBurn,
    Replacement,
};
pub use hold::{Held, Hold, Lifted};
pub use ids::{DisbursementId, EventId, MessageId, MilestoneId, ProjectId};
pub use milestone::{BankTransfer, Milestone, MilestoneState, MilestoneStatus, Stamp};
pub use money::{Amount, Price, Total};
pub use project::{BurnPolicy, Policy, Project};
pub use retention::{Month, PolicyError, RetentionPolicies, RetentionPolicy};
pub use trail::{Trail, TrailChange};
