//! Reading, within what the caller may see: what they may not see does not exist for them.

use std::sync::Arc;

use tranche_domain::{Disbursement, DisbursementId, Milestone, MilestoneId, Project, ProjectId};

use crate::audit::record::LoggedEvent;
use crate::call::Caller;
use crate::ports::audit_search::Scope;
use crate::ports::queries::{DisbursementFilter, MilestoneStats, Page, Queries, Timeline};
use crate::ports::store::StoreError;

/// Reads for a caller. `None` is: not there, or not for them.
#[derive(Clone)]
pub struct Reading {
    queries: Arc<dyn Queries>,
}

impl Reading {
    /// Reads through these queries.
    #[must_use]
    pub fn new(queries: Arc<dyn Queries>) -> Self {
        Self { queries }
    }

    /// One project.
    pub async fn project(
        &self,
        id: ProjectId,
        caller: &Caller,
    ) -> Result<Option<Project>, StoreError> {
        if caller.sees(id) {
            self.queries.project(id).await
        } else {
            Ok(None)
        }
    }

    /// Projects, newest first.
    pub async fn projects(&self, page: Page, caller: &Caller) -> Result<Vec<Project>, StoreError> {
        self.queries.projects(caller.scope, page).await
    }

    /// One milestone.
    pub async fn milestone(
        &self,
        id: MilestoneId,
        caller: &Caller,
    ) -> Result<Option<Milestone>, StoreError> {
        let milestone = self.queries.milestone(id).await?;
        Ok(milestone.filter(|milestone| caller.sees(milestone.project_id)))
    }

    /// A project's milestones, by number.
    pub async fn milestones(
        &self,
        project: ProjectId,
        page: Page<i32>,
        caller: &Caller,
    ) -> Result<Option<Vec<Milestone>>, StoreError> {
        match self.project(project, caller).await? {
            Some(_) => self.queries.milestones(project, page).await.map(Some),
            None => Ok(None),
        }
    }

    /// A project's milestones in figures.
    pub async fn milestone_stats(
        &self,
        project: ProjectId,
        caller: &Caller,
    ) -> Result<Option<MilestoneStats>, StoreError> {
        match self.project(project, caller).await? {
            Some(_) => self.queries.milestone_stats(project).await.map(Some),
            None => Ok(None),
        }
    }

    /// One disbursement.
    pub async fn disbursement(
        &self,
        id: DisbursementId,
        caller: &Caller,
    ) -> Result<Option<Disbursement>, StoreError> {
        let disbursement = self.queries.disbursement(id).await?;
        Ok(disbursement.filter(|disbursement| caller.sees(disbursement.project_id)))
    }

    /// Disbursements, newest first.
    pub async fn disbursements(
        &self,
        mut filter: DisbursementFilter,
        page: Page,
        caller: &Caller,
    ) -> Result<Vec<Disbursement>, StoreError> {
        if filter
            .project_id
            .is_some_and(|project| !caller.sees(project))
        {
            return Ok(Vec::new());
        }
        filter.project_id = filter.project_id.or(caller.scope);
        self.queries.disbursements(&filter, page).await
    }

    /// The audit events of a project or milestone, newest first. A deleted milestone keeps its own.
    pub async fn timeline(
        &self,
        of: Timeline,
        page: Page,
        caller: &Caller,
    ) -> Result<Option<Vec<LoggedEvent>>, StoreError> {
        if let Timeline::Project(id) = of
            && self.project(id, caller).await?.is_none()
        {
            return Ok(None);
        }
        let scope = Scope::from(caller.scope);
        let events = self.queries.timeline(of, scope, page).await?;
        let visible = events.iter().all(|logged| {
            logged
                .event
                .project_id
                .is_none_or(|id| caller.sees(ProjectId(id)))
        });
        let known = match of {
            Timeline::Milestone(id) if events.is_empty() && page.after.is_none() => {
                self.milestone(id, caller).await?.is_some()
            }
            _ => true,
        };
        Ok((visible && known).then_some(events))
    }
}
