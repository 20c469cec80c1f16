//! Rows of `disbursements`.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::ports::store::StoreError;
use tranche_domain::{
    Actor, BurnId, Disbursement, DisbursementId, DisbursementState, Failure, LedgerSlot,
    MilestoneId, Origin, PreparedBurn, ProjectId, Role,
};
use uuid::Uuid;

use super::{Flaw, amount, bad, count, flawed, ledger};

/// A row of `disbursements`.
#[derive(Debug, FromRow)]
pub(crate) struct DisbursementRow {
    id: Uuid,
    project_id: Uuid,
    milestone_id: Uuid,
    amount: i64,
    wallet_account_id: String,
    ordered_by_id: String,
    ordered_by_role: String,
    ip_address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    prepared_at: DateTime<Utc>,
    burn_id: String,
    envelope: Vec<u8>,
    memo: Vec<u8>,
    network: String,
    sequence_account: String,
    sequence: i64,
    valid_until: DateTime<Utc>,
    signed_at_ledger: i64,
    state: String,
    operator_reason: Option<String>,
    settled_at: Option<DateTime<Utc>>,
    settled_ledger: Option<i64>,
    failed_at: Option<DateTime<Utc>>,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    attempts: i64,
    version: i64,
}

impl DisbursementRow {
    fn state(&self) -> Result<DisbursementState, Flaw> {
        let settled = (self.settled_at, self.settled_ledger);
        let failed = (self.failed_at, &self.failure_code, &self.failure_detail);
        match (self.state.as_str(), &self.operator_reason, settled, failed) {
            ("prepared", None, (None, None), (None, None, None)) => Ok(DisbursementState::Prepared),
            ("submitted", None, (None, None), (None, None, None)) => {
                Ok(DisbursementState::Submitted)
            }
            ("needs_operator", Some(reason), (None, None), (None, None, None)) => {
                Ok(DisbursementState::NeedsOperator {
                    reason: reason.clone(),
                })
            }
            ("settled", None, (Some(at), Some(number)), (None, None, None)) => {
                Ok(DisbursementState::Settled {
                    at,
                    ledger: ledger("settled_ledger", number)?,
                })
            }
            ("failed", None, (None, None), (Some(at), Some(code), Some(detail))) => {
                Ok(DisbursementState::Failed {
                    at,
                    failure: Failure {
                        code: code.clone(),
                        detail: detail.clone(),
                    },
                })
            }
            (state, ..) => Err(format!("its columns do not fit the state {state}")),
        }
    }

    fn disbursement(self) -> Result<Disbursement, Flaw> {
        let state = self.state()?;
        let role = Role::named(&self.ordered_by_role)
            .ok_or_else(|| format!("ordered_by_role {} is none", self.ordered_by_role))?;
        let ip_address = self
            .ip_address
            .map(|text| text.parse())
            .transpose()
            .map_err(|why: std::net::AddrParseError| bad("ip_address")(&why))?;
        let memo = self
            .memo
            .try_into()
            .map_err(|_| "memo is not 32 bytes long".to_owned())?;
        Ok(Disbursement {
            id: DisbursementId(self.id),
            project_id: ProjectId(self.project_id),
            milestone_id: MilestoneId(self.milestone_id),
            amount: amount("amount", self.amount)?,
            wallet_account_id: self.wallet_account_id,
            ordered_by: Actor {
                id: self.ordered_by_id,
                role,
            },
            origin: Origin {
                ip_address,
                user_agent: self.user_agent,
                request_id: self.request_id,
            },
            prepared_at: self.prepared_at,
            burn: PreparedBurn {
                id: BurnId(self.burn_id),
                envelope: self.envelope,
                memo,
                slot: LedgerSlot {
                    network: self.network,
                    account: self.sequence_account,
                    sequence: self.sequence,
                },
                valid_until: self.valid_until,
                signed_at_ledger: ledger("signed_at_ledger", self.signed_at_ledger)?,
            },
            state,
            attempts: count("attempts", 0, self.attempts)?,
            version: count("version", 1, self.version)?,
        })
    }
}

impl TryFrom<DisbursementRow> for Disbursement {
    type Error = StoreError;

    fn try_from(row: DisbursementRow) -> Result<Self, StoreError> {
        let id = row.id;
        row.disbursement().map_err(flawed("disbursements", id))
    }
}
