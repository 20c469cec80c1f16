//! Rows of retention.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use sqlx::FromRow;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::retention::{
    ArchiveFile, Expired, Expiry, Figures, Leaving, Part, Run,
};
use tranche_application::ports::store::StoreError;
use tranche_domain::text::Reason;
use tranche_domain::{Held, Hold, Lifted, Month, ProjectId, Severity};
use uuid::Uuid;

use crate::rows::{LoggedRow, flawed};

fn severity(name: &str) -> Result<Severity, String> {
    Severity::named(name).ok_or_else(|| format!("severity {name} is none"))
}

fn month(first_day: NaiveDate) -> Month {
    Month::of(first_day.and_time(NaiveTime::MIN).and_utc())
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

#[derive(FromRow)]
pub(super) struct PartRow {
    name: String,
    severity: String,
    month: NaiveDate,
    archived: bool,
    events: i64,
    bytes: Option<i64>,
    held_by: Vec<Uuid>,
}

impl TryFrom<PartRow> for Part {
    type Error = StoreError;

    fn try_from(row: PartRow) -> Result<Self, StoreError> {
        Ok(Self {
            severity: severity(&row.severity).map_err(StoreError::Inconsistent)?,
            name: row.name,
            month: month(row.month),
            archived: row.archived,
            events: count(row.events),
            bytes: row.bytes.map(count),
            held_by: row.held_by,
        })
    }
}

#[derive(FromRow)]
pub(super) struct HoldRow {
    id: Uuid,
    severity: Option<String>,
    from_month: Option<NaiveDate>,
    to_month: Option<NaiveDate>,
    project_id: Option<Uuid>,
    reason: String,
    placed_by: String,
    placed_at: DateTime<Utc>,
    lifted_by: Option<String>,
    lifted_at: Option<DateTime<Utc>>,
    lift_reason: Option<String>,
}

impl TryFrom<HoldRow> for Hold {
    type Error = StoreError;

    fn try_from(row: HoldRow) -> Result<Self, StoreError> {
        let id = row.id;
        let reason = |text| Reason::try_new(text).map_err(|error| format!("reason {error}"));
        let hold = || {
            let lifted = match (row.lifted_by, row.lifted_at, row.lift_reason) {
                (Some(by), Some(at), Some(why)) => Some(Lifted {
                    by,
                    at,
                    reason: reason(why)?,
                }),
                _ => None,
            };
            Ok(Self {
                id,
                held: Held {
                    severity: row.severity.as_deref().map(severity).transpose()?,
                    from: row.from_month.map(month),
                    to: row.to_month.map(month),
                    project: row.project_id.map(ProjectId),
                },
                reason: reason(row.reason)?,
                placed_by: row.placed_by,
                placed_at: row.placed_at,
                lifted,
            })
        };
        hold().map_err(flawed("hold", id))
    }
}

#[derive(FromRow)]
pub(super) struct RunRow {
    id: Uuid,
    due_at: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    started_by: String,
    archived_parts: i64,
    archived_events: i64,
    expired_parts: i64,
    expired_events: i64,
    held_parts: i64,
    failed_parts: i64,
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        let parts = |count: i64| u32::try_from(count).unwrap_or_default();
        Self {
            id: row.id,
            due_at: row.due_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            by: row.started_by,
            figures: Figures {
                archived_parts: parts(row.archived_parts),
                archived_events: count(row.archived_events),
                expired_parts: parts(row.expired_parts),
                expired_events: count(row.expired_events),
                held_parts: parts(row.held_parts),
                failed_parts: parts(row.failed_parts),
            },
        }
    }
}

#[derive(FromRow)]
pub(super) struct ExpiredRow {
    severity: String,
    month: NaiveDate,
    first_id: Option<Uuid>,
    last_id: Option<Uuid>,
    events: i64,
    first_leaf: Option<i64>,
    last_leaf: Option<i64>,
    expired_at: DateTime<Utc>,
    run_id: Uuid,
    archive_file: Option<String>,
    archive_sha256: Option<Vec<u8>>,
}

impl TryFrom<ExpiredRow> for Expired {
    type Error = StoreError;

    fn try_from(row: ExpiredRow) -> Result<Self, StoreError> {
        let file = match (row.archive_file, row.archive_sha256) {
            (Some(name), Some(sha256)) => Some(ArchiveFile {
                name,
                sha256: sha256
                    .try_into()
                    .map_err(|_| StoreError::Inconsistent("archive_sha256".to_owned()))?,
            }),
            _ => None,
        };
        Ok(Self {
            severity: severity(&row.severity).map_err(StoreError::Inconsistent)?,
            month: month(row.month),
            first_id: row.first_id,
            last_id: row.last_id,
            events: count(row.events),
            first_leaf: row.first_leaf,
            last_leaf: row.last_leaf,
            expiry: Expiry {
                run: row.run_id,
                at: row.expired_at,
                file,
            },
        })
    }
}

#[derive(FromRow)]
pub(super) struct LeavingRow {
    #[sqlx(flatten)]
    logged: LoggedRow,
    leaf_hash: Option<Vec<u8>>,
}

impl TryFrom<LeavingRow> for Leaving {
    type Error = StoreError;

    fn try_from(row: LeavingRow) -> Result<Self, StoreError> {
        let leaf_hash = row.leaf_hash.map(TryInto::try_into).transpose();
        Ok(Self {
            event: LoggedEvent::try_from(row.logged)?,
            leaf_hash: leaf_hash.map_err(|_| StoreError::Inconsistent("leaf_hash".to_owned()))?,
        })
    }
}
