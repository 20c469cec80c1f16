//! Drafts a milestone under a project, which counts it (M1).

use tranche_domain::milestone::NewMilestone;
use tranche_domain::text::{Description, Title};
use tranche_domain::{Action, Amount, Milestone, MilestoneId, ProjectId};

use super::{Locks, MilestoneError, Milestones};
use crate::call::{Call, Outcome};

/// What drafts a milestone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateMilestone {
    /// Its place in the project.
    pub number: i32,
    /// What it is called.
    pub title: Title,
    /// What it is to achieve.
    pub description: Option<Description>,
    /// What it is planned to cost.
    pub target_amount: Amount,
}

impl Milestones {
    /// Drafts a milestone.
    ///
    /// # Errors
    /// [`MilestoneError`]; a taken number is a store conflict.
    pub async fn create(
        &self,
        project: ProjectId,
        new: CreateMilestone,
        call: &Call,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        let id = MilestoneId(self.services.entropy.id());
        let locks = Locks {
            project: Some(project),
            milestone: None,
        };
        self.carry_out(Action::MilestoneCreated, locks, call, |locked, occasion| {
            let project = locked.project.ok_or(MilestoneError::ProjectNotFound)?;
            let new = NewMilestone {
                id,
                number: new.number,
                title: new.title.clone(),
                description: new.description.clone(),
                target_amount: new.target_amount,
            };
            Ok(Milestone::draft(new, project, occasion)?.into())
        })
        .await
    }
}
