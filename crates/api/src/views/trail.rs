//! Assessment trails in answers.

use serde::Serialize;
use serde_json::value::RawValue;
use tranche_application::trails::copying::{Compared, Migrated};
use tranche_domain::Trail;
use tranche_domain::trail::{Cost, JsonText, Tokens};
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;

/// A message's trail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trail)]
pub struct TrailView {
    message_id: Uuid,
    project_id: Uuid,
    /// `open` or, with model, tokens and cost, `completed`.
    status: &'static str,
    model: Option<String>,
    /// A list, an object or a string.
    #[schema(value_type = Option<serde_json::Value>)]
    reasoning_traces: Option<Box<RawValue>>,
    /// A list, an object or a string.
    #[schema(value_type = Option<serde_json::Value>)]
    context_layers: Option<Box<RawValue>>,
    tokens: Option<TokensView>,
    cost: Option<CostView>,
    created_at: String,
    completed_at: Option<String>,
    updated_at: String,
    version: i64,
}

/// What was read and written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub struct TokensView {
    prompt: u64,
    completion: u64,
    total: u64,
}

/// What it cost, in the unit that the sender bills in, with 12 decimals.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cost)]
pub struct CostView {
    prompt: String,
    completion: String,
    total: String,
}

impl From<&Tokens> for TokensView {
    fn from(tokens: &Tokens) -> Self {
        Self {
            prompt: tokens.prompt().get(),
            completion: tokens.completion().get(),
            total: tokens.total().get(),
        }
    }
}

impl From<&Cost> for CostView {
    fn from(cost: &Cost) -> Self {
        Self {
            prompt: cost.prompt().to_string(),
            completion: cost.completion().to_string(),
            total: cost.total().to_string(),
        }
    }
}

impl From<&Trail> for TrailView {
    fn from(trail: &Trail) -> Self {
        let record = trail.record();
        Self {
            message_id: record.message_id.0,
            project_id: record.project_id.0,
            status: status(trail.is_completed()),
            model: record.model.as_ref().map(ToString::to_string),
            reasoning_traces: record.reasoning_traces.as_ref().and_then(document),
            context_layers: record.context_layers.as_ref().and_then(document),
            tokens: record.tokens.as_ref().map(TokensView::from),
            cost: record.cost.as_ref().map(CostView::from),
            created_at: time(record.created_at),
            completed_at: record.completed_at.map(time),
            updated_at: time(record.updated_at),
            version: record.version,
        }
    }
}

/// A trail's status in a word.
pub(super) const fn status(completed: bool) -> &'static str {
    if completed { "completed" } else { "open" }
}

/// A document as it is kept. One that is no JSON, which nobody could have sent, is left out.
fn document(text: &JsonText) -> Option<Box<RawValue>> {
    RawValue::from_string(text.as_str().to_owned()).ok()
}

/// Where trails are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrailBackend)]
pub struct TrailBackendView {
    /// `memory`, `dual` or `database`.
    pub backend: &'static str,
}

/// What was copied from the memory of the process that answers into the database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrailMigration)]
pub struct MigrationView {
    /// How many trails were copied.
    copied: u64,
    /// How many the database had already.
    present: u64,
    /// How many have no project any more, and went.
    gone: u64,
    /// The message to go on after; null at the end.
    next_after: Option<Uuid>,
    /// How many trails the memory holds.
    total: u64,
}

impl From<Migrated> for MigrationView {
    fn from(migrated: Migrated) -> Self {
        Self {
            copied: migrated.copied,
            present: migrated.present,
            gone: migrated.gone,
            next_after: migrated.next_after.map(|message| message.0),
            total: migrated.total,
        }
    }
}

/// How the memory of the process that answers and the database compare.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrailComparison)]
pub struct ComparisonView {
    /// How many trails of the memory were compared.
    compared: u64,
    /// Messages whose trails the database lacks, or has in an earlier version.
    missing: Vec<Uuid>,
    /// Trails that the database has otherwise.
    differing: Vec<DifferingView>,
    /// The message to go on after; null at the end.
    next_after: Option<Uuid>,
    /// How many trails the memory holds.
    total: u64,
}

/// A trail of which memory and database tell different things.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DifferingTrail)]
pub struct DifferingView {
    message_id: Uuid,
    /// The names of what differs.
    fields: Vec<&'static str>,
}

impl From<Compared> for ComparisonView {
    fn from(compared: Compared) -> Self {
        let differing = compared.differing.into_iter();
        Self {
            compared: compared.compared,
            missing: compared
                .missing
                .into_iter()
                .map(|message| message.0)
                .collect(),
            differing: differing
                .map(|found| DifferingView {
                    message_id: found.message_id.0,
                    fields: found.fields,
                })
                .collect(),
            next_after: compared.next_after.map(|message| message.0),
            total: compared.total,
        }
    }
}
