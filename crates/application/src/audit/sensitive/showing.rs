//! Sealed values as a reader sees them: opened, `{"sealed": true}`, or `{"erased": true}`.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::keyring::Known;
use super::mark::{Mark, Of};
use super::{ORIGIN, Sensitive};
use crate::audit::record::EventRecord;
use crate::ports::store::StoreError;

impl Sensitive {
    /// Shows events to a reader: with sealed values opened, if `open` and as far as their keys are
    /// there, or with what stands for them.
    ///
    /// # Errors
    /// [`StoreError`] when the keys cannot be looked up.
    pub async fn show<'e>(
        &self,
        events: impl IntoIterator<Item = &'e mut EventRecord>,
        open: bool,
    ) -> Result<(), StoreError> {
        let events: Vec<&mut EventRecord> = events.into_iter().collect();
        let mut ids = HashSet::new();
        for event in &events {
            each(event, &mut |mark| {
                ids.insert(mark.key);
            });
        }
        if ids.is_empty() {
            return Ok(());
        }
        let known = self.keyring.known(ids.into_iter()).await?;
        for event in events {
            show(event, &known, open);
        }
        Ok(())
    }
}

/// What is shown of sealed values where nothing is opened.
pub fn mask(event: &mut EventRecord) {
    show(event, &HashMap::new(), false);
}

/// Every mark of an event.
fn each(event: &EventRecord, found: &mut impl FnMut(Mark)) {
    fn below(value: &Value, found: &mut impl FnMut(Mark)) {
        match value {
            Value::Object(fields) => match Mark::read(value) {
                Some(mark) => found(mark),
                None => fields.values().for_each(|inner| below(inner, found)),
            },
            Value::Array(items) => items.iter().for_each(|inner| below(inner, found)),
            _ => {}
        }
    }
    below(&event.details, found);
    if let Some(mark) = event.metadata.get(ORIGIN).and_then(Mark::read) {
        found(mark);
    }
}

/// What stands for a value that is not opened.
fn closed(known: Option<&Known>) -> Value {
    match known {
        Some(Known::Erased) => json!({ "erased": true }),
        _ => json!({ "sealed": true }),
    }
}

fn show(event: &mut EventRecord, known: &HashMap<Uuid, Known>, open: bool) {
    let id = event.id;
    let value_of = |mark: &Mark, of: Of<'_>| match known.get(&mark.key) {
        Some(Known::Opens(key)) if open => {
            let clear = mark.open(key, of);
            clear.and_then(|clear| serde_json::from_slice::<Value>(&clear).ok())
        }
        _ => None,
    };
    let mut at = String::new();
    replace(&mut event.details, &mut at, &mut |mark, at| {
        value_of(mark, Of::Detail(id, at)).unwrap_or_else(|| closed(known.get(&mark.key)))
    });
    let Some(mark) = event.metadata.get(ORIGIN).and_then(Mark::read) else {
        return;
    };
    let opened = value_of(&mark, Of::Origin(event.request_id.as_deref()));
    let Some(metadata) = event.metadata.as_object_mut() else {
        return;
    };
    let Some(opened) = opened else {
        metadata.insert(ORIGIN.to_owned(), closed(known.get(&mark.key)));
        return;
    };
    metadata.remove(ORIGIN);
    let text = |name: &str| opened.get(name).and_then(Value::as_str);
    if let Some(address) = text("ip_address") {
        event.ip_address = address.parse().ok();
    }
    if let Some(agent) = text("user_agent") {
        event.user_agent = Some(agent.to_owned());
    }
}

/// Puts something in the place of every mark below.
fn replace(value: &mut Value, at: &mut String, with: &mut impl FnMut(&Mark, &str) -> Value) {
    if let Some(mark) = Mark::read(value) {
        *value = with(&mark, at);
        return;
    }
    let mut descend = |name: &str, inner: &mut Value| {
        let before = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        replace(inner, at, with);
        at.truncate(before);
    };
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if inner.is_object() || inner.is_array() {
                    descend(name, inner);
                }
            }
        }
        Value::Array(items) => {
            for (place, inner) in items.iter_mut().enumerate() {
                if inner.is_object() || inner.is_array() {
                    descend(&place.to_string(), inner);
                }
            }
        }
        _ => {}
    }
}
