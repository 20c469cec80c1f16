//! A disbursement's row.

use sqlx::FromRow;
use sqlx::types::Json;
use tranche_application::ports::store::StoreError;
use tranche_domain::actor::SealedOrigin;
use tranche_domain::{
    Actor, BurnId, Disbursement, DisbursementId, DisbursementState, Failure, LedgerSlot,
    MilestoneId, Origin, PreparedBurn, ProjectId, Role,
};

use super::further::{KeptProposal, KeptReplacement, kept};
use super::{Row, micros};

#[derive(FromRow)]
pub(crate) struct DisbursementRow {
    pub id: String,
    pub project_id: String,
    pub milestone_id: String,
    pub amount: i64,
    pub wallet_account_id: String,
    pub ordered_by_id: String,
    pub ordered_by_role: String,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    pub origin_key: Option<String>,
    pub origin_sealed: Option<Vec<u8>>,
    pub prepared_at: i64,
    pub burn_id: String,
    pub envelope: Vec<u8>,
    pub memo: Vec<u8>,
    pub network: String,
    pub sequence_account: String,
    pub sequence: i64,
    pub valid_until: i64,
    pub signed_at_ledger: i64,
    pub replacements: Json<Vec<KeptReplacement>>,
    #[sqlx(flatten)]
    pub standing: Standing,
    pub attempts: i64,
    pub version: i64,
}

/// The columns of its state.
#[derive(Default, FromRow)]
pub(crate) struct Standing {
    pub state: String,
    pub operator_reason: Option<String>,
    pub proposal: Option<Json<KeptProposal>>,
    pub settled_at: Option<i64>,
    pub settled_burn_id: Option<String>,
    pub settled_ledger: Option<i64>,
    pub failed_at: Option<i64>,
    pub failure_code: Option<String>,
    pub failure_detail: Option<String>,
}

impl From<&DisbursementState> for Standing {
    fn from(state: &DisbursementState) -> Self {
        let mut row = Self {
            state: state.as_str().to_owned(),
            ..Self::default()
        };
        match state {
            DisbursementState::Prepared | DisbursementState::Submitted => {}
            DisbursementState::NeedsOperator { reason, proposal } => {
                row.operator_reason = Some(reason.clone());
                row.proposal = proposal.as_ref().map(|proposal| Json(proposal.into()));
            }
            DisbursementState::Settled { at, burn, ledger } => {
                row.settled_at = Some(micros(*at));
                row.settled_burn_id = Some(burn.0.clone());
                row.settled_ledger = Some(i64::from(*ledger));
            }
            DisbursementState::Failed { at, failure } => {
                row.failed_at = Some(micros(*at));
                row.failure_code = Some(failure.code.clone());
                row.failure_detail = Some(failure.detail.clone());
            }
        }
        row
    }
}

impl From<&Disbursement> for DisbursementRow {
    fn from(disbursement: &Disbursement) -> Self {
        let burn = &disbursement.burn;
        let origin = &disbursement.origin;
        let sealed = origin.sealed.as_ref();
        Self {
            id: disbursement.id.to_string(),
            project_id: disbursement.project_id.to_string(),
            milestone_id: disbursement.milestone_id.to_string(),
            amount: disbursement.amount.stroops(),
            wallet_account_id: disbursement.wallet_account_id.clone(),
            ordered_by_id: disbursement.ordered_by.id.clone(),
            ordered_by_role: disbursement.ordered_by.role.as_str().to_owned(),
            ip_address: origin.ip_address.map(|address| address.to_string()),
            user_agent: origin.user_agent.clone(),
            request_id: origin.request_id.clone(),
            origin_key: sealed.map(|sealed| sealed.key.to_string()),
            origin_sealed: sealed.map(|sealed| sealed.content.clone()),
            prepared_at: micros(disbursement.prepared_at),
            burn_id: burn.id.0.clone(),
            envelope: burn.envelope.clone(),
            memo: burn.memo.to_vec(),
            network: burn.slot.network.clone(),
            sequence_account: burn.slot.account.clone(),
            sequence: burn.slot.sequence,
            valid_until: micros(burn.valid_until),
            signed_at_ledger: i64::from(burn.signed_at_ledger),
            replacements: kept(&burn.replacements),
            standing: Standing::from(&disbursement.state),
            attempts: disbursement.attempts,
            version: disbursement.version,
        }
    }
}

impl TryFrom<DisbursementRow> for Disbursement {
    type Error = StoreError;

    fn try_from(row: DisbursementRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "disbursements",
            id: &row.id,
        };
        let role = Role::named(&row.ordered_by_role).ok_or_else(|| {
            at.wrong(format!(
                "ordered_by_role: there is no {:?}",
                row.ordered_by_role
            ))
        })?;
        if row.version < 1 || row.attempts < 0 {
            return Err(at.wrong("version or attempts out of range"));
        }
        let kept = row.replacements.0.into_iter();
        let burn = PreparedBurn {
            id: BurnId(row.burn_id),
            envelope: row.envelope,
            memo: at.bytes("memo", &row.memo)?,
            slot: LedgerSlot {
                network: row.network,
                account: row.sequence_account,
                sequence: row.sequence,
            },
            valid_until: at.time("valid_until", row.valid_until)?,
            signed_at_ledger: at.parsed("signed_at_ledger", u32::try_from(row.signed_at_ledger))?,
            replacements: kept
                .map(|kept| kept.replacement(at))
                .collect::<Result<_, _>>()?,
        };
        let ip_address = row.ip_address.map(|text| text.parse()).transpose();
        Ok(Self {
            id: DisbursementId(at.uuid("id", &row.id)?),
            project_id: ProjectId(at.uuid("project_id", &row.project_id)?),
            milestone_id: MilestoneId(at.uuid("milestone_id", &row.milestone_id)?),
            amount: at.amount("amount", row.amount)?,
            wallet_account_id: row.wallet_account_id,
            ordered_by: Actor {
                id: row.ordered_by_id,
                role,
            },
            origin: Origin {
                ip_address: at.parsed("ip_address", ip_address)?,
                user_agent: row.user_agent,
                request_id: row.request_id,
                sealed: sealed(at, row.origin_key, row.origin_sealed)?,
            },
            prepared_at: at.time("prepared_at", row.prepared_at)?,
            state: state(at, row.standing, &burn)?,
            burn,
            attempts: row.attempts,
            version: row.version,
        })
    }
}

fn sealed(
    at: Row<'_>,
    key: Option<String>,
    content: Option<Vec<u8>>,
) -> Result<Option<SealedOrigin>, StoreError> {
    match (key, content) {
        (Some(key), Some(content)) => Ok(Some(SealedOrigin {
            key: at.uuid("origin_key", &key)?,
            content,
        })),
        (None, None) => Ok(None),
        _ => Err(at.wrong("its sealed origin is not whole")),
    }
}

fn state(at: Row<'_>, row: Standing, burn: &PreparedBurn) -> Result<DisbursementState, StoreError> {
    match (
        &*row.state,
        (row.operator_reason, row.proposal),
        (row.settled_at, row.settled_burn_id, row.settled_ledger),
        (row.failed_at, row.failure_code, row.failure_detail),
    ) {
        ("prepared", (None, None), (None, None, None), (None, None, None)) => {
            Ok(DisbursementState::Prepared)
        }
        ("submitted", (None, None), (None, None, None), (None, None, None)) => {
            Ok(DisbursementState::Submitted)
        }
        ("needs_operator", (Some(reason), proposal), (None, None, None), (None, None, None)) => {
            let proposal = proposal.map(|Json(kept)| kept.proposal(at)).transpose()?;
            Ok(DisbursementState::NeedsOperator { reason, proposal })
        }
        ("settled", (None, None), (Some(settled_at), named, Some(ledger)), (None, None, None)) => {
            // Before there were further envelopes, there was nothing to name.
            let named = named.map_or_else(|| burn.id.clone(), BurnId);
            if !burn.ids().any(|id| *id == named) {
                return Err(at.wrong(format!("settled_burn_id {named} is not one of its burns")));
            }
            Ok(DisbursementState::Settled {
                at: at.time("settled_at", settled_at)?,
                burn: named,
                ledger: at.parsed("settled_ledger", u32::try_from(ledger))?,
            })
        }
        (
            "failed",
            (None, None),
            (None, None, None),
            (Some(failed_at), Some(code), Some(detail)),
        ) => Ok(DisbursementState::Failed {
            at: at.time("failed_at", failed_at)?,
            failure: Failure { code, detail },
        }),
        (state, ..) => Err(at.wrong(format!(
            "its columns are not those of a {state} disbursement"
        ))),
    }
}
