//! Disbursements inside a unit of work.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::types::Json;
use tranche_application::ports::store::{
    BackOff, Conflict, DisbursementRepo, LockedBooks, StoreError, UnitOfWork,
};
use tranche_domain::{Disbursement, DisbursementId, DisbursementState, Milestone, ProjectId};
use uuid::Uuid;

use crate::milestones::milestone_columns;
use crate::record::{Binding, Kind};
use crate::rows::{DisbursementRow, KeptProposal, KeptReplacement, MilestoneRow};
use crate::unit_of_work::PostgresUnitOfWork;

/// A disbursement beside its milestone.
#[derive(FromRow)]
struct LockedRow {
    #[sqlx(flatten)]
    disbursement: DisbursementRow,
    #[sqlx(flatten)]
    milestone: MilestoneRow,
}

/// What a change may alter: the order and its signed burn never.
macro_rules! mutable {
    () => {
        "replacements, state, operator_reason, proposal, settled_at, settled_burn_id, \
         settled_ledger, failed_at, failure_code, failure_detail, attempts, version"
    };
}

macro_rules! open {
    () => {
        "state IN ('prepared', 'submitted', 'needs_operator')"
    };
}
pub(crate) use open;

/// A disbursement `d`. What its milestone calls by the same name is called otherwise, so that one
/// row can hold both.
macro_rules! disbursement_columns {
    () => {
        "d.id AS order_id, d.project_id AS payer_id, d.milestone_id, d.amount, \
         d.wallet_account_id, d.ordered_by_id, d.ordered_by_role, \
         host(d.ip_address) AS ip_address, d.user_agent, d.request_id, d.origin_key, \
         d.origin_sealed, d.prepared_at, \
         d.burn_id AS first_burn_id, d.envelope, d.memo, d.network, d.sequence_account, \
         d.sequence, d.valid_until, d.signed_at_ledger, d.replacements, d.state, \
         d.operator_reason, d.proposal, d.settled_at, d.settled_burn_id, d.settled_ledger, \
         d.failed_at, d.failure_code, d.failure_detail, d.attempts, d.version AS order_version"
    };
}
pub(crate) use disbursement_columns;

macro_rules! select_disbursement {
    () => {
        concat!(
            "SELECT ",
            crate::disbursements::disbursement_columns!(),
            " FROM disbursements d"
        )
    };
}
pub(crate) use select_disbursement;

/// In one order for all, so that nobody waits for somebody who waits.
const LOCK_BOOKS: &str = concat!(
    "SELECT ",
    disbursement_columns!(),
    ", ",
    milestone_columns!(),
    " FROM disbursements d JOIN milestones m ON m.id = d.milestone_id \
     JOIN projects p ON p.id = m.project_id \
     WHERE d.project_id = $1 AND d.id = ANY ($2) ORDER BY d.id FOR NO KEY UPDATE OF m, d"
);

/// A disbursement that somebody else holds is being driven by them. A lease that ends further off
/// than any pause is one of a clock that ran ahead.
const LEASE: &str = concat!(
    "UPDATE disbursements \
     SET leased_until = $1 + least(greatest(($1 - prepared_at) / 8, $2), $3) \
     WHERE id = (SELECT id FROM disbursements WHERE ",
    open!(),
    " AND (leased_until IS NULL OR leased_until <= $1 OR leased_until > $1 + 2 * $3) ORDER BY leased_until NULLS FIRST, id \
     LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) RETURNING id"
);

const NOTE_SENT: &str = concat!(
    "UPDATE disbursements SET attempts = $1, state = $2, version = $4 \
     WHERE id = $3 AND version = $4 - 1 AND ",
    open!()
);

const INSERT: &str = concat!(
    "disbursement AS (INSERT INTO disbursements (",
    mutable!(),
    ", id, project_id, milestone_id, amount, wallet_account_id, ordered_by_id, ordered_by_role, \
     ip_address, user_agent, request_id, origin_key, origin_sealed, prepared_at, burn_id, \
     envelope, memo, network, \
     sequence_account, sequence, valid_until, signed_at_ledger) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::inet, ?, ?, ?, ?, ?, ?, ?, \
     ?, ?, ?, ?, ?, ?) RETURNING 1)"
);
const UPDATE: &str = concat!(
    "disbursement AS (UPDATE disbursements SET (",
    mutable!(),
    ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ? AND version = ? - 1 RETURNING 1)"
);
const DELETE: &str =
    "disbursement AS (DELETE FROM disbursements WHERE id = ? AND version = ? - 1 RETURNING 1)";

pub(crate) const fn part(kind: Kind) -> &'static str {
    match kind {
        Kind::Insert => INSERT,
        Kind::Update => UPDATE,
        Kind::Delete => DELETE,
    }
}

pub(crate) fn bind<'q>(
    query: Binding<'q>,
    kind: Kind,
    disbursement: &'q Disbursement,
) -> Binding<'q> {
    match kind {
        Kind::Insert => order(mutable(query, disbursement), disbursement),
        Kind::Update => mutable(query, disbursement)
            .bind(disbursement.id.0)
            .bind(disbursement.version),
        Kind::Delete => query.bind(disbursement.id.0).bind(disbursement.version),
    }
}

fn order<'q>(query: Binding<'q>, disbursement: &'q Disbursement) -> Binding<'q> {
    let (burn, origin) = (&disbursement.burn, &disbursement.origin);
    query
        .bind(disbursement.id.0)
        .bind(disbursement.project_id.0)
        .bind(disbursement.milestone_id.0)
        .bind(disbursement.amount.stroops())
        .bind(disbursement.wallet_account_id.as_str())
        .bind(disbursement.ordered_by.id.as_str())
        .bind(disbursement.ordered_by.role.as_str())
        .bind(origin.ip_address.map(|ip| ip.to_string()))
        .bind(origin.user_agent.as_deref())
        .bind(origin.request_id.as_deref())
        .bind(origin.sealed.as_ref().map(|sealed| sealed.key))
        .bind(
            origin
                .sealed
                .as_ref()
                .map(|sealed| sealed.content.as_slice()),
        )
        .bind(disbursement.prepared_at)
        .bind(burn.id.0.as_str())
        .bind(burn.envelope.as_slice())
        .bind(burn.memo.as_slice())
        .bind(burn.slot.network.as_str())
        .bind(burn.slot.account.as_str())
        .bind(burn.slot.sequence)
        .bind(burn.valid_until)
        .bind(i64::from(burn.signed_at_ledger))
}

fn mutable<'q>(query: Binding<'q>, disbursement: &'q Disbursement) -> Binding<'q> {
    let (mut called, mut settled, mut failed) = (None, None, None);
    match &disbursement.state {
        DisbursementState::Prepared | DisbursementState::Submitted => {}
        DisbursementState::NeedsOperator { reason, proposal } => {
            called = Some((reason.as_str(), proposal.as_ref()));
        }
        DisbursementState::Settled { at, burn, ledger } => {
            settled = Some((*at, burn.0.as_str(), i64::from(*ledger)));
        }
        DisbursementState::Failed { at, failure } => failed = Some((*at, failure)),
    }
    let replacements = disbursement.burn.replacements.iter();
    let replacements: Vec<_> = replacements.map(KeptReplacement::from).collect();
    let proposal = called.and_then(|(_, proposal)| proposal);
    query
        .bind(Json(replacements))
        .bind(disbursement.state.as_str())
        .bind(called.map(|(reason, _)| reason))
        .bind(proposal.map(|proposal| Json(KeptProposal::from(proposal))))
        .bind(settled.map(|(at, ..)| at))
        .bind(settled.map(|(_, burn, _)| burn))
        .bind(settled.map(|(.., ledger)| ledger))
        .bind(failed.map(|(at, _)| at))
        .bind(failed.map(|(_, failure)| failure.code.as_str()))
        .bind(failed.map(|(_, failure)| failure.detail.as_str()))
        .bind(disbursement.attempts)
        .bind(disbursement.version)
}

#[async_trait]
impl DisbursementRepo for PostgresUnitOfWork {
    async fn lock_books(
        &mut self,
        project: ProjectId,
        ids: &[DisbursementId],
    ) -> Result<Option<LockedBooks>, StoreError> {
        let Some(project) = self.projects().lock(project).await? else {
            return Ok(None);
        };
        let wanted: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query_as::<_, LockedRow>(LOCK_BOOKS)
            .bind(project.id.0)
            .bind(wanted)
            .fetch_all(self.connection()?)
            .await;
        let mut locked = HashMap::with_capacity(ids.len());
        for row in self.judge(rows)? {
            let disbursement = Disbursement::try_from(row.disbursement)?;
            let milestone = Milestone::try_from(row.milestone)?;
            locked.insert(disbursement.id, (milestone, disbursement));
        }
        let disbursements = ids.iter().filter_map(|id| locked.remove(id)).collect();
        Ok(Some(LockedBooks {
            project,
            disbursements,
        }))
    }

    async fn lease_next(
        &mut self,
        now: DateTime<Utc>,
        back_off: BackOff,
    ) -> Result<Option<DisbursementId>, StoreError> {
        let id = sqlx::query_scalar::<_, Uuid>(LEASE)
            .bind(now)
            .bind(back_off.least)
            .bind(back_off.most)
            .fetch_optional(self.connection()?)
            .await;
        Ok(self.judge(id)?.map(DisbursementId))
    }

    async fn note_sent(&mut self, disbursement: &Disbursement) -> Result<(), StoreError> {
        if !disbursement.state.is_open() {
            return Err(StoreError::Inconsistent(format!(
                "disbursements {}: sending cannot end it",
                disbursement.id
            )));
        }
        let noted = sqlx::query(NOTE_SENT)
            .bind(disbursement.attempts)
            .bind(disbursement.state.as_str())
            .bind(disbursement.id.0)
            .bind(disbursement.version)
            .execute(self.connection()?)
            .await;
        match self.judge(noted)?.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::Conflict(Conflict::Stale)),
        }
    }
}
