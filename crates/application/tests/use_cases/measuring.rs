//! How big the log is and how it grows, from its parts and its days (S12).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::audit::searching::{Searching, SeveritySize};
use tranche_application::mocks::MockClock;
use tranche_application::ports::actors::{Actors, Person};
use tranche_application::ports::audit_search::{
    AuditSearch, AuditStats, Bucket, EventPage, InOrder, PartSize, Scope, StatsQuery,
};
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A log with 100 infos a day from December to the 14th of January, and two criticals a day of late.
struct Sized;

fn part(severity: &str, month: Option<&str>, events: i64, bytes: i64) -> PartSize {
    PartSize {
        name: format!("audit_{severity}_{month:?}"),
        severity: severity.to_owned(),
        month: month.map(|month| at(&format!("{month}-01T00:00:00Z"))),
        archived: false,
        events,
        bytes,
    }
}

#[async_trait]
impl AuditSearch for Sized {
    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        Ok(vec![
            part("info", Some("2026-12"), 3_100, 31_000),
            part("info", Some("2027-01"), 1_400, 14_000),
            part("info", Some("2027-02"), 0, 8_000),
            part("critical", None, 60, 6_000),
        ])
    }

    async fn stats(&self, query: &StatsQuery, scope: Scope) -> Result<AuditStats, StoreError> {
        assert_eq!((query.bucket, scope), (Bucket::Day, Scope::All));
        let (first, days, a_day) = match query.filter.severities.as_slice() {
            [one] if one == "info" => ("2026-12-01T00:00:00Z", 45, 100),
            [one] if one == "critical" => ("2027-01-01T00:00:00Z", 15, 2),
            other => panic!("{other:?}"),
        };
        let day = |n: i64| (at(first) + TimeDelta::days(n), a_day);
        Ok(AuditStats {
            series: (0..days).map(day).collect(),
            ..AuditStats::default()
        })
    }

    async fn events(
        &self,
        _: &EventFilter,
        _: Scope,
        _: EventPage,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        unreachable!("sizes are no events")
    }

    async fn event(&self, _: Uuid, _: Scope) -> Result<Option<LoggedEvent>, StoreError> {
        unreachable!("sizes are no events")
    }

    async fn in_order(
        &self,
        _: i64,
        _: &EventFilter,
        _: Scope,
        _: u32,
    ) -> Result<InOrder, StoreError> {
        unreachable!("sizes are no events")
    }

    async fn end(&self) -> Result<i64, StoreError> {
        unreachable!("sizes are no events")
    }
}

#[async_trait]
impl Actors for Sized {
    async fn keep(&self, _: &str, _: &Person, _: DateTime<Utc>) -> Result<(), StoreError> {
        unreachable!("sizes have no actors")
    }

    async fn named(&self, _: &[String]) -> Result<HashMap<String, Person>, StoreError> {
        unreachable!("sizes have no actors")
    }
}

// S12
#[tokio::test]
async fn growth_is_told_by_severity_and_by_part() {
    let mut clock = MockClock::new();
    clock.expect_now().returning(|| at("2027-01-15T08:00:00Z"));
    let searching = Searching::new(Arc::new(Sized), Arc::new(Sized), Arc::new(clock));
    let capacity = searching.capacity().await.unwrap();
    let info = SeveritySize {
        events: 4_500,
        bytes: 53_000,
        // From the 16th of December, 8 o'clock: 15 whole days of that month, and 14 of the next.
        events_a_day: 2_900 / 30,
        bytes_a_day: 53_000 * 2_900 / 4_500 / 30,
    };
    let critical = SeveritySize {
        events: 60,
        bytes: 6_000,
        events_a_day: 1,
        bytes_a_day: 100,
    };
    let expected = [("critical".to_owned(), critical), ("info".to_owned(), info)];
    assert_eq!(capacity.severities, BTreeMap::from(expected));
    let a_day: Vec<Option<i64>> = capacity.parts.iter().map(|(_, a_day)| *a_day).collect();
    // A whole month, the 14 days that this one has had, one to come, and what is of no month.
    assert_eq!(a_day, [Some(100), Some(100), None, None]);
}
