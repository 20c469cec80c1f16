//! What answers look like: domain values as JSON, one struct each.

mod disbursement;
mod event;
mod ingest;
mod milestone;
mod pipeline;
mod project;

pub use disbursement::{DisbursementView, PendingView, SettledView};
pub use event::EventView;
pub use ingest::{IngestedView, RejectedView};
pub use milestone::{MilestoneView, StatsView};
pub use pipeline::AuditMetricsView;
pub use project::ProjectView;

use chrono::{DateTime, SecondsFormat, Utc};

/// A time as answers have it: RFC 3339, UTC, microseconds.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
