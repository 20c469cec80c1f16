//! Events that the log refuses, as text.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, SqliteConnection};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::dead_letters::{DeadLetter, DeadLetters, Redriven};
use tranche_application::ports::queries::Page;
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use crate::SqliteStore;
use crate::audit;
use crate::errors::{failed, not_committed};
use crate::queries::before;
use crate::rows::{Row, micros};

#[derive(FromRow)]
struct LetterRow {
    id: String,
    event_id: Option<String>,
    content: String,
    error: String,
    source: String,
    buried_at: i64,
}

impl TryFrom<LetterRow> for DeadLetter {
    type Error = StoreError;

    fn try_from(row: LetterRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "audit_dead_letters",
            id: &row.id,
        };
        let event_id = row.event_id.map(|id| at.uuid("event_id", &id));
        Ok(Self {
            id: at.uuid("id", &row.id)?,
            event_id: event_id.transpose()?,
            content: row.content,
            error: row.error,
            source: row.source,
            buried_at: at.time("buried_at", row.buried_at)?,
        })
    }
}

/// Text ends at a zero byte for most who read it. JSON has none; the rest of a broken entry may.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Keeps a letter, unless its event is kept or in the log.
pub(crate) async fn bury(
    connection: &mut SqliteConnection,
    letter: &DeadLetter,
) -> Result<(), StoreError> {
    if let Ok(event) = serde_json::from_str::<EventRecord>(&letter.content)
        && audit::is_logged(connection, &event).await?
    {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audit_dead_letters (id, event_id, content, error, source, buried_at) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(letter.id.to_string())
    .bind(letter.event_id.map(|id| id.to_string()))
    .bind(text(&letter.content))
    .bind(text(&letter.error))
    .bind(&letter.source)
    .bind(micros(letter.buried_at))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn bury(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        for letter in letters {
            bury(&mut transaction, letter).await?;
        }
        transaction.commit().await.map_err(not_committed)
    }

    async fn letters(&self, page: Page) -> Result<Vec<DeadLetter>, StoreError> {
        let rows: Vec<LetterRow> = sqlx::query_as(
            "SELECT id, event_id, content, error, source, buried_at FROM audit_dead_letters \
             WHERE id < ? ORDER BY id DESC LIMIT ?",
        )
        .bind(before(page))
        .bind(page.limit)
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        rows.into_iter().map(DeadLetter::try_from).collect()
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_dead_letters")
            .fetch_one(&self.reader)
            .await
            .map_err(failed)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn redrive(&self, id: Uuid, recorded_at: DateTime<Utc>) -> Result<Redriven, StoreError> {
        let mut transaction = self.transaction().await?;
        let content: Option<String> =
            sqlx::query_scalar("SELECT content FROM audit_dead_letters WHERE id = ?")
                .bind(id.to_string())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
        let Some(content) = content else {
            return Ok(Redriven::Unknown);
        };
        let Ok(event) = serde_json::from_str::<EventRecord>(&content) else {
            return Ok(Redriven::Unreadable);
        };
        audit::append(&mut transaction, &event, recorded_at).await?;
        sqlx::query("DELETE FROM audit_dead_letters WHERE id = ?")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(not_committed)?;
        Ok(Redriven::Stored)
    }
}
