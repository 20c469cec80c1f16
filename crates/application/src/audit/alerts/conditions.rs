//! What people are told of.

use std::time::Duration;

use tokio::time::Instant;

use crate::audit::health::{Health, NO_WORKERS, Snapshot, Status};
use crate::ports::alerts::Urgency;

/// More failed writes in five minutes than these.
const FAILED_WRITES: u64 = 10;
/// How long something counts as new.
const NEW: Duration = Duration::from_mins(5);
/// The oldest part of the log may be late by this, in seconds: two runs may fail.
const RETENTION_LATE: u64 = 2 * 24 * 60 * 60;
/// How long workers may be missing: a restart takes a moment.
const RESTART: Duration = Duration::from_secs(30);

/// A condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Names the condition.
    pub key: &'static str,
    /// How much it matters.
    pub urgency: Urgency,
    /// What is wrong, with its figures.
    pub summary: String,
    /// How long it must last before anybody is told.
    pub patience: Duration,
}

/// A count of which every rise is news.
#[derive(Debug, Default)]
struct Rising {
    last: Option<u64>,
    rose: Option<Instant>,
}

impl Rising {
    /// Whether it rose of late. What it was at first is no news.
    fn is_news(&mut self, count: u64, now: Instant) -> bool {
        if self.last.is_some_and(|last| count > last) {
            self.rose = Some(now);
        }
        self.last = Some(count);
        self.rose.is_some_and(|rose| now - rose < NEW)
    }
}

/// Watches the conditions; remembers the counts of which every rise is news.
#[derive(Debug, Default)]
pub struct Conditions {
    letters: Rising,
    lost: Rising,
    webhooks: Rising,
}

impl Conditions {
    /// What is wrong now.
    pub fn of(&mut self, snapshot: &Snapshot, health: &Health, now: Instant) -> Vec<Breach> {
        let issues = health.issues.iter().map(|issue| Breach {
            key: issue.code,
            urgency: match issue.status {
                Status::Critical | Status::NoData => Urgency::Critical,
                Status::Warning | Status::Degraded | Status::Healthy => Urgency::Warning,
            },
            summary: issue.message.clone(),
            patience: if issue.code == NO_WORKERS {
                RESTART
            } else {
                Duration::ZERO
            },
        });
        let mut breaches: Vec<Breach> = issues.collect();
        let mut breach = |key, urgency, summary| {
            breaches.push(Breach {
                key,
                urgency,
                summary,
                patience: Duration::ZERO,
            });
        };
        let failed = snapshot.rates.failures_in_five_minutes;
        if failed > FAILED_WRITES {
            let summary = format!("{failed} writes of audit events failed in five minutes");
            breach("audit.write_failures", Urgency::Warning, summary);
        }
        // While the store does not say, what it said last stands.
        let letters = snapshot.dead_letters.or(self.letters.last).unwrap_or(0);
        if self.letters.is_news(letters, now) {
            let summary = format!("new dead letters: there are {letters}");
            breach("audit.dead_letters", Urgency::Warning, summary);
        }
        let late = snapshot.retention_lag.unwrap_or_default();
        if late > RETENTION_LATE {
            let days = late / (24 * 60 * 60);
            let summary = format!("events that should have expired are {days} days late");
            breach("audit.retention_late", Urgency::Warning, summary);
        }
        let lost = snapshot.totals.dropped;
        if self.lost.is_news(lost, now) {
            let summary = format!("events were lost, {lost} within a day; stderr has them");
            breach("audit.events_lost", Urgency::Critical, summary);
        }
        let disabled = snapshot.totals.webhooks_disabled;
        if self.webhooks.is_news(disabled, now) {
            let summary = format!("webhooks were disabled, {disabled} within a day");
            breach("webhook.disabled", Urgency::Warning, summary);
        }
        breaches
    }
}
