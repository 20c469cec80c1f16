//! Commands on milestones, one a file.
//!
//! Each runs in one unit of work: claim the idempotency key, lock, check the version that the
//! caller saw, let the domain decide, record, commit. If the evidence cannot be written, nothing
//! is. A database that asks to try again is tried again.

mod approve;
mod create;
mod delete;
mod edit;
mod record_transfer;
mod reject;
mod revise;
mod submit;

use std::sync::Arc;

use serde_json::json;
use thiserror::Error;
use tranche_domain::milestone::TransitionError;
use tranche_domain::project::BooksError;
use tranche_domain::{Action, Change, Milestone, MilestoneId, Occasion, Project, ProjectId, Write};

pub use create::CreateMilestone;
pub use record_transfer::RecordTransfer;

use crate::call::{Call, Outcome};
use crate::ports::queries::Queries;
use crate::ports::store::{Conflict, StoreError, UnitOfWork};
use crate::services::{Claimed, Services, TRIES, bind, claim, may_retry};

/// The commands on milestones.
#[derive(Clone)]
pub struct Milestones {
    services: Services,
    queries: Arc<dyn Queries>,
}

/// Why a command on a milestone was not carried out. Nothing changed.
/// Only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum MilestoneError {
    /// There is no such milestone, or the caller may not see it.
    #[error("there is no such milestone")]
    NotFound,
    /// There is no such project, or the caller may not see it.
    #[error("there is no such project")]
    ProjectNotFound,
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] TransitionError),
    /// The caller has seen another version.
    #[error("the milestone is at version {current}")]
    VersionMismatch {
        /// The version that stands.
        current: i64,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// The bank cannot have made a transfer on that day yet.
    #[error("the transfer's date lies in the future")]
    TransferInFuture,
    /// The project's books would contradict themselves.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Milestones {
    /// Commands over these services.
    #[must_use]
    pub fn new(services: Services, queries: Arc<dyn Queries>) -> Self {
        Self { services, queries }
    }

    /// Carries out a command that touches one milestone alone.
    async fn change(
        &self,
        action: Action,
        id: MilestoneId,
        call: &Call,
        command: impl Fn(Milestone, &Occasion) -> Result<Decision, MilestoneError> + Send + Sync,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        let locks = Locks {
            project: None,
            milestone: Some(id),
        };
        self.carry_out(action, locks, call, |locked, occasion| {
            command(locked.milestone.ok_or(MilestoneError::NotFound)?, occasion)
        })
        .await
    }

    /// Carries out a command on what is locked, again when the database asks for it, and reports
    /// failures.
    async fn carry_out(
        &self,
        action: Action,
        locks: Locks,
        call: &Call,
        command: impl Fn(Locked, &Occasion) -> Result<Decision, MilestoneError> + Send + Sync,
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        let mut tries = 1;
        loop {
            match self.once(locks, call, &command).await {
                Err(MilestoneError::Store(error)) if may_retry(&error) && tries < TRIES => {
                    tries += 1;
                }
                Err(MilestoneError::Store(error)) => {
                    let context = json!({
                        "project_id": locks.project.map(|id| id.0),
                        "milestone_id": locks.milestone.map(|id| id.0),
                        "actor": call.caller.actor.id,
                        "request_id": call.caller.origin.request_id,
                    });
                    let critical = action.is_critical();
                    self.services
                        .report_store(action.as_str(), critical, &error, context);
                    return Err(error.into());
                }
                other => return other,
            }
        }
    }

    async fn once(
        &self,
        locks: Locks,
        call: &Call,
        command: &(impl Fn(Locked, &Occasion) -> Result<Decision, MilestoneError> + Send + Sync),
    ) -> Result<Outcome<Milestone>, MilestoneError> {
        let mut work = self.services.store.begin().await?;
        match claim(work.as_mut(), call.idempotency.as_ref()).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(MilestoneError::KeyMisused),
        }
        let locked = lock(work.as_mut(), locks, call).await?;
        let milestone = match command(locked, &self.services.occasion(&call.caller))? {
            Decision::Leave(milestone) => *milestone,
            Decision::Record(change) => {
                work.record(&change).await?;
                let written = change.milestone().map(Write::value).cloned();
                written.ok_or(StoreError::Conflict(Conflict::Stale))?
            }
        };
        bind(work.as_mut(), call.idempotency.as_ref(), milestone.id.0).await?;
        work.commit().await?;
        self.services.outbox.notify_one();
        Ok(Outcome::Done(milestone))
    }
}

/// What a command locks, project before milestone.
#[derive(Clone, Copy)]
struct Locks {
    project: Option<ProjectId>,
    milestone: Option<MilestoneId>,
}

/// What is locked, as the caller may see it.
struct Locked {
    project: Option<Project>,
    milestone: Option<Milestone>,
}

/// What the domain decided.
enum Decision {
    /// This moves.
    Record(Box<Change>),
    /// Nothing moves.
    Leave(Box<Milestone>),
}

impl From<Change> for Decision {
    fn from(change: Change) -> Self {
        Self::Record(Box::new(change))
    }
}

/// Locks what the caller may see, the milestone at the version that the caller saw.
async fn lock(
    work: &mut dyn UnitOfWork,
    locks: Locks,
    call: &Call,
) -> Result<Locked, MilestoneError> {
    let mut locked = Locked {
        project: None,
        milestone: None,
    };
    if let Some(id) = locks.project {
        let project = work.projects().lock(id).await?;
        locked.project = project.filter(|project| call.caller.sees(project.id));
    }
    if let Some(id) = locks.milestone {
        let milestone = work.milestones().lock(id).await?;
        locked.milestone = milestone.filter(|milestone| call.caller.sees(milestone.project_id));
    }
    match (&locked.milestone, call.expected_version) {
        (Some(milestone), Some(seen)) if seen != milestone.version => {
            Err(MilestoneError::VersionMismatch {
                current: milestone.version,
            })
        }
        _ => Ok(locked),
    }
}
