//! Turns a submitted milestone down, with a reason (M5).

use tranche_domain::text::Reason;
use tranche_domain::{Action, Milestone, MilestoneId};

use super::{MilestoneError, Milestones};
use crate::call::{Call, Outcome};

impl Milestones {
    /// Turns a submitted milestone down.
    ///
    /// # Errors
    /// [`MilestoneError`].
    pub async fn reject(
        &self,
        id: MilestoneId,
        reason: Reason,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        self.change(
            Action::MilestoneRejected,
            id,
            call,
            |milestone, occasion| Ok(milestone.reject(reason.clone(), occasion)?.into()),
        )
        .await
    }
}
