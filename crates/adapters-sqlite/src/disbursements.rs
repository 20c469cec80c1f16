//! Disbursements inside a unit of work.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, SqliteExecutor};
use tranche_application::ports::store::{Conflict, DisbursementRepo, StoreError};
use tranche_domain::{Disbursement, DisbursementId, Write};

use crate::errors::{failed, is_taken};
use crate::rows::disbursement::{DisbursementRow, Standing};
use crate::rows::{Row, micros};
use crate::unit_of_work::{SqliteUnitOfWork, one_row};

#[async_trait]
impl DisbursementRepo for SqliteUnitOfWork {
    async fn lock(&mut self, id: DisbursementId) -> Result<Option<Disbursement>, StoreError> {
        let found = find(self.connection()?, id).await?;
        self.done();
        Ok(found)
    }

    async fn lease_next(
        &mut self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<DisbursementId>, StoreError> {
        let leased = lease_next(self.connection()?, now, until).await?;
        self.done();
        Ok(leased)
    }

    async fn note_sent(&mut self, disbursement: &Disbursement) -> Result<(), StoreError> {
        update(self.connection()?, disbursement).await?;
        self.done();
        Ok(())
    }
}

/// The disbursement of this id. In a unit of work it is locked already: the whole file is.
pub(crate) async fn find(
    executor: impl SqliteExecutor<'_>,
    id: DisbursementId,
) -> Result<Option<Disbursement>, StoreError> {
    sqlx::query_as::<_, DisbursementRow>("SELECT * FROM disbursements WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(executor)
        .await
        .map_err(failed)?
        .map(Disbursement::try_from)
        .transpose()
}

/// A missing lease sorts first, so what was never looked at comes before what was.
async fn lease_next(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<DisbursementId>, StoreError> {
    let leased: Option<String> = sqlx::query_scalar(
        "UPDATE disbursements SET leased_until = ?2 WHERE id = ( \
             SELECT id FROM disbursements \
             WHERE state IN ('prepared', 'submitted', 'needs_operator') \
                 AND (leased_until IS NULL OR leased_until <= ?1) \
             ORDER BY leased_until, id LIMIT 1) \
         RETURNING id",
    )
    .bind(micros(now))
    .bind(micros(until))
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    leased
        .map(|id| {
            let at = Row {
                table: "disbursements",
                id: &id,
            };
            at.uuid("id", &id).map(DisbursementId)
        })
        .transpose()
}

pub(crate) async fn write(
    connection: &mut SqliteConnection,
    write: &Write<Disbursement>,
) -> Result<(), StoreError> {
    match write {
        Write::Insert(disbursement) => insert(connection, disbursement).await,
        Write::Update(disbursement) => update(connection, disbursement).await,
        Write::Delete(disbursement) => Err(StoreError::Inconsistent(format!(
            "disbursement {}: disbursements are never deleted",
            disbursement.id
        ))),
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    disbursement: &Disbursement,
) -> Result<(), StoreError> {
    let row = DisbursementRow::from(disbursement);
    let inserted = sqlx::query(
        "INSERT INTO disbursements (id, project_id, milestone_id, amount, wallet_account_id, \
         ordered_by_id, ordered_by_role, ip_address, user_agent, request_id, prepared_at, \
         burn_id, envelope, memo, network, sequence_account, sequence, valid_until, \
         signed_at_ledger, state, operator_reason, settled_at, settled_ledger, failed_at, \
         failure_code, failure_detail, attempts, version) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
         ?)",
    )
    .bind(row.id)
    .bind(row.project_id)
    .bind(row.milestone_id)
    .bind(row.amount)
    .bind(row.wallet_account_id)
    .bind(row.ordered_by_id)
    .bind(row.ordered_by_role)
    .bind(row.ip_address)
    .bind(row.user_agent)
    .bind(row.request_id)
    .bind(row.prepared_at)
    .bind(row.burn_id)
    .bind(row.envelope)
    .bind(row.memo)
    .bind(row.network)
    .bind(row.sequence_account)
    .bind(row.sequence)
    .bind(row.valid_until)
    .bind(row.signed_at_ledger)
    .bind(row.standing.state)
    .bind(row.standing.operator_reason)
    .bind(row.standing.settled_at)
    .bind(row.standing.settled_ledger)
    .bind(row.standing.failed_at)
    .bind(row.standing.failure_code)
    .bind(row.standing.failure_detail)
    .bind(row.attempts)
    .bind(row.version)
    .execute(&mut *connection)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => Err(what_is_taken(connection, disbursement).await?),
        Err(error) => Err(failed(error)),
    }
}

/// Its state and how often it was sent, where the version before still stands; the order and the
/// signed burn never change.
async fn update(
    connection: &mut SqliteConnection,
    disbursement: &Disbursement,
) -> Result<(), StoreError> {
    let standing = Standing::from(&disbursement.state);
    let updated = sqlx::query(
        "UPDATE disbursements SET state = ?3, operator_reason = ?4, settled_at = ?5, \
         settled_ledger = ?6, failed_at = ?7, failure_code = ?8, failure_detail = ?9, \
         attempts = ?10, version = ?2 WHERE id = ?1 AND version = ?2 - 1",
    )
    .bind(disbursement.id.to_string())
    .bind(disbursement.version)
    .bind(standing.state)
    .bind(standing.operator_reason)
    .bind(standing.settled_at)
    .bind(standing.settled_ledger)
    .bind(standing.failed_at)
    .bind(standing.failure_code)
    .bind(standing.failure_detail)
    .bind(disbursement.attempts)
    .execute(connection)
    .await
    .map_err(failed)?;
    one_row(updated.rows_affected())
}

/// The slot or the burn is another disbursement's; else the milestone has an open one, or this one
/// is there already.
async fn what_is_taken(
    connection: &mut SqliteConnection,
    disbursement: &Disbursement,
) -> Result<StoreError, StoreError> {
    let (open, slot): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM disbursements WHERE id = ?1 OR (milestone_id = ?2 \
             AND state IN ('prepared', 'submitted', 'needs_operator'))), \
         EXISTS (SELECT 1 FROM disbursements WHERE network = ?3 AND (burn_id = ?4 \
             OR (sequence_account = ?5 AND sequence = ?6 \
             AND (state <> 'failed' OR failure_code <> 'expired'))))",
    )
    .bind(disbursement.id.to_string())
    .bind(disbursement.milestone_id.to_string())
    .bind(&disbursement.burn.slot.network)
    .bind(&disbursement.burn.id.0)
    .bind(&disbursement.burn.slot.account)
    .bind(disbursement.burn.slot.sequence)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    Ok(StoreError::Conflict(if slot && !open {
        Conflict::LedgerSlot
    } else {
        Conflict::Stale
    }))
}
