//! Disbursements inside a unit of work.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::ports::store::{Conflict, DisbursementRepo, StoreError};
use tranche_domain::{Disbursement, DisbursementId, DisbursementState};
use uuid::Uuid;

use crate::record::{Binding, Kind};
use crate::rows::DisbursementRow;
use crate::unit_of_work::PostgresUnitOfWork;

/// What a change may alter: the order and its signed burn never.
macro_rules! mutable {
    () => {
        "state, operator_reason, settled_at, settled_ledger, failed_at, failure_code, \
         failure_detail, attempts, version"
    };
}

macro_rules! open {
    () => {
        "state IN ('prepared', 'submitted', 'needs_operator')"
    };
}

macro_rules! select_disbursement {
    () => {
        "SELECT id, project_id, milestone_id, amount, wallet_account_id, ordered_by_id, \
         ordered_by_role, host(ip_address) AS ip_address, user_agent, request_id, prepared_at, \
         burn_id, envelope, memo, network, sequence_account, sequence, valid_until, \
         signed_at_ledger, state, operator_reason, settled_at, settled_ledger, failed_at, \
         failure_code, failure_detail, attempts, version FROM disbursements"
    };
}
pub(crate) use select_disbursement;

const LOCK: &str = concat!(select_disbursement!(), " WHERE id = $1 FOR NO KEY UPDATE");

/// A disbursement that somebody else holds is being driven by them.
const LEASE: &str = concat!(
    "UPDATE disbursements SET leased_until = $2 WHERE id = (SELECT id FROM disbursements WHERE ",
    open!(),
    " AND (leased_until IS NULL OR leased_until <= $1) ORDER BY leased_until NULLS FIRST, id \
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
     ip_address, user_agent, request_id, prepared_at, burn_id, envelope, memo, network, \
     sequence_account, sequence, valid_until, signed_at_ledger) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::inet, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
     ?, ?) RETURNING 1)"
);
const UPDATE: &str = concat!(
    "disbursement AS (UPDATE disbursements SET (",
    mutable!(),
    ") = (?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ? AND version = ? - 1 RETURNING 1)"
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
    let (mut reason, mut settled, mut failed) = (None, None, None);
    match &disbursement.state {
        DisbursementState::Prepared | DisbursementState::Submitted => {}
        DisbursementState::NeedsOperator { reason: why } => reason = Some(why.as_str()),
        DisbursementState::Settled { at, ledger } => settled = Some((*at, i64::from(*ledger))),
        DisbursementState::Failed { at, failure } => failed = Some((*at, failure)),
    }
    query
        .bind(disbursement.state.as_str())
        .bind(reason)
        .bind(settled.map(|(at, _)| at))
        .bind(settled.map(|(_, ledger)| ledger))
        .bind(failed.map(|(at, _)| at))
        .bind(failed.map(|(_, failure)| failure.code.as_str()))
        .bind(failed.map(|(_, failure)| failure.detail.as_str()))
        .bind(disbursement.attempts)
        .bind(disbursement.version)
}

#[async_trait]
impl DisbursementRepo for PostgresUnitOfWork {
    async fn lock(&mut self, id: DisbursementId) -> Result<Option<Disbursement>, StoreError> {
        let row = sqlx::query_as::<_, DisbursementRow>(LOCK)
            .bind(id.0)
            .fetch_optional(self.connection()?)
            .await;
        self.judge(row)?.map(Disbursement::try_from).transpose()
    }

    async fn lease_next(
        &mut self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<DisbursementId>, StoreError> {
        let id = sqlx::query_scalar::<_, Uuid>(LEASE)
            .bind(now)
            .bind(until)
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
