//! The keys of subjects: read here, written in a unit of work. None is ever here in clear.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, SqliteConnection, SqlitePool};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::subject_keys::{KeptKey, Mentions, SubjectKey, SubjectKeys};
use uuid::Uuid;

use crate::SqliteStore;
use crate::audit_search::limited::searched;
use crate::errors::{failed, unwritable};
use crate::rows::{Row, micros};

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, subject, key_id, sealed, created_at FROM audit_subject_keys WHERE ",
            $which
        )
    };
}

#[derive(FromRow)]
struct KeyRow {
    id: String,
    subject: Option<Vec<u8>>,
    key_id: Option<String>,
    sealed: Option<Vec<u8>>,
    created_at: i64,
}

impl TryFrom<KeyRow> for KeptKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "audit_subject_keys",
            id: &row.id,
        };
        let id = at.uuid("id", &row.id)?;
        let (Some(subject), Some(key_id), Some(sealed)) = (&row.subject, row.key_id, row.sealed)
        else {
            return Ok(Self::Erased(id));
        };
        Ok(Self::InForce(SubjectKey {
            id,
            subject: at.bytes("subject", subject)?,
            key_id,
            sealed,
            created_at: at.time("created_at", row.created_at)?,
        }))
    }
}

fn in_force(rows: Vec<KeyRow>) -> Result<Vec<SubjectKey>, StoreError> {
    let keys = rows.into_iter().map(KeptKey::try_from);
    keys.filter_map(|kept| match kept {
        Ok(KeptKey::InForce(key)) => Some(Ok(key)),
        Ok(KeptKey::Erased(_)) => None,
        Err(error) => Some(Err(error)),
    })
    .collect()
}

/// A list for `json_each`.
fn list(items: impl Iterator<Item = String>) -> Result<String, StoreError> {
    serde_json::to_string(&items.collect::<Vec<_>>()).map_err(unwritable)
}

/// Up to `limit` keys in force by id, from the first after `id`.
pub(crate) async fn after(
    pool: &SqlitePool,
    id: Uuid,
    limit: u32,
) -> Result<Vec<SubjectKey>, StoreError> {
    let rows = sqlx::query_as(select!("erased_at IS NULL AND id > ? ORDER BY id LIMIT ?"))
        .bind(id.to_string())
        .bind(limit);
    in_force(rows.fetch_all(pool).await.map_err(failed)?)
}

#[async_trait]
impl SubjectKeys for SqliteStore {
    async fn in_force(&self, subjects: &[[u8; 32]]) -> Result<Vec<SubjectKey>, StoreError> {
        let subjects = list(subjects.iter().map(hex::encode))?;
        let rows = sqlx::query_as(select!(
            "erased_at IS NULL AND subject IN (SELECT unhex(value) FROM json_each(?))"
        ))
        .bind(subjects);
        in_force(rows.fetch_all(&self.reader).await.map_err(failed)?)
    }

    async fn by_id(&self, ids: &[Uuid]) -> Result<Vec<KeptKey>, StoreError> {
        let ids = list(ids.iter().map(Uuid::to_string))?;
        let rows = sqlx::query_as::<_, KeyRow>(select!("id IN (SELECT value FROM json_each(?))"))
            .bind(ids)
            .fetch_all(&self.reader)
            .await
            .map_err(failed)?;
        rows.into_iter().map(KeptKey::try_from).collect()
    }

    async fn mentions(
        &self,
        key: Uuid,
        actor: &str,
        longest: Option<Duration>,
    ) -> Result<Mentions, StoreError> {
        let mut snapshot = self.search_within(longest).await?;
        // A key's id is nowhere but in what it sealed.
        let counted = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE instr(details, ?1) > 0 OR instr(metadata, ?1) > 0), \
                 count(*) FILTER (WHERE actor_id = ?2) \
             FROM (SELECT actor_id, details, metadata FROM audit_events \
                 UNION ALL SELECT actor_id, details, metadata FROM audit_archive \
                 UNION ALL SELECT actor_id, details, metadata FROM audit_outbox)",
        )
        .bind(key.to_string())
        .bind(actor)
        .fetch_one(&mut *snapshot)
        .await;
        let (sealed, acted): (i64, i64) = searched(counted)?;
        let count = |count| u64::try_from(count).unwrap_or_default();
        Ok(Mentions {
            sealed: count(sealed),
            acted: count(acted),
        })
    }
}

pub(crate) async fn keep(
    connection: &mut SqliteConnection,
    keys: &[SubjectKey],
) -> Result<(), StoreError> {
    for key in keys {
        sqlx::query(
            "INSERT INTO audit_subject_keys (id, subject, key_id, sealed, created_at) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (subject) WHERE erased_at IS NULL DO NOTHING",
        )
        .bind(key.id.to_string())
        .bind(key.subject.to_vec())
        .bind(&key.key_id)
        .bind(&key.sealed)
        .bind(micros(key.created_at))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

pub(crate) async fn reseal(
    connection: &mut SqliteConnection,
    key: &SubjectKey,
    from_key: &str,
) -> Result<bool, StoreError> {
    let resealed = sqlx::query(
        "UPDATE audit_subject_keys SET key_id = ?, sealed = ? WHERE id = ? AND key_id = ?",
    )
    .bind(&key.key_id)
    .bind(&key.sealed)
    .bind(key.id.to_string())
    .bind(from_key)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(resealed.rows_affected() == 1)
}

pub(crate) async fn erase(
    connection: &mut SqliteConnection,
    subject: &[u8; 32],
    at: DateTime<Utc>,
    by: &str,
) -> Result<Option<Uuid>, StoreError> {
    // What is freed is overwritten, or the key would still be in the file.
    sqlx::raw_sql("PRAGMA secure_delete = ON")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let erased: Option<String> = sqlx::query_scalar(
        "UPDATE audit_subject_keys SET subject = NULL, key_id = NULL, sealed = NULL, \
         erased_at = ?, erased_by = ? WHERE subject = ? AND erased_at IS NULL RETURNING id",
    )
    .bind(micros(at))
    .bind(by)
    .bind(subject.to_vec())
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::raw_sql("PRAGMA secure_delete = OFF")
        .execute(connection)
        .await
        .map_err(failed)?;
    let Some(id) = erased else { return Ok(None) };
    let at = Row {
        table: "audit_subject_keys",
        id: &id,
    };
    at.uuid("id", &id).map(Some)
}
