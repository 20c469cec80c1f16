use std::net::TcpListener;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tranche_application::audit::record::{EventRecord, RecordedActor};
use tranche_application::ports::clock::Clock;
use tranche_application::ports::monitor::{Fallback, Fate, Incident, Monitor};
use uuid::Uuid;

use super::{LogMonitor, MOST_APART, lines};

/// A clock that a test turns, in seconds after its start.
#[derive(Default)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + self.0.load(Ordering::SeqCst))
    }
}

fn monitor() -> (LogMonitor, Arc<Turned>) {
    let clock = Arc::new(Turned::default());
    let quiet = LogMonitor {
        say: |_| {},
        ..LogMonitor::new(clock.clone())
    };
    (quiet, clock)
}

fn incident(critical: bool) -> Incident {
    Incident {
        operation: "milestone.approved",
        critical,
        error: "the store is unavailable: disk full".to_owned(),
        context: json!({ "milestone_id": "m-1" }),
    }
}

fn event(action: &str, number: u128) -> Arc<EventRecord> {
    Arc::new(EventRecord {
        id: Uuid::from_u128(number),
        severity: "info".to_owned(),
        occurred_at: Turned::default().now(),
        action: action.to_owned(),
        actor: RecordedActor {
            id: "user-7".to_owned(),
            role: None,
        },
        project_id: None,
        milestone_id: None,
        resource_type: "invoice".to_owned(),
        resource_id: Some(format!("i-{number}")),
        previous_status: None,
        new_status: None,
        changes: json!({}),
        metadata: json!({}),
        details: json!({ "note": "line one\nline two \"quoted\"" }),
        ip_address: None,
        user_agent: None,
        request_id: Some("r-1".to_owned()),
        salt: [7; 16],
    })
}

fn fallback(fate: Fate, action: &str, events: u128) -> Fallback {
    Fallback {
        fate,
        events: (0..events).map(|number| event(action, number)).collect(),
        error: "connection refused".to_owned(),
    }
}

fn parsed(fallback: &Fallback) -> Vec<Value> {
    let text = lines(fallback, Turned::default().now());
    assert!(text.is_empty() || text.ends_with('\n'));
    let line = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

/// M11: operation, error and context, as an error when money or duty is at stake.
#[test]
fn an_incident_reaches_sentry() {
    let (monitor, _) = monitor();
    let events = sentry::test::with_captured_events(|| {
        monitor.report(incident(true));
        monitor.report(incident(false));
    });
    let levels: Vec<_> = events.iter().map(|event| event.level).collect();
    assert_eq!(levels, [sentry::Level::Error, sentry::Level::Warning]);
    let event = &events[0];
    assert_eq!(event.tags["operation"], "milestone.approved");
    assert_eq!(event.extra["error"], "the store is unavailable: disk full");
    assert_eq!(event.extra["context"], json!({ "milestone_id": "m-1" }));
}

/// F3: one line with who, what and why, however many events there are.
#[test]
fn events_that_are_kept_elsewhere_are_one_line() {
    for fate in [Fate::Spooled, Fate::Held, Fate::Buried] {
        let told = parsed(&fallback(fate, "invoice.paid", 3));
        let expected = json!({
            "timestamp": "2027-01-15T08:00:00.000000Z",
            "kind": "audit.fallback",
            "fate": fate.as_str(),
            "count": 3,
            "action": "invoice.paid",
            "entity_type": "invoice",
            "entity_id": "i-0",
            "user_id": "user-7",
            "error": "connection refused",
        });
        assert_eq!(told, [expected]);
    }
    assert!(parsed(&fallback(Fate::Held, "a", 0)).is_empty());
}

/// F2: what is lost is on stderr whole, so that it can be read back.
#[test]
fn each_lost_event_is_a_line_with_its_whole_content() {
    let lost = fallback(Fate::Lost, "invoice.paid", 3);
    let told = parsed(&lost);
    assert_eq!(told.len(), 3);
    for (line, event) in told.iter().zip(&lost.events) {
        assert_eq!((&line["fate"], &line["count"]), (&json!("lost"), &json!(1)));
        let read: EventRecord = serde_json::from_value(line["event"].clone()).unwrap();
        assert_eq!(read, **event);
    }
}

/// F4: a warning with action, user, entity and the database's error.
#[test]
fn a_fallback_is_a_warning_to_sentry() {
    let (monitor, _) = monitor();
    let events = sentry::test::with_captured_events(|| {
        monitor.fallback(fallback(Fate::Spooled, "invoice.paid", 2));
    });
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event.level, sentry::Level::Warning);
    assert_eq!(event.tags["action"], "invoice.paid");
    assert_eq!(event.tags["fate"], "spooled");
    assert_eq!(event.tags["entity_type"], "invoice");
    assert_eq!(event.extra["entity_id"], "i-0");
    assert_eq!(event.extra["error"], "connection refused");
    assert_eq!(event.extra["count"], 2);
    let user = event.user.as_ref().unwrap();
    assert_eq!(user.id.as_deref(), Some("user-7"));
}

/// F4: a flood is one warning a minute for each fate of each action, with how many there were.
#[test]
fn a_flood_does_not_flood_sentry() {
    let (monitor, clock) = monitor();
    let events = sentry::test::with_captured_events(|| {
        for _ in 0..1_000 {
            monitor.fallback(fallback(Fate::Spooled, "a", 1));
        }
        monitor.fallback(fallback(Fate::Lost, "a", 1));
        monitor.fallback(fallback(Fate::Spooled, "b", 1));
        clock.0.store(60, Ordering::SeqCst);
        monitor.fallback(fallback(Fate::Spooled, "a", 1));
        // The clock is set back by an hour.
        clock.0.store(-3_600, Ordering::SeqCst);
        monitor.fallback(fallback(Fate::Spooled, "a", 1));
    });
    let counts: Vec<_> = events.iter().map(|e| e.extra["count"].clone()).collect();
    assert_eq!(counts, [1, 1, 1, 1_000, 1]);
}

/// Actions come from outside: however many there are, what is remembered is bounded.
#[test]
fn what_is_remembered_of_actions_is_bounded() {
    let (monitor, clock) = monitor();
    let events = sentry::test::with_captured_events(|| {
        for number in 0..MOST_APART * 2 {
            monitor.fallback(fallback(Fate::Held, &format!("a{number}"), 1));
        }
        clock.0.store(61, Ordering::SeqCst);
        monitor.fallback(fallback(Fate::Held, "another", 1));
    });
    assert_eq!(events.len(), MOST_APART + 1);
    assert!(monitor.told.lock().unwrap().len() <= MOST_APART);
}

/// A listener that takes connections and never answers: reporting returns at once, and so does the
/// end.
#[test]
fn a_sentry_that_hangs_delays_neither_reports_nor_the_end() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("http://key@{}/1", listener.local_addr().unwrap());
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let options = crate::sentry_client::options(&dsn).unwrap();
        let client = Arc::new(sentry::Client::from(sentry::apply_defaults(options)));
        let hub = Arc::new(sentry::Hub::new(Some(client.clone()), Arc::default()));
        let (monitor, _) = monitor();
        let began = Instant::now();
        sentry::Hub::run(hub.clone(), || {
            for number in 0..200 {
                monitor.fallback(fallback(Fate::Spooled, &format!("a{number}"), 1));
            }
        });
        let reported = began.elapsed();
        client.close(None);
        drop((hub, client));
        let _ = ended.send((reported, began.elapsed()));
    });
    let (reported, all) = end
        .recv_timeout(Duration::from_secs(90))
        .expect("the end comes");
    assert!(reported < Duration::from_secs(5), "{reported:?}");
    assert!(all < Duration::from_mins(1), "{all:?}");
    drop(listener);
}
