//! A disbursement in answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tranche_domain::disbursement::{Judgement, Proposal};
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
    /// The signed bytes, base64; of the newest envelope when there are several.
    envelope_xdr: String,
    /// Every hash under which the burn may appear on the ledger; it takes one of them at most.
    tx_hashes: Vec<String>,
    /// The leaf hash of the event that ordered it, as the burn carries it.
    memo_hash: String,
    /// How often it was sent.
    attempts: i64,
    failure: Option<FailureView>,
    /// What one person proposes where the ledger's answers decide nothing; a second one confirms.
    proposal: Option<ProposalView>,
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
    /// Also the `ETag`: send it as `If-Match` when you confirm.
    version: i64,
}

impl DisbursementView {
    /// The burn's transaction hash: the one on the ledger once it is settled.
    pub fn tx_hash(&self) -> &str {
        &self.tx_hash
    }
}

/// Why a disbursement ended without a burn, or cannot be decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    code: String,
    detail: String,
}

/// How a disbursement ended, in the judgement of a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResolutionProposal)]
pub struct ProposalView {
    /// `burned` or `failed`.
    judgement: &'static str,
    /// The transaction that burned.
    tx_hash: Option<String>,
    /// The ledger that holds it.
    ledger: Option<u32>,
    /// How they know.
    why: String,
    proposed_by: String,
    proposed_at: String,
}

impl From<&Proposal> for ProposalView {
    fn from(proposal: &Proposal) -> Self {
        let (tx_hash, ledger) = match &proposal.judgement {
            Judgement::Burned { burn, ledger } => (Some(burn.to_string()), Some(*ledger)),
            Judgement::Failed => (None, None),
        };
        Self {
            judgement: proposal.judgement.as_str(),
            tx_hash,
            ledger,
            why: proposal.why.as_str().to_owned(),
            proposed_by: proposal.by.clone(),
            proposed_at: time(proposal.at),
        }
    }
}

impl From<&Disbursement> for DisbursementView {
    fn from(disbursement: &Disbursement) -> Self {
        let burn = &disbursement.burn;
        let mut tx_hash = &burn.id;
        let mut proposed = None;
        let (settled_at, ledger, failure) = match &disbursement.state {
            DisbursementState::Settled { at, burn, ledger } => {
                tx_hash = burn;
                (Some(time(*at)), Some(*ledger), None)
            }
            DisbursementState::Failed { failure, .. } => {
                let view = FailureView {
                    code: failure.code.clone(),
                    detail: failure.detail.clone(),
                };
                (None, None, Some(view))
            }
            DisbursementState::NeedsOperator { reason, proposal } => {
                proposed = proposal.as_ref();
                let view = FailureView {
                    code: "needs_operator".to_owned(),
                    detail: reason.clone(),
                };
                (None, None, Some(view))
            }
            DisbursementState::Prepared | DisbursementState::Submitted => (None, None, None),
        };
        Self {
            id: disbursement.id.0,
            milestone_id: disbursement.milestone_id.0,
            project_id: disbursement.project_id.0,
            amount: disbursement.amount.to_string(),
            state: disbursement.state.as_str(),
            tx_hash: tx_hash.to_string(),
            tx_hashes: burn.ids().map(ToString::to_string).collect(),
            envelope_xdr: STANDARD.encode(burn.newest_envelope()),
            memo_hash: hex::encode(burn.memo),
            attempts: disbursement.attempts,
            failure,
            proposal: proposed.map(ProposalView::from),
            sequence_account_id: burn.slot.account.clone(),
            sequence: burn.slot.sequence.to_string(),
            valid_until: time(burn.lasts_until()),
            ordered_by: disbursement.ordered_by.id.clone(),
            prepared_at: time(disbursement.prepared_at),
            settled_at,
            ledger,
            version: disbursement.version,
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
