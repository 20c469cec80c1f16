//! A milestone in answers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Number;
use tranche_application::ports::queries::MilestoneStats;
use tranche_domain::milestone::Approval;
use tranche_domain::{BankTransfer, Milestone, MilestoneState, MilestoneStatus, Stamp};
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;

/// A milestone; what has not happened yet is null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Milestone)]
pub struct MilestoneView {
    id: Uuid,
    project_id: Uuid,
    number: i32,
    title: String,
    description: Option<String>,
    target_amount: String,
    /// `draft`, `submitted`, `approved`, `rejected`, `disbursing` or `disbursed`.
    status: &'static str,
    submitted_at: Option<String>,
    submitted_by: Option<String>,
    approved_at: Option<String>,
    approved_by: Option<String>,
    rejected_at: Option<String>,
    rejected_by: Option<String>,
    rejection_reason: Option<String>,
    bank_transfer: Option<BankTransferView>,
    notes: Option<String>,
    disbursed_at: Option<String>,
    disbursed_by: Option<String>,
    ngnts_burned: Option<String>,
    stellar_burn_tx_hash: Option<String>,
    /// The disbursement in flight.
    disbursement_id: Option<Uuid>,
    created_at: String,
    updated_at: String,
    /// Also the `ETag`.
    version: i64,
}

/// The bank transfer that pays a milestone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BankTransfer)]
pub struct BankTransferView {
    reference: String,
    amount: String,
    date: String,
}

impl From<&Milestone> for MilestoneView {
    fn from(milestone: &Milestone) -> Self {
        let mut view = Self::draft(milestone);
        match &milestone.state {
            MilestoneState::Draft => {}
            MilestoneState::Submitted { submitted } => view.submitted(submitted),
            MilestoneState::Rejected {
                submitted,
                rejected,
                reason,
            } => {
                view.submitted(submitted);
                (view.rejected_at, view.rejected_by) = stamp(rejected);
                view.rejection_reason = Some(reason.to_string());
            }
            MilestoneState::Approved { approval, transfer } => {
                view.approved(approval);
                if let Some(transfer) = transfer {
                    view.paid(transfer);
                }
            }
            MilestoneState::Disbursing {
                approval,
                transfer,
                disbursement,
            } => {
                view.approved(approval);
                view.paid(transfer);
                view.disbursement_id = Some(disbursement.0);
            }
            MilestoneState::Disbursed {
                approval,
                transfer,
                disbursed,
                burned,
                burn,
            } => {
                view.approved(approval);
                view.paid(transfer);
                (view.disbursed_at, view.disbursed_by) = stamp(disbursed);
                view.ngnts_burned = Some(burned.to_string());
                view.stellar_burn_tx_hash = Some(burn.to_string());
            }
        }
        view
    }
}

impl MilestoneView {
    fn draft(milestone: &Milestone) -> Self {
        Self {
            id: milestone.id.0,
            project_id: milestone.project_id.0,
            number: milestone.number,
            title: milestone.title.to_string(),
            description: milestone.description.as_ref().map(ToString::to_string),
            target_amount: milestone.target_amount.to_string(),
            status: milestone.status().as_str(),
            submitted_at: None,
            submitted_by: None,
            approved_at: None,
            approved_by: None,
            rejected_at: None,
            rejected_by: None,
            rejection_reason: None,
            bank_transfer: None,
            notes: None,
            disbursed_at: None,
            disbursed_by: None,
            ngnts_burned: None,
            stellar_burn_tx_hash: None,
            disbursement_id: None,
            created_at: time(milestone.created_at),
            updated_at: time(milestone.updated_at),
            version: milestone.version,
        }
    }

    fn submitted(&mut self, submitted: &Stamp) {
        (self.submitted_at, self.submitted_by) = stamp(submitted);
    }

    fn approved(&mut self, approval: &Approval) {
        self.submitted(&approval.submitted);
        (self.approved_at, self.approved_by) = stamp(&approval.approved);
    }

    fn paid(&mut self, transfer: &BankTransfer) {
        self.notes = transfer.notes.as_ref().map(ToString::to_string);
        self.bank_transfer = Some(BankTransferView {
            reference: transfer.reference.to_string(),
            amount: transfer.amount.to_string(),
            date: transfer.date.to_string(),
        });
    }
}

fn stamp(stamp: &Stamp) -> (Option<String>, Option<String>) {
    (Some(time(stamp.at)), Some(stamp.by.clone()))
}

/// A project's milestones in figures.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MilestoneStats)]
pub struct StatsView {
    /// How many there are.
    total: i64,
    /// How many, and their target amounts together, by status.
    by_status: BTreeMap<&'static str, StatusTotalView>,
    /// What was burned altogether.
    disbursed_total: String,
    /// Disbursed ÷ all, 0 to 1, to 4 decimals.
    #[schema(value_type = f64)]
    completion_rate: Number,
    /// Mean days from submission to approval, to 3 decimals.
    #[schema(value_type = Option<f64>)]
    average_days_submit_to_approve: Option<Number>,
    /// Mean days from approval to disbursement, to 3 decimals.
    #[schema(value_type = Option<f64>)]
    average_days_approve_to_disburse: Option<Number>,
}

/// The milestones of one status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusTotal)]
pub struct StatusTotalView {
    count: i64,
    amount: String,
}

impl From<&MilestoneStats> for StatsView {
    fn from(stats: &MilestoneStats) -> Self {
        let of = |status| stats.by_status.get(&status).copied().unwrap_or_default();
        let total: i64 = stats.by_status.values().map(|status| status.count).sum();
        let disbursed = of(MilestoneStatus::Disbursed).count;
        Self {
            total,
            by_status: MilestoneStatus::ALL
                .into_iter()
                .map(|status| {
                    let sum = of(status);
                    let view = StatusTotalView {
                        count: sum.count,
                        amount: sum.amount.to_string(),
                    };
                    (status.as_str(), view)
                })
                .collect(),
            disbursed_total: stats.disbursed_total.to_string(),
            completion_rate: decimal(
                (disbursed * 10_000).checked_div(total).unwrap_or(0),
                10_000,
                4,
            ),
            average_days_submit_to_approve: stats.mean_submit_to_approve_ms.map(days),
            average_days_approve_to_disburse: stats.mean_approve_to_disburse_ms.map(days),
        }
    }
}

fn days(milliseconds: i64) -> Number {
    decimal(milliseconds / 86_400, 1_000, 3)
}

/// `value ÷ unit` written out with `decimals` decimals.
fn decimal(value: i64, unit: i64, decimals: usize) -> Number {
    let text = format!("{}.{:0>decimals$}", value / unit, value % unit);
    text.parse().unwrap_or_else(|_| Number::from(value / unit))
}
