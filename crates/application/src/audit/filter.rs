//! Which events somebody asks for.
//!
//! One meaning for everybody: the stores answer lists by it, and a stream decides by [`matches`]
//! about events that it holds already. The contract suite holds both against each other.
//!
//! [`matches`]: EventFilter::matches

mod content;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::{Builder, Uuid};

use super::incoming::{AHEAD, ID_SLACK, LATEST};
use super::record::EventRecord;
use crate::ports::audit_search::Scope;

/// Conditions that an event must all meet. An empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Its severity is one of these.
    pub severities: Vec<String>,
    /// Its action is one of these.
    pub actions: Vec<String>,
    /// It was done by one of these.
    pub actors: Vec<String>,
    /// It was done to one of these kinds of thing.
    pub resource_types: Vec<String>,
    /// It was done to the thing of this id.
    pub resource_id: Option<String>,
    /// In this project.
    pub project_id: Option<Uuid>,
    /// To this milestone.
    pub milestone_id: Option<Uuid>,
    /// It occurred then or later; whole microseconds.
    pub from: Option<DateTime<Utc>>,
    /// It occurred before; whole microseconds.
    pub to: Option<DateTime<Utc>>,
    /// This text is somewhere in its action, actor's id, resource type or id, user agent or request
    /// id, or in a key, a string or a whole number of its changes, metadata or details. ASCII letters
    /// match in either case, every other character only itself.
    pub text: Option<String>,
    /// Its details contain this, as PostgreSQL's `@>` has it: objects by their fields, lists by
    /// their members, everything else by equality.
    pub details: Option<Value>,
}

impl EventFilter {
    /// Whether the event meets every condition.
    #[must_use]
    pub fn matches(&self, event: &EventRecord) -> bool {
        one_of(&self.severities, &event.severity)
            && one_of(&self.actions, &event.action)
            && one_of(&self.actors, &event.actor.id)
            && one_of(&self.resource_types, &event.resource_type)
            && self
                .resource_id
                .as_ref()
                .is_none_or(|id| event.resource_id.as_ref() == Some(id))
            && self
                .project_id
                .is_none_or(|id| event.project_id == Some(id))
            && self
                .milestone_id
                .is_none_or(|id| event.milestone_id == Some(id))
            && self.from.is_none_or(|from| event.occurred_at >= from)
            && self.to.is_none_or(|to| event.occurred_at < to)
            && self
                .folded_text()
                .is_none_or(|text| content::says(event, &text))
            && self
                .details
                .as_ref()
                .is_none_or(|part| content::contains(&event.details, part))
    }

    /// Whether only reading rows can answer it: it looks into texts or documents, which no index
    /// orders, so that it needs a bound in time.
    #[must_use]
    pub const fn looks_into_content(&self) -> bool {
        self.text.is_some() || self.details.is_some()
    }

    /// Whether a list of it may read far more rows than it gives: it looks into contents, or has several
    /// conditions of which an index serves one. Severity and time choose parts of the log instead.
    #[must_use]
    pub fn reads_in_vain(&self, scope: Scope) -> bool {
        let own_project = matches!(scope, Scope::Project(_));
        let conditions = [
            !self.actions.is_empty(),
            !self.actors.is_empty(),
            !self.resource_types.is_empty() && self.resource_id.is_none(),
            self.resource_id.is_some(),
            self.project_id.is_some() || own_project,
            self.milestone_id.is_some(),
        ];
        let conditions = conditions.into_iter().filter(|it| *it).count();
        self.looks_into_content() || conditions > 1
    }

    /// Whether the roll-ups know all that it asks for.
    #[must_use]
    pub const fn is_of_roll_ups(&self) -> bool {
        !self.looks_into_content()
            && self.actors.is_empty()
            && self.resource_id.is_none()
            && self.project_id.is_none()
            && self.milestone_id.is_none()
    }

    /// The text as it is compared: ASCII letters small.
    #[must_use]
    pub fn folded_text(&self) -> Option<String> {
        self.text.as_ref().map(|text| text.to_ascii_lowercase())
    }

    /// The ids that events of its time can have: from the first, before the second. An id is made
    /// within a day of its event's arrival, and an event arrives at most 5 minutes before and 7 days
    /// after it occurred.
    #[must_use]
    pub fn ids(&self) -> (Uuid, Uuid) {
        let first = self
            .from
            .and_then(|from| from.checked_sub_signed(ID_SLACK + AHEAD));
        let end = self
            .to
            .and_then(|to| to.checked_add_signed(ID_SLACK + LATEST + TimeDelta::milliseconds(1)));
        (
            first.map_or(Uuid::nil(), lowest_id),
            end.map_or(Uuid::max(), lowest_id),
        )
    }
}

/// The lowest id of a moment, or of the first or last moment that an id can have.
#[must_use]
pub fn lowest_id(moment: DateTime<Utc>) -> Uuid {
    const MOST: u64 = (1 << 48) - 1;
    let millis = u64::try_from(moment.timestamp_millis()).unwrap_or(0);
    let lowest = Builder::from_unix_timestamp_millis(millis.min(MOST), &[0; 10]);
    Uuid::from_u128(lowest.into_uuid().as_u128() >> 80 << 80)
}

/// The moment, to the millisecond, that an id was made.
#[must_use]
pub fn moment_of(id: Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(id.as_u128() >> 80).ok();
    millis
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default()
}

fn one_of(wanted: &[String], actual: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one == actual)
}
