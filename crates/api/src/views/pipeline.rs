//! The audit pipeline's figures in answers.

use serde::Serialize;
use tranche_application::audit::health::{Health, Issue, Snapshot};
use tranche_application::audit::meters::{Rates, Report, Totals};
use utoipa::ToSchema;

use super::time;

/// The figures of all processes together, and a verdict on them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditMetrics)]
pub struct AuditMetricsView {
    at: String,
    /// Events in the queue; null while it does not answer.
    queue_length: Option<u64>,
    /// Events put into the log in the last minute.
    inserts_per_minute: u64,
    /// Failed writes in the last minute.
    failures_per_minute: u64,
    /// Failed writes in the last five minutes.
    failures_in_five_minutes: u64,
    batch_ms: BatchView,
    #[serde(flatten)]
    totals: TotalsView,
    /// Bytes in disk spools.
    spool_bytes: u64,
    /// Events in disk spools.
    spool_events: u64,
    /// Events that the log refused, kept for people; null while the store does not answer.
    dead_letters: Option<u64>,
    /// For how long the oldest event that waits has waited.
    lag_seconds: i64,
    /// Whether the log takes events.
    store_available: bool,
    /// Workers in processes that told of themselves within 15 seconds.
    workers: u64,
    /// Those processes, the longest-running first.
    processes: Vec<ProcessView>,
    health: HealthView,
}

/// How long batches of the last five minutes took, in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchTimes)]
struct BatchView {
    /// The mean, weighted by batches.
    mean: f64,
    /// What 99 of 100 did not exceed; of several processes the worst.
    p99: f64,
}

/// Counted since each process started; processes that ended within a day are counted too.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditTotals)]
struct TotalsView {
    /// Events put into the log.
    inserted: u64,
    /// Events that found no place at all.
    dropped: u64,
    /// Events written straight into the log because the queue was full.
    overflow: u64,
    /// Events that went to a disk spool.
    spooled: u64,
    /// Events given up as dead letters.
    buried: u64,
}

/// One process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditProcess)]
struct ProcessView {
    /// Its name, anew at each start.
    process: String,
    /// When it told this.
    at: String,
    workers: u32,
    /// The queue as it sees it.
    queue_length: Option<u64>,
    inserts_per_minute: u64,
    failures_per_minute: u64,
    batch_ms: BatchView,
    #[serde(flatten)]
    totals: TotalsView,
    spool_bytes: u64,
    spool_events: u64,
    store_available: bool,
}

/// A verdict.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditHealth)]
struct HealthView {
    /// `healthy`, `degraded`, `warning`, `no_data` or `critical`: the worst of the issues.
    status: &'static str,
    issues: Vec<IssueView>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditIssue)]
struct IssueView {
    /// Names it, the same each time, as alerts do.
    code: &'static str,
    /// How bad it is by itself.
    status: &'static str,
    message: String,
}

impl AuditMetricsView {
    /// The answer on this snapshot.
    pub fn new(snapshot: &Snapshot, health: &Health) -> Self {
        let rates = snapshot.rates;
        Self {
            at: time(snapshot.at),
            queue_length: snapshot.queue_length,
            inserts_per_minute: rates.inserts_per_minute,
            failures_per_minute: rates.failures_per_minute,
            failures_in_five_minutes: rates.failures_in_five_minutes,
            batch_ms: rates.into(),
            totals: snapshot.totals.into(),
            spool_bytes: snapshot.spool_bytes,
            spool_events: snapshot.spool_events,
            dead_letters: snapshot.dead_letters,
            lag_seconds: snapshot.lag.num_seconds(),
            store_available: snapshot.store_available,
            workers: snapshot.workers,
            processes: snapshot.processes.iter().map(ProcessView::from).collect(),
            health: HealthView {
                status: health.status.as_str(),
                issues: health.issues.iter().map(IssueView::from).collect(),
            },
        }
    }
}

impl From<Rates> for BatchView {
    fn from(rates: Rates) -> Self {
        Self {
            mean: millis(rates.batch_mean_us),
            p99: millis(rates.batch_p99_us),
        }
    }
}

/// Microseconds as milliseconds with three decimals. By way of their text, which is exact.
fn millis(micros: u64) -> f64 {
    let text = format!("{}.{:03}", micros / 1_000, micros % 1_000);
    text.parse().unwrap_or_default()
}

impl From<Totals> for TotalsView {
    fn from(totals: Totals) -> Self {
        Self {
            inserted: totals.inserted,
            dropped: totals.dropped,
            overflow: totals.overflow,
            spooled: totals.spooled,
            buried: totals.buried,
        }
    }
}

impl From<&Report> for ProcessView {
    fn from(report: &Report) -> Self {
        Self {
            process: report.process.clone(),
            at: time(report.at),
            workers: report.workers,
            queue_length: report.queue_length,
            inserts_per_minute: report.rates.inserts_per_minute,
            failures_per_minute: report.rates.failures_per_minute,
            batch_ms: report.rates.into(),
            totals: report.totals.into(),
            spool_bytes: report.spool_bytes,
            spool_events: report.spool_events,
            store_available: report.store_available,
        }
    }
}

impl From<&Issue> for IssueView {
    fn from(issue: &Issue) -> Self {
        Self {
            code: issue.code,
            status: issue.status.as_str(),
            message: issue.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn microseconds_are_shown_as_milliseconds() {
        for (micros, shown) in [(0, "0.0"), (7, "0.007"), (1_500, "1.5"), (12_034, "12.034")] {
            let json = serde_json::to_string(&millis(micros)).unwrap();
            assert_eq!(json, shown);
        }
    }
}
