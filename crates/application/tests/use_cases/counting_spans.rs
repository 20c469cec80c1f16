//! From where a count comes: roll-ups where they are whole, rows at the edges (S5).

use chrono::{DateTime, Utc};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::spans::{Source, Span, sources};
use tranche_application::ports::audit_search::{Bucket, Scope, StatsQuery};

use super::scene::PROJECT;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A time between two moments of November 2026, each as `DAYTHOUR`; an empty one is none.
fn span(from: &str, to: &str) -> Span {
    let moment = |text: &str| (!text.is_empty()).then(|| at(&format!("2026-11-{text}Z")));
    Span {
        from: moment(from),
        to: moment(to),
    }
}

fn counted(from: &str, to: &str, bucket: Bucket) -> Vec<Source> {
    let Span { from, to } = span(from, to);
    let filter = EventFilter {
        from,
        to,
        ..EventFilter::default()
    };
    sources(&StatsQuery { filter, bucket }, Scope::All)
}

// S5: to the microsecond.
#[test]
fn roll_ups_are_asked_where_they_are_whole() {
    use Source::{Days, Hours, Pending, Rows};
    let whole = span("", "");
    assert_eq!(counted("", "", Bucket::Day), [Pending(whole), Days(whole)]);
    assert_eq!(
        counted("", "", Bucket::Hour),
        [Pending(whole), Hours(whole)]
    );

    let days = span("02T00:00:00", "05T00:00:00");
    let all = counted("02T00:00:00", "05T00:00:00", Bucket::Day);
    assert_eq!(all, [Pending(days), Days(days)], "nothing at the edges");

    let all = counted("02T00:00:00.000001", "04T23:59:59.999999", Bucket::Day);
    let hours = span("02T01:00:00", "04T23:00:00");
    let expected = [
        Pending(hours),
        Rows(span("02T00:00:00.000001", "02T01:00:00")),
        Rows(span("04T23:00:00", "04T23:59:59.999999")),
        Days(span("03T00:00:00", "04T00:00:00")),
        Hours(span("02T01:00:00", "03T00:00:00")),
        Hours(span("04T00:00:00", "04T23:00:00")),
    ];
    assert_eq!(all, expected);

    let all = counted("02T05:00:00", "02T07:30:00", Bucket::Day);
    let hours = span("02T05:00:00", "02T07:00:00");
    let expected = [
        Pending(hours),
        Rows(span("02T07:00:00", "02T07:30:00")),
        Hours(hours),
    ];
    assert_eq!(all, expected, "no day is whole");

    for (from, to) in [
        ("02T05:00:00.000001", "02T05:59:59.999999"),
        ("02T05:00:00.000001", "02T06:30:00"),
    ] {
        assert_eq!(counted(from, to, Bucket::Hour), [Rows(span(from, to))]);
    }
    assert!(counted("03T00:00:00", "03T00:00:00", Bucket::Day).is_empty());
    assert!(counted("03T00:00:00", "02T00:00:00", Bucket::Day).is_empty());
}

// S5, S9: what roll-ups do not know is counted by its rows.
#[test]
fn other_conditions_count_rows() {
    let whole = [Source::Rows(span("", ""))];
    let filters = [
        EventFilter {
            actors: vec!["ada".to_owned()],
            ..EventFilter::default()
        },
        EventFilter {
            resource_id: Some("7".to_owned()),
            ..EventFilter::default()
        },
        EventFilter {
            project_id: Some(PROJECT.0),
            ..EventFilter::default()
        },
        EventFilter {
            milestone_id: Some(PROJECT.0),
            ..EventFilter::default()
        },
        EventFilter {
            text: Some("x".to_owned()),
            ..EventFilter::default()
        },
        EventFilter {
            details: Some(serde_json::json!({})),
            ..EventFilter::default()
        },
    ];
    let query = |filter| StatsQuery {
        filter,
        bucket: Bucket::Day,
    };
    for filter in filters {
        let query = query(filter);
        assert_eq!(sources(&query, Scope::All), whole, "{query:?}");
    }
    let everything = query(EventFilter::default());
    assert_eq!(sources(&everything, Scope::Project(PROJECT)), whole);
}
