//! Records the bank transfer that pays an approved milestone (M7).

use chrono::{Days, NaiveDate};
use tranche_domain::text::{Notes, TransferReference};
use tranche_domain::{Action, Amount, BankTransfer, Milestone, MilestoneId};

use super::{MilestoneError, Milestones};
use crate::call::{Call, Outcome};

/// A bank transfer to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordTransfer {
    /// The bank's reference, used once in a project.
    pub reference: TransferReference,
    /// What was transferred.
    pub amount: Amount,
    /// The day of the transfer; tomorrow is the last, for banks east of Greenwich.
    pub date: NaiveDate,
    /// Notes; those of a former recording stay where none are given.
    pub notes: Option<Notes>,
}

impl Milestones {
    /// Records the transfer, or replaces the one recorded before.
    ///
    /// # Errors
    /// [`MilestoneError`]; a reference used before in the project is a store conflict.
    pub async fn record_transfer(
        &self,
        id: MilestoneId,
        transfer: RecordTransfer,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        let tomorrow = self.services.clock.now().date_naive() + Days::new(1);
        if transfer.date > tomorrow {
            return Err(MilestoneError::TransferInFuture);
        }
        let RecordTransfer {
            reference,
            amount,
            date,
            notes,
        } = transfer;
        let transfer = BankTransfer {
            reference,
            amount,
            date,
            notes,
        };
        self.change(
            Action::BankTransferRecorded,
            id,
            call,
            |milestone, occasion| {
                Ok(milestone
                    .record_transfer(transfer.clone(), occasion)?
                    .into())
            },
        )
        .await
    }
}
