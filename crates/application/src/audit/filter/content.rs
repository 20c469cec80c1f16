//! What an event says, and what its details contain.

use serde_json::{Number, Value};

use crate::audit::record::EventRecord;

/// Whether the text, in small letters, is somewhere in the event.
pub(super) fn says(event: &EventRecord, text: &str) -> bool {
    let names = [
        Some(event.action.as_str()),
        Some(event.actor.id.as_str()),
        Some(event.resource_type.as_str()),
        event.resource_id.as_deref(),
        event.user_agent.as_deref(),
        event.request_id.as_deref(),
    ];
    names.into_iter().flatten().any(|name| holds(name, text))
        || [&event.changes, &event.metadata, &event.details]
            .into_iter()
            .any(|document| is_said_in(document, text))
}

fn holds(whole: &str, text: &str) -> bool {
    whole.to_ascii_lowercase().contains(text)
}

/// In keys, strings and whole numbers: what every store writes in the same way.
fn is_said_in(document: &Value, text: &str) -> bool {
    match document {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => !number.is_f64() && number.to_string().contains(text),
        Value::String(string) => holds(string, text),
        Value::Array(items) => items.iter().any(|item| is_said_in(item, text)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| holds(name, text) || is_said_in(value, text)),
    }
}

/// Whether `part` is contained in `whole`, as PostgreSQL's `@>` has it.
pub(super) fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part))),
        (Value::Array(whole), Value::Array(part)) => part
            .iter()
            .all(|part| whole.iter().any(|whole| contains(whole, part))),
        (Value::Number(whole), Value::Number(part)) => is_equal(whole, part),
        (whole, part) => whole == part,
    }
}

/// By value: 1 is 1.0. Both are within what a float holds exactly.
fn is_equal(one: &Number, other: &Number) -> bool {
    one == other
        || (one.is_f64() || other.is_f64())
            && one
                .as_f64()
                .zip(other.as_f64())
                .is_some_and(|(one, other)| {
                    one.partial_cmp(&other)
                        .is_some_and(std::cmp::Ordering::is_eq)
                })
}
