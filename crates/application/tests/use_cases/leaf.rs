//! The leaf that stands for an event in the public tree: known bytes, no personal data, and bound
//! to every field.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tranche_application::audit::record::{CanonicalError, EventRecord, RecordedActor};
use uuid::Uuid;

use super::scene::time;

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const PROJECT: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const MILESTONE: &str = "01890a5d-ac96-774b-bcce-b302099a8059";

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn recorded_at() -> DateTime<Utc> {
    at("2026-11-20T10:15:31.5Z")
}

fn record() -> EventRecord {
    EventRecord {
        id: ID.parse().unwrap(),
        severity: "critical".to_owned(),
        occurred_at: at("2026-11-20T10:15:30.000001Z"),
        action: "milestone.approved".to_owned(),
        actor: RecordedActor {
            id: "checker".to_owned(),
            role: Some("approver".to_owned()),
        },
        project_id: Some(PROJECT.parse().unwrap()),
        milestone_id: Some(MILESTONE.parse().unwrap()),
        resource_type: "milestone".to_owned(),
        resource_id: Some(MILESTONE.to_owned()),
        previous_status: Some("submitted".to_owned()),
        new_status: Some("approved".to_owned()),
        changes: json!({ "title": { "to": "Bohrlöcher", "from": null } }),
        metadata: json!({ "number": 1, "amount": "500.0000000" }),
        details: Value::Null,
        ip_address: Some([192, 0, 2, 7].into()),
        user_agent: Some("tests/1 \"quoted\"\n".to_owned()),
        request_id: Some("request-7".to_owned()),
        salt: [5; 16],
    }
}

/// RFC 8785 by hand: members sorted, no space, text as it is but for what JSON must escape.
fn body() -> String {
    [
        r#"{"action":"milestone.approved","actor":{"id":"checker","role":"approver"},"#,
        r#""changes":{"title":{"from":null,"to":"Bohrlöcher"}},"details":null,"#,
        &format!(r#""id":"{ID}","ip_address":"192.0.2.7","#),
        r#""metadata":{"amount":"500.0000000","number":1},"#,
        &format!(r#""milestone_id":"{MILESTONE}","new_status":"approved","#),
        r#""occurred_at":"2026-11-20T10:15:30.000001Z","previous_status":"submitted","#,
        &format!(r#""project_id":"{PROJECT}","request_id":"request-7","#),
        &format!(r#""resource_id":"{MILESTONE}","resource_type":"milestone","#),
        r#""severity":"critical","user_agent":"tests/1 \"quoted\"\n"}"#,
    ]
    .concat()
}

fn leaf() -> String {
    let mut salted = vec![5; 16];
    salted.extend(body().into_bytes());
    [
        r#"{"action":"milestone.approved","#,
        &format!(
            r#""body_sha256":"{}","id":"{ID}","#,
            hex::encode(Sha256::digest(salted))
        ),
        r#""new_status":"approved","previous_status":"submitted","#,
        r#""recorded_at":"2026-11-20T10:15:31.500000Z","#,
        &format!(r#""resource_id":"{MILESTONE}","resource_type":"milestone","#),
        r#""severity":"critical"}"#,
    ]
    .concat()
}

// S8
#[test]
fn the_leaf_is_these_bytes() {
    let written = record().leaf(recorded_at()).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), leaf());
}

// S8
#[test]
fn the_leaf_hash_is_that_of_rfc_6962() {
    let prefixed = [&[0], leaf().as_bytes()].concat();
    assert_eq!(
        record().leaf_hash(recorded_at()).unwrap(),
        <[u8; 32]>::from(Sha256::digest(prefixed))
    );
}

// S8, S9
#[test]
fn the_leaf_holds_no_personal_data() {
    let written = String::from_utf8(record().leaf(recorded_at()).unwrap()).unwrap();
    for private in [
        "checker",
        "192.0.2.7",
        "tests/1",
        "request-7",
        "Bohrlöcher",
        "500.0000000",
    ] {
        assert!(!written.contains(private), "{private}");
    }
}

/// A change of one field, by the field's name.
type Change = (&'static str, fn(&mut EventRecord));

/// A change of every field.
fn changes() -> Vec<Change> {
    // A field that is added here must be added below.
    let EventRecord {
        id: _,
        severity: _,
        occurred_at: _,
        action: _,
        actor: RecordedActor { id: _, role: _ },
        project_id: _,
        milestone_id: _,
        resource_type: _,
        resource_id: _,
        previous_status: _,
        new_status: _,
        changes: _,
        metadata: _,
        details: _,
        ip_address: _,
        user_agent: _,
        request_id: _,
        salt: _,
    } = record();
    vec![
        ("id", |event| event.id = Uuid::from_u128(1)),
        ("severity", |event| event.severity = "info".to_owned()),
        ("occurred_at", |event| {
            event.occurred_at += TimeDelta::microseconds(1);
        }),
        ("action", |event| {
            event.action = "milestone.rejected".to_owned();
        }),
        ("actor.id", |event| event.actor.id = "maker".to_owned()),
        ("actor.role", |event| event.actor.role = None),
        ("project_id", |event| event.project_id = None),
        ("milestone_id", |event| event.milestone_id = None),
        ("resource_type", |event| {
            event.resource_type = "project".to_owned();
        }),
        ("resource_id", |event| event.resource_id = None),
        ("previous_status", |event| event.previous_status = None),
        ("new_status", |event| event.new_status = None),
        ("changes", |event| {
            event.changes["title"]["to"] = json!("Brunnen");
        }),
        ("metadata", |event| event.metadata["number"] = json!(2)),
        ("details", |event| event.details = json!({})),
        ("ip_address", |event| {
            event.ip_address = Some([192, 0, 2, 8].into());
        }),
        ("user_agent", |event| event.user_agent = None),
        ("request_id", |event| event.request_id = None),
        ("salt", |event| event.salt[15] ^= 1),
    ]
}

// S8
#[test]
fn every_field_is_bound_by_the_hash() {
    let mut hashes = vec![record().leaf_hash(recorded_at()).unwrap()];
    for (field, change) in changes() {
        let mut event = record();
        change(&mut event);
        let hash = event.leaf_hash(recorded_at()).unwrap();
        assert!(!hashes.contains(&hash), "{field}");
        hashes.push(hash);
    }
    let later = recorded_at() + TimeDelta::microseconds(1);
    assert!(!hashes.contains(&record().leaf_hash(later).unwrap()));
}

// S8
#[test]
fn an_event_read_back_has_the_same_leaf() {
    let stored = serde_json::to_string(&record()).unwrap();
    let read: EventRecord = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, record());
    assert_eq!(
        read.leaf_hash(time(0)).unwrap(),
        record().leaf_hash(time(0)).unwrap()
    );
}

// S8
#[test]
fn a_number_is_bound_to_the_last_digit_or_refused() {
    const EXACT: i64 = (1 << 53) - 1;
    let with = |number: Value| {
        let mut event = record();
        event.details = json!({ "list": [{ "number": number }] });
        event.leaf_hash(recorded_at())
    };
    let exact = [EXACT, EXACT - 1, -EXACT, 1 - EXACT].map(|number| with(json!(number)).unwrap());
    for (index, hash) in exact.iter().enumerate() {
        assert!(!exact[..index].contains(hash));
    }
    for rounded in [json!(EXACT + 1), json!(-EXACT - 1), json!(u64::MAX)] {
        let error = with(rounded.clone()).unwrap_err();
        assert!(matches!(error, CanonicalError::Rounded(_)), "{rounded}");
    }
}
