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
