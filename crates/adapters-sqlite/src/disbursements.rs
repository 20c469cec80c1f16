//! Disbursements inside a unit of work.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, SqliteExecutor};
use tranche_application::ports::store::{
    BackOff, Conflict, DisbursementRepo, LockedBooks, StoreError,
};
use tranche_domain::{Disbursement, DisbursementId, Milestone, ProjectId, Write};

use crate::errors::{failed, is_refused, is_taken};
use crate::rows::disbursement::{DisbursementRow, Standing};
use crate::rows::further::kept;
use crate::rows::{Row, micros};
use crate::unit_of_work::{SqliteUnitOfWork, one_row};
use crate::{milestones, projects};

#[async_trait]
impl DisbursementRepo for SqliteUnitOfWork {
    async fn lock_books(
        &mut self,
        project: ProjectId,
        ids: &[DisbursementId],
    ) -> Result<Option<LockedBooks>, StoreError> {
        let found = lock_books(self.connection()?, project, ids).await?;
        self.done();
        Ok(found)
    }

    async fn lease_next(
        &mut self,
        now: DateTime<Utc>,
        back_off: BackOff,
    ) -> Result<Option<DisbursementId>, StoreError> {
        let leased = lease_next(self.connection()?, now, back_off).await?;
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

/// In a unit of work everything is locked already: the whole file is.
async fn lock_books(
    connection: &mut SqliteConnection,
    project: ProjectId,
    ids: &[DisbursementId],
) -> Result<Option<LockedBooks>, StoreError> {
    let Some(project) = projects::find(&mut *connection, project).await? else {
        return Ok(None);
    };
    let mut locked: Vec<(Milestone, Disbursement)> = Vec::with_capacity(ids.len());
    for id in ids {
        let found = find(&mut *connection, *id).await?;
        let Some(disbursement) = found.filter(|found| found.project_id == project.id) else {
            continue;
        };
        let milestone = milestones::find(&mut *connection, disbursement.milestone_id).await?;
        if let Some(milestone) = milestone
            && locked.iter().all(|(_, other)| other.id != *id)
        {
            locked.push((milestone, disbursement));
        }
    }
    Ok(Some(LockedBooks {
        project,
        disbursements: locked,
    }))
}

/// A missing lease sorts first, so what was never looked at comes before what was. A lease that ends
/// further off than any pause is one of a clock that ran ahead.
async fn lease_next(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    back_off: BackOff,
) -> Result<Option<DisbursementId>, StoreError> {
    let micros_of = |pause: Duration| i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    let leased: Option<String> = sqlx::query_scalar(
        "UPDATE disbursements \
         SET leased_until = ?1 + min(max((?1 - prepared_at) / 8, ?2), ?3) WHERE id = ( \
             SELECT id FROM disbursements \
             WHERE state IN ('prepared', 'submitted', 'needs_operator') \
                 AND (leased_until IS NULL OR leased_until <= ?1 \
                     OR leased_until > ?1 + 2 * ?3) \
             ORDER BY leased_until, id LIMIT 1) \
         RETURNING id",
    )
    .bind(micros(now))
    .bind(micros_of(back_off.least))
    .bind(micros_of(back_off.most))
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
         ordered_by_id, ordered_by_role, ip_address, user_agent, request_id, origin_key, \
         origin_sealed, prepared_at, burn_id, envelope, memo, network, sequence_account, sequence, valid_until, \
         signed_at_ledger, replacements, state, operator_reason, proposal, settled_at, \
         settled_burn_id, settled_ledger, failed_at, failure_code, failure_detail, attempts, \
         version) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
         ?, ?, ?, ?, ?, ?)",
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
    .bind(row.origin_key)
    .bind(row.origin_sealed)
    .bind(row.prepared_at)
    .bind(row.burn_id)
    .bind(row.envelope)
    .bind(row.memo)
    .bind(row.network)
    .bind(row.sequence_account)
    .bind(row.sequence)
    .bind(row.valid_until)
    .bind(row.signed_at_ledger)
    .bind(row.replacements)
    .bind(row.standing.state)
    .bind(row.standing.operator_reason)
    .bind(row.standing.proposal)
    .bind(row.standing.settled_at)
    .bind(row.standing.settled_burn_id)
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

/// Its state, its further envelopes and how often it was sent, where the version before still stands;
/// the order and the first envelope never change.
async fn update(
    connection: &mut SqliteConnection,
    disbursement: &Disbursement,
) -> Result<(), StoreError> {
    let standing = Standing::from(&disbursement.state);
    let updated = sqlx::query(
        "UPDATE disbursements SET state = ?3, operator_reason = ?4, settled_at = ?5, \
         settled_ledger = ?6, failed_at = ?7, failure_code = ?8, failure_detail = ?9, \
         attempts = ?10, replacements = ?11, proposal = ?12, settled_burn_id = ?13, \
         version = ?2 WHERE id = ?1 AND version = ?2 - 1",
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
    .bind(kept(&disbursement.burn.replacements))
    .bind(standing.proposal)
    .bind(standing.settled_burn_id)
    .execute(connection)
    .await;
    match updated {
        Ok(updated) => one_row(updated.rows_affected()),
        Err(error) if is_refused(&error) => Err(StoreError::Inconsistent(format!(
            "disbursement {}: {error}",
            disbursement.id
        ))),
        Err(error) => Err(failed(error)),
    }
}

/// The slot, the account or the burn is another disbursement's; else the milestone has an open one, or this one
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
             AND (state <> 'failed' OR failure_code <> 'expired')) OR (sequence_account = ?5 \
             AND state IN ('prepared', 'submitted', 'needs_operator'))))",
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
