//! Which events are asked for: the filters of lists, counts, streams, exports and webhooks.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::incoming::read_details;
use tranche_domain::audit::Severity;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::form::Flaw;
use crate::problem::{FieldError, Problem};

/// The most values of a list.
const MOST_VALUES: usize = 50;
/// The most characters of a value, and of a text that is searched for.
const MOST_CHARACTERS: usize = 200;
/// The most characters of a resource's id, as an event may have it.
const MOST_RESOURCE: usize = 500;
/// The most bytes of details.
const MOST_DETAILS: usize = 4_096;

/// Conditions that an event must all meet.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilterQuery {
    /// `info`, `warning`, `critical`, or several with commas.
    #[param(example = "warning,critical")]
    pub severity: Option<String>,
    /// Actions, with commas.
    #[param(example = "milestone.approved,milestone.disbursed")]
    pub action: Option<String>,
    /// Actors' ids, with commas.
    pub actor: Option<String>,
    /// Kinds of thing, with commas.
    pub resource_type: Option<String>,
    /// The id of one thing.
    pub resource_id: Option<String>,
    /// In this project.
    #[param(value_type = Option<Uuid>)]
    pub project_id: Option<String>,
    /// To this milestone.
    #[param(value_type = Option<Uuid>)]
    pub milestone_id: Option<String>,
    /// It occurred then or later: a time such as `2026-11-21T09:30:00Z`.
    #[param(value_type = Option<DateTime<Utc>>)]
    pub from: Option<String>,
    /// It occurred before.
    #[param(value_type = Option<DateTime<Utc>>)]
    pub to: Option<String>,
    /// This text is in its action, actor's id, resource type or id, user agent or request id, or in a
    /// key, a string or a whole number of its changes, metadata or details. ASCII letters match in
    /// either case. Without `from`, only the last 90 days are looked through.
    #[param(min_length = 1, max_length = 200)]
    pub q: Option<String>,
    /// A JSON object that its details contain, as PostgreSQL's `@>` has it. Without `from`, only the
    /// last 90 days are looked through.
    #[param(example = r#"{"currency":"NGN"}"#)]
    pub details: Option<String>,
}

impl FilterQuery {
    /// The names of its parameters.
    pub const NAMES: [&'static str; 11] = [
        "severity",
        "action",
        "actor",
        "resource_type",
        "resource_id",
        "project_id",
        "milestone_id",
        "from",
        "to",
        "q",
        "details",
    ];

    /// The filter that is asked for; what is wrong with it is for the reader, which says so when it
    /// is finished.
    pub fn read(&self, reader: &mut Reader) -> EventFilter {
        let filter = EventFilter {
            from: reader.one("from", self.from.as_deref(), time),
            to: reader.one("to", self.to.as_deref(), time),
            ..conditions(&mut Queried {
                query: self,
                reader,
            })
        };
        if let (Some(from), Some(to)) = (filter.from, filter.to)
            && from >= to
        {
            reader.flaw("to", "must be later than from");
        }
        filter
    }

    fn of(&self, name: &str) -> Option<&str> {
        match name {
            "severity" => self.severity.as_deref(),
            "action" => self.action.as_deref(),
            "actor" => self.actor.as_deref(),
            "resource_type" => self.resource_type.as_deref(),
            "resource_id" => self.resource_id.as_deref(),
            "project_id" => self.project_id.as_deref(),
            "milestone_id" => self.milestone_id.as_deref(),
            "q" => self.q.as_deref(),
            "details" => self.details.as_deref(),
            _ => None,
        }
    }
}

/// Where conditions on events are asked for; it remembers what is wrong with them.
pub trait Asked {
    /// One value, where there is one.
    fn one<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Flaw>) -> Option<T>;

    /// Several values.
    fn list(&mut self, name: &str, read: impl Fn(&str) -> Result<String, Flaw>) -> Vec<String>;

    /// A document.
    fn document(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<Value, Flaw>,
    ) -> Option<Value>;
}

/// The conditions on what an event is, wherever they are asked for: those on its time are apart.
pub fn conditions(asked: &mut impl Asked) -> EventFilter {
    EventFilter {
        severities: asked.list("severity", severity),
        actions: asked.list("action", line(MOST_CHARACTERS)),
        actors: asked.list("actor", line(MOST_CHARACTERS)),
        resource_types: asked.list("resource_type", line(MOST_CHARACTERS)),
        resource_id: asked.one("resource_id", line(MOST_RESOURCE)),
        project_id: asked.one("project_id", id),
        milestone_id: asked.one("milestone_id", id),
        text: asked.one("q", text),
        details: asked.document("details", details),
        ..EventFilter::default()
    }
}

/// A query string, with who says what is wrong with it.
struct Queried<'a> {
    query: &'a FilterQuery,
    reader: &'a mut Reader,
}

impl Asked for Queried<'_> {
    fn one<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Flaw>) -> Option<T> {
        self.reader.one(name, self.query.of(name), read)
    }

    fn list(&mut self, name: &str, read: impl Fn(&str) -> Result<String, Flaw>) -> Vec<String> {
        self.reader.list(name, self.query.of(name), read)
    }

    fn document(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<Value, Flaw>,
    ) -> Option<Value> {
        self.one(name, read)
    }
}

/// Reads parameters, and remembers everything that is wrong.
#[derive(Debug, Default)]
pub struct Reader(Vec<FieldError>);

impl Reader {
    /// Something is wrong with a parameter.
    pub fn flaw(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// One value, where there is one.
    pub fn one<T>(
        &mut self,
        field: &str,
        value: Option<&str>,
        read: impl FnOnce(&str) -> Result<T, Flaw>,
    ) -> Option<T> {
        match read(value?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.flaw(field, message);
                None
            }
        }
    }

    /// Values with commas between them.
    pub fn list(
        &mut self,
        field: &str,
        value: Option<&str>,
        read: impl Fn(&str) -> Result<String, Flaw>,
    ) -> Vec<String> {
        self.one(field, value, |value| {
            let values: Vec<&str> = value.split(',').collect();
            if values.iter().any(|value| value.is_empty()) {
                return Err("must have no empty value between its commas".to_owned());
            }
            several(&values, read)
        })
        .unwrap_or_default()
    }

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    /// 422 naming everything that is.
    pub fn finish<T>(self, read: T) -> Result<T, Problem> {
        if self.0.is_empty() {
            Ok(read)
        } else {
            Err(Problem::invalid(self.0))
        }
    }
}

/// Each of several values, of which there are not too many.
pub fn several(
    values: &[&str],
    read: impl Fn(&str) -> Result<String, Flaw>,
) -> Result<Vec<String>, Flaw> {
    if values.len() > MOST_VALUES {
        return Err(format!("must have at most {MOST_VALUES} values"));
    }
    values.iter().map(|value| read(value)).collect()
}

fn severity(value: &str) -> Result<String, Flaw> {
    Severity::named(value)
        .map(|severity| severity.as_str().to_owned())
        .ok_or_else(|| "must be some of info, warning, critical".to_owned())
}

/// A text as events have it: not empty, on one line.
fn line(most: usize) -> impl Fn(&str) -> Result<String, Flaw> {
    move |value| {
        let length = value.chars().count();
        if length == 0 || length > most {
            Err(format!("must have 1 to {most} characters"))
        } else if value.chars().any(char::is_control) {
            Err("must hold no control characters".to_owned())
        } else {
            Ok(value.to_owned())
        }
    }
}

/// A text to be searched for: it may have several lines.
fn text(value: &str) -> Result<String, Flaw> {
    match value.chars().count() {
        1..=MOST_CHARACTERS if !value.contains('\0') => Ok(value.to_owned()),
        1..=MOST_CHARACTERS => Err("must not hold the character U+0000".to_owned()),
        _ => Err(format!("must have 1 to {MOST_CHARACTERS} characters")),
    }
}

fn id(value: &str) -> Result<Uuid, Flaw> {
    Uuid::try_parse(value).map_err(|_| "must be a UUID".to_owned())
}

/// In whole microseconds, as events have their times.
pub(crate) fn time(value: &str) -> Result<DateTime<Utc>, Flaw> {
    DateTime::parse_from_rfc3339(value)
        .ok()
        .and_then(|time| DateTime::from_timestamp_micros(time.timestamp_micros()))
        .ok_or_else(|| {
            let plus = if value.contains(' ') {
                "; a + in an address is written %2B"
            } else {
                ""
            };
            format!("must be a time such as 2026-11-21T09:30:00Z{plus}")
        })
}

fn details(value: &str) -> Result<Value, Flaw> {
    if value.len() > MOST_DETAILS {
        return Err(format!("must take at most {MOST_DETAILS} bytes"));
    }
    read_details(value)
}

#[cfg(test)]
mod tests;
