//! How much memory events take, about: what waits for readers is bounded by it.

use serde_json::Value;

use crate::audit::record::LoggedEvent;

/// What an event takes besides its texts and documents.
const BARE: usize = 512;
/// What a member of a document takes besides its texts.
const MEMBER: usize = 64;

/// The bytes that an event takes, about.
pub(super) fn of(logged: &LoggedEvent) -> usize {
    let event = &logged.event;
    let texts = [
        event.resource_id.as_deref(),
        event.user_agent.as_deref(),
        event.request_id.as_deref(),
        Some(&event.action),
        Some(&event.actor.id),
        Some(&event.resource_type),
    ];
    let texts: usize = texts.into_iter().flatten().map(str::len).sum();
    let documents = [&event.changes, &event.metadata, &event.details];
    BARE + texts + documents.into_iter().map(document).sum::<usize>()
}

fn document(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| MEMBER + document(item)).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| MEMBER + name.len() + document(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
