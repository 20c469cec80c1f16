//! What is asked for in a webhook's body.

use serde_json::Value;
use tranche_application::audit::filter::EventFilter;
use tranche_application::webhooks::NewWebhook;
use tranche_domain::audit::Severity;
use uuid::Uuid;

use crate::form::{Flaw, Form};
use crate::problem::Problem;
use crate::receivers::address::{Reach, receiver};

/// The longest list of values in a filter.
const MOST_VALUES: usize = 100;
/// The largest document that details are compared with, in bytes.
const MOST_DETAILS: usize = 4_096;

/// Reads a webhook.
pub fn webhook(mut form: Form, reach: Reach) -> Result<NewWebhook, Problem> {
    let url = form.required("url", |value| {
        let text = value.as_str().ok_or("must be a string")?;
        receiver(text, reach)
    });
    let description = form.optional("description", line(200));
    let filter = form
        .object("filter", "filter.", |form| Some(filter(form)))
        .unwrap_or_default();
    form.finish(|| {
        let url = url?;
        Some(NewWebhook {
            host: url.host_str()?.to_owned(),
            url: url.into(),
            description,
            filter,
        })
    })
}

/// Conditions, field by field.
pub fn filter(form: &mut Form) -> EventFilter {
    let severities = form.optional("severity", |value| {
        let names = list(value)?;
        match names.iter().find(|name| Severity::named(name).is_none()) {
            Some(_) => Err("must be some of info, warning, critical".to_owned()),
            None => Ok(names),
        }
    });
    EventFilter {
        severities: severities.unwrap_or_default(),
        actions: form.optional("action", list).unwrap_or_default(),
        actors: form.optional("actor", list).unwrap_or_default(),
        resource_types: form.optional("resource_type", list).unwrap_or_default(),
        resource_id: form.optional("resource_id", line(500)),
        project_id: form.optional("project_id", id),
        milestone_id: form.optional("milestone_id", id),
        text: form.optional("q", line(200)),
        details: form.optional("details", |value| match value {
            Value::Object(_) if value.to_string().len() <= MOST_DETAILS => Ok(value.clone()),
            _ => Err(format!("must be an object of at most {MOST_DETAILS} bytes")),
        }),
        ..EventFilter::default()
    }
}

/// A list of short texts.
fn list(value: &Value) -> Result<Vec<String>, Flaw> {
    let flaw = || format!("must be a list of 1 to {MOST_VALUES} strings of 1 to 200 characters");
    let values = value.as_array().ok_or_else(flaw)?;
    if !(1..=MOST_VALUES).contains(&values.len()) {
        return Err(flaw());
    }
    let texts = values
        .iter()
        .map(|value| line(200)(value).map_err(|_| flaw()));
    texts.collect()
}

/// A text on one line.
fn line(most: usize) -> impl Fn(&Value) -> Result<String, Flaw> {
    move |value| match value.as_str() {
        Some(text)
            if (1..=most).contains(&text.chars().count())
                && !text.chars().any(char::is_control) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "must be a string of 1 to {most} characters on one line"
        )),
    }
}

fn id(value: &Value) -> Result<Uuid, Flaw> {
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| "must be a UUID".to_owned())
}

/// A place in the log.
pub fn leaf_index(value: &Value) -> Result<i64, Flaw> {
    let index = value.as_i64().filter(|index| *index >= 0);
    index.ok_or_else(|| "must be a whole number from 0".to_owned())
}
