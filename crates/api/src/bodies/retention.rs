//! Bodies about what is kept.

use serde::Serialize;
use utoipa::ToSchema;

/// Starts a run.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct RetentionRunBody {
    /// Only tell what would be done; false if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Places a legal hold on what everything given is true of; nothing but a reason is everything.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldBody {
    /// `info`, `warning` or `critical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(info|warning|critical)$")]
    pub severity: Option<String>,
    /// The first month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^\d{4}-(0[1-9]|1[0-2])$", example = "2026-01")]
    pub from_month: Option<String>,
    /// The last month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^\d{4}-(0[1-9]|1[0-2])$", example = "2026-03")]
    pub to_month: Option<String>,
    /// Parts of the log that hold events of this project.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid)]
    pub project_id: Option<String>,
    /// 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// Lifts a legal hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiftHoldBody {
    /// 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}
