//! Approves a submitted milestone: state and evidence together or not at all (M6).

use tranche_domain::{Action, Milestone, MilestoneId};

use super::{MilestoneError, Milestones};
use crate::call::{Call, Outcome};

impl Milestones {
    /// Approves a submitted milestone.
    ///
    /// # Errors
    /// [`MilestoneError`].
    pub async fn approve(
        &self,
        id: MilestoneId,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        self.change(
            Action::MilestoneApproved,
            id,
            call,
            |milestone, occasion| Ok(milestone.approve(occasion)?.into()),
        )
        .await
    }
}
