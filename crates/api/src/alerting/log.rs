//! Alerts in the log: a line that log-based alarms can match.

use async_trait::async_trait;
use tranche_application::ports::alerts::{Alert, AlertError, AlertSink, Urgency};

use crate::views::time;

/// The log of this process.
pub struct LogSink;

#[async_trait]
impl AlertSink for LogSink {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn deliver(&self, alert: &Alert) -> Result<(), AlertError> {
        let Alert {
            key,
            urgency,
            summary,
            since,
            resolved_at,
        } = alert;
        let since = time(*since);
        match (resolved_at, urgency) {
            (Some(at), _) => {
                let resolved_at = time(*at);
                tracing::info!(key, summary, since, resolved_at, "alert resolved");
            }
            (None, Urgency::Critical) => {
                tracing::error!(key, urgency = "critical", summary, since, "alert");
            }
            (None, Urgency::Warning) => {
                tracing::warn!(key, urgency = "warning", summary, since, "alert");
            }
        }
        Ok(())
    }
}
