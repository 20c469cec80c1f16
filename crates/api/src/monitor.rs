//! Reports incidents to the log, as JSON, and to Sentry when a DSN is set (M11).

use tranche_application::ports::monitor::{Incident, Monitor};

/// The log, and Sentry where it is set up.
pub struct LogMonitor;

impl Monitor for LogMonitor {
    fn report(&self, incident: Incident) {
        let Incident {
            operation,
            critical,
            error,
            context,
        } = incident;
        tracing::error!(operation, critical, error, %context, "incident");
        let level = if critical {
            sentry::Level::Error
        } else {
            sentry::Level::Warning
        };
        sentry::with_scope(
            |scope| {
                scope.set_tag("operation", operation);
                scope.set_extra("context", context);
                scope.set_extra("error", error.clone().into());
            },
            || sentry::capture_message(&format!("{operation}: {error}"), level),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tranche_application::ports::monitor::{Incident, Monitor};

    use super::LogMonitor;

    fn incident(critical: bool) -> Incident {
        Incident {
            operation: "milestone.approved",
            critical,
            error: "the store is unavailable: disk full".to_owned(),
            context: json!({ "milestone_id": "m-1" }),
        }
    }

    /// M11: operation, error and context, as an error when money or duty is at stake.
    #[test]
    fn an_incident_reaches_sentry() {
        let events = sentry::test::with_captured_events(|| {
            LogMonitor.report(incident(true));
            LogMonitor.report(incident(false));
        });
        let levels: Vec<_> = events.iter().map(|event| event.level).collect();
        assert_eq!(levels, [sentry::Level::Error, sentry::Level::Warning]);
        let event = &events[0];
        assert_eq!(event.tags["operation"], "milestone.approved");
        assert_eq!(event.extra["error"], "the store is unavailable: disk full");
        assert_eq!(event.extra["context"], json!({ "milestone_id": "m-1" }));
    }
}
