//! Assessment trails, and the sums of what they spent: both and the event are one transaction.

mod clean_ups;
mod counted;
mod limbs;
mod rows;
mod sums;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqliteExecutor};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::ports::trails::{Adopted, MOST_TRAILS, TrailStore};
use tranche_domain::trail::sums::{Counted, TimeRange, movements};
use tranche_domain::{MessageId, ProjectId, Trail, TrailChange};

use crate::SqliteStore;
use crate::audit;
use crate::errors::{failed, failed_in_project, not_committed};
use crate::rows::micros;
use crate::unit_of_work::one_row;
use rows::TrailRow;

const INSERT: &str = "INSERT INTO assessment_trails (model, reasoning_traces, context_layers, \
     prompt_tokens, completion_tokens, prompt_cost_units, prompt_cost_trillionths, \
     completion_cost_units, completion_cost_trillionths, created_at, completed_at, updated_at, \
     version, message_id, project_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const UPDATE: &str = "UPDATE assessment_trails SET (model, reasoning_traces, context_layers, \
     prompt_tokens, completion_tokens, prompt_cost_units, prompt_cost_trillionths, \
     completion_cost_units, completion_cost_trillionths, created_at, completed_at, updated_at, \
     version) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     WHERE message_id = ? AND project_id = ? AND version = ?";

/// What a project that is gone has left is not there, and in nobody's way.
macro_rules! is_there {
    () => {
        "project_id NOT IN (SELECT project_id FROM trail_removals)"
    };
}
const MAKE_WAY: &str = "DELETE FROM assessment_trails \
     WHERE message_id = ? AND project_id IN (SELECT project_id FROM trail_removals)";

/// Writes a trail in the place of what stood, and moves the sums.
async fn write(
    connection: &mut SqliteConnection,
    former: Option<&Trail>,
    trail: &Trail,
) -> Result<(), StoreError> {
    let record = trail.record();
    if former.is_none() {
        let way = sqlx::query(MAKE_WAY).bind(record.message_id.to_string());
        way.execute(&mut *connection).await.map_err(failed)?;
    }
    let written = match former {
        None => rows::bind(sqlx::query(INSERT), record),
        Some(former) => rows::bind(sqlx::query(UPDATE), record).bind(former.record().version),
    };
    let written = written.execute(&mut *connection).await;
    one_row(written.map_err(failed_in_project)?.rows_affected())?;
    sums::shift(connection, &movements(former, trail)).await
}

/// The trail of a message, where the scope reaches it.
async fn find(
    executor: impl SqliteExecutor<'_>,
    message: MessageId,
    scope: Scope,
) -> Result<Option<Trail>, StoreError> {
    let only = match scope {
        Scope::All => None,
        Scope::Project(id) => Some(id.to_string()),
    };
    let row: Option<TrailRow> = sqlx::query_as(concat!(
        "SELECT * FROM assessment_trails \
         WHERE message_id = ?1 AND (?2 IS NULL OR project_id = ?2) AND ",
        is_there!()
    ))
    .bind(message.to_string())
    .bind(only)
    .fetch_optional(executor)
    .await
    .map_err(failed)?;
    row.map(Trail::try_from).transpose()
}

#[async_trait]
impl TrailStore for SqliteStore {
    async fn read(&self, message: MessageId, scope: Scope) -> Result<Option<Trail>, StoreError> {
        find(&self.reader, message, scope).await
    }

    async fn save(&self, change: &TrailChange) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        write(&mut transaction, change.former(), change.trail()).await?;
        if let Some(event) = change.event() {
            audit::put_into_outbox(&mut transaction, &EventRecord::from(event)).await?;
        }
        transaction.commit().await.map_err(not_committed)
    }

    async fn adopt(&self, copies: &[Trail]) -> Result<Vec<Adopted>, StoreError> {
        let mut transaction = self.transaction().await?;
        let mut adopted = Vec::with_capacity(copies.len());
        for copy in copies {
            let message = copy.record().message_id;
            let former = find(&mut *transaction, message, Scope::All).await?;
            let next = match &former {
                None => Some(copy.clone()),
                Some(former) => copy.in_place_of(former),
            };
            let Some(next) = next else {
                adopted.push(Adopted::Present);
                continue;
            };
            // A statement that is refused is undone by itself.
            adopted.push(
                match write(&mut transaction, former.as_ref(), &next).await {
                    Ok(()) => Adopted::Kept,
                    Err(StoreError::Conflict(Conflict::ProjectGone)) => Adopted::ProjectGone,
                    Err(error) => return Err(error),
                },
            );
        }
        transaction.commit().await.map_err(not_committed)?;
        Ok(adopted)
    }

    async fn page(&self, after: Option<MessageId>, limit: u32) -> Result<Vec<Trail>, StoreError> {
        let rows: Vec<TrailRow> = sqlx::query_as(concat!(
            "SELECT * FROM assessment_trails WHERE message_id > ? AND ",
            is_there!(),
            " ORDER BY message_id LIMIT ?"
        ))
        .bind(after.map(|after| after.to_string()).unwrap_or_default())
        .bind(limit.min(MOST_TRAILS))
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        rows.into_iter().map(Trail::try_from).collect()
    }

    async fn several(&self, messages: &[MessageId]) -> Result<Vec<Trail>, StoreError> {
        let mut query =
            QueryBuilder::<Sqlite>::new("SELECT * FROM assessment_trails WHERE message_id IN (");
        let mut list = query.separated(", ");
        for message in messages {
            list.push_bind(message.to_string());
        }
        query.push(concat!(") AND ", is_there!()));
        let rows: Vec<TrailRow> = query
            .build_query_as()
            .fetch_all(&self.reader)
            .await
            .map_err(failed)?;
        rows.into_iter().map(Trail::try_from).collect()
    }

    async fn count(&self, before: Option<DateTime<Utc>>) -> Result<u64, StoreError> {
        let count = match before {
            None => sqlx::query_scalar(concat!(
                "SELECT count(*) FROM assessment_trails WHERE ",
                is_there!()
            )),
            Some(before) => sqlx::query_scalar(concat!(
                "SELECT count(*) FROM assessment_trails WHERE created_at < ? AND ",
                is_there!()
            ))
            .bind(micros(before)),
        };
        let count: i64 = count.fetch_one(&self.reader).await.map_err(failed)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn counted(
        &self,
        project: ProjectId,
        range: TimeRange,
        recent: u32,
    ) -> Result<Counted, StoreError> {
        counted::of(self, project, range, recent).await
    }

    async fn expire(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let expired = sqlx::query(
            "DELETE FROM assessment_trails WHERE rowid IN (SELECT rowid FROM assessment_trails \
             WHERE created_at < ? ORDER BY created_at LIMIT ?)",
        )
        .bind(micros(before))
        .bind(limit)
        .execute(&self.writer)
        .await
        .map_err(failed)?;
        Ok(expired.rows_affected())
    }

    async fn expire_sums(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.transaction().await?;
        let expired = sums::expire(&mut transaction, before, limit).await?;
        transaction.commit().await.map_err(not_committed)?;
        Ok(expired)
    }
}
