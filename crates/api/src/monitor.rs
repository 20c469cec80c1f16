//! Reports incidents to the log, as JSON, and to Sentry when a DSN is set (M11). Tells of events
//! that could not go their way on stderr, whatever is logged otherwise (F3), and to Sentry (F4).

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::clock::Clock;
use tranche_application::ports::monitor::{Fallback, Fate, Incident, Monitor};

use crate::views::time;

/// Sentry hears of the same fate of the same action once in this time.
const ONCE_IN: TimeDelta = TimeDelta::minutes(1);
/// How many fates of actions are told apart; actions come from outside.
const MOST_APART: usize = 256;

/// The log, stderr, and Sentry where it is set up.
pub struct LogMonitor {
    clock: Arc<dyn Clock>,
    say: fn(&str),
    told: Mutex<Told>,
}

/// When Sentry heard of what, and how many events it did not hear of since.
type Told = BTreeMap<(&'static str, String), (DateTime<Utc>, usize)>;

impl LogMonitor {
    /// A monitor whose lines bear this clock's time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            say,
            told: Mutex::default(),
        }
    }

    /// How many events Sentry has not heard of, if it is time to tell it again.
    fn untold(&self, fate: Fate, action: &str, count: usize, now: DateTime<Utc>) -> Option<usize> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not silence it.
        let is_old = |at: DateTime<Utc>| (now - at).abs() >= ONCE_IN;
        let key = (fate.as_str(), action.to_owned());
        if let Some((at, untold)) = told.get_mut(&key) {
            *untold += count;
            return is_old(*at).then(|| {
                *at = now;
                std::mem::take(untold)
            });
        }
        if told.len() >= MOST_APART {
            told.retain(|_, (at, _)| !is_old(*at));
        }
        if told.len() >= MOST_APART {
            return None;
        }
        told.insert(key, (now, 0));
        Some(count)
    }
}

impl Monitor for LogMonitor {
    fn report(&self, incident: Incident) {
        let Incident {
            operation,
            critical,
            error,
            context,
        } = incident;
        tracing::error!(operation, critical, error, %context, "incident");
        let level = if critical {
            sentry::Level::Error
        } else {
            sentry::Level::Warning
        };
        sentry::with_scope(
            |scope| {
                scope.set_tag("operation", operation);
                scope.set_extra("context", context);
                scope.set_extra("error", error.clone().into());
            },
            || sentry::capture_message(&format!("{operation}: {error}"), level),
        );
    }

    fn fallback(&self, fallback: Fallback) {
        let now = self.clock.now();
        (self.say)(&lines(&fallback, now));
        let Some(first) = fallback.events.first() else {
            return;
        };
        let count = fallback.events.len();
        if let Some(count) = self.untold(fallback.fate, &first.action, count, now) {
            warn_sentry(&fallback, first, count);
        }
    }
}

/// Writes to stderr at once, so that no other line comes between. Whoever closed it does not want
/// it, and the events are not worse off.
fn say(lines: &str) {
    let _ = std::io::stderr().lock().write_all(lines.as_bytes());
}

/// One line of JSON for what was kept; one for each event that is lost, with everything in it.
fn lines(fallback: &Fallback, now: DateTime<Utc>) -> String {
    let line = |event: &EventRecord, count: usize| {
        json!({
            "timestamp": time(now),
            "kind": "audit.fallback",
            "fate": fallback.fate.as_str(),
            "count": count,
            "action": event.action,
            "entity_type": event.resource_type,
            "entity_id": event.resource_id,
            "user_id": event.actor.id,
            "error": fallback.error,
        })
    };
    let events = &fallback.events;
    let all: Vec<Value> = match fallback.fate {
        Fate::Lost => events
            .iter()
            .map(|event| {
                let mut line = line(event, 1);
                line["event"] = json!(**event);
                line
            })
            .collect(),
        Fate::Spooled | Fate::Held | Fate::Buried => {
            let first = events.first();
            first
                .map(|event| line(event, events.len()))
                .into_iter()
                .collect()
        }
    };
    all.into_iter()
        .flat_map(|line| [line.to_string(), "\n".to_owned()])
        .collect()
}

/// Hands a warning to Sentry's own thread; it waits for nobody, and drops what finds no room.
fn warn_sentry(fallback: &Fallback, first: &EventRecord, count: usize) {
    let fate = fallback.fate.as_str();
    sentry::with_scope(
        |scope| {
            scope.set_tag("operation", "audit.fallback");
            scope.set_tag("fate", fate);
            scope.set_tag("action", &first.action);
            scope.set_tag("entity_type", &first.resource_type);
            scope.set_user(Some(sentry::User {
                id: Some(first.actor.id.clone()),
                ..sentry::User::default()
            }));
            scope.set_extra("error", fallback.error.clone().into());
            scope.set_extra("entity_id", json!(first.resource_id));
            scope.set_extra("count", json!(count));
            let group = ["audit.fallback", fate, first.action.as_str()];
            scope.set_fingerprint(Some(&group));
        },
        || {
            let what = format!(
                "audit.fallback: {fate}: {}: {}",
                first.action, fallback.error
            );
            sentry::capture_message(&what, sentry::Level::Warning)
        },
    );
}

#[cfg(test)]
mod tests;
