//! Failures that people must hear of (M11).

use serde_json::Value;

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

/// Where failures are reported. Never blocks and never fails.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Monitor: Send + Sync {
    /// Reports a failure.
    fn report(&self, incident: Incident);
}
