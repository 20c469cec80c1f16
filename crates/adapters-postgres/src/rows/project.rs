//! Rows of `projects`.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::ports::store::StoreError;
use tranche_domain::text::ProjectName;
use tranche_domain::{Project, ProjectId};
use uuid::Uuid;

use super::{Flaw, amount, bad, count, flawed, policy};

/// A row of `projects`.
#[derive(Debug, FromRow)]
pub(crate) struct ProjectRow {
    id: Uuid,
    name: String,
    nav: i64,
    nav_reserved: i64,
    lp_tokens_outstanding: i64,
    total_milestones: i64,
    completed_milestones: i64,
    last_milestone_date: Option<DateTime<Utc>>,
    wallet_account_id: String,
    maker_checker: bool,
    burn_policy: String,
    created_at: DateTime<Utc>,
    version: i64,
}

impl ProjectRow {
    fn project(self) -> Result<Project, Flaw> {
        let nav = amount("nav", self.nav)?;
        let nav_reserved = amount("nav_reserved", self.nav_reserved)?;
        if nav_reserved > nav {
            return Err("nav_reserved is above nav".to_owned());
        }
        if !(0..=self.total_milestones).contains(&self.completed_milestones) {
            return Err("completed_milestones is not within total_milestones".to_owned());
        }
        if self.last_milestone_date.is_some() != (self.completed_milestones > 0) {
            return Err("last_milestone_date and completed_milestones contradict".to_owned());
        }
        Ok(Project {
            id: ProjectId(self.id),
            name: ProjectName::try_new(self.name).map_err(|why| bad("name")(&why))?,
            nav,
            nav_reserved,
            lp_tokens_outstanding: amount("lp_tokens_outstanding", self.lp_tokens_outstanding)?,
            total_milestones: self.total_milestones,
            completed_milestones: self.completed_milestones,
            last_milestone_date: self.last_milestone_date,
            wallet_account_id: self.wallet_account_id,
            policy: policy(self.maker_checker, &self.burn_policy)?,
            created_at: self.created_at,
            version: count("version", 1, self.version)?,
        })
    }
}

impl TryFrom<ProjectRow> for Project {
    type Error = StoreError;

    fn try_from(row: ProjectRow) -> Result<Self, StoreError> {
        let id = row.id;
        row.project().map_err(flawed("projects", id))
    }
}
