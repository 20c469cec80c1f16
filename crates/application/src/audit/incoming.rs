//! An event as another service sends it: read field by field, and everything that is wrong with it
//! named at once. What is accepted here no store refuses.

mod details;

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tranche_domain::text::TextError;
use tranche_domain::{Action, Severity};
use uuid::Uuid;

use super::record::{EventRecord, RecordedActor};
use crate::call::Caller;
use crate::documents::NOT_UNICODE;
use crate::ports::entropy::Entropy;
use crate::services::Services;

/// The most characters of an action and of a resource type.
const MOST_NAME: usize = 200;
/// The most characters of an actor's id.
const MOST_ACTOR: usize = 200;
/// The most characters of a resource's id.
const MOST_RESOURCE: usize = 500;
/// The most bytes of it: a store's index holds it together with its type.
const MOST_RESOURCE_BYTES: usize = 1600;
/// The most characters of a client's program.
const MOST_AGENT: usize = 512;
/// How long before now an event may have happened.
pub(super) const LATEST: TimeDelta = TimeDelta::days(7);
/// How far the sender's clock may be ahead.
pub(super) const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// How far the time in an id may be from now: it chooses the event's partition.
pub(super) const ID_SLACK: TimeDelta = TimeDelta::days(1);
/// The most flaws that are told of one event.
const MOST_FLAWS: usize = 20;
/// The most characters that are repeated of a field's name that is none.
const MOST_SHOWN: usize = 100;

/// The field that a flaw of the event as a whole is told of.
pub const WHOLE: &str = "entry";

/// What is wrong with a field, to be said after its name.
type Message = Cow<'static, str>;

/// One field of an event that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The field's name, or [`WHOLE`].
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub message: Cow<'static, str>,
}

/// Reads the events of one request.
pub struct Incoming<'a> {
    caller: &'a Caller,
    entropy: &'a dyn Entropy,
    now: DateTime<Utc>,
    /// Who sent it: the metadata of every event.
    metadata: Value,
    /// Those with an id of the sender's.
    named: HashMap<Uuid, Arc<EventRecord>>,
}

impl<'a> Incoming<'a> {
    /// A reader of what this caller sends now.
    #[must_use]
    pub fn new(services: &'a Services, caller: &'a Caller) -> Self {
        let sent_by = Value::String(caller.actor.id.clone());
        Self {
            caller,
            entropy: services.entropy.as_ref(),
            now: services.clock.now(),
            metadata: Value::Object(Map::from_iter([("sent_by".to_owned(), sent_by)])),
            named: HashMap::new(),
        }
    }

    /// Reads the next event from JSON.
    ///
    /// # Errors
    /// Every [`Flaw`] that was found; the id of an earlier event is one, unless it is the same event
    /// again.
    pub fn read(&mut self, json: &str) -> Result<Arc<EventRecord>, Vec<Flaw>> {
        let (event, named) = self.judge(json)?;
        let event = Arc::new(event);
        if named {
            match self.named.entry(event.id) {
                Entry::Vacant(free) => _ = free.insert(event.clone()),
                Entry::Occupied(known) if is_same(known.get(), &event) => {}
                Entry::Occupied(_) => return Err(vec![flaw("id", "is the id of another entry")]),
            }
        }
        Ok(event)
    }

    /// The event, and whether its id is the sender's.
    fn judge(&self, json: &str) -> Result<(EventRecord, bool), Vec<Flaw>> {
        if !json.trim_start().starts_with('{') {
            return Err(vec![flaw(WHOLE, "must be an object")]);
        }
        let sent: Sent<'_> =
            serde_json::from_str(json).map_err(|_| vec![flaw(WHOLE, "must be JSON")])?;
        let mut form = Form { flaws: sent.flaws };
        let id = form.optional("id", sent.id, |raw| self.id(raw));
        let occurred_at = form.optional("occurred_at", sent.occurred_at, |raw| self.time(raw));
        let action = form.required("action", sent.action, action);
        let actor_id = form.optional("actor_id", sent.actor_id, line(MOST_ACTOR));
        let resource_type = form.required("resource_type", sent.resource_type, line(MOST_NAME));
        let resource_id = form.optional("resource_id", sent.resource_id, resource);
        let project_id = form.optional("project_id", sent.project_id, |raw| self.project(raw));
        let ip_address = form.optional("ip_address", sent.ip_address, address);
        let user_agent = form.optional("user_agent", sent.user_agent, line(MOST_AGENT));
        let details = form.optional("details", sent.details, details::details);
        let severity = form.optional("severity", sent.severity, severity);
        let (Some(action), Some(resource_type), true) =
            (action, resource_type, form.flaws.is_empty())
        else {
            return Err(form.flaws);
        };
        let severity = severity.unwrap_or_else(|| {
            Action::named(&action).map_or(Severity::Info, tranche_domain::Action::severity)
        });
        let event = EventRecord {
            id: id.unwrap_or_else(|| self.entropy.id()),
            severity: severity.as_str().to_owned(),
            occurred_at: occurred_at.unwrap_or(self.now),
            action,
            actor: self.actor(actor_id),
            project_id: project_id.or_else(|| self.caller.scope.map(|only| only.0)),
            milestone_id: None,
            resource_type,
            resource_id,
            previous_status: None,
            new_status: None,
            changes: Value::Object(Map::new()),
            metadata: self.metadata.clone(),
            details: details.unwrap_or(Value::Null),
            ip_address,
            user_agent,
            request_id: self.caller.origin.request_id.clone(),
            salt: self.entropy.salt(),
        };
        Ok((event, id.is_some()))
    }

    /// Whoever is named, or else the sender itself.
    fn actor(&self, named: Option<String>) -> RecordedActor {
        match named {
            Some(id) => RecordedActor { id, role: None },
            None => RecordedActor {
                id: self.caller.actor.id.clone(),
                role: Some(self.caller.actor.role.as_str().to_owned()),
            },
        }
    }

    fn id(&self, raw: &str) -> Result<Uuid, Message> {
        let id = uuid(raw)?;
        if id.get_version_num() != 7 {
            return Err("must be a version 7 UUID".into());
        }
        // The first 48 bits: milliseconds since 1970.
        let made = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX);
        let apart = made.abs_diff(self.now.timestamp_millis());
        if apart > ID_SLACK.num_milliseconds().unsigned_abs() {
            return Err("must have been made within a day of now".into());
        }
        Ok(id)
    }

    fn time(&self, raw: &str) -> Result<DateTime<Utc>, Message> {
        let text = text(raw)?;
        let time = DateTime::parse_from_rfc3339(&text)
            .ok()
            .and_then(|time| DateTime::from_timestamp_micros(time.timestamp_micros()))
            .ok_or("must be a time such as \"2026-11-21T09:30:00Z\"")?;
        if time < self.now - LATEST {
            Err("must not be more than 7 days ago".into())
        } else if time > self.now + AHEAD {
            Err("must not be more than 5 minutes ahead".into())
        } else {
            Ok(time)
        }
    }

    fn project(&self, raw: &str) -> Result<Uuid, Message> {
        let id = uuid(raw)?;
        match self.caller.scope {
            Some(only) if only.0 != id => Err("must be the project that this key is for".into()),
            _ => Ok(id),
        }
    }
}

/// Reads what details are to contain: any object that details can be.
///
/// # Errors
/// What is wrong with it, to be said after its name.
pub fn read_details(text: &str) -> Result<Value, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| "must be JSON")?;
    details::details(raw.get()).map_err(Cow::into_owned)
}

/// Whether two readings are of one event: each has a salt of its own.
fn is_same(one: &EventRecord, other: &EventRecord) -> bool {
    let mut other = other.clone();
    other.salt = one.salt;
    *one == other
}

fn flaw(field: impl Into<Cow<'static, str>>, message: impl Into<Message>) -> Flaw {
    Flaw {
        field: field.into(),
        message: message.into(),
    }
}

/// Reads the fields, and collects what is wrong with them.
struct Form {
    flaws: Vec<Flaw>,
}

impl Form {
    fn required<T>(
        &mut self,
        name: &'static str,
        raw: Option<&str>,
        read: impl FnOnce(&str) -> Result<T, Message>,
    ) -> Option<T> {
        if given(raw).is_none() {
            self.flaws.push(flaw(name, "is required"));
        }
        self.optional(name, raw, read)
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        raw: Option<&str>,
        read: impl FnOnce(&str) -> Result<T, Message>,
    ) -> Option<T> {
        read(given(raw)?)
            .map_err(|message| self.flaws.push(flaw(name, message)))
            .ok()
    }
}

/// Null is as good as absent.
fn given(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| *raw != "null")
}

/// A string of any content.
fn text(raw: &str) -> Result<Cow<'_, str>, Message> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or("must be a string")?;
    if inner.contains('\\') {
        let text = serde_json::from_str::<String>(raw).map_err(|_| NOT_UNICODE)?;
        Ok(Cow::Owned(text))
    } else {
        Ok(Cow::Borrowed(inner))
    }
}

/// A text of one line, without the white space around it.
fn line(max: usize) -> impl FnOnce(&str) -> Result<String, Message> {
    move |raw| {
        let text = text(raw)?;
        let line = text.trim();
        let refused = if text.chars().any(char::is_control) {
            TextError::Control
        } else if line.is_empty() {
            TextError::Empty
        } else if line.chars().count() > max {
            TextError::TooLong { max }
        } else {
            return Ok(line.to_owned());
        };
        Err(refused.to_string().into())
    }
}

/// Whoever verifies the log takes this one for the word of retention.
fn action(raw: &str) -> Result<String, Message> {
    let action = line(MOST_NAME)(raw)?;
    if action == Action::RetentionExpiring.as_str() {
        return Err("is said by Tranche's own retention alone".into());
    }
    Ok(action)
}

fn resource(raw: &str) -> Result<String, Message> {
    let id = line(MOST_RESOURCE)(raw)?;
    if id.len() > MOST_RESOURCE_BYTES {
        return Err(format!("must have at most {MOST_RESOURCE_BYTES} bytes").into());
    }
    Ok(id)
}

fn uuid(raw: &str) -> Result<Uuid, Message> {
    const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;
    let text = text(raw)?;
    let id = Some(text.as_ref()).filter(|text| text.len() == LENGTH);
    let id = id.and_then(|text| Uuid::try_parse(text).ok());
    id.ok_or_else(|| "must be a UUID".into())
}

fn address(raw: &str) -> Result<IpAddr, Message> {
    let address: Result<IpAddr, _> = text(raw)?.parse();
    address
        .map(|address| address.to_canonical())
        .map_err(|_| "must be an IP address".into())
}

fn severity(raw: &str) -> Result<Severity, Message> {
    Severity::named(&text(raw)?).ok_or_else(|| {
        let names = Severity::ALL.map(Severity::as_str).join(", ");
        format!("must be one of {names}").into()
    })
}

/// The fields as they were sent, each still JSON.
#[derive(Default)]
struct Sent<'a> {
    id: Option<&'a str>,
    occurred_at: Option<&'a str>,
    action: Option<&'a str>,
    actor_id: Option<&'a str>,
    resource_type: Option<&'a str>,
    resource_id: Option<&'a str>,
    project_id: Option<&'a str>,
    ip_address: Option<&'a str>,
    user_agent: Option<&'a str>,
    details: Option<&'a str>,
    severity: Option<&'a str>,
    flaws: Vec<Flaw>,
}

impl<'a> Sent<'a> {
    /// The field of this name, with its name.
    fn field(&mut self, name: &str) -> Option<(&'static str, &mut Option<&'a str>)> {
        Some(match name {
            "id" => ("id", &mut self.id),
            "occurred_at" => ("occurred_at", &mut self.occurred_at),
            "action" => ("action", &mut self.action),
            "actor_id" => ("actor_id", &mut self.actor_id),
            "resource_type" => ("resource_type", &mut self.resource_type),
            "resource_id" => ("resource_id", &mut self.resource_id),
            "project_id" => ("project_id", &mut self.project_id),
            "ip_address" => ("ip_address", &mut self.ip_address),
            "user_agent" => ("user_agent", &mut self.user_agent),
            "details" => ("details", &mut self.details),
            "severity" => ("severity", &mut self.severity),
            _ => return None,
        })
    }

    fn keep(&mut self, name: &'a str, value: &'a str) {
        let found = match text(name) {
            Ok(name) => match self.field(&name) {
                None => {
                    let shown: String = name.chars().take(MOST_SHOWN).collect();
                    Some(flaw(shown, "is not a field here"))
                }
                Some((_, slot @ None)) => {
                    *slot = Some(value);
                    None
                }
                Some((name, Some(_))) => Some(flaw(name, "is given twice")),
            },
            Err(message) => Some(flaw(WHOLE, format!("has a field whose name {message}"))),
        };
        if let Some(found) = found
            && self.flaws.len() < MOST_FLAWS
        {
            self.flaws.push(found);
        }
    }
}

impl<'de> Deserialize<'de> for Sent<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Sent<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Sent<'de>, A::Error> {
                let mut sent = Sent::default();
                while let Some((name, value)) = members.next_entry::<&RawValue, &RawValue>()? {
                    sent.keep(name.get(), value.get());
                }
                Ok(sent)
            }
        }

        from.deserialize_map(Members)
    }
}
