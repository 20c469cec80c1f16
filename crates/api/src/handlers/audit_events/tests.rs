use std::sync::Arc;

use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tranche_application::audit::intake::Intake;
use tranche_application::audit::pipeline::Pipeline;
use tranche_application::mocks::{
    MockAuditQueue, MockAuditStore, MockClock, MockDeadLetters, MockEntropy, MockMonitor, MockStore,
};
use tranche_application::ports::queue::QueueError;
use tranche_application::ports::store::StoreError;
use tranche_application::{Caller, Services};
use tranche_domain::{Actor, Origin, Role};
use uuid::Uuid;

use super::{MOST_ENTRIES, take};
use crate::auth::Permission;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn services() -> Services {
    let (mut clock, mut entropy, mut monitor) =
        (MockClock::new(), MockEntropy::new(), MockMonitor::new());
    clock.expect_now().returning(now);
    entropy.expect_id().returning(|| Uuid::from_u128(1));
    entropy.expect_salt().returning(|| [7; 16]);
    monitor.expect_fallback().returning(drop);
    monitor.expect_report().returning(drop);
    Services {
        store: Arc::new(MockStore::new()),
        clock: Arc::new(clock),
        entropy: Arc::new(entropy),
        monitor: Arc::new(monitor),
        outbox: Arc::new(Notify::new()),
    }
}

/// How much queue and spool hold, and whether the log takes events.
struct Sinks {
    queue: usize,
    spool: usize,
    log: bool,
}

const WELL: Sinks = Sinks {
    queue: 10_000,
    spool: 10_000,
    log: true,
};

fn holds(room: usize) -> Arc<MockAuditQueue> {
    let mut queue = MockAuditQueue::new();
    queue
        .expect_push()
        .returning(move |events, _| Ok::<_, QueueError>(events.len().min(room)));
    Arc::new(queue)
}

/// Sends a body as it is; the status and what was answered.
async fn send(sinks: &Sinks, body: &[u8]) -> (StatusCode, Value) {
    let services = services();
    let (mut log, takes) = (MockAuditStore::new(), sinks.log);
    let down = || StoreError::Unavailable("it is away".into());
    log.expect_append().returning(move |events, _| {
        if takes {
            Ok(events.len() as u64)
        } else {
            Err(down())
        }
    });
    log.expect_probe()
        .returning(move |_, _| if takes { Ok(()) } else { Err(down()) });
    let intake = Intake::new(Pipeline {
        services: services.clone(),
        log: Arc::new(log),
        letters: Arc::new(MockDeadLetters::new()),
        queue: holds(sinks.queue),
        spool: holds(sinks.spool),
        availability: Arc::default(),
        meters: Arc::default(),
    });
    let sender = Caller {
        actor: Actor {
            id: "billing".to_owned(),
            role: Role::Service,
        },
        origin: Origin::default(),
        scope: None,
    };
    let answer = take(&services, &intake, &sender, body)
        .await
        .into_response();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn event(severity: &str) -> Value {
    json!({ "action": "invoice.sent", "resource_type": "invoice", "severity": severity })
}

async fn post(sinks: &Sinks, entries: &[Value]) -> (u16, Value) {
    let body = json!({ "entries": entries }).to_string();
    let (status, answer) = send(sinks, body.as_bytes()).await;
    (status.as_u16(), answer)
}

fn counts(answer: &Value) -> [u64; 3] {
    ["accepted", "stored", "queued"].map(|name| answer[name].as_u64().unwrap())
}

/// The index and the field of everything that was rejected.
fn rejected(answer: &Value) -> Vec<(u64, &str)> {
    let all = answer["rejected"].as_array().unwrap().iter();
    all.flat_map(|entry| {
        let index = entry["index"].as_u64().unwrap();
        let errors = entry["errors"].as_array().unwrap().iter();
        errors.map(move |error| (index, error["field"].as_str().unwrap()))
    })
    .collect()
}

// S2, S3
#[tokio::test]
async fn the_answer_says_what_is_in_the_log_and_what_will_be() {
    let (status, answer) = post(&WELL, &[event("critical"), event("critical")]).await;
    assert_eq!((status, counts(&answer)), (201, [2, 2, 0]));
    assert_eq!(answer["rejected"], json!([]));
    let (status, answer) = post(&WELL, &[event("critical"), event("info")]).await;
    assert_eq!((status, counts(&answer)), (202, [2, 1, 1]));
}

// S1, S2
#[tokio::test]
async fn good_entries_are_kept_when_others_are_refused() {
    let entries = [
        event("info"),
        event("fatal"),
        json!(7),
        event("critical"),
        json!({ "x": 1 }),
    ];
    let (status, answer) = post(&WELL, &entries).await;
    assert_eq!((status, counts(&answer)), (202, [2, 1, 1]));
    assert_eq!(
        rejected(&answer),
        [
            (1, "severity"),
            (2, "entry"),
            (4, "x"),
            (4, "action"),
            (4, "resource_type")
        ]
    );
}

#[tokio::test]
async fn a_request_without_a_good_entry_is_a_problem_that_names_every_field() {
    let (status, problem) = post(&WELL, &[event("fatal"), json!([])]).await;
    assert_eq!((status, counts(&problem)), (422, [0, 0, 0]));
    assert_eq!(problem["code"], "request.invalid");
    let fields: Vec<&Value> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["field"])
        .collect();
    assert_eq!(fields, ["entries[0].severity", "entries[1]"]);
    assert_eq!(rejected(&problem), [(0, "severity"), (1, "entry")]);
}

// S2
#[tokio::test]
async fn a_thousand_entries_are_taken_and_one_more_is_not() {
    let mut entries = vec![event("info"); MOST_ENTRIES];
    let (status, answer) = post(&WELL, &entries).await;
    assert_eq!((status, counts(&answer)), (202, [1000, 0, 1000]));
    entries.push(event("info"));
    for entries in [&entries[..], &[]] {
        let (status, problem) = post(&WELL, entries).await;
        assert_eq!(status, 422);
        assert_eq!(problem["errors"][0]["field"], "entries");
    }
}

#[tokio::test]
async fn what_is_no_utf_8_is_refused_where_it_is() {
    let good = event("info").to_string();
    let bad = b"{\"action\":\"b\xffd\",\"resource_type\":\"t\"}";
    let body = [b"{\"entries\":[", good.as_bytes(), b",", bad, b"]}"].concat();
    let (status, answer) = send(&WELL, &body).await;
    assert_eq!((status.as_u16(), counts(&answer)), (202, [1, 0, 1]));
    assert_eq!(rejected(&answer), [(1, "action")]);
    let told = answer["rejected"][0]["errors"][0]["message"]
        .as_str()
        .unwrap();
    assert!(told.contains("UTF-8"), "{told}");
    let (status, problem) = send(&WELL, b"{\"entries\":[\xff]}").await;
    assert_eq!(status.as_u16(), 400);
    assert_eq!(problem["detail"], "the body is not UTF-8");
}

// S3
#[tokio::test]
async fn nothing_is_taken_while_a_critical_event_cannot_be_stored() {
    let away = Sinks { log: false, ..WELL };
    let (status, problem) = post(&away, &[event("info"), event("critical")]).await;
    assert_eq!(status, 503);
    assert_eq!(problem["code"], "audit.store_unavailable");
    let (status, answer) = post(&away, &[event("info")]).await;
    assert_eq!((status, counts(&answer)), (202, [1, 0, 1]));
}

// P2, F2
#[tokio::test]
async fn what_finds_no_room_is_refused_and_named() {
    let small = Sinks {
        queue: 1,
        spool: 1,
        log: true,
    };
    let entries = [
        json!(7),
        event("info"),
        event("info"),
        event("warning"),
        event("info"),
    ];
    let (status, answer) = post(&small, &entries).await;
    assert_eq!((status, counts(&answer)), (202, [3, 1, 2]));
    assert_eq!(rejected(&answer), [(0, "entry"), (4, "entry")]);
    let full = Sinks {
        queue: 0,
        spool: 0,
        log: true,
    };
    let (status, problem) = post(&full, &entries[..3]).await;
    assert_eq!((status, counts(&problem)), (503, [0, 0, 0]));
    assert_eq!(problem["code"], "audit.queue_full");
    assert_eq!(rejected(&problem).len(), 3);
}

// S2
#[test]
fn only_services_send_events() {
    assert_eq!(Permission::Ingest.roles(), [Role::Service]);
}
