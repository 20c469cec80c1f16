//! Rows of `assessment_trails`.

use sqlx::sqlite::SqliteArguments;
use sqlx::{FromRow, Sqlite, query::Query};
use tranche_application::ports::store::StoreError;
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::TrailSummary;
use tranche_domain::trail::{Cost, CostAmount, JsonText, Spent, TokenCount, Tokens, TrailRecord};
use tranche_domain::{MessageId, ProjectId, Trail};

use crate::rows::{Row, micros};

const TRILLION: i128 = 1_000_000_000_000;

#[derive(FromRow)]
pub(super) struct TrailRow {
    project_id: String,
    reasoning_traces: Option<String>,
    context_layers: Option<String>,
    #[sqlx(flatten)]
    summary: SummaryRow,
}

#[derive(FromRow)]
pub(super) struct SummaryRow {
    message_id: String,
    model: Option<String>,
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    prompt_cost_units: Option<i64>,
    prompt_cost_trillionths: Option<i64>,
    completion_cost_units: Option<i64>,
    completion_cost_trillionths: Option<i64>,
    created_at: i64,
    completed_at: Option<i64>,
    updated_at: i64,
    version: i64,
}

fn count(tokens: i64) -> Option<TokenCount> {
    TokenCount::try_new(u64::try_from(tokens).ok()?).ok()
}

fn amount(units: i64, trillionths: i64) -> Option<CostAmount> {
    let whole = i128::from(units) * TRILLION + i128::from(trillionths);
    CostAmount::try_from_trillionths(whole).ok()
}

impl SummaryRow {
    fn row(&self) -> Row<'_> {
        Row {
            table: "assessment_trails",
            id: &self.message_id,
        }
    }

    fn tokens(&self) -> Result<Option<Tokens>, StoreError> {
        let spent = match (self.prompt_tokens, self.completion_tokens) {
            (None, None) => return Ok(None),
            (Some(prompt), Some(completion)) => count(prompt).zip(count(completion)),
            _ => None,
        };
        let spent = spent.and_then(|(prompt, completion)| Spent::of(prompt, completion));
        let wrong = || self.row().wrong("no message can have used these tokens");
        spent.map(Some).ok_or_else(wrong)
    }

    fn cost(&self) -> Result<Option<Cost>, StoreError> {
        let prompt = self.prompt_cost_units.zip(self.prompt_cost_trillionths);
        let completion = self
            .completion_cost_units
            .zip(self.completion_cost_trillionths);
        let spent = match (prompt, completion) {
            (None, None) => return Ok(None),
            (Some(prompt), Some(completion)) => {
                amount(prompt.0, prompt.1).zip(amount(completion.0, completion.1))
            }
            _ => None,
        };
        let spent = spent.and_then(|(prompt, completion)| Spent::of(prompt, completion));
        let wrong = || self.row().wrong("no message can have cost that");
        spent.map(Some).ok_or_else(wrong)
    }
}

impl TryFrom<SummaryRow> for TrailSummary {
    type Error = StoreError;

    fn try_from(summary: SummaryRow) -> Result<Self, StoreError> {
        let row = summary.row();
        let model = summary.model.as_ref().map(ModelName::try_new).transpose();
        let completed_at = summary.completed_at.map(|at| row.time("completed_at", at));
        Ok(Self {
            message_id: MessageId(row.uuid("message_id", &summary.message_id)?),
            model: row.parsed("model", model)?,
            tokens: summary.tokens()?,
            cost: summary.cost()?,
            created_at: row.time("created_at", summary.created_at)?,
            completed_at: completed_at.transpose()?,
            updated_at: row.time("updated_at", summary.updated_at)?,
            version: summary.version,
        })
    }
}

impl TryFrom<TrailRow> for Trail {
    type Error = StoreError;

    fn try_from(row: TrailRow) -> Result<Self, StoreError> {
        let id = row.summary.message_id.clone();
        let at = Row {
            table: "assessment_trails",
            id: &id,
        };
        let document = |column, text: Option<String>| {
            at.parsed(column, text.map(JsonText::try_new).transpose())
        };
        let summary = TrailSummary::try_from(row.summary)?;
        let record = TrailRecord {
            message_id: summary.message_id,
            project_id: ProjectId(at.uuid("project_id", &row.project_id)?),
            model: summary.model,
            reasoning_traces: document("reasoning_traces", row.reasoning_traces)?,
            context_layers: document("context_layers", row.context_layers)?,
            tokens: summary.tokens,
            cost: summary.cost,
            created_at: summary.created_at,
            completed_at: summary.completed_at,
            updated_at: summary.updated_at,
            version: summary.version,
        };
        Self::try_from(record).map_err(|why| at.wrong(why))
    }
}

/// Whole units and trillionths.
fn parts(cost: CostAmount) -> (i64, i64) {
    let part = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
    let trillionths = cost.trillionths();
    (part(trillionths / TRILLION), part(trillionths % TRILLION))
}

/// A trail's columns, its message last but one and its project last.
pub(super) fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    trail: &'q TrailRecord,
) -> Query<'q, Sqlite, SqliteArguments> {
    let tokens = |count: TokenCount| i64::try_from(count.get()).unwrap_or(i64::MAX);
    let prompt = trail.cost.map(|cost| parts(cost.prompt()));
    let completion = trail.cost.map(|cost| parts(cost.completion()));
    query
        .bind(trail.model.as_ref().map(ModelName::as_str))
        .bind(trail.reasoning_traces.as_ref().map(JsonText::as_str))
        .bind(trail.context_layers.as_ref().map(JsonText::as_str))
        .bind(trail.tokens.map(|spent| tokens(spent.prompt())))
        .bind(trail.tokens.map(|spent| tokens(spent.completion())))
        .bind(prompt.map(|(units, _)| units))
        .bind(prompt.map(|(_, trillionths)| trillionths))
        .bind(completion.map(|(units, _)| units))
        .bind(completion.map(|(_, trillionths)| trillionths))
        .bind(micros(trail.created_at))
        .bind(trail.completed_at.map(micros))
        .bind(micros(trail.updated_at))
        .bind(trail.version)
        .bind(trail.message_id.to_string())
        .bind(trail.project_id.to_string())
}
