//! Rows of `assessment_trails`, and the exact decimals in them.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::ports::store::StoreError;
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::TrailSummary;
use tranche_domain::trail::{
    Cost, CostAmount, JsonText, Spendable, Spent, TokenCount, Tokens, TrailRecord,
};
use tranche_domain::{MessageId, ProjectId, Trail};
use uuid::Uuid;

use crate::record::Binding;
use crate::rows::{Flaw, bad, flawed};

/// The decimals of a cost.
const DECIMALS: usize = 12;
/// 10⁻¹² units in one unit.
const TRILLIONTHS_PER_UNIT: u128 = 1_000_000_000_000;

/// A number of 10⁻¹² units as `numeric` is written.
pub(super) fn decimal(trillionths: i128) -> String {
    let sign = if trillionths < 0 { "-" } else { "" };
    let size = trillionths.unsigned_abs();
    let (units, rest) = (size / TRILLIONTHS_PER_UNIT, size % TRILLIONTHS_PER_UNIT);
    format!("{sign}{units}.{rest:0>DECIMALS$}")
}

/// How many 10⁻¹² units a `numeric` that is not negative has; a sum that no `i128` holds ends there.
pub(super) fn trillionths(decimal: &str) -> i128 {
    let (units, rest) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = format!("{units}{rest:0<DECIMALS$}");
    digits.parse().unwrap_or(i128::MAX)
}

#[derive(FromRow)]
pub(super) struct TrailRow {
    message_id: Uuid,
    project_id: Uuid,
    model: Option<String>,
    reasoning_traces: Option<String>,
    context_layers: Option<String>,
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    prompt_cost: Option<String>,
    completion_cost: Option<String>,
    created_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    version: i64,
}

#[derive(FromRow)]
pub(super) struct SummaryRow {
    message_id: Uuid,
    model: Option<String>,
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    prompt_cost: Option<String>,
    completion_cost: Option<String>,
    created_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    version: i64,
}

fn model(name: Option<String>) -> Result<Option<ModelName>, Flaw> {
    let model = name.map(ModelName::try_new).transpose();
    model.map_err(|why| bad("model")(&why))
}

fn document(column: &str, text: Option<String>) -> Result<Option<JsonText>, Flaw> {
    let document = text.map(JsonText::try_new).transpose();
    document.map_err(|why| bad(column)(&why))
}

/// What was spent, where both or neither must be there.
fn spent<C, T: Spendable>(
    column: &str,
    prompt: Option<C>,
    completion: Option<C>,
    amount: impl Fn(C) -> Option<T>,
) -> Result<Option<Spent<T>>, Flaw> {
    let whole = match (prompt, completion) {
        (None, None) => return Ok(None),
        (Some(prompt), Some(completion)) => amount(prompt).zip(amount(completion)),
        _ => None,
    };
    let spent = whole.and_then(|(prompt, completion)| Spent::of(prompt, completion));
    spent
        .map(Some)
        .ok_or_else(|| format!("{column}: no message can have spent that"))
}

fn tokens(prompt: Option<i64>, completion: Option<i64>) -> Result<Option<Tokens>, Flaw> {
    spent("tokens", prompt, completion, |count| {
        TokenCount::try_new(u64::try_from(count).ok()?).ok()
    })
}

fn cost(prompt: Option<String>, completion: Option<String>) -> Result<Option<Cost>, Flaw> {
    spent("cost", prompt, completion, |text| {
        CostAmount::try_from_trillionths(trillionths(&text)).ok()
    })
}

impl TrailRow {
    fn trail(self) -> Result<Trail, Flaw> {
        let record = TrailRecord {
            message_id: MessageId(self.message_id),
            project_id: ProjectId(self.project_id),
            model: model(self.model)?,
            reasoning_traces: document("reasoning_traces", self.reasoning_traces)?,
            context_layers: document("context_layers", self.context_layers)?,
            tokens: tokens(self.prompt_tokens, self.completion_tokens)?,
            cost: cost(self.prompt_cost, self.completion_cost)?,
            created_at: self.created_at,
            completed_at: self.completed_at,
            updated_at: self.updated_at,
            version: self.version,
        };
        Trail::try_from(record).map_err(|why| why.to_string())
    }
}

impl TryFrom<TrailRow> for Trail {
    type Error = StoreError;

    fn try_from(row: TrailRow) -> Result<Self, StoreError> {
        let id = row.message_id;
        row.trail().map_err(flawed("assessment_trails", id))
    }
}

impl SummaryRow {
    fn summary(self) -> Result<TrailSummary, Flaw> {
        Ok(TrailSummary {
            message_id: MessageId(self.message_id),
            model: model(self.model)?,
            tokens: tokens(self.prompt_tokens, self.completion_tokens)?,
            cost: cost(self.prompt_cost, self.completion_cost)?,
            created_at: self.created_at,
            completed_at: self.completed_at,
            updated_at: self.updated_at,
            version: self.version,
        })
    }
}

impl TryFrom<SummaryRow> for TrailSummary {
    type Error = StoreError;

    fn try_from(row: SummaryRow) -> Result<Self, StoreError> {
        let id = row.message_id;
        row.summary().map_err(flawed("assessment_trails", id))
    }
}

/// A count of tokens as a column has it.
pub(super) fn token_count(count: TokenCount) -> i64 {
    i64::try_from(count.get()).unwrap_or(i64::MAX)
}

/// A trail's columns, its message last but one and its project last.
pub(super) fn bind<'q>(query: Binding<'q>, trail: &'q TrailRecord) -> Binding<'q> {
    let cost = |cost: CostAmount| decimal(cost.trillionths());
    query
        .bind(trail.model.as_ref().map(ModelName::as_str))
        .bind(trail.reasoning_traces.as_ref().map(JsonText::as_str))
        .bind(trail.context_layers.as_ref().map(JsonText::as_str))
        .bind(trail.tokens.map(|spent| token_count(spent.prompt())))
        .bind(trail.tokens.map(|spent| token_count(spent.completion())))
        .bind(trail.cost.map(|spent| cost(spent.prompt())))
        .bind(trail.cost.map(|spent| cost(spent.completion())))
        .bind(trail.created_at)
        .bind(trail.completed_at)
        .bind(trail.updated_at)
        .bind(trail.version)
        .bind(trail.message_id.0)
        .bind(trail.project_id.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_both_ways() {
        let largest = CostAmount::MAX.trillionths();
        for (number, text) in [
            (0, "0.000000000000"),
            (1, "0.000000000001"),
            (1_000_000_000_000, "1.000000000000"),
            (largest, "999999999999999999.999999999999"),
            (i128::MAX, "170141183460469231731687303.715884105727"),
        ] {
            assert_eq!(decimal(number), text);
            assert_eq!(trillionths(text), number);
        }
        assert_eq!(decimal(-1_500_000_000_000), "-1.500000000000");
        assert_eq!(trillionths("7"), 7_000_000_000_000);
        assert_eq!(trillionths(&"9".repeat(39)), i128::MAX);
    }
}
