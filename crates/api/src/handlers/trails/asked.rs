//! What is asked for in bodies and query strings about trails.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tranche_application::ports::trails::MOST_TRAILS;
use tranche_application::trails::{Backend, document};
use tranche_domain::MessageId;
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::TimeRange;
use tranche_domain::trail::{
    CostAmount, JsonText, Part, Stated, TokenCount, TrailAmendment, TrailContent, TrailRefusal,
};
use utoipa::IntoParams;

use crate::audit_query::{Reader, time};
use crate::form::{Flaw, Form, text, whole};
use crate::page::Parameters;
use crate::problem::Problem;

/// The time that is looked at unless told otherwise.
const RANGE: TimeDelta = TimeDelta::days(30);

/// The documents of a body, as they were sent: what lies in them is judged before anything is lost.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Documents<'a> {
    #[serde(borrow)]
    reasoning_traces: Option<&'a RawValue>,
    #[serde(borrow)]
    context_layers: Option<&'a RawValue>,
}

impl<'a> Documents<'a> {
    /// The documents of a body that is a JSON object.
    ///
    /// # Errors
    /// 400 when one of them comes twice.
    pub fn of(body: &'a [u8]) -> Result<Self, Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(body)
            .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))
    }
}

/// The whole content of a trail.
pub fn content(
    mut form: Form,
    documents: &Documents<'_>,
    now: DateTime<Utc>,
) -> Result<TrailContent, Problem> {
    let content = TrailContent {
        created_at: form.optional("created_at", |value| {
            time(value.as_str().ok_or("must be a string")?)
        }),
        model: form.optional("model", text(ModelName::try_new)),
        reasoning_traces: form.optional("reasoning_traces", kept(documents.reasoning_traces)),
        context_layers: form.optional("context_layers", kept(documents.context_layers)),
        tokens: form.object("tokens", "tokens.", |form| Some(stated(form, tokens))),
        cost: form.object("cost", "cost.", |form| Some(stated(form, cost))),
    };
    if form.is_flawed() {
        also(&mut form, content.refusals(now));
    }
    form.finish(|| Some(content))
}

/// What changes of a trail.
pub fn amendment(mut form: Form, documents: &Documents<'_>) -> Result<TrailAmendment, Problem> {
    let amendment = TrailAmendment {
        model: part(form.nullable("model", text(ModelName::try_new))),
        reasoning_traces: part(form.nullable("reasoning_traces", kept(documents.reasoning_traces))),
        context_layers: part(form.nullable("context_layers", kept(documents.context_layers))),
        tokens: part(form.nullable_object("tokens", "tokens.", |form| Some(stated(form, tokens)))),
        cost: part(form.nullable_object("cost", "cost.", |form| Some(stated(form, cost)))),
    };
    if form.is_flawed() {
        also(&mut form, amendment.refusals());
    }
    form.finish(|| Some(amendment))
}

/// Names what else is wrong in a body that has flaws. One that has none is judged beside the trail.
fn also(form: &mut Form, refusals: Vec<TrailRefusal>) {
    for refusal in refusals {
        let field = refusal.field().unwrap_or("body");
        if !form.has_flaw(field) {
            form.flaw(field, refusal.to_string());
        }
    }
}

#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
fn part<T>(given: Option<Option<T>>) -> Part<T> {
    match given {
        None => Part::Kept,
        Some(None) => Part::Cleared,
        Some(Some(value)) => Part::Given(value),
    }
}

/// A document, from what was sent rather than from what a reader made of it.
fn kept(raw: Option<&RawValue>) -> impl FnOnce(&Value) -> Result<JsonText, Flaw> {
    move |_| {
        let raw = raw.ok_or("must be a list, an object or a string")?;
        document(raw.get()).map_err(str::to_owned)
    }
}

fn stated<T>(form: &mut Form, read: fn(&Value) -> Result<T, Flaw>) -> Stated<T> {
    Stated {
        prompt: form.optional("prompt", read),
        completion: form.optional("completion", read),
        total: form.optional("total", read),
    }
}

fn tokens(value: &Value) -> Result<TokenCount, Flaw> {
    let count = value.as_u64().map(TokenCount::try_new);
    let count =
        count.ok_or_else(|| format!("must be a whole number from 0 to {}", TokenCount::MAX))?;
    count.map_err(|error| error.to_string())
}

fn cost(value: &Value) -> Result<CostAmount, Flaw> {
    match value {
        Value::String(text) => text.parse().map_err(|error| format!("{error}")),
        _ => Err("must be a decimal string such as \"0.003600\", not a number".to_owned()),
    }
}

/// Where trails are kept from now on.
pub fn backend(mut form: Form) -> Result<Backend, Problem> {
    let backend = form.required("backend", |value| {
        let named = value.as_str().and_then(Backend::named);
        named.ok_or_else(|| "must be memory, dual or database".to_owned())
    });
    form.finish(|| backend)
}

/// Which part of the memory.
pub struct Batch {
    /// After this message.
    pub after: Option<MessageId>,
    /// How many at most.
    pub limit: u32,
}

/// Reads which part of the memory is meant.
pub fn batch(mut form: Form) -> Result<Batch, Problem> {
    let after = form.optional("after", |value| {
        let id = value.as_str().and_then(|text| text.parse().ok());
        id.map(MessageId)
            .ok_or_else(|| "must be a message's id".to_owned())
    });
    let most = i32::try_from(MOST_TRAILS).unwrap_or(i32::MAX);
    let limit = form.optional("limit", whole(1, most));
    let limit = limit.and_then(|limit| u32::try_from(limit).ok());
    form.finish(|| {
        Some(Batch {
            after,
            limit: limit.unwrap_or(MOST_TRAILS),
        })
    })
}

/// Which time.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RangeQuery {
    /// Messages of then or later: a time such as `2026-11-21T09:30:00Z`; 30 days before `to` if
    /// absent, and at most 366.
    #[param(value_type = Option<DateTime<Utc>>)]
    from: Option<String>,
    /// Messages of before; now if absent.
    #[param(value_type = Option<DateTime<Utc>>)]
    to: Option<String>,
}

impl Parameters for RangeQuery {
    const NAMES: &'static [&'static str] = &["from", "to"];
}

impl RangeQuery {
    /// The range.
    ///
    /// # Errors
    /// 422 naming what is wrong.
    pub fn range(&self, now: DateTime<Utc>) -> Result<TimeRange, Problem> {
        let mut reader = Reader::default();
        let from = reader.one("from", self.from.as_deref(), time);
        let to = reader.one("to", self.to.as_deref(), time);
        reader.finish(())?;
        let to = to.unwrap_or(now);
        let from = from.unwrap_or_else(|| to - RANGE);
        TimeRange::try_new(from, to).map_err(|error| Problem::field("from", error.to_string()))
    }
}
