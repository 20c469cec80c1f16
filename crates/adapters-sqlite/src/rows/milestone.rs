//! A milestone's row: one state of the domain is one combination of columns, and the other way
//! round.

use chrono::NaiveDate;
use sqlx::FromRow;
use tranche_application::ports::store::StoreError;
use tranche_domain::milestone::Approval;
use tranche_domain::text::{Description, Notes, Reason, Title, TransferReference};
use tranche_domain::{
    BankTransfer, BurnId, DisbursementId, Milestone, MilestoneId, MilestoneState, MilestoneStatus,
    ProjectId, Stamp,
};

use super::project::policy;
use super::{Row, micros};

#[derive(Default, FromRow)]
pub(crate) struct MilestoneRow {
    pub id: String,
    pub project_id: String,
    pub number: i64,
    pub title: String,
    pub description: Option<String>,
    pub target_amount: i64,
    pub status: String,
    pub submitted_by: Option<String>,
    pub submitted_at: Option<i64>,
    pub rejected_by: Option<String>,
    pub rejected_at: Option<i64>,
    pub rejection_reason: Option<String>,
    pub approved_by: Option<String>,
    pub approved_at: Option<i64>,
    pub transfer_reference: Option<String>,
    pub transfer_amount: Option<i64>,
    pub transfer_date: Option<String>,
    pub transfer_notes: Option<String>,
    pub disbursement_id: Option<String>,
    pub disbursed_by: Option<String>,
    pub disbursed_at: Option<i64>,
    pub burned: Option<i64>,
    pub burn_id: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    pub version: i64,
    /// Its project's.
    pub maker_checker: bool,
    /// Its project's.
    pub burn_policy: String,
}

impl From<&Milestone> for MilestoneRow {
    fn from(milestone: &Milestone) -> Self {
        let mut row = Self {
            id: milestone.id.to_string(),
            project_id: milestone.project_id.to_string(),
            number: i64::from(milestone.number),
            title: milestone.title.to_string(),
            description: milestone.description.as_ref().map(ToString::to_string),
            target_amount: milestone.target_amount.stroops(),
            status: milestone.status().as_str().to_owned(),
            created_at: micros(milestone.created_at),
            updated_at: micros(milestone.updated_at),
            version: milestone.version,
            ..Self::default()
        };
        row.put_state(&milestone.state);
        row
    }
}

impl MilestoneRow {
    fn put_state(&mut self, state: &MilestoneState) {
        match state {
            MilestoneState::Draft => {}
            MilestoneState::Submitted { submitted } => self.put_submitted(submitted),
            MilestoneState::Rejected {
                submitted,
                rejected,
                reason,
            } => {
                self.put_submitted(submitted);
                (self.rejected_by, self.rejected_at) = halves(rejected);
                self.rejection_reason = Some(reason.to_string());
            }
            MilestoneState::Approved { approval, transfer } => {
                self.put_approval(approval);
                if let Some(transfer) = transfer {
                    self.put_transfer(transfer);
                }
            }
            MilestoneState::Disbursing {
                approval,
                transfer,
                disbursement,
            } => {
                self.put_approval(approval);
                self.put_transfer(transfer);
                self.disbursement_id = Some(disbursement.to_string());
            }
            MilestoneState::Disbursed {
                approval,
                transfer,
                disbursed,
                burned,
                burn,
            } => {
                self.put_approval(approval);
                self.put_transfer(transfer);
                (self.disbursed_by, self.disbursed_at) = halves(disbursed);
                self.burned = Some(burned.stroops());
                self.burn_id = Some(burn.0.clone());
            }
        }
    }

    fn put_submitted(&mut self, submitted: &Stamp) {
        (self.submitted_by, self.submitted_at) = halves(submitted);
    }

    fn put_approval(&mut self, approval: &Approval) {
        self.put_submitted(&approval.submitted);
        (self.approved_by, self.approved_at) = halves(&approval.approved);
    }

    fn put_transfer(&mut self, transfer: &BankTransfer) {
        self.transfer_reference = Some(transfer.reference.to_string());
        self.transfer_amount = Some(transfer.amount.stroops());
        self.transfer_date = Some(transfer.date.to_string());
        self.transfer_notes = transfer.notes.as_ref().map(ToString::to_string);
    }
}

fn halves(stamp: &Stamp) -> (Option<String>, Option<i64>) {
    (Some(stamp.by.clone()), Some(micros(stamp.at)))
}

/// What a row holds about its state, each part whole or absent.
struct Parts {
    submitted: Option<Stamp>,
    rejected: Option<(Stamp, Reason)>,
    approved: Option<Stamp>,
    transfer: Option<BankTransfer>,
    disbursement: Option<DisbursementId>,
    disbursed: Option<(Stamp, tranche_domain::Amount, BurnId)>,
}

impl TryFrom<MilestoneRow> for Milestone {
    type Error = StoreError;

    fn try_from(mut row: MilestoneRow) -> Result<Self, StoreError> {
        let id = row.id.clone();
        let at = Row {
            table: "milestones",
            id: &id,
        };
        let state = state(at, &mut row)?;
        if row.version < 1 {
            return Err(at.wrong("version: versions begin at 1"));
        }
        let description = row.description.map(Description::try_new).transpose();
        Ok(Self {
            id: MilestoneId(at.uuid("id", &row.id)?),
            project_id: ProjectId(at.uuid("project_id", &row.project_id)?),
            number: at.parsed("number", i32::try_from(row.number))?,
            title: at.parsed("title", Title::try_new(row.title))?,
            description: at.parsed("description", description)?,
            target_amount: at.amount("target_amount", row.target_amount)?,
            state,
            policy: policy(at, row.maker_checker, &row.burn_policy)?,
            created_at: at.time("created_at", row.created_at)?,
            updated_at: at.time("updated_at", row.updated_at)?,
            version: row.version,
        })
    }
}

/// The state that the columns add up to, and nothing left over.
fn state(at: Row<'_>, row: &mut MilestoneRow) -> Result<MilestoneState, StoreError> {
    let status = MilestoneStatus::named(&row.status)
        .ok_or_else(|| at.wrong(format!("status: there is no {:?}", row.status)))?;
    let parts = Parts {
        submitted: at.stamp("submitted", row.submitted_by.take(), row.submitted_at)?,
        rejected: rejected(at, row)?,
        approved: at.stamp("approved", row.approved_by.take(), row.approved_at)?,
        transfer: transfer(at, row)?,
        disbursement: match row.disbursement_id.take() {
            Some(id) => Some(DisbursementId(at.uuid("disbursement_id", &id)?)),
            None => None,
        },
        disbursed: disbursed(at, row)?,
    };
    assemble(status, parts)
        .ok_or_else(|| at.wrong(format!("its columns are not those of a {status} milestone")))
}

fn assemble(status: MilestoneStatus, parts: Parts) -> Option<MilestoneState> {
    let Parts {
        submitted,
        rejected,
        approved,
        transfer,
        disbursement,
        disbursed,
    } = parts;
    let approval = |submitted, approved| Approval {
        submitted,
        approved,
    };
    match (
        status,
        submitted,
        rejected,
        approved,
        transfer,
        disbursement,
        disbursed,
    ) {
        (MilestoneStatus::Draft, None, None, None, None, None, None) => Some(MilestoneState::Draft),
        (MilestoneStatus::Submitted, Some(submitted), None, None, None, None, None) => {
            Some(MilestoneState::Submitted { submitted })
        }
        (
            MilestoneStatus::Rejected,
            Some(submitted),
            Some((rejected, reason)),
            None,
            None,
            None,
            None,
        ) => Some(MilestoneState::Rejected {
            submitted,
            rejected,
            reason,
        }),
        (
            MilestoneStatus::Approved,
            Some(submitted),
            None,
            Some(approved),
            transfer,
            None,
            None,
        ) => Some(MilestoneState::Approved {
            approval: approval(submitted, approved),
            transfer,
        }),
        (
            MilestoneStatus::Disbursing,
            Some(submitted),
            None,
            Some(approved),
            Some(transfer),
            Some(disbursement),
            None,
        ) => Some(MilestoneState::Disbursing {
            approval: approval(submitted, approved),
            transfer,
            disbursement,
        }),
        (
            MilestoneStatus::Disbursed,
            Some(submitted),
            None,
            Some(approved),
            Some(transfer),
            None,
            Some((disbursed, burned, burn)),
        ) => Some(MilestoneState::Disbursed {
            approval: approval(submitted, approved),
            transfer,
            disbursed,
            burned,
            burn,
        }),
        _ => None,
    }
}

fn rejected(at: Row<'_>, row: &mut MilestoneRow) -> Result<Option<(Stamp, Reason)>, StoreError> {
    let stamp = at.stamp("rejected", row.rejected_by.take(), row.rejected_at)?;
    match (stamp, row.rejection_reason.take()) {
        (None, None) => Ok(None),
        (Some(stamp), Some(reason)) => Ok(Some((
            stamp,
            at.parsed("rejection_reason", Reason::try_new(reason))?,
        ))),
        _ => Err(at.wrong("half of a rejection")),
    }
}

fn transfer(at: Row<'_>, row: &mut MilestoneRow) -> Result<Option<BankTransfer>, StoreError> {
    match (
        row.transfer_reference.take(),
        row.transfer_amount,
        row.transfer_date.take(),
        row.transfer_notes.take(),
    ) {
        (None, None, None, None) => Ok(None),
        (Some(reference), Some(amount), Some(date), notes) => Ok(Some(BankTransfer {
            reference: at.parsed("transfer_reference", TransferReference::try_new(reference))?,
            amount: at.amount("transfer_amount", amount)?,
            date: at.parsed("transfer_date", date.parse::<NaiveDate>())?,
            notes: at.parsed("transfer_notes", notes.map(Notes::try_new).transpose())?,
        })),
        _ => Err(at.wrong("half of a bank transfer")),
    }
}

fn disbursed(
    at: Row<'_>,
    row: &mut MilestoneRow,
) -> Result<Option<(Stamp, tranche_domain::Amount, BurnId)>, StoreError> {
    let stamp = at.stamp("disbursed", row.disbursed_by.take(), row.disbursed_at)?;
    match (stamp, row.burned, row.burn_id.take()) {
        (None, None, None) => Ok(None),
        (Some(stamp), Some(burned), Some(burn)) => {
            Ok(Some((stamp, at.amount("burned", burned)?, BurnId(burn))))
        }
        _ => Err(at.wrong("half of a burn")),
    }
}
