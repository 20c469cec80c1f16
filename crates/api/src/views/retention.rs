//! What is kept for how long, in answers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tranche_application::audit::retention::{Done, Fate, Outlook, Overview, Report, Work};
use tranche_application::ports::retention::{Expired, Figures, Run};
use tranche_domain::{Hold, RetentionPolicy, Severity};
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;

/// Policies, holds, runs, and what becomes of each part of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retention)]
pub struct RetentionView {
    policies: Vec<PolicyView>,
    /// Holds in force, the newest first.
    holds: Vec<HoldView>,
    /// When the next run begins by itself; null: never.
    next_run_at: Option<String>,
    /// The last runs, the last begun first.
    last_runs: Vec<RunView>,
    statistics: RetentionStatisticsView,
    /// By severity and month.
    partitions: Vec<PartitionView>,
    /// What expired last.
    expired: Vec<ExpiredView>,
}

/// How long events of one severity are kept, in days after the end of their month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionPolicy)]
struct PolicyView {
    severity: &'static str,
    archive_after_days: u32,
    keep_days: u32,
}

/// A legal hold.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldView {
    id: Uuid,
    severity: Option<&'static str>,
    from_month: Option<String>,
    to_month: Option<String>,
    project_id: Option<Uuid>,
    reason: String,
    placed_by: String,
    placed_at: String,
    /// Null while it is in force, as the two below.
    lifted_by: Option<String>,
    lifted_at: Option<String>,
    lift_reason: Option<String>,
}

/// What came of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionRun)]
pub struct RunView {
    id: Uuid,
    /// The time that it was due at; null when somebody asked for it.
    due_at: Option<String>,
    started_at: String,
    /// Null while it goes on, and for good if its process was killed: the next run finished its work.
    ended_at: Option<String>,
    started_by: String,
    #[serde(flatten)]
    figures: FiguresView,
}

/// Counts of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionFigures)]
struct FiguresView {
    archived_partitions: u32,
    archived_events: u64,
    expired_partitions: u32,
    expired_events: u64,
    /// Kept by a hold though their time is over.
    held_partitions: u32,
    /// Kept for another reason, until the next run.
    failed_partitions: u32,
}

/// Counts over everything there is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionStatistics)]
struct RetentionStatisticsView {
    events: u64,
    archived_events: u64,
    /// For how long the oldest partition that nobody holds should have been gone.
    lag_seconds: i64,
}

/// A part of the log: events of one severity and month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionPartition)]
struct PartitionView {
    name: String,
    severity: &'static str,
    #[schema(example = "2026-01")]
    month: String,
    archived: bool,
    /// Of a large partition as near as the store knows without counting.
    events: u64,
    /// Null where the store cannot tell.
    bytes: Option<u64>,
    /// Null once it is there.
    archives_at: Option<String>,
    expires_at: String,
    /// The holds that keep it.
    held_by: Vec<Uuid>,
    /// `archive` or `expire` when it is time for that.
    due: Option<&'static str>,
}

/// Events that are gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExpiredEvents)]
struct ExpiredView {
    severity: &'static str,
    month: String,
    events: u64,
    first_id: Option<Uuid>,
    last_id: Option<Uuid>,
    first_leaf: Option<i64>,
    last_leaf: Option<i64>,
    expired_at: String,
    run_id: Uuid,
    /// Where they are kept outside the store, if they are.
    archive_file: Option<String>,
    archive_sha256: Option<String>,
}

/// What a run did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionReport)]
pub struct ReportView {
    dry_run: bool,
    /// Null for a dry run.
    run: Option<RunView>,
    /// The clock is this far ahead of the last run, so that this one only looked; the next one acts.
    clock_leapt_seconds: Option<i64>,
    partitions: Vec<DoneView>,
}

/// One part of the log and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionOutcome)]
struct DoneView {
    name: String,
    severity: &'static str,
    month: String,
    events: u64,
    bytes: Option<u64>,
    /// `archive` or `expire`.
    work: &'static str,
    /// `done`, `would`, `held` or `failed`.
    outcome: &'static str,
    /// Why it failed.
    reason: Option<String>,
    /// The holds that keep it.
    held_by: Vec<Uuid>,
    archive_file: Option<String>,
}

impl RetentionView {
    /// Everything about retention at a moment.
    #[must_use]
    pub fn new(overview: &Overview, next_run_at: Option<DateTime<Utc>>) -> Self {
        let events = |archived| {
            let parts = overview.parts.iter().map(|fate| &fate.part);
            parts
                .filter(|part| part.archived == archived)
                .map(|part| part.events)
                .sum()
        };
        let policies = Severity::ALL.into_iter().map(|severity| {
            let policy: RetentionPolicy = overview.policies.of(severity);
            PolicyView {
                severity: severity.as_str(),
                archive_after_days: policy.archive_after(),
                keep_days: policy.keep(),
            }
        });
        Self {
            policies: policies.collect(),
            holds: overview.holds.iter().map(HoldView::from).collect(),
            next_run_at: next_run_at.map(time),
            last_runs: overview.runs.iter().map(RunView::from).collect(),
            statistics: RetentionStatisticsView {
                events: events(false),
                archived_events: events(true),
                lag_seconds: overview.lag().num_seconds(),
            },
            partitions: overview.parts.iter().map(PartitionView::from).collect(),
            expired: overview.expired.iter().map(ExpiredView::from).collect(),
        }
    }
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        let (what, lifted) = (hold.held, hold.lifted.as_ref());
        Self {
            id: hold.id,
            severity: what.severity.map(Severity::as_str),
            from_month: what.from.map(|month| month.to_string()),
            to_month: what.to.map(|month| month.to_string()),
            project_id: what.project.map(|project| project.0),
            reason: hold.reason.as_str().to_owned(),
            placed_by: hold.placed_by.clone(),
            placed_at: time(hold.placed_at),
            lifted_by: lifted.map(|lifted| lifted.by.clone()),
            lifted_at: lifted.map(|lifted| time(lifted.at)),
            lift_reason: lifted.map(|lifted| lifted.reason.as_str().to_owned()),
        }
    }
}

impl From<&Run> for RunView {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id,
            due_at: run.due_at.map(time),
            started_at: time(run.started_at),
            ended_at: run.ended_at.map(time),
            started_by: run.by.clone(),
            figures: FiguresView::from(run.figures),
        }
    }
}

impl From<Figures> for FiguresView {
    fn from(figures: Figures) -> Self {
        Self {
            archived_partitions: figures.archived_parts,
            archived_events: figures.archived_events,
            expired_partitions: figures.expired_parts,
            expired_events: figures.expired_events,
            held_partitions: figures.held_parts,
            failed_partitions: figures.failed_parts,
        }
    }
}

impl From<&Fate> for PartitionView {
    fn from(fate: &Fate) -> Self {
        let part = &fate.part;
        Self {
            name: part.name.clone(),
            severity: part.severity.as_str(),
            month: part.month.to_string(),
            archived: part.archived,
            events: part.events,
            bytes: part.bytes,
            archives_at: fate.archives_at.map(time),
            expires_at: time(fate.expires_at),
            held_by: part.held_by.clone(),
            due: fate.due.map(Work::as_str),
        }
    }
}

impl From<&Expired> for ExpiredView {
    fn from(expired: &Expired) -> Self {
        let file = expired.expiry.file.as_ref();
        Self {
            severity: expired.severity.as_str(),
            month: expired.month.to_string(),
            events: expired.events,
            first_id: expired.first_id,
            last_id: expired.last_id,
            first_leaf: expired.first_leaf,
            last_leaf: expired.last_leaf,
            expired_at: time(expired.expiry.at),
            run_id: expired.expiry.run,
            archive_file: file.map(|file| file.name.clone()),
            archive_sha256: file.map(|file| hex::encode(file.sha256)),
        }
    }
}

impl From<&Report> for ReportView {
    fn from(report: &Report) -> Self {
        Self {
            dry_run: report.run.is_none(),
            run: report.run.as_ref().map(RunView::from),
            clock_leapt_seconds: report.leapt.map(|leapt| leapt.num_seconds()),
            partitions: report.done.iter().map(DoneView::from).collect(),
        }
    }
}

impl From<&Done> for DoneView {
    fn from(done: &Done) -> Self {
        let (outcome, reason) = match &done.outlook {
            Outlook::Done => ("done", None),
            Outlook::Would => ("would", None),
            Outlook::Held => ("held", None),
            Outlook::Failed(why) => ("failed", Some(why.clone())),
        };
        let part = &done.part;
        Self {
            name: part.name.clone(),
            severity: part.severity.as_str(),
            month: part.month.to_string(),
            events: part.events,
            bytes: part.bytes,
            work: done.work.as_str(),
            outcome,
            reason,
            held_by: part.held_by.clone(),
            archive_file: done.file.as_ref().map(|file| file.name.clone()),
        }
    }
}
