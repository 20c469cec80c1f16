//! Events that the log refuses, as text: what poisons a jsonb column is kept as well.

use std::borrow::Cow;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::dead_letters::{DeadLetter, DeadLetters, Redriven};
use tranche_application::ports::queries::Page;
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use crate::PostgresStore;
use crate::audit;
use crate::record::Binding;

/// In the log means under its own severity: an event of another one with the same id is another.
const BURY: &str = "INSERT INTO audit_dead_letters
        (id, event_id, content, error, source, buried_at)
    SELECT id, event_id, content, error, source, buried_at
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
        $7::text[]) AS letter (id, event_id, content, error, source, buried_at, severity)
    WHERE NOT EXISTS (SELECT FROM audit_events e
        WHERE e.severity = letter.severity AND e.id = letter.event_id)
    ON CONFLICT DO NOTHING";
const LETTERS: &str = "SELECT id, event_id, content, error, source, buried_at
    FROM audit_dead_letters WHERE id < $1 ORDER BY id DESC LIMIT $2";
const COUNT: &str = "SELECT count(*) FROM audit_dead_letters";
const LOCK: &str = "SELECT content FROM audit_dead_letters WHERE id = $1 FOR UPDATE";
const REMOVE: &str = "DELETE FROM audit_dead_letters WHERE id = $1";

#[derive(FromRow)]
struct LetterRow {
    id: Uuid,
    event_id: Option<Uuid>,
    content: String,
    error: String,
    source: String,
    buried_at: DateTime<Utc>,
}

impl From<LetterRow> for DeadLetter {
    fn from(row: LetterRow) -> Self {
        Self {
            id: row.id,
            event_id: row.event_id,
            content: row.content,
            error: row.error,
            source: row.source,
            buried_at: row.buried_at,
        }
    }
}

/// Text cannot hold a zero byte. JSON has none; the rest of a broken entry may.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// The statement that keeps letters.
pub(crate) fn bury(letters: &[DeadLetter]) -> Binding<'_> {
    fn of<'l, T>(letters: &'l [DeadLetter], column: impl Fn(&'l DeadLetter) -> T) -> Vec<T> {
        letters.iter().map(column).collect()
    }
    let severity = |letter: &DeadLetter| {
        let event: Option<EventRecord> = serde_json::from_str(&letter.content).ok();
        event.map(|event| text(&event.severity).into_owned())
    };
    sqlx::query(BURY)
        .bind(of(letters, |letter| letter.id))
        .bind(of(letters, |letter| letter.event_id))
        .bind(of(letters, |letter| text(&letter.content)))
        .bind(of(letters, |letter| text(&letter.error)))
        .bind(of(letters, |letter| letter.source.as_str()))
        .bind(of(letters, |letter| letter.buried_at))
        .bind(of(letters, severity))
}

#[async_trait]
impl DeadLetters for PostgresStore {
    async fn bury(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut work = self.timed().await?;
        let (until, connection) = work.ask();
        let buried = bury(letters).execute(connection);
        until.wait(buried).await?;
        work.commit().await
    }

    async fn letters(&self, page: Page) -> Result<Vec<DeadLetter>, StoreError> {
        let mut work = self.timed().await?;
        let rows = sqlx::query_as::<_, LetterRow>(LETTERS)
            .bind(page.after.unwrap_or(Uuid::max()))
            .bind(i64::from(page.limit));
        let (until, connection) = work.ask();
        let rows = rows.fetch_all(connection);
        let rows = until.wait(rows).await?;
        Ok(rows.into_iter().map(DeadLetter::from).collect())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let mut work = self.timed().await?;
        let (until, connection) = work.ask();
        let count = sqlx::query_scalar::<_, i64>(COUNT).fetch_one(connection);
        let count = until.wait(count).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn redrive(&self, id: Uuid, recorded_at: DateTime<Utc>) -> Result<Redriven, StoreError> {
        let mut work = self.timed().await?;
        let content = sqlx::query_scalar(LOCK).bind(id);
        let (until, connection) = work.ask();
        let content = content.fetch_optional(connection);
        let Some(content) = until.wait(content).await? else {
            return Ok(Redriven::Unknown);
        };
        let content: String = content;
        let Ok(event) = serde_json::from_str::<EventRecord>(&content) else {
            return Ok(Redriven::Unreadable);
        };
        audit::append(&mut work, &[&event], recorded_at).await?;
        let (until, connection) = work.ask();
        let removed = sqlx::query(REMOVE).bind(id).execute(connection);
        until.wait(removed).await?;
        work.commit().await?;
        Ok(Redriven::Stored)
    }
}
