//! The keys of subjects: read here, written in a unit of work. None is ever here in clear.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPool;
use sqlx::{Connection, FromRow};
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::subject_keys::{KeptKey, Mentions, SubjectKey, SubjectKeys};
use uuid::Uuid;

use crate::PostgresStore;
use crate::errors::{failed, is_cancelled};
use crate::rows::flawed;
use crate::scope;
use crate::unit_of_work::PostgresUnitOfWork;

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, subject, key_id, sealed, created_at FROM audit_subject_keys WHERE ",
            $which
        )
    };
}
const IN_FORCE: &str = select!("erased_at IS NULL AND subject = ANY ($1)");
const BY_ID: &str = select!("id = ANY ($1)");
const AFTER: &str = select!("erased_at IS NULL AND id > $1 ORDER BY id LIMIT $2");
const KEEP: &str = "INSERT INTO audit_subject_keys (id, subject, key_id, sealed, created_at)
    SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::bytea[], $5::timestamptz[])
        AS key (id, subject, key_id, sealed, created_at)
    ORDER BY subject ON CONFLICT (subject) WHERE erased_at IS NULL DO NOTHING";
const RESEAL: &str = "UPDATE audit_subject_keys SET key_id = $2, sealed = $3
    WHERE id = $1 AND key_id = $4";
const ERASE: &str = "UPDATE audit_subject_keys
    SET subject = NULL, key_id = NULL, sealed = NULL, erased_at = $2, erased_by = $3
    WHERE subject = $1 AND erased_at IS NULL RETURNING id";
/// A key's id is nowhere but in what it sealed. Reads every row once.
const MENTIONS: &str = "SELECT
        count(*) FILTER (WHERE strpos(details::text, $1) > 0 OR strpos(metadata::text, $1) > 0),
        count(*) FILTER (WHERE actor_id = $2)
    FROM (SELECT actor_id, details, metadata FROM audit_events
        UNION ALL SELECT actor_id, details, metadata FROM audit_archive
        UNION ALL SELECT actor_id, details, metadata FROM audit_outbox) event";

#[derive(FromRow)]
struct KeyRow {
    id: Uuid,
    subject: Option<Vec<u8>>,
    key_id: Option<String>,
    sealed: Option<Vec<u8>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<KeyRow> for KeptKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let (Some(subject), Some(key_id), Some(sealed)) = (row.subject, row.key_id, row.sealed)
        else {
            return Ok(Self::Erased(row.id));
        };
        let flaw = flawed("audit_subject_keys", row.id);
        Ok(Self::InForce(SubjectKey {
            id: row.id,
            subject: subject
                .try_into()
                .map_err(|_| flaw("subject is not 32 bytes long".to_owned()))?,
            key_id,
            sealed,
            created_at: row.created_at,
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

/// Up to `limit` keys in force by id, from the first after `id`.
pub(crate) async fn after(
    pool: &PgPool,
    id: Uuid,
    limit: u32,
) -> Result<Vec<SubjectKey>, StoreError> {
    let rows = sqlx::query_as(AFTER).bind(id).bind(i64::from(limit));
    in_force(rows.fetch_all(pool).await.map_err(failed)?)
}

#[async_trait]
impl SubjectKeys for PostgresStore {
    async fn in_force(&self, subjects: &[[u8; 32]]) -> Result<Vec<SubjectKey>, StoreError> {
        let subjects: Vec<&[u8]> = subjects.iter().map(<[u8; 32]>::as_slice).collect();
        let rows = sqlx::query_as(IN_FORCE).bind(subjects);
        in_force(rows.fetch_all(self.pool()).await.map_err(failed)?)
    }

    async fn by_id(&self, ids: &[Uuid]) -> Result<Vec<KeptKey>, StoreError> {
        let rows = sqlx::query_as::<_, KeyRow>(BY_ID).bind(ids);
        let rows = rows.fetch_all(self.pool()).await.map_err(failed)?;
        rows.into_iter().map(KeptKey::try_from).collect()
    }

    async fn mentions(
        &self,
        key: Uuid,
        actor: &str,
        longest: Option<Duration>,
    ) -> Result<Mentions, StoreError> {
        // Takes longer than any request may.
        let mut connection = self.upkeep_connection().await?;
        let mut reading = connection
            .begin_with(scope::begin_reading(Scope::All))
            .await
            .map_err(failed)?;
        if let Some(longest) = longest {
            sqlx::query("SELECT set_config('statement_timeout', $1, true)")
                .bind(longest.as_millis().to_string())
                .execute(&mut *reading)
                .await
                .map_err(failed)?;
        }
        let counted = sqlx::query_as(MENTIONS)
            .bind(key.to_string())
            .bind(actor)
            .fetch_one(&mut *reading)
            .await;
        let (sealed, acted): (i64, i64) = counted.map_err(|error| {
            if is_cancelled(&error) {
                StoreError::TooMuch
            } else {
                failed(error)
            }
        })?;
        reading.rollback().await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        let count = |count| u64::try_from(count).unwrap_or_default();
        Ok(Mentions {
            sealed: count(sealed),
            acted: count(acted),
        })
    }
}

impl PostgresUnitOfWork {
    pub(crate) async fn put_subject_keys(&mut self, keys: &[SubjectKey]) -> Result<(), StoreError> {
        fn of<'k, T>(keys: &'k [SubjectKey], column: impl Fn(&'k SubjectKey) -> T) -> Vec<T> {
            keys.iter().map(column).collect()
        }
        let kept = sqlx::query(KEEP)
            .bind(of(keys, |key| key.id))
            .bind(of(keys, |key| key.subject.as_slice()))
            .bind(of(keys, |key| key.key_id.as_str()))
            .bind(of(keys, |key| key.sealed.as_slice()))
            .bind(of(keys, |key| key.created_at))
            .execute(self.connection()?)
            .await;
        self.judge(kept)?;
        Ok(())
    }

    pub(crate) async fn replace_subject_key(
        &mut self,
        key: &SubjectKey,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let resealed = sqlx::query(RESEAL)
            .bind(key.id)
            .bind(&key.key_id)
            .bind(key.sealed.as_slice())
            .bind(from_key)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(resealed)?.rows_affected() == 1)
    }

    pub(crate) async fn end_subject_key(
        &mut self,
        subject: &[u8; 32],
        at: DateTime<Utc>,
        by: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let erased = sqlx::query_scalar(ERASE)
            .bind(subject.as_slice())
            .bind(at)
            .bind(by)
            .fetch_optional(self.connection()?)
            .await;
        self.judge(erased)
    }
}
