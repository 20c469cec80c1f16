//! What a project's messages cost, in answers.

use serde::Serialize;
use tranche_domain::ProjectId;
use tranche_domain::trail::CostAmount;
use tranche_domain::trail::sums::{Analytics, Sums, TrailSummary};
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;
use super::trail::{CostView, TokensView, status};
use crate::page::Navigation;

/// What a project's messages cost in a time range. Only completed trails count, but for `open_count`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AssessmentAnalytics)]
pub struct AnalyticsView {
    project_id: Uuid,
    from: String,
    /// This moment is outside.
    to: String,
    total_cost: String,
    /// The total cost by the count of messages, half to even at 12 decimals.
    average_cost: String,
    #[schema(value_type = u64)]
    total_tokens: i128,
    message_count: i64,
    /// Trails that are not completed.
    open_count: i64,
    tokens: TokenSumsView,
    cost: CostSumsView,
    /// Every day of the range in UTC.
    cost_by_day: Vec<DayView>,
    /// By model, the dearest first, at most 100.
    by_model: Vec<ModelView>,
    /// All further models together.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_models: Option<SpentView>,
    /// The ten newest, placeholders among them, the newest first, without their texts.
    recent_trails: Vec<SummaryView>,
    navigation: Navigation,
}

/// Sums of tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TokenSums)]
struct TokenSumsView {
    #[schema(value_type = u64)]
    prompt: i128,
    #[schema(value_type = u64)]
    completion: i128,
    #[schema(value_type = u64)]
    total: i128,
}

/// Sums of costs, with 12 decimals.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CostSums)]
struct CostSumsView {
    prompt: String,
    completion: String,
    total: String,
}

/// What was spent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Spent)]
struct SpentView {
    cost: String,
    #[schema(value_type = u64)]
    tokens: i128,
    messages: i64,
}

/// What was spent on a day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SpentByDay)]
struct DayView {
    #[schema(format = Date, example = "2026-11-21")]
    day: String,
    #[serde(flatten)]
    spent: SpentView,
}

/// What was spent with a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SpentByModel)]
struct ModelView {
    model: String,
    #[serde(flatten)]
    spent: SpentView,
    average_cost: String,
}

/// A trail without its texts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrailSummary)]
struct SummaryView {
    message_id: Uuid,
    status: &'static str,
    model: Option<String>,
    tokens: Option<TokensView>,
    cost: Option<CostView>,
    created_at: String,
    completed_at: Option<String>,
    updated_at: String,
    version: i64,
}

impl From<&Sums> for SpentView {
    fn from(sums: &Sums) -> Self {
        Self {
            cost: sums.total_cost().to_string(),
            tokens: sums.total_tokens(),
            messages: sums.messages,
        }
    }
}

impl From<&TrailSummary> for SummaryView {
    fn from(trail: &TrailSummary) -> Self {
        Self {
            message_id: trail.message_id.0,
            status: status(trail.completed_at.is_some()),
            model: trail.model.as_ref().map(ToString::to_string),
            tokens: trail.tokens.as_ref().map(TokensView::from),
            cost: trail.cost.as_ref().map(CostView::from),
            created_at: time(trail.created_at),
            completed_at: trail.completed_at.map(time),
            updated_at: time(trail.updated_at),
            version: trail.version,
        }
    }
}

impl AnalyticsView {
    /// What a project's messages cost, with where that is shown.
    #[must_use]
    pub fn new(project: ProjectId, analytics: &Analytics, navigation: Navigation) -> Self {
        let sums = &analytics.sums;
        let total_cost = sums.total_cost().to_string();
        Self {
            project_id: project.0,
            from: time(analytics.range.from()),
            to: time(analytics.range.to()),
            average_cost: sums.average_cost().to_string(),
            total_tokens: sums.total_tokens(),
            message_count: sums.messages,
            open_count: sums.open,
            tokens: TokenSumsView {
                prompt: sums.prompt_tokens,
                completion: sums.completion_tokens,
                total: sums.total_tokens(),
            },
            cost: CostSumsView {
                prompt: shown(sums.prompt_cost),
                completion: shown(sums.completion_cost),
                total: total_cost.clone(),
            },
            total_cost,
            cost_by_day: analytics
                .days
                .iter()
                .map(|(day, sums)| DayView {
                    day: day.to_string(),
                    spent: SpentView::from(sums),
                })
                .collect(),
            by_model: analytics
                .models
                .iter()
                .map(|(model, sums)| ModelView {
                    model: model.to_string(),
                    spent: SpentView::from(sums),
                    average_cost: sums.average_cost().to_string(),
                })
                .collect(),
            other_models: Some(&analytics.other_models)
                .filter(|sums| sums.messages > 0)
                .map(SpentView::from),
            recent_trails: analytics.recent.iter().map(SummaryView::from).collect(),
            navigation,
        }
    }
}

/// A sum of costs.
fn shown(trillionths: i128) -> String {
    let cost = CostAmount::try_from_trillionths(trillionths);
    cost.unwrap_or_default().to_string()
}
