//! Takes a rejected milestone back to draft (M5).

use tranche_domain::{Action, Milestone, MilestoneId};

use super::{MilestoneError, Milestones};
use crate::call::{Call, Outcome};

impl Milestones {
    /// Takes a rejected milestone back to draft.
    ///
    /// # Errors
    /// [`MilestoneError`].
    pub async fn revise(
        &self,
        id: MilestoneId,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        self.change(Action::MilestoneRevised, id, call, |milestone, occasion| {
            Ok(milestone.revise(occasion)?.into())
        })
        .await
    }
}
