//! What was told and is not over: one alert for a condition while it lasts, a reminder after an
//! hour, and a notice when it has been over for half a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::conditions::Breach;
use crate::ports::alerts::Alert;

/// How long a condition must be over before people are told so.
pub const CALM: Duration = Duration::from_secs(30);
/// How often people are reminded of what lasts.
pub const REMINDER: Duration = Duration::from_hours(1);

/// A condition that is not met, or was not a moment ago.
#[derive(Debug)]
struct Entry {
    /// As it was seen last.
    alert: Alert,
    began: Instant,
    /// When people were told last.
    told: Option<Instant>,
    /// Since when it is over.
    over: Option<(Instant, DateTime<Utc>)>,
}

/// The alerts in force. Durations are measured by a clock that is never set.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<&'static str, Entry>,
}

impl Book {
    /// Takes in what is wrong now; gives what people must be told.
    pub fn update(&mut self, breaches: &[Breach], at: DateTime<Utc>, now: Instant) -> Vec<Alert> {
        let raised: Vec<Alert> = breaches
            .iter()
            .filter_map(|breach| self.lasting(breach, at, now))
            .collect();
        let ended = self.calming(breaches, at, now);
        raised.into_iter().chain(ended).collect()
    }

    /// A condition is not met: an alert when it is time to tell.
    fn lasting(&mut self, breach: &Breach, at: DateTime<Utc>, now: Instant) -> Option<Alert> {
        let entry = self.entries.entry(breach.key).or_insert_with(|| Entry {
            alert: Alert {
                key: breach.key,
                urgency: breach.urgency,
                summary: String::new(),
                since: at,
                resolved_at: None,
            },
            began: now,
            told: None,
            over: None,
        });
        entry.over = None;
        entry.alert.urgency = breach.urgency;
        entry.alert.summary.clone_from(&breach.summary);
        let due = match entry.told {
            None => now - entry.began >= breach.patience,
            Some(told) => now - told >= REMINDER,
        };
        due.then(|| {
            entry.told = Some(now);
            entry.alert.clone()
        })
    }

    /// The notices on what has been over for long enough.
    fn calming(&mut self, breaches: &[Breach], at: DateTime<Utc>, now: Instant) -> Vec<Alert> {
        let mut notices = Vec::new();
        self.entries.retain(|key, entry| {
            if breaches.iter().any(|breach| breach.key == *key) {
                return true;
            }
            // Nobody was told, so nobody is told that it is over.
            if entry.told.is_none() {
                return false;
            }
            let (since, over_at) = *entry.over.get_or_insert((now, at));
            if now - since < CALM {
                return true;
            }
            notices.push(Alert {
                resolved_at: Some(over_at),
                ..entry.alert.clone()
            });
            false
        });
        notices
    }
}
