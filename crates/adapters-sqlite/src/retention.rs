//! The parts of the log: what there is, what is held, what left.
//!
//! There are no partitions here, so a part is a range of ids, and it leaves in bounded batches: each
//! is one transaction, and true to itself.

mod rows;
mod turn;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tranche_application::ports::retention::{Expired, HoldRepo, Part, RetentionStore, Run, Turn};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Action, Hold, Month, Severity};
use uuid::Uuid;

use crate::SqliteStore;
use crate::errors::failed;
use crate::rows::micros;
use crate::unit_of_work::{SqliteUnitOfWork, one_row};
use rows::{ExpiredRow, HoldRow, RunRow};

const HOLDS: &str = "SELECT * FROM audit_holds WHERE ?1 OR lifted_at IS NULL \
    ORDER BY placed_at DESC, id DESC LIMIT ?2";

const ANNOUNCED: &str = "SELECT EXISTS (SELECT 1 FROM audit_leaves WHERE event_id = id) \
    FROM audit_events WHERE severity = 'critical' AND resource_id = ?1 AND action = ?2 \
    ORDER BY id LIMIT 1";

/// The ids of a month: from the first on, up to but without the second.
struct Ids {
    first: String,
    end: String,
}

impl Ids {
    fn of(month: Month) -> Self {
        let floor = |moment: chrono::DateTime<chrono::Utc>| {
            let millis = u128::try_from(moment.timestamp_millis()).unwrap_or_default();
            Uuid::from_u128(millis << 80).to_string()
        };
        Self {
            first: floor(month.starts_at()),
            end: floor(month.ends_at()),
        }
    }
}

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn parts(&self) -> Result<Vec<Part>, StoreError> {
        let mut connection = self.reader.acquire().await.map_err(failed)?;
        let holds = holds(&mut connection, false, u32::MAX).await?;
        let mut parts = months(&mut connection, &holds, true).await?;
        parts.extend(months(&mut connection, &holds, false).await?);
        parts.sort_by_key(|part| (part.severity.as_str(), part.month, !part.archived));
        Ok(parts)
    }

    async fn holds(&self, lifted: bool, limit: u32) -> Result<Vec<Hold>, StoreError> {
        let mut connection = self.reader.acquire().await.map_err(failed)?;
        holds(&mut connection, lifted, limit).await
    }

    async fn runs(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        let runs = "SELECT * FROM audit_retention_runs ORDER BY begun DESC LIMIT ?";
        let rows: Vec<RunRow> = sqlx::query_as(runs)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .map_err(failed)?;
        rows.into_iter().map(Run::try_from).collect()
    }

    async fn expired(&self, limit: u32) -> Result<Vec<Expired>, StoreError> {
        let expired = "SELECT * FROM audit_expired ORDER BY expired_at DESC, id DESC LIMIT ?";
        let rows: Vec<ExpiredRow> = sqlx::query_as(expired)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .map_err(failed)?;
        rows.into_iter().map(Expired::try_from).collect()
    }

    async fn announced(&self, name: &str) -> Result<Option<bool>, StoreError> {
        sqlx::query_scalar(ANNOUNCED)
            .bind(name)
            .bind(Action::RetentionExpiring.as_str())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed)
    }

    async fn take_turn(&self) -> Result<Option<Box<dyn Turn>>, StoreError> {
        turn::take(self).await
    }
}

async fn holds(
    connection: &mut SqliteConnection,
    lifted: bool,
    limit: u32,
) -> Result<Vec<Hold>, StoreError> {
    let rows: Vec<HoldRow> = sqlx::query_as(HOLDS)
        .bind(lifted)
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(Hold::try_from).collect()
}

/// The parts of the log or of the archive, from month to month with events.
async fn months(
    connection: &mut SqliteConnection,
    holds: &[Hold],
    archived: bool,
) -> Result<Vec<Part>, StoreError> {
    let (next, count) = if archived {
        (
            "SELECT min(id) FROM audit_archive WHERE id >= ?",
            "SELECT severity, count(*) FROM audit_archive WHERE id >= ? AND id < ? GROUP BY severity",
        )
    } else {
        (
            "SELECT min(id) FROM audit_events WHERE id >= ?",
            "SELECT severity, count(*) FROM audit_events WHERE id >= ? AND id < ? GROUP BY severity",
        )
    };
    let (mut parts, mut from) = (Vec::new(), String::new());
    loop {
        let first: Option<String> = sqlx::query_scalar(next)
            .bind(&from)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        let Some(first) = first else {
            return Ok(parts);
        };
        let month = rows::month_of(&first)?;
        let ids = Ids::of(month);
        let counted: Vec<(String, i64)> = sqlx::query_as(count)
            .bind(&ids.first)
            .bind(&ids.end)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for (severity, events) in counted {
            let severity = rows::severity(&severity)?;
            let place = if archived { "archive" } else { "events" };
            let mut part = Part {
                name: format!("{place}/{severity}/{month}", severity = severity.as_str()),
                severity,
                month,
                archived,
                events: u64::try_from(events).unwrap_or_default(),
                bytes: None,
                held_by: Vec::new(),
            };
            part.held_by = held_by(connection, holds, &part).await?;
            parts.push(part);
        }
        from = ids.end;
    }
}

/// The holds that touch a part. A hold on a project touches the parts that have its events.
async fn held_by(
    connection: &mut SqliteConnection,
    holds: &[Hold],
    part: &Part,
) -> Result<Vec<Uuid>, StoreError> {
    let mut held_by = Vec::new();
    let reaching = holds
        .iter()
        .filter(|hold| hold.held.reaches(part.severity, part.month));
    for hold in reaching {
        let touches = match hold.held.project {
            None => true,
            Some(project) => {
                let ids = Ids::of(part.month);
                let of = if part.archived {
                    "SELECT EXISTS (SELECT 1 FROM audit_archive \
                     WHERE project_id = ? AND severity = ? AND id >= ? AND id < ?)"
                } else {
                    "SELECT EXISTS (SELECT 1 FROM audit_events \
                     WHERE project_id = ? AND severity = ? AND id >= ? AND id < ?)"
                };
                sqlx::query_scalar(of)
                    .bind(project.to_string())
                    .bind(part.severity.as_str())
                    .bind(ids.first)
                    .bind(ids.end)
                    .fetch_one(&mut *connection)
                    .await
                    .map_err(failed)?
            }
        };
        if touches {
            held_by.push(hold.id);
        }
    }
    held_by.sort();
    Ok(held_by)
}

#[async_trait]
impl HoldRepo for SqliteUnitOfWork {
    async fn place(&mut self, hold: &Hold) -> Result<(), StoreError> {
        let what = hold.held;
        sqlx::query(
            "INSERT INTO audit_holds (id, severity, from_month, to_month, project_id, reason, \
             placed_by, placed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(hold.id.to_string())
        .bind(what.severity.map(Severity::as_str))
        .bind(what.from.map(|month| month.to_string()))
        .bind(what.to.map(|month| month.to_string()))
        .bind(what.project.map(|project| project.to_string()))
        .bind(hold.reason.as_str())
        .bind(&hold.placed_by)
        .bind(micros(hold.placed_at))
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        self.done();
        Ok(())
    }

    async fn lock(&mut self, id: Uuid) -> Result<Option<Hold>, StoreError> {
        let row: Option<HoldRow> = sqlx::query_as("SELECT * FROM audit_holds WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(self.connection()?)
            .await
            .map_err(failed)?;
        self.done();
        row.map(Hold::try_from).transpose()
    }

    async fn lift(&mut self, hold: &Hold) -> Result<(), StoreError> {
        let lifted = hold.lifted.as_ref();
        let done = sqlx::query(
            "UPDATE audit_holds SET lifted_by = ?, lifted_at = ?, lift_reason = ? WHERE id = ?",
        )
        .bind(lifted.map(|lifted| lifted.by.as_str()))
        .bind(lifted.map(|lifted| micros(lifted.at)))
        .bind(lifted.map(|lifted| lifted.reason.as_str()))
        .bind(hold.id.to_string())
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        one_row(done.rows_affected())?;
        self.done();
        Ok(())
    }
}
