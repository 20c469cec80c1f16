//! The kinds of question that are asked of the log (S4), each as the port, plain SQL and HTTP have it.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use tranche_application::audit::filter::{EventFilter, lowest_id};
use tranche_application::ports::audit_search::EventPage;
use tranche_benches::content::{ACTIONS, PROJECTS, RESOURCE_TYPE, Random};
use uuid::Uuid;

use crate::rows::{Span, milestone};

/// A kind of question about events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Newest(u32),
    Critical,
    Project(u32),
    Actor,
    Action,
    Actions,
    ResourceType,
    Resource,
    Milestone,
    Week,
    Several,
    Deep,
    Offset,
    Json,
    Text,
}

impl Kind {
    pub const ALL: [Self; 17] = [
        Self::Newest(50),
        Self::Newest(1_000),
        Self::Critical,
        Self::Project(50),
        Self::Project(1_000),
        Self::Actor,
        Self::Action,
        Self::Actions,
        Self::ResourceType,
        Self::Resource,
        Self::Milestone,
        Self::Week,
        Self::Several,
        Self::Deep,
        Self::Offset,
        Self::Json,
        Self::Text,
    ];

    pub fn name(self) -> String {
        match self {
            Self::Newest(limit) => format!("newest {limit}"),
            Self::Critical => "critical, 30 days, 1000".to_owned(),
            Self::Project(limit) => format!("a project, {limit}"),
            Self::Actor => "an actor, 30 days, 1000".to_owned(),
            Self::Action => "an action, 1000".to_owned(),
            Self::Actions => "three actions, 1000".to_owned(),
            Self::ResourceType => "a kind of resource, 1000".to_owned(),
            Self::Resource => "a resource, 1000".to_owned(),
            Self::Milestone => "a milestone, 1000".to_owned(),
            Self::Week => "any week, 1000".to_owned(),
            Self::Several => "project, severity and action, 1000".to_owned(),
            Self::Deep => "a page of 1000 at any depth, by cursor".to_owned(),
            Self::Offset => "a page of 50 by offset 10,000".to_owned(),
            Self::Json => "JSON: a rare value, 90 days, 50".to_owned(),
            Self::Text => "text: a rare word, 90 days, 50".to_owned(),
        }
    }

    /// A question of this kind.
    pub fn ask(self, random: &mut Random, span: Span) -> Question {
        let days = |days: i64| Some(span.last - TimeDelta::days(days));
        let action = |random: &mut Random| random.pick(&ACTIONS).to_owned();
        let project =
            |random: &mut Random| Some(Uuid::from_u128(PROJECTS + u128::from(random.below(5_000))));
        let mut filter = EventFilter::default();
        let mut page = EventPage {
            before: None,
            offset: 0,
            limit: 1_000,
            archived: false,
        };
        match self {
            Self::Newest(limit) => page.limit = limit,
            Self::Critical => {
                filter.severities = vec!["critical".to_owned()];
                filter.from = days(30);
            }
            Self::Project(limit) => {
                filter.project_id = project(random);
                page.limit = limit;
            }
            Self::Actor => {
                filter.actors = vec![format!("usr_{:06}", random.below(20_000))];
                filter.from = days(30);
            }
            Self::Action => filter.actions = vec![action(random)],
            Self::Actions => filter.actions = (0..3).map(|_| action(random)).collect(),
            Self::ResourceType => filter.resource_types = vec![RESOURCE_TYPE.to_owned()],
            Self::Resource => {
                filter.resource_types = vec![RESOURCE_TYPE.to_owned()];
                filter.resource_id = Some(format!("mil_{:08x}", random.below(200_000)));
            }
            Self::Milestone => filter.milestone_id = Some(milestone(random)),
            Self::Week => {
                let to = moment(random, span);
                filter.from = Some(to - TimeDelta::days(7));
                filter.to = Some(to);
            }
            Self::Several => {
                filter.project_id = project(random);
                filter.severities = vec!["warning".to_owned()];
                filter.actions = vec![action(random)];
            }
            Self::Deep => page.before = Some(lowest_id(moment(random, span))),
            Self::Offset => (page.offset, page.limit) = (10_000, 50),
            Self::Json => {
                filter.details = Some(json!({ "request": rare(random, 'e') }));
                filter.from = days(90);
                page.limit = 50;
            }
            Self::Text => {
                filter.text = Some(rare(random, 'f'));
                filter.from = days(90);
                page.limit = 50;
            }
        }
        Question { filter, page }
    }
}

/// What no event says. Reading the log is itself an event, so each kind has its own words.
fn rare(random: &mut Random, kind: char) -> String {
    format!("{kind}{:015x}", random.below(1 << 47))
}

/// Any moment of the span, to the millisecond, as ids have it.
fn moment(random: &mut Random, span: Span) -> DateTime<Utc> {
    let whole = (span.last - span.first).num_milliseconds();
    let part = random.below(u64::try_from(whole).unwrap_or(1));
    span.first + TimeDelta::milliseconds(i64::try_from(part).unwrap_or_default())
}

/// A question about events.
pub struct Question {
    pub filter: EventFilter,
    pub page: EventPage,
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn list(values: &[String]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
    quoted.join(", ")
}

impl Question {
    /// As one would write it into psql: on the log by id, on the usual table by time.
    pub fn sql(&self, table: &str, order: &str) -> String {
        let Self { filter, page } = self;
        let mut text = format!("SELECT * FROM {table} WHERE true");
        for (column, values) in [
            ("severity", &filter.severities),
            ("action", &filter.actions),
            ("actor_id", &filter.actors),
            ("resource_type", &filter.resource_types),
        ] {
            if !values.is_empty() {
                let _ = write!(text, " AND {column} IN ({})", list(values));
            }
        }
        if let Some(id) = &filter.resource_id {
            let _ = write!(text, " AND resource_id = '{id}'");
        }
        for (column, id) in [
            ("project_id", filter.project_id),
            ("milestone_id", filter.milestone_id),
        ] {
            if let Some(id) = id {
                let _ = write!(text, " AND {column} = '{id}'");
            }
        }
        for (comparison, at) in [(">=", filter.from), ("<", filter.to)] {
            if let Some(at) = at {
                let _ = write!(text, " AND occurred_at {comparison} '{}'", time(at));
            }
        }
        if let Some(before) = page.before {
            let bound = match order {
                "id" => before.to_string(),
                _ => time(tranche_application::audit::filter::moment_of(before)),
            };
            let _ = write!(text, " AND {order} < '{bound}'");
        }
        if let Some(details) = &filter.details {
            let _ = write!(text, " AND details @> '{details}'");
        }
        if let Some(word) = &filter.text {
            let _ = write!(text, " AND details::text ILIKE '%{word}%'");
        }
        let _ = write!(
            text,
            " ORDER BY {order} DESC LIMIT {} OFFSET {}",
            page.limit, page.offset
        );
        text
    }

    /// As a client asks it; a cursor is the service's own, so there is none for a page at any depth.
    pub fn path(&self) -> Option<String> {
        let Self { filter, page } = self;
        if page.before.is_some() {
            return None;
        }
        let mut query = format!("limit={}", page.limit);
        let mut add = |name: &str, value: &str| {
            let _ = write!(query, "&{name}={value}");
        };
        for (name, values) in [
            ("severity", &filter.severities),
            ("action", &filter.actions),
            ("actor", &filter.actors),
            ("resource_type", &filter.resource_types),
        ] {
            if !values.is_empty() {
                add(name, &values.join(","));
            }
        }
        for (name, id) in [
            ("project_id", filter.project_id),
            ("milestone_id", filter.milestone_id),
        ] {
            if let Some(id) = id {
                add(name, &id.to_string());
            }
        }
        for (name, at) in [("from", filter.from), ("to", filter.to)] {
            if let Some(at) = at {
                add(name, &time(at));
            }
        }
        if let Some(id) = &filter.resource_id {
            add("resource_id", id);
        }
        if let Some(word) = &filter.text {
            add("q", word);
        }
        if let Some(details) = &filter.details {
            let text = details.to_string();
            add(
                "details",
                &text
                    .replace('{', "%7B")
                    .replace('}', "%7D")
                    .replace('"', "%22"),
            );
        }
        if page.offset > 0 {
            add("offset", &page.offset.to_string());
        }
        Some(format!("/v1/audit/events?{query}"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use tranche_benches::content::Random;

    use super::Kind;
    use crate::rows::Span;

    #[test]
    fn every_kind_is_the_same_question_in_sql_and_over_http() {
        let first = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let span = Span {
            first,
            last: first + TimeDelta::days(700),
            rows: 1_000,
        };
        for kind in Kind::ALL {
            let question = kind.ask(&mut Random::new(1), span);
            let sql = question.sql("audit_events", "id");
            assert!(sql.contains("ORDER BY id DESC LIMIT"), "{sql}");
            assert_eq!(
                sql.matches(" AND ").count() + usize::from(question.page.offset > 0),
                question.path().map_or(1, |path| path.matches('&').count()),
                "{kind:?}: {sql}"
            );
        }
    }
}
