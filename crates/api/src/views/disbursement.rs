//! A disbursement in answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tranche_domain::{Disbursement, DisbursementState};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MilestoneView, time};

/// A disbursement, with the signed envelope so that anyone can check what was ordered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Disbursement)]
pub struct DisbursementView {
    id: Uuid,
    milestone_id: Uuid,
    project_id: Uuid,
    amount: String,
    /// `prepared`, `submitted`, `settled`, `failed` or `needs_operator`.
    state: &'static str,
    /// The burn's transaction hash, known before it is sent.
    tx_hash: String,
    /// The signed bytes, base64.
    envelope_xdr: String,
    /// The leaf hash of the event that ordered it, as the burn carries it.
    memo_hash: String,
    /// How often it was sent.
    attempts: i64,
    failure: Option<FailureView>,
    /// The account whose sequence number it uses.
    sequence_account_id: String,
    /// That number, as text because it exceeds what JSON readers hold.
    sequence: String,
    /// It cannot be included in a ledger that closes later.
    valid_until: String,
    ordered_by: String,
    prepared_at: String,
    settled_at: Option<String>,
    /// The ledger that holds the burn.
    ledger: Option<u32>,
}

/// Why a disbursement ended without a burn, or cannot be decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    code: String,
    detail: String,
}

impl From<&Disbursement> for DisbursementView {
    fn from(disbursement: &Disbursement) -> Self {
        let (settled_at, ledger, failure) = match &disbursement.state {
            DisbursementState::Settled { at, ledger } => (Some(time(*at)), Some(*ledger), None),
            DisbursementState::Failed { failure, .. } => {
                let view = FailureView {
                    code: failure.code.clone(),
                    detail: failure.detail.clone(),
                };
                (None, None, Some(view))
            }
            DisbursementState::NeedsOperator { reason } => {
                let view = FailureView {
                    code: "needs_operator".to_owned(),
                    detail: reason.clone(),
                };
                (None, None, Some(view))
            }
            DisbursementState::Prepared | DisbursementState::Submitted => (None, None, None),
        };
        let burn = &disbursement.burn;
        Self {
            id: disbursement.id.0,
            milestone_id: disbursement.milestone_id.0,
            project_id: disbursement.project_id.0,
            amount: disbursement.amount.to_string(),
            state: disbursement.state.as_str(),
            tx_hash: burn.id.to_string(),
            envelope_xdr: STANDARD.encode(&burn.envelope),
            memo_hash: hex::encode(burn.memo),
            attempts: disbursement.attempts,
            failure,
            sequence_account_id: burn.slot.account.clone(),
            sequence: burn.slot.sequence.to_string(),
            valid_until: time(burn.valid_until),
            ordered_by: disbursement.ordered_by.id.clone(),
            prepared_at: time(disbursement.prepared_at),
            settled_at,
            ledger,
        }
    }
}

/// A settled disbursement, with everything that moved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SettledDisbursement)]
pub struct SettledView {
    /// The milestone, disbursed.
    pub milestone: MilestoneView,
    /// The disbursement, settled.
    pub disbursement: DisbursementView,
    /// The burn on the ledger.
    pub burn_tx_hash: String,
    /// The project's NAV after this burn.
    pub new_nav: String,
    /// The LP token's price after this burn.
    pub lp_token_price: Option<String>,
}

/// A disbursement that the ledger has not decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PendingDisbursement)]
pub struct PendingView {
    /// The disbursement.
    pub disbursement: DisbursementView,
}
