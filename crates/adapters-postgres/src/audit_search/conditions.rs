//! A filter as SQL: conditions of a WHERE, and the values they are bound to.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tranche_application::audit::filter::EventFilter;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use crate::errors::unwritable;
use crate::record::Binding;

/// The severities, each a branch of its own in every statement: within one, the primary key gives
/// rows in the order of their ids.
pub(super) const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// A value of a statement.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Count(i64),
    Document(Value),
    Id(Uuid),
    Ids(Vec<Uuid>),
    Text(String),
    Texts(Vec<String>),
    Time(DateTime<Utc>),
}

/// The values of a statement in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds(Vec<Bound>);

impl Bounds {
    /// Binds one more, and gives its placeholder.
    pub(super) fn add(&mut self, value: Bound) -> String {
        self.0.push(value);
        format!("${}", self.0.len())
    }

    pub(super) fn bind<'q>(&'q self, query: Binding<'q>) -> Binding<'q> {
        self.0.iter().fold(query, |query, value| match value {
            Bound::Count(count) => query.bind(count),
            Bound::Document(document) => query.bind(document),
            Bound::Id(id) => query.bind(id),
            Bound::Ids(ids) => query.bind(ids),
            Bound::Text(text) => query.bind(text),
            Bound::Texts(texts) => query.bind(texts),
            Bound::Time(time) => query.bind(time),
        })
    }
}

/// How a statement is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Once for all values: planning over many partitions costs more than reading a page.
    Generic,
    /// For these values: which of several indexes is best depends on them, and how much a search in
    /// contents reads does.
    Custom,
}

/// A column that has an index, and the several values that it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Several {
    pub(super) column: &'static str,
    pub(super) values: String,
}

/// What the rows of a statement must meet.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// In which of the severities to look.
    pub(super) severities: Vec<&'static str>,
    /// `AND …`, for every row of `audit_events` or `audit_archive`.
    pub(super) all: String,
    /// One indexed column with several values that is the only thing to look up by: to be walked
    /// value by value, because rows of several values have no common order in its index.
    pub(super) several: Option<Several>,
    /// How to plan it.
    pub(super) plan: Plan,
}

impl Conditions {
    /// What the filter asks within the scope, without its range of ids.
    pub(super) fn of(
        filter: &EventFilter,
        scope: Scope,
        bounds: &mut Bounds,
    ) -> Result<Self, StoreError> {
        let mut all = String::new();
        let mut several = Vec::new();
        let mut looked_up = 0;
        let mut add = |condition: std::fmt::Arguments<'_>| {
            let _ = write!(all, " AND {condition}");
        };
        for (column, values) in [
            ("actor_id", &filter.actors),
            ("action", &filter.actions),
            ("resource_type", &filter.resource_types),
        ] {
            match distinct(values).as_slice() {
                [] => continue,
                [value] => {
                    let value = bounds.add(Bound::Text(value.clone()));
                    add(format_args!("{column} = {value}"));
                }
                values => {
                    let values = bounds.add(Bound::Texts(values.to_vec()));
                    several.push(Several { column, values });
                }
            }
            looked_up += 1;
        }
        if let Some(id) = &filter.resource_id {
            let id = bounds.add(Bound::Text(id.clone()));
            add(format_args!("resource_id = {id}"));
            looked_up += 1;
        }
        let scope = match scope {
            Scope::All => None,
            Scope::Project(id) => Some(id.0),
        };
        for (column, id) in [
            ("project_id", scope),
            ("project_id", filter.project_id),
            ("milestone_id", filter.milestone_id),
        ] {
            if let Some(id) = id {
                let id = bounds.add(Bound::Id(id));
                add(format_args!("{column} = {id}"));
                looked_up += 1;
            }
        }
        if looked_up > 1 {
            for Several { column, values } in several.drain(..) {
                add(format_args!("{column} = ANY ({values})"));
            }
        }
        for (comparison, time) in [(">=", filter.from), ("<", filter.to)] {
            if let Some(time) = time {
                let time = bounds.add(Bound::Time(time));
                add(format_args!("occurred_at {comparison} {time}"));
            }
        }
        if let Some(details) = &filter.details {
            let details = bounds.add(Bound::Document(details.clone()));
            add(format_args!("details @> {details}"));
        }
        if let Some(text) = filter.folded_text() {
            all.push_str(&says(&text, bounds)?);
        }
        let is_plain = looked_up <= 1 && !filter.looks_into_content();
        Ok(Self {
            severities: severities(filter),
            all,
            several: several.pop(),
            plan: if is_plain {
                Plan::Generic
            } else {
                Plan::Custom
            },
        })
    }

    /// The range of ids too.
    pub(super) fn with_ids(mut self, first: Uuid, end: Uuid, bounds: &mut Bounds) -> Self {
        let first = bounds.add(Bound::Id(first));
        let end = bounds.add(Bound::Id(end));
        let _ = write!(self.all, " AND id >= {first} AND id < {end}");
        self
    }

    /// As conditions alone, for a statement that needs no order.
    pub(super) fn unordered(mut self) -> Self {
        if let Some(Several { column, values }) = self.several.take() {
            let _ = write!(self.all, " AND {column} = ANY ({values})");
        }
        self
    }
}

/// The severities that are asked for. Another name than these three has no rows.
pub(super) fn severities(filter: &EventFilter) -> Vec<&'static str> {
    let asked = |severity: &&str| {
        filter.severities.is_empty() || filter.severities.iter().any(|one| one == severity)
    };
    SEVERITIES.into_iter().filter(asked).collect()
}

/// Each value once.
fn distinct(values: &[String]) -> Vec<String> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values
}

/// As [`EventFilter::text`] means it. In a written document the text stands with its escapes: where it
/// does not, the document need not be taken apart.
fn says(text: &str, bounds: &mut Bounds) -> Result<String, StoreError> {
    let quoted = serde_json::to_string(text).map_err(unwritable)?;
    let escaped = bounds.add(Bound::Text(quoted[1..quoted.len() - 1].to_owned()));
    let plain = bounds.add(Bound::Text(text.to_owned()));
    let mut says = " AND (".to_owned();
    for column in [
        "action",
        "actor_id",
        "resource_type",
        "resource_id",
        "user_agent",
        "request_id",
    ] {
        let _ = write!(
            says,
            "strpos(lower({column} COLLATE \"C\"), {plain}) > 0 OR "
        );
    }
    for column in ["changes", "metadata", "details"] {
        let or = if column == "details" { ")" } else { " OR " };
        let _ = write!(
            says,
            "strpos(lower({column}::text COLLATE \"C\"), {escaped}) > 0 \
             AND audit_document_says({column}, {plain}){or}"
        );
    }
    Ok(says)
}
