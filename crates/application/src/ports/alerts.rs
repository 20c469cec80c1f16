//! Where people are told that something is wrong, and that it is right again.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::store::Source;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Look at it when you can.
    Warning,
    /// Look at it now.
    Critical,
}

/// Something that is wrong, or is right again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Names the condition, the same each time: `audit.queue_deep`.
    pub key: &'static str,
    /// How much it matters.
    pub urgency: Urgency,
    /// What is wrong, with its figures, in one line.
    pub summary: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// A sink did not take an alert.
#[derive(Debug, Error)]
#[error("the alert was not delivered: {0}")]
pub struct AlertError(#[source] pub Source);

/// Takes alerts.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AlertSink: Send + Sync {
    /// The sink's name, for the log.
    fn name(&self) -> &'static str;

    /// Delivers an alert, or the notice that it is over.
    async fn deliver(&self, alert: &Alert) -> Result<(), AlertError>;
}
