//! Idempotency keys inside a unit of work.

use async_trait::async_trait;
use tranche_application::idempotency::{Answered, Claim, IdempotencyKey};
use tranche_application::ports::store::{Conflict, IdempotencyRepo, StoreError};
use uuid::Uuid;

use crate::rows::flawed;
use crate::unit_of_work::PostgresUnitOfWork;

/// Waits for a unit of work that holds the same key uncommitted: if it commits, nothing is inserted
/// here, and if it rolls back, the key is ours.
const CLAIM: &str = "INSERT INTO idempotency_keys (subject, key, fingerprint) VALUES ($1, $2, $3)
    ON CONFLICT (subject, key) DO NOTHING";
const USED: &str = "SELECT fingerprint, made, answer_status, answer_body FROM idempotency_keys
    WHERE subject = $1 AND key = $2";
const BIND: &str = "UPDATE idempotency_keys SET made = $3 WHERE subject = $1 AND key = $2";
const KEEP: &str = "UPDATE idempotency_keys SET answer_status = $3, answer_body = $4
    WHERE subject = $1 AND key = $2";

type UsedRow = (Vec<u8>, Option<Uuid>, Option<i32>, Option<String>);

fn used(key: &IdempotencyKey, row: UsedRow) -> Result<Claim, StoreError> {
    let (fingerprint, made, status, body) = row;
    if fingerprint != key.fingerprint {
        return Ok(Claim::Misused);
    }
    let flaw = flawed("idempotency_keys", &key.key);
    let answer = match (status, body) {
        (Some(status), Some(body)) => match u16::try_from(status) {
            Ok(status) => Some((status, body)),
            Err(why) => return Err(flaw(format!("answer_status {why}"))),
        },
        (None, None) => None,
        _ => {
            return Err(flaw(
                "its answer's columns are not there together".to_owned(),
            ));
        }
    };
    Ok(Claim::Used(Answered { made, answer }))
}

#[async_trait]
impl IdempotencyRepo for PostgresUnitOfWork {
    async fn claim(&mut self, key: &IdempotencyKey) -> Result<Claim, StoreError> {
        let claimed = sqlx::query(CLAIM)
            .bind(&key.subject)
            .bind(&key.key)
            .bind(key.fingerprint.as_slice())
            .execute(self.connection()?)
            .await;
        if self.judge(claimed)?.rows_affected() == 1 {
            return Ok(Claim::New);
        }
        let row = sqlx::query_as::<_, UsedRow>(USED)
            .bind(&key.subject)
            .bind(&key.key)
            .fetch_optional(self.connection()?)
            .await;
        // A key that was cleaned up in between can be claimed again.
        let row = self.judge(row)?;
        used(key, row.ok_or(StoreError::Conflict(Conflict::Retry))?)
    }

    async fn bind(&mut self, key: &IdempotencyKey, made: Uuid) -> Result<(), StoreError> {
        let bound = sqlx::query(BIND)
            .bind(&key.subject)
            .bind(&key.key)
            .bind(made)
            .execute(self.connection()?)
            .await;
        must_be_claimed(key, self.judge(bound)?.rows_affected())
    }

    async fn keep_answer(
        &mut self,
        key: &IdempotencyKey,
        status: u16,
        body: &str,
    ) -> Result<(), StoreError> {
        let kept = sqlx::query(KEEP)
            .bind(&key.subject)
            .bind(&key.key)
            .bind(i32::from(status))
            .bind(body)
            .execute(self.connection()?)
            .await;
        must_be_claimed(key, self.judge(kept)?.rows_affected())
    }
}

fn must_be_claimed(key: &IdempotencyKey, rows: u64) -> Result<(), StoreError> {
    match rows {
        1 => Ok(()),
        _ => Err(flawed("idempotency_keys", &key.key)(
            "it was never claimed".to_owned(),
        )),
    }
}
