//! A filter as SQL.

use sqlx::{QueryBuilder, Sqlite};
use tranche_application::audit::filter::EventFilter;
use tranche_application::ports::audit_search::Scope;
use uuid::Uuid;

use crate::rows::micros;

/// What rows must meet. What the filter asks of contents only narrows them: the filter itself has
/// the last word.
#[derive(Clone, Copy)]
pub(super) struct Conditions<'f> {
    pub(super) filter: &'f EventFilter,
    scope: Scope,
    /// The first id that may be there.
    first: Uuid,
    /// Only ids before this one.
    pub(super) end: Uuid,
}

impl<'f> Conditions<'f> {
    pub(super) fn of(filter: &'f EventFilter, scope: Scope) -> Self {
        let (first, end) = filter.ids();
        Self {
            filter,
            scope,
            first,
            end,
        }
    }

    /// `WHERE …`, for rows of `audit_events` and `audit_archive`.
    pub(super) fn push(&self, query: &mut QueryBuilder<Sqlite>) {
        let filter = self.filter;
        query
            .push(" WHERE id >= ")
            .push_bind(self.first.to_string());
        query.push(" AND id < ").push_bind(self.end.to_string());
        for (column, values) in [
            ("severity", &filter.severities),
            ("action", &filter.actions),
            ("actor_id", &filter.actors),
            ("resource_type", &filter.resource_types),
        ] {
            push_one_of(query, column, values);
        }
        let scope = match self.scope {
            Scope::All => None,
            Scope::Project(id) => Some(id.to_string()),
        };
        for (column, value) in [
            ("resource_id", filter.resource_id.clone()),
            ("project_id", scope),
            ("project_id", filter.project_id.map(|id| id.to_string())),
            ("milestone_id", filter.milestone_id.map(|id| id.to_string())),
        ] {
            if let Some(value) = value {
                query
                    .push(format_args!(" AND {column} = "))
                    .push_bind(value);
            }
        }
        if let Some(from) = filter.from {
            query.push(" AND occurred_at >= ").push_bind(micros(from));
        }
        if let Some(to) = filter.to {
            query.push(" AND occurred_at < ").push_bind(micros(to));
        }
        if filter.details.is_some() {
            query.push(" AND details IS NOT NULL");
        }
        if let Some(text) = filter.folded_text() {
            push_says(query, &text);
        }
    }
}

/// `AND column …`: one of the values, if there are any.
pub(super) fn push_one_of(query: &mut QueryBuilder<Sqlite>, column: &str, values: &[String]) {
    match values {
        [] => {}
        [value] => {
            query.push(format_args!(" AND {column} = "));
            query.push_bind(value.clone());
        }
        values => {
            query.push(format_args!(" AND {column} IN ("));
            let mut list = query.separated(", ");
            for value in values {
                list.push_bind(value.clone());
            }
            query.push(")");
        }
    }
}

/// Rows that may say the text: in a written document it stands with its escapes, as in a string.
fn push_says(query: &mut QueryBuilder<Sqlite>, text: &str) {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    query.push(
        " AND (instr(lower(concat_ws(' ', action, actor_id, resource_type, resource_id, \
         user_agent, request_id)), ",
    );
    query.push_bind(text.to_owned());
    query.push(") > 0 OR instr(lower(concat_ws(' ', changes, metadata, details)), ");
    query.push_bind(escaped).push(") > 0)");
}
