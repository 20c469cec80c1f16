//! Edits a draft (M2).

use tranche_domain::milestone::{Edited, MilestoneEdit};
use tranche_domain::{Action, Milestone, MilestoneId};

use super::{Decision, MilestoneError, Milestones};
use crate::call::{Call, Outcome};

impl Milestones {
    /// Edits a draft; what is so already is left alone and leaves no event.
    ///
    /// # Errors
    /// [`MilestoneError`].
    pub async fn edit(
        &self,
        id: MilestoneId,
        edit: MilestoneEdit,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        self.change(Action::MilestoneUpdated, id, call, |milestone, occasion| {
            Ok(match milestone.edit(edit.clone(), occasion)? {
                Edited::Changed(change) => Decision::Record(change),
                Edited::Unchanged(milestone) => Decision::Leave(milestone),
            })
        })
        .await
    }
}
