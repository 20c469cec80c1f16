//! What a query string asks for, and what is wrong with it.

use chrono::TimeZone;
use serde_json::json;

use super::*;

fn flaws(query: &FilterQuery) -> Vec<(String, String)> {
    let mut reader = Reader::default();
    query.read(&mut reader);
    let flaw = |error: FieldError| (error.field, error.message);
    reader.0.into_iter().map(flaw).collect()
}

/// How a parameter is put into a query.
type Put = fn(&mut FilterQuery, Option<String>);

#[test]
fn everything_that_is_asked_for_is_in_the_filter() {
    let query = FilterQuery {
        severity: Some("info,critical".to_owned()),
        action: Some("loan.paid,Ọ̀nà".to_owned()),
        actor: Some("o'neill \"o\"".to_owned()),
        resource_type: Some("loan".to_owned()),
        resource_id: Some("a,b".to_owned()),
        project_id: Some("01900000-0000-7000-8000-000000000001".to_owned()),
        milestone_id: Some("01900000-0000-7000-8000-000000000002".to_owned()),
        from: Some("2026-11-21T10:30:00.0000019+01:00".to_owned()),
        to: Some("2026-11-21T09:30:01Z".to_owned()),
        q: Some("100%\n\"x".to_owned()),
        details: Some(" {\"a\": [1.0]} ".to_owned()),
    };
    let nine = Utc.with_ymd_and_hms(2026, 11, 21, 9, 30, 0).unwrap();
    let expected = EventFilter {
        severities: vec!["info".to_owned(), "critical".to_owned()],
        actions: vec!["loan.paid".to_owned(), "Ọ̀nà".to_owned()],
        actors: vec!["o'neill \"o\"".to_owned()],
        resource_types: vec!["loan".to_owned()],
        resource_id: Some("a,b".to_owned()),
        project_id: Some(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        milestone_id: Some(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002)),
        from: Some(nine + chrono::TimeDelta::microseconds(1)),
        to: Some(nine + chrono::TimeDelta::seconds(1)),
        text: Some("100%\n\"x".to_owned()),
        details: Some(json!({ "a": [1.0] })),
    };
    let mut reader = Reader::default();
    let filter = query.read(&mut reader);
    assert_eq!(reader.finish(filter).expect("it is right"), expected);
    let mut reader = Reader::default();
    let empty = FilterQuery::default().read(&mut reader);
    assert_eq!(
        reader.finish(empty).expect("it is right"),
        EventFilter::default()
    );
}

#[test]
fn everything_that_is_wrong_is_named() {
    let long = "x".repeat(10_000);
    let many = vec!["x"; 51].join(",");
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let abyss = "[".repeat(4_000);
    let large = format!("{{\"a\":\"{long}\"}}");
    let wrong: [(Put, &str, &str, &str); 22] = [
        (|q, v| q.severity = v, "fatal", "severity", "info, warning"),
        (|q, v| q.severity = v, "info,", "severity", "empty"),
        (|q, v| q.severity = v, "", "severity", "empty"),
        (|q, v| q.action = v, "a,,b", "action", "empty"),
        (|q, v| q.action = v, &long, "action", "200"),
        (|q, v| q.action = v, &many, "action", "50"),
        (|q, v| q.actor = v, "a\0b", "actor", "control"),
        (|q, v| q.resource_type = v, ",", "resource_type", "empty"),
        (|q, v| q.resource_id = v, "", "resource_id", "characters"),
        (|q, v| q.resource_id = v, "a\tb", "resource_id", "control"),
        (|q, v| q.project_id = v, "7", "project_id", "UUID"),
        (|q, v| q.milestone_id = v, "", "milestone_id", "UUID"),
        (|q, v| q.from = v, "yesterday", "from", "2026"),
        (|q, v| q.to = v, "2026-11-21T09:30:00 01:00", "to", "%2B"),
        (|q, v| q.q = v, "", "q", "characters"),
        (|q, v| q.q = v, &long, "q", "200"),
        (|q, v| q.q = v, "a\0", "q", "U+0000"),
        (|q, v| q.details = v, "{a:1}", "details", "JSON"),
        (|q, v| q.details = v, "[1]", "details", "object"),
        (|q, v| q.details = v, &deep, "details", "levels"),
        (|q, v| q.details = v, &abyss, "details", "JSON"),
        (|q, v| q.details = v, &large, "details", "4096"),
    ];
    for (put, value, field, message) in wrong {
        let mut query = FilterQuery::default();
        put(&mut query, Some(value.to_owned()));
        let flaws = flaws(&query);
        assert_eq!(flaws.len(), 1, "{field}: {flaws:?}");
        assert_eq!(flaws[0].0, field);
        assert!(flaws[0].1.contains(message), "{flaws:?}");
    }
    let query = FilterQuery {
        severity: Some("x".to_owned()),
        from: Some("2026-11-21T09:30:00Z".to_owned()),
        to: Some("2026-11-21T09:30:00Z".to_owned()),
        ..FilterQuery::default()
    };
    let fields: Vec<String> = flaws(&query).into_iter().map(|flaw| flaw.0).collect();
    assert_eq!(fields, ["severity", "to"]);
}
