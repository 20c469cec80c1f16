//! What answers look like: domain values as JSON, one struct each.

mod analytics;
mod audit;
mod disbursement;
mod erasure;
mod event;
mod ingest;
mod milestone;
mod pipeline;
mod project;
mod public_log;
mod retention;
mod trail;
mod webhook;

pub use analytics::AnalyticsView;
pub use audit::{AuditStatsView, CapacityView, EventsPageView, EventsView};
pub use disbursement::{DisbursementView, PendingView, SettledView};
pub use erasure::{ErasureView, MentionsView};
pub use event::EventView;
pub use ingest::{IngestedView, RejectedView};
pub use milestone::{MilestoneView, StatsView};
pub use pipeline::AuditMetricsView;
pub use project::ProjectView;
pub use public_log::{ConsistencyView, InclusionView, LogView};
pub use retention::{HoldView, ReportView, RetentionView};
pub use trail::{ComparisonView, MigrationView, TrailBackendView, TrailView};
pub use webhook::{WebhookView, webhook_body};

use chrono::{DateTime, SecondsFormat, Utc};

/// A time as answers have it: RFC 3339, UTC, microseconds.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
