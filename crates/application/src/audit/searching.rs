//! Searching the log for people: within what they may see, with the actors' names, and within a time
//! that a search can look through.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Months, TimeDelta, Utc};
use uuid::Uuid;

use super::filter::EventFilter;
use super::record::LoggedEvent;
use crate::call::Caller;
use crate::ports::actors::{Actors, Person};
use crate::ports::audit_search::{
    AuditSearch, AuditStats, Bucket, EventPage, PartSize, Scope, StatsQuery,
};
use crate::ports::clock::Clock;
use crate::ports::store::StoreError;

/// How far back a search in contents looks that names no time.
pub const DEFAULT_TIME: TimeDelta = TimeDelta::days(90);

/// Over how many days growth is told.
const GROWTH_DAYS: i64 = 30;

/// Searches the log.
#[derive(Clone)]
pub struct Searching {
    search: Arc<dyn AuditSearch>,
    actors: Arc<dyn Actors>,
    clock: Arc<dyn Clock>,
}

/// An event with who did it, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The event.
    pub logged: LoggedEvent,
    /// The person behind its actor's id.
    pub person: Option<Person>,
}

/// How much of the log there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Each part, with the events a day of its month, as far as that has gone.
    pub parts: Vec<(PartSize, Option<i64>)>,
    /// By severity.
    pub severities: BTreeMap<String, SeveritySize>,
}

/// What the events of a severity take, and how fast they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeveritySize {
    /// How many there are, as near as the store knows.
    pub events: i64,
    /// Bytes of rows and indexes.
    pub bytes: i64,
    /// How many came a day, over the last 30 days.
    pub events_a_day: i64,
    /// What they take, at the size of those that there are.
    pub bytes_a_day: i64,
}

impl Searching {
    /// Searches with these.
    #[must_use]
    pub const fn new(
        search: Arc<dyn AuditSearch>,
        actors: Arc<dyn Actors>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            search,
            actors,
            clock,
        }
    }

    /// From when on a search looks that needs a bound in time and has none.
    #[must_use]
    pub fn default_from(&self, filter: &EventFilter) -> Option<DateTime<Utc>> {
        if !filter.looks_into_content() || filter.from.is_some() {
            return None;
        }
        let end = filter.to.unwrap_or_else(|| self.clock.now());
        let from = end.checked_sub_signed(DEFAULT_TIME)?;
        DateTime::from_timestamp_micros(from.timestamp_micros())
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events(
        &self,
        filter: &EventFilter,
        page: EventPage,
        caller: &Caller,
    ) -> Result<Vec<Named>, StoreError> {
        let found = self
            .search
            .events(filter, Scope::from(caller.scope), page)
            .await?;
        self.named(found).await
    }

    /// One event; `None` is: not there, or not for them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn event(&self, id: Uuid, caller: &Caller) -> Result<Option<Named>, StoreError> {
        let found = self.search.event(id, Scope::from(caller.scope)).await?;
        let named = self.named(found.into_iter().collect()).await?;
        Ok(named.into_iter().next())
    }

    /// With the names of their actors.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn named(&self, events: Vec<LoggedEvent>) -> Result<Vec<Named>, StoreError> {
        let mut ids: Vec<String> = events
            .iter()
            .map(|logged| logged.event.actor.id.clone())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let persons = if ids.is_empty() {
            HashMap::new()
        } else {
            self.actors.named(&ids).await?
        };
        let named = events.into_iter().map(|logged| Named {
            person: persons.get(&logged.event.actor.id).cloned(),
            logged,
        });
        Ok(named.collect())
    }

    /// The leaf index that the next event gets: whoever asks before a walk over pages and follows
    /// the log from there misses nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(&self) -> Result<i64, StoreError> {
        self.search.end().await
    }

    /// Counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stats(
        &self,
        query: &StatsQuery,
        caller: &Caller,
    ) -> Result<AuditStats, StoreError> {
        self.search.stats(query, Scope::from(caller.scope)).await
    }

    /// How big the log is, and how it grows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn capacity(&self) -> Result<Capacity, StoreError> {
        let now = self.clock.now();
        let sizes = self.search.sizes().await?;
        let mut days: BTreeMap<String, BTreeMap<DateTime<Utc>, i64>> = BTreeMap::new();
        for part in &sizes {
            if !days.contains_key(&part.severity) {
                let query = StatsQuery {
                    filter: EventFilter {
                        severities: vec![part.severity.clone()],
                        ..EventFilter::default()
                    },
                    bucket: Bucket::Day,
                };
                let stats = self.search.stats(&query, Scope::All).await?;
                days.insert(part.severity.clone(), stats.series);
            }
        }
        Ok(capacity(sizes, &days, now))
    }
}

/// Adds up what parts and days tell.
fn capacity(
    sizes: Vec<PartSize>,
    days: &BTreeMap<String, BTreeMap<DateTime<Utc>, i64>>,
    now: DateTime<Utc>,
) -> Capacity {
    let counted = |severity: &str, from: DateTime<Utc>, to: DateTime<Utc>| {
        days.get(severity).map_or(0, |days| {
            days.range(from..to).map(|(_, events)| events).sum()
        })
    };
    let mut all = Capacity::default();
    for part in sizes {
        let of_severity = all.severities.entry(part.severity.clone()).or_default();
        of_severity.events += part.events;
        of_severity.bytes += part.bytes;
        let a_day = part.month.and_then(|month| {
            let end = month.checked_add_months(Months::new(1))?.min(now);
            let days = (end - month).num_days().max(1);
            (month <= now).then(|| counted(&part.severity, month, end) / days)
        });
        all.parts.push((part, a_day));
    }
    for (severity, size) in &mut all.severities {
        let since = now - TimeDelta::days(GROWTH_DAYS);
        let lately: i64 = counted(severity, since, now);
        size.events_a_day = lately / GROWTH_DAYS;
        let bytes = i128::from(size.bytes) * i128::from(lately)
            / i128::from(size.events.max(1))
            / i128::from(GROWTH_DAYS);
        size.bytes_a_day = i64::try_from(bytes).unwrap_or(i64::MAX);
    }
    all
}
