//! Reading for people: lists, statistics, timelines. Holds no lock and sees only what is committed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tranche_domain::{
    Amount, Disbursement, DisbursementId, Milestone, MilestoneId, MilestoneStatus, Project,
    ProjectId, Total,
};
use uuid::Uuid;

use super::audit_search::Scope;
use super::store::StoreError;
use crate::audit::record::LoggedEvent;
use crate::keys::ApiKey;

/// One page of a list: what comes after the row with this key. An id where the newest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<K = Uuid> {
    /// The last key of the page before.
    pub after: Option<K>,
    /// How many rows, 1 to 1,000.
    pub limit: u32,
}

/// Which disbursements to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisbursementFilter {
    /// In this state, by name.
    pub state: Option<String>,
    /// Of this project.
    pub project_id: Option<ProjectId>,
}

/// Milestones of one status: how many, and their target amounts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusTotal {
    /// How many.
    pub count: i64,
    /// The sum of their target amounts.
    pub amount: Total,
}

/// A project's milestones in figures (M9). Days are thousandths, so that no float is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MilestoneStats {
    /// By status; a status without milestones is absent.
    pub by_status: BTreeMap<MilestoneStatus, StatusTotal>,
    /// What was burned altogether.
    pub disbursed_total: Amount,
    /// The mean time from submission to approval, in milliseconds.
    pub mean_submit_to_approve_ms: Option<i64>,
    /// The mean time from approval to disbursement, in milliseconds.
    pub mean_approve_to_disburse_ms: Option<i64>,
}

/// Whose timeline to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeline {
    /// A project's, with all its milestones.
    Project(ProjectId),
    /// One milestone's.
    Milestone(MilestoneId),
}

/// Reads.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Queries: Send + Sync {
    /// One project.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError>;
    /// Projects, newest first; only one when `only` is given.
    async fn projects(
        &self,
        only: Option<ProjectId>,
        page: Page,
    ) -> Result<Vec<Project>, StoreError>;
    /// One milestone.
    async fn milestone(&self, id: MilestoneId) -> Result<Option<Milestone>, StoreError>;
    /// A project's milestones, by number.
    async fn milestones(
        &self,
        project: ProjectId,
        page: Page<i32>,
    ) -> Result<Vec<Milestone>, StoreError>;
    /// A project's milestones in figures.
    async fn milestone_stats(&self, project: ProjectId) -> Result<MilestoneStats, StoreError>;
    /// One disbursement.
    async fn disbursement(&self, id: DisbursementId) -> Result<Option<Disbursement>, StoreError>;
    /// Disbursements, newest first.
    async fn disbursements(
        &self,
        filter: &DisbursementFilter,
        page: Page,
    ) -> Result<Vec<Disbursement>, StoreError>;
    /// Audit events of a milestone or project, newest first, those still in the outbox included, as
    /// far as the scope reaches.
    async fn timeline(
        &self,
        of: Timeline,
        scope: Scope,
        page: Page,
    ) -> Result<Vec<LoggedEvent>, StoreError>;
    /// The API key of this id.
    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError>;
    /// All API keys, newest first.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;
    /// Whether the store answers and its schema is this program's.
    async fn ready(&self) -> Result<(), StoreError>;
}
