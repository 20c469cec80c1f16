//! How the pipeline is: what every process told of itself, put together, and a verdict (P6, P7).
//!
//! | figure | of several processes |
//! |---|---|
//! | queue | one number where they share it: the freshest; else the sum |
//! | rates, workers, spool | the sum of the fresh reports |
//! | mean batch time | weighted by batches |
//! | p99 batch time | the worst: at most one batch in a hundred of any process took longer |
//! | totals | the sum of the last reports of a day, so that a restart hides no loss |
//! | lag | since the oldest event that waits anywhere was pushed |

use chrono::{DateTime, TimeDelta, Utc};

use super::meters::{Evidence, Rates, Report, Totals};

/// A younger report is fresh: its process is taken to be alive.
pub const FRESH: TimeDelta = TimeDelta::seconds(15);
/// How long the last report of a process that is gone counts.
pub const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// Where it stops being right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// More events than these in the queue: degraded.
    pub queue: u64,
    /// More lost events than these: warning.
    pub dropped: u64,
    /// More failed writes in a minute than these: critical.
    pub failures_per_minute: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 5_000,
            dropped: 1_000,
            failures_per_minute: 100,
        }
    }
}

/// Whether one process's queue is everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All processes take from one queue.
    Shared,
    /// Each has its own.
    Own,
}

/// What is known at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The last report of each process within [`REMEMBERED`]; the asking one's is always among them.
    pub reports: Vec<Report>,
    /// Dead letters; `None` when the store does not say.
    pub dead_letters: Option<u64>,
    /// For how long the oldest part of the log should have been gone, in seconds; `None` where this
    /// process does not look after it.
    pub retention_lag: Option<u64>,
    /// Whether the store answered.
    pub store_answers: bool,
}

/// The pipeline's figures, of all processes together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// Events in the queue; `None` when no queue answers.
    pub queue_length: Option<u64>,
    /// Of late.
    pub rates: Rates,
    /// Since the start of every process of the last day.
    pub totals: Totals,
    /// Events in disk spools.
    pub spool_events: u64,
    /// Bytes in disk spools.
    pub spool_bytes: u64,
    /// Dead letters; `None` when the store does not say.
    pub dead_letters: Option<u64>,
    /// For how long the oldest event has waited.
    pub lag: TimeDelta,
    /// For how long the oldest part of the log should have been gone, in seconds, where this process
    /// looks after it.
    pub retention_lag: Option<u64>,
    /// Whether the log takes events, for all that is known.
    pub store_available: bool,
    /// Workers in processes that live.
    pub workers: u64,
    /// How the log's evidence is: the worst of what the processes that live say.
    pub evidence: Evidence,
    /// The reports of the processes that live, the longest-running first.
    pub processes: Vec<Report>,
}

impl Snapshot {
    /// Puts together what is known.
    #[must_use]
    pub fn of(known: Known, reach: Reach, now: DateTime<Utc>) -> Self {
        let totals = known.reports.iter().fold(Totals::default(), add_totals);
        let mut processes = known.reports;
        // A report from the future is of a clock that is wrong: nobody knows how old it is.
        processes.retain(|report| (now - report.at).abs() < FRESH);
        // The name is a UUID of version 7: in the order of the starts.
        processes.sort_by(|a, b| a.process.cmp(&b.process));
        let sum = |of: fn(&Report) -> u64| processes.iter().map(of).fold(0, u64::saturating_add);
        let oldest = processes.iter().filter_map(|report| report.oldest).min();
        Self {
            at: now,
            queue_length: queue_length(&processes, reach),
            rates: rates(&processes),
            totals,
            spool_events: sum(|report| report.spool_events),
            spool_bytes: sum(|report| report.spool_bytes),
            dead_letters: known.dead_letters,
            retention_lag: known.retention_lag,
            lag: oldest.map_or(TimeDelta::zero(), |at| (now - at).max(TimeDelta::zero())),
            store_available: known.store_answers
                && processes.iter().all(|report| report.store_available),
            workers: sum(|report| u64::from(report.workers)),
            evidence: processes
                .iter()
                .map(|report| report.evidence)
                .max()
                .unwrap_or_default(),
            processes,
        }
    }
}

fn queue_length(fresh: &[Report], reach: Reach) -> Option<u64> {
    let seen = fresh
        .iter()
        .filter_map(|report| Some((report.at, report.queue_length?)));
    match reach {
        Reach::Shared => seen.max_by_key(|(at, _)| *at).map(|(_, length)| length),
        Reach::Own => seen.map(|(_, length)| length).reduce(u64::saturating_add),
    }
}

fn rates(fresh: &[Report]) -> Rates {
    let mut all = Rates::default();
    let mut weighted = 0_u128;
    for Report { rates, .. } in fresh {
        all.inserts_per_minute += rates.inserts_per_minute;
        all.failures_per_minute += rates.failures_per_minute;
        all.failures_in_five_minutes += rates.failures_in_five_minutes;
        all.batches += rates.batches;
        all.batch_p99_us = all.batch_p99_us.max(rates.batch_p99_us);
        weighted += u128::from(rates.batches) * u128::from(rates.batch_mean_us);
    }
    let mean = weighted / u128::from(all.batches.max(1));
    all.batch_mean_us = u64::try_from(mean).unwrap_or(u64::MAX);
    all
}

fn add_totals(sum: Totals, report: &Report) -> Totals {
    let more = report.totals;
    Totals {
        inserted: sum.inserted.saturating_add(more.inserted),
        failed: sum.failed.saturating_add(more.failed),
        overflow: sum.overflow.saturating_add(more.overflow),
        spooled: sum.spooled.saturating_add(more.spooled),
        dropped: sum.dropped.saturating_add(more.dropped),
        buried: sum.buried.saturating_add(more.buried),
        webhooks_disabled: sum.webhooks_disabled.saturating_add(more.webhooks_disabled),
    }
}

/// How the pipeline is, from best to worst. That nobody works is worse than that work is late or
/// was lost, for then none of the other figures is known to hold; a failure that was seen is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All is well.
    Healthy,
    /// It is late.
    Degraded,
    /// Something was lost, or goes a way round.
    Warning,
    /// No worker tells of itself.
    NoData,
    /// It does not write.
    Critical,
}

impl Status {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Warning => "warning",
            Self::NoData => "no_data",
            Self::Critical => "critical",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Names it, the same each time.
    pub code: &'static str,
    /// How bad it is by itself.
    pub status: Status,
    /// What is wrong, with its figures.
    pub message: String,
}

/// A verdict on the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The worst of the issues.
    pub status: Status,
    /// Everything that is wrong, the worst first.
    pub issues: Vec<Issue>,
}

/// The log does not take events.
pub const STORE_UNAVAILABLE: &str = "audit.store_unavailable";
/// The store contradicts a checkpoint that was given out.
pub const LOG_CONTRADICTED: &str = "audit.log_contradicted";
/// The newest checkpoint is not kept outside of the store.
pub const CHECKPOINT_NOT_KEPT: &str = "audit.checkpoint_not_kept";
/// Too many writes fail.
pub const FAILURES: &str = "audit.failures";
/// No worker tells of itself.
pub const NO_WORKERS: &str = "audit.no_workers";
/// Too many events were lost.
pub const DROPPED: &str = "audit.dropped";
/// The queue does not answer.
pub const QUEUE_UNAVAILABLE: &str = "audit.queue_unavailable";
/// Too many events wait.
pub const QUEUE_DEEP: &str = "audit.queue_deep";

impl Health {
    /// The verdict on a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot, limits: Limits) -> Self {
        let failures = snapshot.rates.failures_per_minute;
        let dropped = snapshot.totals.dropped;
        let queue = snapshot.queue_length;
        let checks = [
            (
                !snapshot.store_available,
                STORE_UNAVAILABLE,
                Status::Critical,
                "the log takes no events".to_owned(),
            ),
            (
                snapshot.evidence == Evidence::Contradicted,
                LOG_CONTRADICTED,
                Status::Critical,
                "the store contradicts a checkpoint that was kept; nothing is sealed".to_owned(),
            ),
            (
                snapshot.evidence == Evidence::NotKept,
                CHECKPOINT_NOT_KEPT,
                Status::Warning,
                "the newest checkpoint is not kept outside of the store".to_owned(),
            ),
            (
                failures > limits.failures_per_minute,
                FAILURES,
                Status::Critical,
                format!(
                    "{failures} writes failed in the last minute, more than {}",
                    limits.failures_per_minute
                ),
            ),
            (
                snapshot.workers == 0,
                NO_WORKERS,
                Status::NoData,
                format!(
                    "no worker told of itself within {} seconds",
                    FRESH.num_seconds()
                ),
            ),
            (
                dropped > limits.dropped,
                DROPPED,
                Status::Warning,
                format!("{dropped} events were lost, more than {}", limits.dropped),
            ),
            (
                queue.is_none(),
                QUEUE_UNAVAILABLE,
                Status::Warning,
                "the queue does not answer".to_owned(),
            ),
            (
                queue.is_some_and(|length| length > limits.queue),
                QUEUE_DEEP,
                Status::Degraded,
                format!(
                    "{} events wait in the queue, more than {}",
                    queue.unwrap_or_default(),
                    limits.queue
                ),
            ),
        ];
        let wrong = checks.into_iter().filter(|(is_wrong, ..)| *is_wrong);
        let issues: Vec<Issue> = wrong
            .map(|(_, code, status, message)| Issue {
                code,
                status,
                message,
            })
            .collect();
        let worst = issues.iter().map(|issue| issue.status).max();
        Self {
            status: worst.unwrap_or(Status::Healthy),
            issues,
        }
    }
}
