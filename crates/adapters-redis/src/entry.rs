//! An event as an entry of the stream: `event` is its JSON, `at` when it was pushed.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use redis::{FromRedisValue, ParsingError, Value};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::queue::Unreadable;

const EVENT: &[u8] = b"event";
const AT: &[u8] = b"at";

/// An entry as Redis has it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its place in the stream.
    pub(crate) id: String,
    /// Names and values in turn; none when it was deleted while somebody held it.
    fields: Option<Vec<Vec<u8>>>,
}

impl FromRedisValue for Entry {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (id, fields) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { id, fields })
    }
}

impl Entry {
    /// Whether there is anything left of it.
    pub(crate) fn is_there(&self) -> bool {
        self.fields.is_some()
    }

    /// When it was pushed.
    pub(crate) fn at(&self) -> Option<DateTime<Utc>> {
        let text = std::str::from_utf8(self.field(AT)?).ok()?;
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        Some(at.with_timezone(&Utc))
    }

    /// The event in it.
    pub(crate) fn event(&self) -> Result<Arc<EventRecord>, Unreadable> {
        let Some(event) = self.field(EVENT) else {
            let fields = self.fields.iter().flatten();
            let words: Vec<_> = fields.map(|field| String::from_utf8_lossy(field)).collect();
            return Err(Unreadable {
                content: words.join(" "),
                error: "the entry has no field `event`".to_owned(),
            });
        };
        serde_json::from_slice(event)
            .map(Arc::new)
            .map_err(|error| Unreadable {
                content: String::from_utf8_lossy(event).into_owned(),
                error: error.to_string(),
            })
    }

    fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let (pairs, _) = self.fields.as_ref()?.as_chunks::<2>();
        let [_, value] = pairs.iter().find(|[field, _]| field == name)?;
        Some(value)
    }
}

/// A time as an entry has it.
pub(crate) fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// An entry seen without taking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the stream, as `XRANGE` has it.
    pub id: String,
    /// When it was pushed, where the entry says so.
    pub at: Option<DateTime<Utc>>,
    /// The event, or what is left of it.
    pub event: Result<Arc<EventRecord>, Unreadable>,
}

impl From<Entry> for Waiting {
    fn from(entry: Entry) -> Self {
        Self {
            at: entry.at(),
            event: entry.event(),
            id: entry.id,
        }
    }
}
