//! Rows of retention.

use chrono::DateTime;
use sqlx::FromRow;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::retention::{ArchiveFile, Expired, Expiry, Figures, Leaving, Run};
use tranche_application::ports::store::StoreError;
use tranche_domain::text::Reason;
use tranche_domain::{Held, Hold, Lifted, Month, ProjectId, Severity};

use crate::rows::Row;
use crate::rows::event::EventRow;

fn wrong(table: &'static str, id: &str, what: impl std::fmt::Display) -> StoreError {
    Row { table, id }.wrong(what)
}

pub(super) fn severity(name: &str) -> Result<Severity, StoreError> {
    Severity::named(name).ok_or_else(|| wrong("severity", name, "is none"))
}

fn month(text: &str) -> Result<Month, StoreError> {
    text.parse().map_err(|error| wrong("month", text, error))
}

/// The month of an id of version 7.
pub(super) fn month_of(id: &str) -> Result<Month, StoreError> {
    let at = Row {
        table: "audit event",
        id,
    };
    let millis = at.uuid("id", id)?.as_u128() >> 80;
    let moment = i64::try_from(millis)
        .ok()
        .and_then(DateTime::from_timestamp_millis);
    moment.map(Month::of).ok_or_else(|| at.wrong("its time"))
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

#[derive(FromRow)]
pub(super) struct HoldRow {
    id: String,
    severity: Option<String>,
    from_month: Option<String>,
    to_month: Option<String>,
    project_id: Option<String>,
    reason: String,
    placed_by: String,
    placed_at: i64,
    lifted_by: Option<String>,
    lifted_at: Option<i64>,
    lift_reason: Option<String>,
}

impl TryFrom<HoldRow> for Hold {
    type Error = StoreError;

    fn try_from(row: HoldRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "hold",
            id: &row.id,
        };
        let reason = |text| at.parsed("reason", Reason::try_new(text));
        let lifted = match (row.lifted_by, row.lifted_at, row.lift_reason) {
            (Some(by), Some(when), Some(why)) => Some(Lifted {
                by,
                at: at.time("lifted_at", when)?,
                reason: reason(why)?,
            }),
            _ => None,
        };
        let project = row.project_id.as_deref();
        let project = project.map(|id| at.uuid("project_id", id)).transpose()?;
        Ok(Self {
            id: at.uuid("id", &row.id)?,
            held: Held {
                severity: row.severity.as_deref().map(severity).transpose()?,
                from: row.from_month.as_deref().map(month).transpose()?,
                to: row.to_month.as_deref().map(month).transpose()?,
                project: project.map(ProjectId),
            },
            reason: reason(row.reason)?,
            placed_by: row.placed_by,
            placed_at: at.time("placed_at", row.placed_at)?,
            lifted,
        })
    }
}

#[derive(FromRow)]
pub(super) struct RunRow {
    id: String,
    due_at: Option<i64>,
    started_at: i64,
    ended_at: Option<i64>,
    started_by: String,
    archived_parts: i64,
    archived_events: i64,
    expired_parts: i64,
    expired_events: i64,
    held_parts: i64,
    failed_parts: i64,
}

impl TryFrom<RunRow> for Run {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "retention run",
            id: &row.id,
        };
        let parts = |count: i64| u32::try_from(count).unwrap_or_default();
        let moment =
            |column, micros: Option<i64>| micros.map(|micros| at.time(column, micros)).transpose();
        Ok(Self {
            id: at.uuid("id", &row.id)?,
            due_at: moment("due_at", row.due_at)?,
            started_at: at.time("started_at", row.started_at)?,
            ended_at: moment("ended_at", row.ended_at)?,
            by: row.started_by,
            figures: Figures {
                archived_parts: parts(row.archived_parts),
                archived_events: count(row.archived_events),
                expired_parts: parts(row.expired_parts),
                expired_events: count(row.expired_events),
                held_parts: parts(row.held_parts),
                failed_parts: parts(row.failed_parts),
            },
        })
    }
}

#[derive(FromRow)]
pub(super) struct ExpiredRow {
    id: String,
    severity: String,
    month: String,
    first_id: String,
    last_id: String,
    events: i64,
    first_leaf: i64,
    last_leaf: i64,
    expired_at: i64,
    run_id: String,
    archive_file: Option<String>,
    archive_sha256: Option<Vec<u8>>,
}

impl TryFrom<ExpiredRow> for Expired {
    type Error = StoreError;

    fn try_from(row: ExpiredRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "expired events",
            id: &row.id,
        };
        let file = match (row.archive_file, row.archive_sha256) {
            (Some(name), Some(sha256)) => Some(ArchiveFile {
                name,
                sha256: at.bytes("archive_sha256", &sha256)?,
            }),
            _ => None,
        };
        Ok(Self {
            severity: severity(&row.severity)?,
            month: month(&row.month)?,
            first_id: Some(at.uuid("first_id", &row.first_id)?),
            last_id: Some(at.uuid("last_id", &row.last_id)?),
            events: count(row.events),
            first_leaf: Some(row.first_leaf),
            last_leaf: Some(row.last_leaf),
            expiry: Expiry {
                run: at.uuid("run_id", &row.run_id)?,
                at: at.time("expired_at", row.expired_at)?,
                file,
            },
        })
    }
}

#[derive(FromRow)]
pub(super) struct LeavingRow {
    #[sqlx(flatten)]
    event: EventRow,
    leaf: Option<Vec<u8>>,
}

impl TryFrom<LeavingRow> for Leaving {
    type Error = StoreError;

    fn try_from(row: LeavingRow) -> Result<Self, StoreError> {
        let id = row.event.id.clone();
        let at = Row {
            table: "audit event",
            id: &id,
        };
        let leaf = row.leaf.map(|leaf| at.bytes("leaf", &leaf)).transpose()?;
        Ok(Self {
            event: LoggedEvent::try_from(row.event)?,
            leaf_hash: leaf,
        })
    }
}
