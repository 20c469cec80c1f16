//! Failures that people must hear of (M11).

use std::sync::Arc;

use serde_json::Value;

use crate::audit::record::EventRecord;

/// One failure, with what is needed to look into it. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The operation that failed: `milestone.approve`, `audit.relay`, …
    pub operation: &'static str,
    /// Whether money or duty is at stake.
    pub critical: bool,
    /// The error, with its causes.
    pub error: String,
    /// Ids and whatever else helps.
    pub context: Value,
}

/// What became of an event that could not go its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lies on the disk and goes into the log later.
    Spooled,
    /// It waits in memory for a place on the disk.
    Held,
    /// It is given up as a dead letter, for people.
    Buried,
    /// It is lost: memory, disk and database were all full or gone.
    Lost,
}

impl Fate {
    /// Its name in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spooled => "spooled",
            Self::Held => "held",
            Self::Buried => "buried",
            Self::Lost => "lost",
        }
    }
}

/// Events that could not go their way, all for the same reason (F3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// What became of them.
    pub fate: Fate,
    /// The events. The whole content of a lost one is told; of the others, of the first who did
    /// what to which thing, and how many there are.
    pub events: Vec<Arc<EventRecord>>,
    /// Why.
    pub error: String,
}

/// Where failures are reported. Never blocks and never fails.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Monitor: Send + Sync {
    /// Reports a failure.
    fn report(&self, incident: Incident);

    /// Tells of events that could not go their way: a line of JSON on stderr whatever is logged
    /// otherwise, and a warning to Sentry.
    fn fallback(&self, fallback: Fallback);
}
