//! An event as another service sends it: what is accepted, as what, and what is refused, by name.

use std::sync::Arc;

use chrono::{SecondsFormat, TimeDelta};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tranche_application::audit::incoming::{Flaw, Incoming};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::entropy::Entropy;
use tranche_application::{Caller, Services};
use tranche_domain::{Actor, Role};
use uuid::Uuid;

use super::scene::{ELSEWHERE, PROJECT, caller, time};
use super::stage::Stage;

fn sender() -> Caller {
    Caller {
        actor: Actor {
            id: "billing".to_owned(),
            role: Role::Service,
        },
        ..caller("billing")
    }
}

fn services() -> Services {
    Stage::new().services()
}

fn read(json: &str) -> Result<Arc<EventRecord>, Vec<Flaw>> {
    Incoming::new(&services(), &sender()).read(json)
}

/// A good event with one field set.
fn with(field: &str, value: Value) -> Value {
    let mut item = json!({ "action": "invoice.sent", "resource_type": "invoice" });
    item[field] = value;
    item
}

#[track_caller]
fn accepted(item: &Value) -> Arc<EventRecord> {
    read(&item.to_string()).unwrap_or_else(|flaws| panic!("{item}: {flaws:?}"))
}

/// The names of the fields that are refused.
#[track_caller]
fn refused(json: &str) -> Vec<String> {
    let flaws = read(json).expect_err(json);
    assert!(flaws.iter().all(|flaw| !flaw.message.is_empty()));
    flaws.iter().map(|flaw| flaw.field.to_string()).collect()
}

/// A version 7 id made so many milliseconds after now.
fn id_of(after: i64, number: u128) -> Uuid {
    let made = u128::try_from(time(0).timestamp_millis() + after).unwrap();
    Uuid::from_u128(made << 80 | 7 << 76 | 0b10 << 62 | number)
}

fn at(after: TimeDelta) -> Value {
    json!((time(0) + after).to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// An object of so many levels, itself counted.
fn nested(levels: usize) -> String {
    let inner = levels - 1;
    format!(r#"{{"a":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
}

/// An object that takes so many bytes.
fn sized(bytes: usize) -> String {
    format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8))
}

fn with_details(details: &str) -> String {
    format!(r#"{{"action":"a","resource_type":"t","details":{details}}}"#)
}

// S1
#[test]
fn an_event_with_nothing_but_what_is_required_is_filled_in() {
    let event = accepted(&json!({ "action": "invoice.sent", "resource_type": "invoice" }));
    assert_eq!(event.severity, "info");
    assert_eq!(event.occurred_at, time(0));
    assert_eq!(event.actor.id, "billing");
    assert_eq!(event.actor.role.as_deref(), Some("service"));
    assert_eq!(event.metadata, json!({ "sent_by": "billing" }));
    assert_eq!(event.changes, json!({}));
    assert_eq!(event.details, Value::Null);
    assert_eq!(event.request_id.as_deref(), Some("request-7"));
    assert_eq!((event.ip_address, &event.user_agent), (None, &None));
    assert_eq!((event.project_id, event.milestone_id), (None, None));
    assert_eq!(event.id, Uuid::from_u128(1), "made here");
    assert_ne!(event.salt, [0; 16]);
}

// S1
#[test]
fn every_field_is_kept_as_it_was_sent() {
    let id = id_of(5, 9);
    let event = accepted(&json!({
        "id": id, "occurred_at": "2027-01-15T08:59:58.1234569+01:00", "action": "invoice.sent",
        "actor_id": "ada", "resource_type": "invoice", "resource_id": "inv-7",
        "project_id": PROJECT.0, "ip_address": "::ffff:192.0.2.7", "user_agent": "books/2 \"é\"",
        "details": { "total": "12.50", "lines": [1, 2.5, true, null] }, "severity": "warning",
    }));
    assert_eq!(event.id, id);
    let occurred = event
        .occurred_at
        .to_rfc3339_opts(SecondsFormat::Nanos, true);
    assert_eq!(occurred, "2027-01-15T07:59:58.123456000Z", "truncated");
    assert_eq!((event.actor.id.as_str(), &event.actor.role), ("ada", &None));
    assert_eq!(event.resource_id.as_deref(), Some("inv-7"));
    assert_eq!(event.project_id, Some(PROJECT.0));
    assert_eq!(event.ip_address, Some([192, 0, 2, 7].into()));
    assert_eq!(event.user_agent.as_deref(), Some("books/2 \"é\""));
    let details = json!({ "total": "12.50", "lines": [1, 2.5, true, null] });
    assert_eq!(event.details, details);
    assert_eq!(event.severity, "warning");
}

#[test]
fn null_is_as_good_as_absent_where_a_field_is_not_required() {
    let mut item = with("action", json!("a"));
    for field in [
        "id",
        "occurred_at",
        "actor_id",
        "resource_id",
        "project_id",
        "ip_address",
        "user_agent",
        "details",
        "severity",
    ] {
        item[field] = Value::Null;
    }
    assert_eq!(accepted(&item).severity, "info");
    for field in ["action", "resource_type"] {
        assert_eq!(refused(&with(field, Value::Null).to_string()), [field]);
    }
    assert_eq!(refused("{}"), ["action", "resource_type"]);
}

#[test]
fn an_action_of_our_own_has_its_own_severity_unless_another_is_sent() {
    let severity = |action: &str, severity: Value| {
        let mut item = with("action", json!(action));
        item["severity"] = severity;
        accepted(&item).severity.clone()
    };
    assert_eq!(severity("milestone.approved", Value::Null), "critical");
    assert_eq!(severity("key.issued", Value::Null), "warning");
    assert_eq!(severity("milestone.approved", json!("info")), "info");
    assert_eq!(severity("invoice.sent", json!("critical")), "critical");
}

// S8: what retention says of itself is nobody else's to say, whatever its severity.
#[test]
fn nobody_else_says_that_a_part_of_the_log_goes() {
    let item = with("action", json!(" retention.expiring "));
    assert_eq!(refused(&item.to_string()), ["action"]);
    accepted(&with("action", json!("retention.run")));
}

// S1: every field, in every way that is wrong.
#[test]
fn whatever_is_wrong_with_a_field_is_refused_by_its_name() {
    let not_texts = [json!(7), json!(true), json!([]), json!({}), json!(1.5)];
    let lines = |max: usize| {
        let long = [json!("x".repeat(max + 1)), json!("é".repeat(max + 1))];
        let bad = [
            "", "  ", "a\nb", "a\u{0}", "\u{7}", "a\u{85}b", "\u{7f}", "a\n",
        ];
        long.into_iter().chain(bad.map(Value::from)).collect()
    };
    let ids = [
        "",
        "7",
        "not-an-id",
        "00000000-0000-0000-0000-000000000000",
        "7c9f2c1e-5b1d-4c3a-9a51-3f3f6f0d2b11",
        "{018f0000-0000-7000-8000-000000000000}",
    ];
    let table: Vec<(&str, Vec<Value>)> = vec![
        ("action", lines(200)),
        ("resource_type", lines(200)),
        ("actor_id", lines(200)),
        ("resource_id", lines(500)),
        ("user_agent", lines(512)),
        (
            "severity",
            ["", "Info", "fatal", "info "].map(Value::from).into(),
        ),
        ("id", ids.map(Value::from).into()),
        ("project_id", ids[..3].iter().map(|id| json!(id)).collect()),
        (
            "ip_address",
            ["", "1.2.3", "1.2.3.256", "fe80::1%eth0", "host"]
                .map(Value::from)
                .into(),
        ),
        (
            "occurred_at",
            ["", "2026-11-21", "now", "2027-01-15T08:00:00"]
                .map(Value::from)
                .into(),
        ),
    ];
    for (field, bad) in table {
        for value in bad.iter().chain(&not_texts) {
            assert_eq!(
                refused(&with(field, value.clone()).to_string()),
                [field],
                "{value}"
            );
        }
    }
    for bad in [json!("x"), json!([]), json!(7), json!(true)] {
        assert_eq!(refused(&with("details", bad).to_string()), ["details"]);
    }
    let all = json!({ "action": "", "severity": "fatal", "details": [], "x": 1 });
    assert_eq!(
        refused(&all.to_string()),
        ["x", "action", "resource_type", "details", "severity"]
    );
}

#[test]
fn the_longest_that_is_allowed_is_kept() {
    for (field, max) in [
        ("action", 200),
        ("resource_type", 200),
        ("actor_id", 200),
        ("resource_id", 500),
        ("user_agent", 512),
    ] {
        accepted(&with(field, json!("é".repeat(max))));
    }
    // 500 characters may be 2,000 bytes: more than an index holds beside the type.
    accepted(&with("resource_id", json!("😀".repeat(400))));
    assert_eq!(
        refused(&with("resource_id", json!("😀".repeat(401))).to_string()),
        ["resource_id"]
    );
    assert_eq!(accepted(&with("action", json!(" paid "))).action, "paid");
}

// S1: 64 KiB, to the byte, white space not counted.
#[test]
fn details_take_65536_bytes_and_no_more() {
    assert!(read(&with_details(&sized(65_536))).is_ok());
    assert_eq!(refused(&with_details(&sized(65_537))), ["details"]);
    let spaced = sized(65_536).replace(':', &format!(":{}", " ".repeat(9_000)));
    assert!(read(&with_details(&spaced)).is_ok());
    // Written out they are longer than they were sent.
    let many = format!(r#"{{"a":[1e9{}]}}"#, ",1e9".repeat(6_000));
    assert!(many.len() < 65_536);
    assert_eq!(refused(&with_details(&many)), ["details"]);
}

#[test]
fn details_have_32_levels_and_no_more() {
    assert!(read(&with_details(&nested(32))).is_ok());
    for levels in [33, 127, 128, 129, 1_000_000] {
        assert_eq!(
            refused(&with_details(&nested(levels))),
            ["details"],
            "{levels}"
        );
    }
    let objects = format!("{}1{}", r#"{"a":"#.repeat(33), "}".repeat(33));
    assert_eq!(refused(&with_details(&objects)), ["details"]);
}

#[test]
fn details_hold_no_number_that_anybody_would_round() {
    for exact in [
        "9007199254740991",
        "-9007199254740991",
        "1.5",
        "1e15",
        "-0.0",
        "5e-324",
    ] {
        assert!(
            read(&with_details(&format!(r#"{{"n":{exact}}}"#))).is_ok(),
            "{exact}"
        );
    }
    for rounded in [
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551615",
        "-9223372036854775808",
        "99999999999999999999999",
        "1e16",
        "1e300",
        "1e400",
        "-1e400",
    ] {
        assert_eq!(
            refused(&with_details(&format!(r#"{{"n":[{rounded}]}}"#))),
            ["details"]
        );
    }
}

#[test]
fn a_fraction_is_the_same_after_it_was_written_and_read() {
    for text in [
        "0.1",
        "2.2250738585072011e-308",
        "0.10000000000000002",
        "8.41e-12",
        "123.45600000000002",
    ] {
        let event = read(&with_details(&format!(r#"{{"n":{text}}}"#))).unwrap();
        let again: EventRecord =
            serde_json::from_str(&serde_json::to_string(&*event).unwrap()).unwrap();
        assert_eq!(again, *event, "{text}");
        let exact: f64 = text.parse().unwrap();
        assert_eq!(
            event.details["n"].as_f64().map(f64::to_bits),
            Some(exact.to_bits())
        );
    }
}

// PostgreSQL refuses U+0000, and nobody can read half of a surrogate pair.
#[test]
fn no_text_holds_what_a_store_refuses() {
    for details in [
        r#"{"a":"\u0000"}"#,
        r#"{"\u0000":1}"#,
        r#"{"a":["\ud800"]}"#,
        r#"{"\udc00":1}"#,
        r#"{"a":"\ud800\ud800"}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"b":{"a":1,"\u0061":2}}"#,
    ] {
        assert_eq!(refused(&with_details(details)), ["details"], "{details}");
    }
    let half = r#"{"action":"\ud83d","resource_type":"t"}"#;
    assert_eq!(refused(half), ["action"]);
    let whole = r#"{"action":"\ud83d\ude00","resource_type":"\u0074"}"#;
    let event = read(whole).unwrap();
    assert_eq!(
        (event.action.as_str(), event.resource_type.as_str()),
        ("😀", "t")
    );
}

#[test]
fn what_is_no_object_of_known_fields_given_once_is_refused() {
    for whole in [
        "7",
        "\"text\"",
        "[]",
        "null",
        "true",
        "{",
        r#"{"\ud800":1,"action":"a","resource_type":"t"}"#,
    ] {
        assert_eq!(refused(whole), ["entry"], "{whole}");
    }
    let twice = r#"{"action":"a","resource_type":"t","\u0061ction":null}"#;
    assert_eq!(refused(twice), ["action"]);
    let mut many = with("action", json!("a"));
    for number in 0..1000 {
        many[format!("field {number} {}", "x".repeat(1000))] = json!(1);
    }
    let flaws = read(&many.to_string()).unwrap_err();
    assert_eq!(flaws.len(), 20, "no more are told than anybody reads");
    assert!(flaws.iter().all(|flaw| flaw.field.chars().count() <= 100));
}

// S2
#[test]
fn an_id_is_a_version_7_one_of_about_now() {
    let day = TimeDelta::days(1).num_milliseconds();
    for after in [0, day, -day] {
        let id = id_of(after, 1);
        assert_eq!(accepted(&with("id", json!(id))).id, id);
    }
    for after in [day + 1, -day - 1, -time(0).timestamp_millis()] {
        assert_eq!(
            refused(&with("id", json!(id_of(after, 1))).to_string()),
            ["id"]
        );
    }
}

#[test]
fn an_event_is_at_most_7_days_late_and_5_minutes_early() {
    let (week, ahead, little) = (
        TimeDelta::days(-7),
        TimeDelta::minutes(5),
        TimeDelta::microseconds(1),
    );
    for after in [week, TimeDelta::zero(), ahead] {
        let event = accepted(&with("occurred_at", at(after)));
        assert_eq!(event.occurred_at, time(0) + after);
    }
    for after in [week - little, ahead + little, TimeDelta::days(40_000)] {
        let item = with("occurred_at", at(after)).to_string();
        assert_eq!(refused(&item), ["occurred_at"], "{item}");
    }
}

// S9
#[test]
fn a_key_for_one_project_sends_events_of_that_project_alone() {
    let (services, mut confined) = (services(), sender());
    confined.scope = Some(PROJECT);
    let mut reader = Incoming::new(&services, &confined);
    let of = |project: Value| with("project_id", project).to_string();
    for project in [Value::Null, json!(PROJECT.0)] {
        let event = reader.read(&of(project)).unwrap();
        assert_eq!(event.project_id, Some(PROJECT.0));
    }
    let flaws = reader.read(&of(json!(ELSEWHERE.0))).unwrap_err();
    assert_eq!(flaws[0].field, "project_id");
}

// S2
#[test]
fn an_id_stands_for_one_event_of_a_request() {
    let services = services();
    let sender = sender();
    let mut reader = Incoming::new(&services, &sender);
    let item = with("id", json!(id_of(0, 1)));
    let first = reader.read(&item.to_string()).unwrap();
    let again = reader.read(&item.to_string()).unwrap();
    assert_eq!(again.id, first.id, "the same event again");
    let mut other = item;
    other["action"] = json!("invoice.lost");
    let flaws = reader.read(&other.to_string()).unwrap_err();
    assert_eq!(flaws[0].field, "id");
}

#[test]
#[ignore = "a measurement: cargo test --release -p tranche-application -- --ignored --nocapture events_a_second"]
fn events_a_second() {
    const BATCH: u128 = 1000;
    struct Counting;
    impl Entropy for Counting {
        fn id(&self) -> Uuid {
            Uuid::nil()
        }
        fn salt(&self) -> [u8; 16] {
            [7; 16]
        }
        fn secret(&self) -> [u8; 32] {
            [7; 32]
        }
    }
    let (mut services, sender) = (services(), sender());
    services.entropy = Arc::new(Counting);
    let items: Vec<String> = (0..BATCH)
        .map(|number| {
            let item = json!({
                "id": id_of(0, number), "action": "invoice.sent", "actor_id": "user-4711",
                "occurred_at": at(TimeDelta::zero()), "resource_type": "invoice",
                "resource_id": format!("inv-{number:08}"), "project_id": PROJECT.0,
                "ip_address": "192.0.2.7", "user_agent": "books/2.1 (linux)", "severity": "info",
                "details": { "total": "1250000.50", "currency": "NGN", "lines": 7, "note": "x" },
            });
            item.to_string()
        })
        .collect();
    let body = format!("[{}]", items.join(","));
    // The share of a core that this thread had, whatever else runs here.
    let busy = || -> u128 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    };
    let (rounds, began) = (300, busy());
    for _ in 0..rounds {
        let entries: Vec<&RawValue> = serde_json::from_str(&body).unwrap();
        let mut reader = Incoming::new(&services, &sender);
        for entry in entries {
            assert!(reader.read(entry.get()).is_ok());
        }
    }
    println!(
        "{} bytes an event, {} events a second of one core",
        body.len() / items.len(),
        rounds * BATCH * 1_000_000_000 / (busy() - began).max(1)
    );
}
