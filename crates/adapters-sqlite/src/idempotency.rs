//! Answers already given, inside a unit of work.
//!
//! A claim is an insert under the file's one write lock: whoever comes second waited for the first
//! to commit or to vanish, and sees what became of it.

use async_trait::async_trait;
use sqlx::{FromRow, SqliteConnection};
use tranche_application::idempotency::{Answered, Claim, IdempotencyKey};
use tranche_application::ports::store::{IdempotencyRepo, StoreError};
use uuid::Uuid;

use crate::errors::failed;
use crate::rows::Row;
use crate::unit_of_work::SqliteUnitOfWork;

#[derive(FromRow)]
struct KeyRow {
    fingerprint: Vec<u8>,
    made: Option<String>,
    answer_status: Option<i64>,
    answer_body: Option<String>,
}

#[async_trait]
impl IdempotencyRepo for SqliteUnitOfWork {
    async fn claim(&mut self, key: &IdempotencyKey) -> Result<Claim, StoreError> {
        let claim = claim(self.connection()?, key).await?;
        self.done();
        Ok(claim)
    }

    async fn bind(&mut self, key: &IdempotencyKey, made: Uuid) -> Result<(), StoreError> {
        let bound =
            sqlx::query("UPDATE idempotency_keys SET made = ? WHERE subject = ? AND key = ?")
                .bind(made.to_string())
                .bind(&key.subject)
                .bind(&key.key)
                .execute(self.connection()?)
                .await
                .map_err(failed)?;
        claimed(key, bound.rows_affected())?;
        self.done();
        Ok(())
    }

    async fn keep_answer(
        &mut self,
        key: &IdempotencyKey,
        status: u16,
        body: &str,
    ) -> Result<(), StoreError> {
        let kept = sqlx::query(
            "UPDATE idempotency_keys SET answer_status = ?, answer_body = ? \
             WHERE subject = ? AND key = ?",
        )
        .bind(status)
        .bind(body)
        .bind(&key.subject)
        .bind(&key.key)
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        claimed(key, kept.rows_affected())?;
        self.done();
        Ok(())
    }
}

async fn claim(
    connection: &mut SqliteConnection,
    key: &IdempotencyKey,
) -> Result<Claim, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO idempotency_keys (subject, key, fingerprint) VALUES (?, ?, ?) \
         ON CONFLICT (subject, key) DO NOTHING",
    )
    .bind(&key.subject)
    .bind(&key.key)
    .bind(key.fingerprint.to_vec())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    let row: KeyRow = sqlx::query_as(
        "SELECT fingerprint, made, answer_status, answer_body FROM idempotency_keys \
         WHERE subject = ? AND key = ?",
    )
    .bind(&key.subject)
    .bind(&key.key)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    if row.fingerprint != key.fingerprint {
        return Ok(Claim::Misused);
    }
    answered(key, row).map(Claim::Used)
}

fn answered(key: &IdempotencyKey, row: KeyRow) -> Result<Answered, StoreError> {
    let at = at(key);
    let answer = match (row.answer_status, row.answer_body) {
        (None, None) => None,
        (Some(status), Some(body)) => {
            Some((at.parsed("answer_status", u16::try_from(status))?, body))
        }
        _ => return Err(at.wrong("half of an answer")),
    };
    let made = row.made.map(|made| at.uuid("made", &made)).transpose()?;
    Ok(Answered { made, answer })
}

fn claimed(key: &IdempotencyKey, rows: u64) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(at(key).wrong("was not claimed"))
    }
}

fn at(key: &IdempotencyKey) -> Row<'_> {
    Row {
        table: "idempotency_keys",
        id: &key.key,
    }
}
