//! A project in answers.

use serde::Serialize;
use tranche_domain::{BurnPolicy, Project};
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;

/// A project and its books.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Project)]
pub struct ProjectView {
    id: Uuid,
    name: String,
    /// Net asset value.
    nav: String,
    /// The part of the NAV that burns in flight will take.
    nav_reserved: String,
    lp_tokens_outstanding: String,
    /// NAV ÷ LP tokens outstanding, half to even at 7 decimals; null without tokens.
    lp_token_price: Option<String>,
    total_milestones: i64,
    completed_milestones: i64,
    last_milestone_date: Option<String>,
    /// The ledger account whose tokens are burned.
    wallet_account_id: String,
    /// Whoever submitted may not approve, whoever approved may not disburse.
    maker_checker: bool,
    /// `exact_transfer` or `any_amount`.
    burn_policy: &'static str,
    created_at: String,
    version: i64,
}

impl From<&Project> for ProjectView {
    fn from(project: &Project) -> Self {
        Self {
            id: project.id.0,
            name: project.name.to_string(),
            nav: project.nav.to_string(),
            nav_reserved: project.nav_reserved.to_string(),
            lp_tokens_outstanding: project.lp_tokens_outstanding.to_string(),
            lp_token_price: project.lp_token_price().map(|price| price.to_string()),
            total_milestones: project.total_milestones,
            completed_milestones: project.completed_milestones,
            last_milestone_date: project.last_milestone_date.map(time),
            wallet_account_id: project.wallet_account_id.clone(),
            maker_checker: project.policy.maker_checker,
            burn_policy: match project.policy.burn {
                BurnPolicy::ExactTransfer => "exact_transfer",
                BurnPolicy::AnyAmount => "any_amount",
            },
            created_at: time(project.created_at),
            version: project.version,
        }
    }
}
