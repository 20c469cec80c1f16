//! Milestones inside a unit of work, and their evidence.

use async_trait::async_trait;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection, SqliteExecutor};
use tranche_application::ports::store::{Conflict, MilestoneRepo, StoreError};
use tranche_domain::{EventId, Milestone, MilestoneId, Write};

use crate::errors::{failed, is_taken};
use crate::rows::milestone::MilestoneRow;
use crate::unit_of_work::{SqliteUnitOfWork, one_row};

/// A milestone with the rules of its project.
macro_rules! select_milestones {
    ($rest:literal) => {
        concat!(
            "SELECT m.*, p.maker_checker, p.burn_policy \
             FROM milestones m JOIN projects p ON p.id = m.project_id ",
            $rest
        )
    };
}
pub(crate) use select_milestones;

#[async_trait]
impl MilestoneRepo for SqliteUnitOfWork {
    async fn lock(&mut self, id: MilestoneId) -> Result<Option<Milestone>, StoreError> {
        let found = find(self.connection()?, id).await?;
        self.done();
        Ok(found)
    }
}

/// The milestone of this id. In a unit of work it is locked already: the whole file is.
pub(crate) async fn find(
    executor: impl SqliteExecutor<'_>,
    id: MilestoneId,
) -> Result<Option<Milestone>, StoreError> {
    sqlx::query_as::<_, MilestoneRow>(select_milestones!("WHERE m.id = ?"))
        .bind(id.to_string())
        .fetch_optional(executor)
        .await
        .map_err(failed)?
        .map(Milestone::try_from)
        .transpose()
}

/// Ties this version of a milestone, its absence included, to the event that proves it.
pub(crate) async fn put_evidence(
    connection: &mut SqliteConnection,
    milestone: &Milestone,
    event: EventId,
) -> Result<(), StoreError> {
    let put = sqlx::query(
        "INSERT INTO milestone_evidence (milestone_id, version, event_id) VALUES (?, ?, ?)",
    )
    .bind(milestone.id.to_string())
    .bind(milestone.version)
    .bind(event.to_string())
    .execute(connection)
    .await;
    match put {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => Err(StoreError::Conflict(Conflict::Stale)),
        Err(error) => Err(failed(error)),
    }
}

pub(crate) async fn write(
    connection: &mut SqliteConnection,
    write: &Write<Milestone>,
) -> Result<(), StoreError> {
    let milestone = write.value();
    let written = match write {
        Write::Insert(_) => insert(&mut *connection, milestone).await,
        Write::Update(_) => update(&mut *connection, milestone).await,
        Write::Delete(_) => delete(&mut *connection, milestone).await,
    };
    match written {
        Ok(rows) => one_row(rows),
        Err(error) if is_taken(&error) => Err(what_is_taken(connection, milestone).await?),
        Err(error) => Err(failed(error)),
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    milestone: &Milestone,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(
        "INSERT INTO milestones (id, version, project_id, number, title, description, \
         target_amount, status, submitted_by, submitted_at, rejected_by, rejected_at, \
         rejection_reason, approved_by, approved_at, transfer_reference, transfer_amount, \
         transfer_date, transfer_notes, disbursement_id, disbursed_by, disbursed_at, burned, \
         burn_id, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
    );
    let done = bind(query, MilestoneRow::from(milestone))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Where the version before still stands.
async fn update(
    connection: &mut SqliteConnection,
    milestone: &Milestone,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(
        "UPDATE milestones SET version = ?2, project_id = ?3, number = ?4, title = ?5, \
         description = ?6, target_amount = ?7, status = ?8, submitted_by = ?9, \
         submitted_at = ?10, rejected_by = ?11, rejected_at = ?12, rejection_reason = ?13, \
         approved_by = ?14, approved_at = ?15, transfer_reference = ?16, transfer_amount = ?17, \
         transfer_date = ?18, transfer_notes = ?19, disbursement_id = ?20, disbursed_by = ?21, \
         disbursed_at = ?22, burned = ?23, burn_id = ?24, created_at = ?25, updated_at = ?26 \
         WHERE id = ?1 AND version = ?2 - 1",
    );
    let done = bind(query, MilestoneRow::from(milestone))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn delete(
    connection: &mut SqliteConnection,
    milestone: &Milestone,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("DELETE FROM milestones WHERE id = ? AND version = ? - 1")
        .bind(milestone.id.to_string())
        .bind(milestone.version)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Every column, in the order that [`insert`] and [`update`] number them.
fn bind(query: Query<'_>, row: MilestoneRow) -> Query<'_> {
    query
        .bind(row.id)
        .bind(row.version)
        .bind(row.project_id)
        .bind(row.number)
        .bind(row.title)
        .bind(row.description)
        .bind(row.target_amount)
        .bind(row.status)
        .bind(row.submitted_by)
        .bind(row.submitted_at)
        .bind(row.rejected_by)
        .bind(row.rejected_at)
        .bind(row.rejection_reason)
        .bind(row.approved_by)
        .bind(row.approved_at)
        .bind(row.transfer_reference)
        .bind(row.transfer_amount)
        .bind(row.transfer_date)
        .bind(row.transfer_notes)
        .bind(row.disbursement_id)
        .bind(row.disbursed_by)
        .bind(row.disbursed_at)
        .bind(row.burned)
        .bind(row.burn_id)
        .bind(row.created_at)
        .bind(row.updated_at)
}

/// A number or a reference is another milestone's; else somebody else changed this one.
async fn what_is_taken(
    connection: &mut SqliteConnection,
    milestone: &Milestone,
) -> Result<StoreError, StoreError> {
    let row = MilestoneRow::from(milestone);
    let (number, reference): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM milestones \
             WHERE project_id = ?1 AND number = ?2 AND id <> ?4), \
         EXISTS (SELECT 1 FROM milestones \
             WHERE project_id = ?1 AND transfer_reference = ?3 AND id <> ?4)",
    )
    .bind(row.project_id)
    .bind(row.number)
    .bind(row.transfer_reference)
    .bind(row.id)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    Ok(StoreError::Conflict(if number {
        Conflict::MilestoneNumber
    } else if reference {
        Conflict::TransferReference
    } else {
        Conflict::Stale
    }))
}
