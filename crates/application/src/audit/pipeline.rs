//! What every part of the pipeline stands on.
//!
//! ```text
//! intake ─ critical ─────────────► log
//!        ├ the rest ─► queue ─► workers ─► log      (refused by the log: dead letters)
//!        │               │ full: warnings ─► log
//!        └───────────────┴ full or gone: spool ─► a worker of its own ─► log
//! ```

use std::sync::Arc;

use super::availability::Availability;
use super::meters::Meters;
use crate::ports::audit_store::AuditStore;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::queue::AuditQueue;
use crate::services::Services;

/// Shared by intake, workers and failsafe of one process; cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    /// Time, ids, and where failures are reported.
    pub services: Services,
    /// The log.
    pub log: Arc<dyn AuditStore>,
    /// What the log refuses.
    pub letters: Arc<dyn DeadLetters>,
    /// The queue, bounded by a number of events.
    pub queue: Arc<dyn AuditQueue>,
    /// This process's disk spool, bounded in bytes: what finds no room in the queue.
    pub spool: Arc<dyn AuditQueue>,
    /// Whether the log takes events.
    pub availability: Arc<Availability>,
    /// What is counted.
    pub meters: Arc<Meters>,
}
