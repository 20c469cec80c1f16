//! Deletes a draft; its project no longer counts it (M3).

use tranche_domain::{Action, Milestone, MilestoneId};

use super::{Locks, MilestoneError, Milestones};
use crate::call::{Call, Outcome};

impl Milestones {
    /// Deletes a draft and hands back what was there.
    ///
    /// # Errors
    /// [`MilestoneError`].
    pub async fn delete(
        &self,
        id: MilestoneId,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        // The project is locked before the milestone, so its id is read first; it never changes.
        let project = self
            .queries
            .milestone(id)
            .await?
            .ok_or(MilestoneError::NotFound)?
            .project_id;
        let locks = Locks {
            project: Some(project),
            milestone: Some(id),
        };
        self.carry_out(Action::MilestoneDeleted, locks, call, |locked, occasion| {
            let milestone = locked.milestone.ok_or(MilestoneError::NotFound)?;
            let project = locked.project.ok_or(MilestoneError::ProjectNotFound)?;
            Ok(milestone.delete(project, occasion)?.into())
        })
        .await
    }
}
