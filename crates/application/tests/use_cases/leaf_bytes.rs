//! The leaf of any event is, byte for byte, what a canonicalizer makes of the whole document.

use std::hint::black_box;
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Number, Value, json};
use sha2::{Digest, Sha256};
use tranche_application::audit::record::{EventRecord, RecordedActor};
use uuid::Uuid;

use super::scene::time;

/// The largest integer that canonical JSON holds exactly.
const EXACT: i64 = (1 << 53) - 1;

/// The leaf, by way of documents that the canonicalizer writes.
fn leaf(event: &EventRecord, recorded_at: DateTime<Utc>) -> Vec<u8> {
    let moment = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut body = serde_json::to_value(event).unwrap();
    let fields = body.as_object_mut().unwrap();
    fields.remove("salt");
    fields.insert("occurred_at".to_owned(), json!(moment(event.occurred_at)));
    let body = serde_json_canonicalizer::to_vec(&body).unwrap();
    let body_hash = Sha256::new()
        .chain_update(event.salt)
        .chain_update(body)
        .finalize();
    let leaf = json!({
        "id": event.id,
        "recorded_at": moment(recorded_at),
        "severity": event.severity,
        "action": event.action,
        "resource_type": event.resource_type,
        "resource_id": event.resource_id,
        "previous_status": event.previous_status,
        "new_status": event.new_status,
        "body_sha256": hex::encode(body_hash),
    });
    serde_json_canonicalizer::to_vec(&leaf).unwrap()
}

/// Everything that is escaped, everything that is not, and keys that UTF-8 and UTF-16 order
/// differently.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z._]{0,12}",
        any::<String>(),
        "[\u{0}-\u{1f}\"\\\\/\u{7f}\u{80}\u{2028}]{1,8}",
        "[\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{10000}\u{1f6b0}\u{10ffff}]{1,4}",
    ]
}

fn number() -> impl Strategy<Value = Number> {
    let float = any::<f64>().prop_filter_map("finite", Number::from_f64);
    prop_oneof![
        (-EXACT..=EXACT).prop_map(Number::from),
        (-10_i64..10).prop_map(Number::from),
        Just(Number::from(EXACT)),
        Just(Number::from_f64(-0.0).unwrap()),
        float,
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let fields = btree_map(text(), inner.clone(), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Value::Array),
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    let micros = -1_000_000_000_000_000_i64..4_000_000_000_000_000;
    micros.prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

prop_compose! {
    fn event()(
        (id, severity, action, resource_type) in (id(), text(), text(), text()),
        (actor, role) in (text(), option::of(text())),
        (project_id, milestone_id) in (option::of(id()), option::of(id())),
        resource_id in option::of(text()),
        (previous_status, new_status) in (option::of(text()), option::of(text())),
        (changes, metadata, details) in (value(), value(), value()),
        ip_address in option::of(any::<std::net::IpAddr>()),
        (user_agent, request_id) in (option::of(text()), option::of(text())),
        (occurred_at, salt) in (moment(), any::<[u8; 16]>()),
    ) -> EventRecord {
        let actor = RecordedActor { id: actor, role };
        EventRecord {
            id, severity, occurred_at, action, actor, project_id, milestone_id, resource_type,
            resource_id, previous_status, new_status, changes, metadata, details, ip_address,
            user_agent, request_id, salt,
        }
    }
}

proptest! {
    // S8
    #[test]
    fn any_leaf_is_what_the_canonicalizer_makes_of_it(event in event(), recorded_at in moment()) {
        let written = event.leaf(recorded_at).unwrap();
        let expected = leaf(&event, recorded_at);
        prop_assert_eq!(String::from_utf8(written), String::from_utf8(expected));
    }
}

/// How long a leaf's hash takes, beside the canonicalizer's way; to be run alone, optimised.
#[test]
#[ignore = "a measurement"]
fn time_of_a_leaf() {
    const ROUNDS: u32 = 200_000;
    let event = EventRecord {
        id: Uuid::from_u128(7),
        severity: "info".to_owned(),
        occurred_at: time(0),
        action: "loan.assessed".to_owned(),
        actor: RecordedActor {
            id: "service-7".to_owned(),
            role: Some("service".to_owned()),
        },
        project_id: Some(Uuid::from_u128(8)),
        milestone_id: None,
        resource_type: "loan".to_owned(),
        resource_id: Some("loan-4711".to_owned()),
        previous_status: None,
        new_status: None,
        changes: Value::Null,
        metadata: Value::Null,
        details: json!({
            "model": "scoring-3", "score": 0.8125, "limits": [100, 200, 300],
            "reason": "income “verified” by two payslips", "nested": { "b": 1, "a": [true, null] },
            "message": "x".repeat(160),
        }),
        ip_address: Some([192, 0, 2, 7].into()),
        user_agent: Some("client/1.0".to_owned()),
        request_id: Some("0190f3a4-request".to_owned()),
        salt: [5; 16],
    };
    let each = |name: &str, of: &dyn Fn()| {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            of();
        }
        println!("{name}: {:?} each", begun.elapsed() / ROUNDS);
    };
    for _ in 0..3 {
        each("written", &|| {
            black_box(black_box(&event).leaf_hash(time(1)).unwrap());
        });
        each("canonicalized", &|| {
            black_box(leaf(black_box(&event), time(1)));
        });
    }
}
