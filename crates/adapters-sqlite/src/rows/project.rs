//! A project's row.

use sqlx::FromRow;
use tranche_application::ports::store::StoreError;
use tranche_domain::text::ProjectName;
use tranche_domain::{BurnPolicy, Policy, Project, ProjectId};

use super::{Row, micros};

#[derive(FromRow)]
pub(crate) struct ProjectRow {
    pub id: String,
    pub name: String,
    pub nav: i64,
    pub nav_reserved: i64,
    pub lp_tokens_outstanding: i64,
    pub total_milestones: i64,
    pub completed_milestones: i64,
    pub last_milestone_date: Option<i64>,
    pub wallet_account_id: String,
    pub maker_checker: bool,
    pub burn_policy: String,
    pub created_at: i64,
    pub version: i64,
}

impl From<&Project> for ProjectRow {
    fn from(project: &Project) -> Self {
        Self {
            id: project.id.to_string(),
            name: project.name.to_string(),
            nav: project.nav.stroops(),
            nav_reserved: project.nav_reserved.stroops(),
            lp_tokens_outstanding: project.lp_tokens_outstanding.stroops(),
            total_milestones: project.total_milestones,
            completed_milestones: project.completed_milestones,
            last_milestone_date: project.last_milestone_date.map(micros),
            wallet_account_id: project.wallet_account_id.clone(),
            maker_checker: project.policy.maker_checker,
            burn_policy: burn_policy_name(project.policy.burn).to_owned(),
            created_at: micros(project.created_at),
            version: project.version,
        }
    }
}

impl TryFrom<ProjectRow> for Project {
    type Error = StoreError;

    fn try_from(row: ProjectRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "projects",
            id: &row.id,
        };
        let nav = at.amount("nav", row.nav)?;
        let nav_reserved = at.amount("nav_reserved", row.nav_reserved)?;
        if nav_reserved > nav {
            return Err(at.wrong("more is reserved than there is"));
        }
        if !(0..=row.total_milestones).contains(&row.completed_milestones) {
            return Err(at.wrong("more milestones are completed than there are"));
        }
        if row.last_milestone_date.is_some() != (row.completed_milestones > 0) {
            return Err(at.wrong("last_milestone_date does not fit completed_milestones"));
        }
        if row.version < 1 {
            return Err(at.wrong("version: versions begin at 1"));
        }
        Ok(Self {
            id: ProjectId(at.uuid("id", &row.id)?),
            name: at.parsed("name", ProjectName::try_new(&*row.name))?,
            nav,
            nav_reserved,
            lp_tokens_outstanding: at.amount("lp_tokens_outstanding", row.lp_tokens_outstanding)?,
            total_milestones: row.total_milestones,
            completed_milestones: row.completed_milestones,
            last_milestone_date: row
                .last_milestone_date
                .map(|micros| at.time("last_milestone_date", micros))
                .transpose()?,
            policy: policy(at, row.maker_checker, &row.burn_policy)?,
            created_at: at.time("created_at", row.created_at)?,
            version: row.version,
            wallet_account_id: row.wallet_account_id.clone(),
        })
    }
}

/// The rules of a project, which its milestones carry too.
pub(crate) fn policy(at: Row<'_>, maker_checker: bool, burn: &str) -> Result<Policy, StoreError> {
    let burn = [BurnPolicy::ExactTransfer, BurnPolicy::AnyAmount]
        .into_iter()
        .find(|policy| burn_policy_name(*policy) == burn)
        .ok_or_else(|| at.wrong(format!("burn_policy: there is no {burn:?}")))?;
    Ok(Policy {
        maker_checker,
        burn,
    })
}

const fn burn_policy_name(policy: BurnPolicy) -> &'static str {
    match policy {
        BurnPolicy::ExactTransfer => "exact_transfer",
        BurnPolicy::AnyAmount => "any_amount",
    }
}
