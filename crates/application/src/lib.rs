//! What Tranche does, as use cases over ports. Knows no database, ledger or protocol.

pub mod audit;
pub mod call;
pub mod channels;
pub mod daily;
pub mod disbursement;
mod documents;
mod failpoint;
pub mod idempotency;
pub mod keys;
pub mod milestones;
pub mod ports;
pub mod projects;
pub mod reading;
pub mod rotation;
pub mod services;
pub mod trails;
pub mod webhooks;

#[cfg(feature = "mocks")]
pub mod mocks;

pub use call::{Call, Caller, Outcome};
pub use services::Services;
