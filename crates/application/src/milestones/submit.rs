//! Hands a draft in for approval (M4).

use tranche_domain::{Action, Milestone, MilestoneId};

use super::{MilestoneError, Milestones};
use crate::call::{Call, Outcome};

impl Milestones {
    /// Hands a draft in for approval.
    ///
    /// # Errors
    /// [`MilestoneError`].
    pub async fn submit(
        &self,
        id: MilestoneId,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        self.change(
            Action::MilestoneSubmitted,
            id,
            call,
            |milestone, occasion| Ok(milestone.submit(occasion)?.into()),
        )
        .await
    }
}
