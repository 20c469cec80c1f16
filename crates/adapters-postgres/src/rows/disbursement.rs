//! Rows of `disbursements`.

use std::mem;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::types::Json;
use tranche_application::ports::store::StoreError;
use tranche_domain::actor::SealedOrigin;
use tranche_domain::{
    Actor, BurnId, Disbursement, DisbursementId, DisbursementState, Failure, LedgerSlot,
    MilestoneId, Origin, PreparedBurn, ProjectId, Role,
};
use uuid::Uuid;

use super::{Flaw, KeptProposal, KeptReplacement, amount, bad, count, flawed, ledger};

/// A row of `disbursements`.
#[derive(Debug, FromRow)]
pub(crate) struct DisbursementRow {
    #[sqlx(rename = "order_id")]
    id: Uuid,
    #[sqlx(rename = "payer_id")]
    project_id: Uuid,
    milestone_id: Uuid,
    amount: i64,
    wallet_account_id: String,
    ordered_by_id: String,
    ordered_by_role: String,
    ip_address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    origin_key: Option<Uuid>,
    origin_sealed: Option<Vec<u8>>,
    prepared_at: DateTime<Utc>,
    #[sqlx(rename = "first_burn_id")]
    burn_id: String,
    envelope: Vec<u8>,
    memo: Vec<u8>,
    network: String,
    sequence_account: String,
    sequence: i64,
    valid_until: DateTime<Utc>,
    signed_at_ledger: i64,
    replacements: Json<Vec<KeptReplacement>>,
    state: String,
    operator_reason: Option<String>,
    proposal: Option<Json<KeptProposal>>,
    settled_at: Option<DateTime<Utc>>,
    settled_burn_id: Option<String>,
    settled_ledger: Option<i64>,
    failed_at: Option<DateTime<Utc>>,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    attempts: i64,
    #[sqlx(rename = "order_version")]
    version: i64,
}

impl DisbursementRow {
    fn state(&mut self, burn: &PreparedBurn) -> Result<DisbursementState, Flaw> {
        let called = (self.operator_reason.take(), self.proposal.take());
        let settled = (
            self.settled_at,
            self.settled_burn_id.take(),
            self.settled_ledger,
        );
        let failed = (
            self.failed_at,
            self.failure_code.take(),
            self.failure_detail.take(),
        );
        match (self.state.as_str(), called, settled, failed) {
            ("prepared", (None, None), (None, None, None), (None, None, None)) => {
                Ok(DisbursementState::Prepared)
            }
            ("submitted", (None, None), (None, None, None), (None, None, None)) => {
                Ok(DisbursementState::Submitted)
            }
            (
                "needs_operator",
                (Some(reason), proposal),
                (None, None, None),
                (None, None, None),
            ) => {
                let proposal = proposal.map(|Json(kept)| kept.try_into()).transpose()?;
                Ok(DisbursementState::NeedsOperator { reason, proposal })
            }
            ("settled", (None, None), (Some(at), named, Some(number)), (None, None, None)) => {
                // Before there were further envelopes, there was nothing to name.
                let named = named.map_or_else(|| burn.id.clone(), BurnId);
                if !burn.ids().any(|id| *id == named) {
                    return Err(format!("settled_burn_id {named} is not one of its burns"));
                }
                Ok(DisbursementState::Settled {
                    at,
                    burn: named,
                    ledger: ledger("settled_ledger", number)?,
                })
            }
            ("failed", (None, None), (None, None, None), (Some(at), Some(code), Some(detail))) => {
                Ok(DisbursementState::Failed {
                    at,
                    failure: Failure { code, detail },
                })
            }
            (state, ..) => Err(format!("its columns do not fit the state {state}")),
        }
    }

    fn burn(&mut self) -> Result<PreparedBurn, Flaw> {
        let memo = mem::take(&mut self.memo)
            .try_into()
            .map_err(|_| "memo is not 32 bytes long".to_owned())?;
        let kept = mem::take(&mut self.replacements.0).into_iter();
        Ok(PreparedBurn {
            id: BurnId(mem::take(&mut self.burn_id)),
            envelope: mem::take(&mut self.envelope),
            memo,
            slot: LedgerSlot {
                network: mem::take(&mut self.network),
                account: mem::take(&mut self.sequence_account),
                sequence: self.sequence,
            },
            valid_until: self.valid_until,
            signed_at_ledger: ledger("signed_at_ledger", self.signed_at_ledger)?,
            replacements: kept
                .map(KeptReplacement::replacement)
                .collect::<Result<_, _>>()?,
        })
    }

    fn disbursement(mut self) -> Result<Disbursement, Flaw> {
        let burn = self.burn()?;
        let state = self.state(&burn)?;
        let role = Role::named(&self.ordered_by_role)
            .ok_or_else(|| format!("ordered_by_role {} is none", self.ordered_by_role))?;
        let ip_address = self
            .ip_address
            .map(|text| text.parse())
            .transpose()
            .map_err(|why: std::net::AddrParseError| bad("ip_address")(&why))?;
        let sealed = match (self.origin_key, self.origin_sealed) {
            (Some(key), Some(content)) => Some(SealedOrigin { key, content }),
            (None, None) => None,
            _ => return Err("its sealed origin is not whole".to_owned()),
        };
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
                sealed,
            },
            prepared_at: self.prepared_at,
            burn,
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
