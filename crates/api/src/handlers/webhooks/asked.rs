//! What is asked for in a webhook's body.

use serde_json::Value;
use tranche_application::webhooks::NewWebhook;

use crate::audit_query::{Asked, conditions, several};
use crate::form::{Flaw, Form, line};
use crate::problem::Problem;
use crate::receivers::address::{Reach, receiver};

/// Reads a webhook.
pub fn webhook(mut form: Form, reach: Reach) -> Result<NewWebhook, Problem> {
    let url = form.required("url", |value| receiver(a_string(value)?, reach));
    let description = form.optional("description", line(200));
    let filter = form
        .object("filter", "filter.", |form| {
            Some(conditions(&mut Body(form)))
        })
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

/// Conditions as JSON has them: strings, lists of strings, and an object.
struct Body<'a>(&'a mut Form);

impl Asked for Body<'_> {
    fn one<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Flaw>) -> Option<T> {
        self.0.optional(name, |value| read(a_string(value)?))
    }

    fn list(&mut self, name: &str, read: impl Fn(&str) -> Result<String, Flaw>) -> Vec<String> {
        let values = self.0.optional(name, |value| {
            let strings: Option<Vec<&str>> = value
                .as_array()
                .filter(|values| !values.is_empty())
                .and_then(|values| values.iter().map(Value::as_str).collect());
            several(&strings.ok_or("must be a list of strings")?, read)
        });
        values.unwrap_or_default()
    }

    fn document(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<Value, Flaw>,
    ) -> Option<Value> {
        self.0.optional(name, |value| read(&value.to_string()))
    }
}

fn a_string(value: &Value) -> Result<&str, Flaw> {
    value.as_str().ok_or_else(|| "must be a string".to_owned())
}

/// A place in the log.
pub fn leaf_index(value: &Value) -> Result<i64, Flaw> {
    let index = value.as_i64().filter(|index| *index >= 0);
    index.ok_or_else(|| "must be a whole number from 0".to_owned())
}
