//! Rows of `milestones`: where a state has a word for them.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use tranche_application::ports::store::StoreError;
use tranche_domain::milestone::Approval;
use tranche_domain::text::{Description, Notes, Reason, Title, TransferReference};
use tranche_domain::{
    Amount, BankTransfer, BurnId, DisbursementId, Milestone, MilestoneId, MilestoneState,
    ProjectId, Stamp,
};
use uuid::Uuid;

use super::{Flaw, amount, bad, count, flawed, policy};

/// A row of `milestones`, with its project's policy.
#[derive(Debug, FromRow)]
pub(crate) struct MilestoneRow {
    id: Uuid,
    project_id: Uuid,
    number: i32,
    title: String,
    description: Option<String>,
    target_amount: i64,
    status: String,
    submitted_by: Option<String>,
    submitted_at: Option<DateTime<Utc>>,
    rejected_by: Option<String>,
    rejected_at: Option<DateTime<Utc>>,
    rejection_reason: Option<String>,
    approved_by: Option<String>,
    approved_at: Option<DateTime<Utc>>,
    transfer_reference: Option<String>,
    transfer_amount: Option<i64>,
    transfer_date: Option<NaiveDate>,
    transfer_notes: Option<String>,
    disbursement_id: Option<Uuid>,
    disbursed_by: Option<String>,
    disbursed_at: Option<DateTime<Utc>>,
    burned: Option<i64>,
    burn_id: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
    maker_checker: bool,
    burn_policy: String,
}

/// What a milestone's columns say of its state, each group whole or absent.
struct Marks {
    submitted: Option<Stamp>,
    rejected: Option<(Stamp, Reason)>,
    approved: Option<Stamp>,
    transfer: Option<BankTransfer>,
    disbursement: Option<DisbursementId>,
    disbursed: Option<(Stamp, Amount, BurnId)>,
}

impl Marks {
    fn state(self, status: &str) -> Result<MilestoneState, Flaw> {
        let marks = (
            self.submitted,
            self.rejected,
            self.approved,
            self.transfer,
            self.disbursement,
            self.disbursed,
        );
        match (status, marks) {
            ("draft", (None, None, None, None, None, None)) => Ok(MilestoneState::Draft),
            ("submitted", (Some(submitted), None, None, None, None, None)) => {
                Ok(MilestoneState::Submitted { submitted })
            }
            ("rejected", (Some(submitted), Some((rejected, reason)), None, None, None, None)) => {
                Ok(MilestoneState::Rejected {
                    submitted,
                    rejected,
                    reason,
                })
            }
            ("approved", (Some(submitted), None, Some(approved), transfer, None, None)) => {
                Ok(MilestoneState::Approved {
                    approval: Approval {
                        submitted,
                        approved,
                    },
                    transfer,
                })
            }
            (
                "disbursing",
                (Some(submitted), None, Some(approved), Some(transfer), Some(disbursement), None),
            ) => Ok(MilestoneState::Disbursing {
                approval: Approval {
                    submitted,
                    approved,
                },
                transfer,
                disbursement,
            }),
            (
                "disbursed",
                (
                    Some(submitted),
                    None,
                    Some(approved),
                    Some(transfer),
                    None,
                    Some((disbursed, burned, burn)),
                ),
            ) => Ok(MilestoneState::Disbursed {
                approval: Approval {
                    submitted,
                    approved,
                },
                transfer,
                disbursed,
                burned,
                burn,
            }),
            _ => Err(format!("its columns do not fit the status {status}")),
        }
    }
}

impl MilestoneRow {
    fn milestone(self) -> Result<Milestone, Flaw> {
        let rejected = stamp("rejected", self.rejected_by, self.rejected_at)?;
        let rejected = match (rejected, self.rejection_reason) {
            (Some(stamp), Some(reason)) => {
                let reason =
                    Reason::try_new(reason).map_err(|why| bad("rejection_reason")(&why))?;
                Some((stamp, reason))
            }
            (None, None) => None,
            _ => return Err("rejected_by and rejection_reason are not there together".to_owned()),
        };
        let transfer = match (
            self.transfer_reference,
            self.transfer_amount,
            self.transfer_date,
            self.transfer_notes,
        ) {
            (Some(reference), Some(stroops), Some(date), notes) => Some(BankTransfer {
                reference: TransferReference::try_new(reference)
                    .map_err(|why| bad("transfer_reference")(&why))?,
                amount: amount("transfer_amount", stroops)?,
                date,
                notes: notes
                    .map(Notes::try_new)
                    .transpose()
                    .map_err(|why| bad("transfer_notes")(&why))?,
            }),
            (None, None, None, None) => None,
            _ => return Err("its transfer columns are not there together".to_owned()),
        };
        let disbursed = stamp("disbursed", self.disbursed_by, self.disbursed_at)?;
        let disbursed = match (disbursed, self.burned, self.burn_id) {
            (Some(stamp), Some(burned), Some(burn)) => {
                Some((stamp, amount("burned", burned)?, BurnId(burn)))
            }
            (None, None, None) => None,
            _ => return Err("disbursed_by, burned and burn_id are not there together".to_owned()),
        };
        let marks = Marks {
            submitted: stamp("submitted", self.submitted_by, self.submitted_at)?,
            rejected,
            approved: stamp("approved", self.approved_by, self.approved_at)?,
            transfer,
            disbursement: self.disbursement_id.map(DisbursementId),
            disbursed,
        };
        Ok(Milestone {
            id: MilestoneId(self.id),
            project_id: ProjectId(self.project_id),
            number: match self.number {
                number @ 1.. => number,
                _ => return Err("number is below 1".to_owned()),
            },
            title: Title::try_new(self.title).map_err(|why| bad("title")(&why))?,
            description: self
                .description
                .map(Description::try_new)
                .transpose()
                .map_err(|why| bad("description")(&why))?,
            target_amount: amount("target_amount", self.target_amount)?,
            state: marks.state(&self.status)?,
            policy: policy(self.maker_checker, &self.burn_policy)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: count("version", 1, self.version)?,
        })
    }
}

impl TryFrom<MilestoneRow> for Milestone {
    type Error = StoreError;

    fn try_from(row: MilestoneRow) -> Result<Self, StoreError> {
        let id = row.id;
        row.milestone().map_err(flawed("milestones", id))
    }
}

/// Who and when: both or neither.
fn stamp(what: &str, by: Option<String>, at: Option<DateTime<Utc>>) -> Result<Option<Stamp>, Flaw> {
    match (by, at) {
        (Some(by), Some(at)) => Ok(Some(Stamp { by, at })),
        (None, None) => Ok(None),
        _ => Err(format!("{what}_by and {what}_at are not there together")),
    }
}
