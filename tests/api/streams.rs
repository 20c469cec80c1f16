//! Event streams: every event once and in order, for whoever may see it, wherever they come back.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tranche_tests::support::service::{
    Caller, EventStream, Options, Sandbox, StoreKind, StreamEvent, Tranche, eventually,
};

use crate::scene::Scene;

on_both_stores! {
    followed: events_are_streamed_as_they_come_on_sqlite,
        events_are_streamed_as_they_come_on_postgres;
    confined: a_stream_shows_what_its_key_may_see_on_sqlite,
        a_stream_shows_what_its_key_may_see_on_postgres;
    refused: streams_that_cannot_be_are_refused_on_sqlite,
        streams_that_cannot_be_are_refused_on_postgres;
    ended: streams_end_with_a_reason_on_sqlite, streams_end_with_a_reason_on_postgres;
}

const STREAM: &str = "/v1/audit/stream";

fn options(more: &[(&'static str, &str)]) -> Options {
    let mut settings = vec![("TRANCHE_RATE_LIMIT", "1000000/h".to_owned())];
    settings.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    Options {
        settings,
        ..Options::default()
    }
}

fn start(store: StoreKind, more: &[(&'static str, &str)]) -> Tranche {
    Tranche::start(store, options(more))
}

fn event(action: &str, number: usize) -> Value {
    json!({
        "action": action, "resource_type": "invoice", "severity": "critical",
        "resource_id": number.to_string(),
    })
}

async fn send(caller: &Caller, entries: &[Value]) {
    let body = json!({ "entries": entries });
    caller.post("/v1/audit/events", &body).await.json(201);
}

fn numbers(events: &[StreamEvent]) -> Vec<&str> {
    let number = |event| -> &str {
        let event: &StreamEvent = event;
        event.data["resource_id"].as_str().unwrap_or("")
    };
    events.iter().map(number).collect()
}

fn assert_in_order(events: &[StreamEvent]) {
    let index = |event: &StreamEvent| event.data["leaf_index"].as_i64();
    assert!(events.is_sorted_by(|one, next| index(one) < index(next)));
}

// S6: what is acknowledged comes, in the order of the log, from where one asks.
async fn followed(store: StoreKind) {
    let tranche = start(store, &[]);
    let (service, auditor) = (
        tranche.caller("billing", "service", None),
        tranche.caller("ada", "auditor", None),
    );
    send(&service, &[event("invoice.sent", 0)]).await;
    let mut both = auditor
        .stream(&format!(
            "{STREAM}?after=-1&action=invoice.sent,invoice.paid&resource_type=invoice"
        ))
        .await;
    assert_eq!(
        numbers(&both.take(1).await),
        ["0"],
        "what was there comes first"
    );
    let mut now = auditor
        .stream(&format!("{STREAM}?action=invoice.sent"))
        .await;
    for number in 1..=5 {
        send(
            &service,
            &[event("invoice.sent", number), event("invoice.paid", number)],
        )
        .await;
        let seen = now.take(1).await;
        assert_eq!(
            numbers(&seen),
            [number.to_string()],
            "each after its commit"
        );
        assert_eq!(seen[0].data["action"], "invoice.sent");
        assert_eq!(seen[0].data["actor"]["id"], "billing");
    }
    let seen = both.take(10).await;
    assert_in_order(&seen);
    let expected: Vec<String> = (1..=5)
        .flat_map(|at| [at, at])
        .map(|at| at.to_string())
        .collect();
    assert_eq!(numbers(&seen), expected);

    // Last-Event-ID goes before what the address says.
    let middle = auditor.with("last-event-id", &seen[6].id);
    let mut again = middle
        .stream(&format!("{STREAM}?after=-1&resource_type=invoice"))
        .await;
    assert_eq!(again.take(3).await, seen[7..]);

    let reads = "SELECT count(*) FROM audit_events WHERE action = 'audit.read' \
                 AND actor_id = 'ada' AND resource_id = 'stream'";
    eventually("who reads is in the log", async || {
        (tranche.sql(reads).await == "3").then_some(())
    })
    .await;
}

// S6 S9: a key for one project sees its events alone, live and from the log.
async fn confined(store: StoreKind) {
    let scene = Scene::new(store);
    let (ours, theirs) = (scene.project().await, scene.project().await);
    let auditor = scene.tranche.caller("ada", "auditor", Some(&ours));
    let path = format!("{STREAM}?after=-1&action=project.created,milestone.created");
    let mut stream = auditor.stream(&path).await;
    for (project, number) in [(&theirs, 1), (&ours, 1), (&theirs, 2), (&ours, 2)] {
        scene.draft(project, number, "1.00").await;
    }
    let live = stream.take(3).await;
    let actions = |events: &[StreamEvent]| -> Vec<Value> {
        events
            .iter()
            .map(|event| event.data["action"].clone())
            .collect()
    };
    let expected = ["project.created", "milestone.created", "milestone.created"];
    assert_eq!(actions(&live), expected);
    for event in &live {
        assert_eq!(event.data["project_id"], *ours);
    }
    assert_eq!(auditor.stream(&path).await.take(3).await, live);
    let milestone = &live[1].data["milestone_id"];
    let one = format!("{path}&milestone_id={}", milestone.as_str().unwrap_or(""));
    assert_eq!(auditor.stream(&one).await.take(1).await, live[1..2]);
}

// S6: each mistake is named, and nobody takes all the streams.
async fn refused(store: StoreKind) {
    let tranche = start(
        store,
        &[("TRANCHE_STREAMS", "4"), ("TRANCHE_STREAMS_PER_KEY", "3")],
    );
    let auditor = tranche.caller("ada", "auditor", None);
    for position in ["x", "-2", "1.5", "99999999999999999999", "1000000", ""] {
        let path = format!("{STREAM}?after={position}");
        let problem = auditor.get(&path).await.problem(400, "request.malformed");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap_or("")
                .starts_with("after "),
            "{problem}"
        );
        let last = auditor.with("last-event-id", position).get(STREAM).await;
        let problem = last.problem(400, "request.malformed");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap_or("")
                .starts_with("Last-Event-ID ")
        );
    }
    for (query, field) in [
        ("severity=grave", "severity"),
        ("action=", "action"),
        ("project_id=7", "project_id"),
        ("details=7", "details"),
        ("details={", "details"),
        ("details=null", "details"),
        ("limit=5", "limit"),
    ] {
        let refused = auditor.get(&format!("{STREAM}?{query}")).await;
        assert_eq!(refused.refused_fields(), [field], "{query}");
    }
    let viewer = tranche.caller("eve", "viewer", None);
    viewer.get(STREAM).await.problem(403, "auth.role_required");
    tranche
        .with_token(None)
        .get(STREAM)
        .await
        .problem(401, "auth.missing");

    let mut taken: Vec<EventStream> = Vec::new();
    for _ in 0..3 {
        taken.push(auditor.stream(STREAM).await);
    }
    let full = auditor.get(STREAM).await;
    full.problem(429, "stream.too_many");
    assert!(!full.header("retry-after").is_empty());
    let other = tranche.caller("bola", "auditor", None);
    taken.push(other.stream(STREAM).await);
    other.get(STREAM).await.problem(503, "stream.no_room");
    drop(taken);
    eventually("who left made room", async || {
        let open = figure(&tranche, "tranche_streams").await;
        (open == "0").then_some(())
    })
    .await;
    auditor.stream(STREAM).await;
}

// S6: a revoked key's stream ends soon, and every stream when the service stops.
async fn ended(store: StoreKind) {
    let mut tranche = start(store, &[]);
    let token = tranche.key("ada", "auditor", None);
    let id = token.split('_').nth(1).expect("a key has an id").to_owned();
    let stream = tranche.with_token(Some(&token)).stream(STREAM).await;
    let other = tranche.caller("bola", "auditor", None).stream(STREAM).await;
    assert!(tranche.command(&["key", "revoke", &id]).status.success());
    assert_eq!(stream.end().await, "denied");
    let denied = r#"tranche_streams_ended_total{reason="denied"}"#;
    assert_eq!(figure(&tranche, denied).await, "1");
    let waits = tokio::spawn(other.end());
    assert_eq!(tranche.terminate(), Some(0), "streams hold nobody up");
    assert_eq!(waits.await.expect("it reads"), "shutdown");
}

// S6: a stream that has nothing to tell says that it lives, and how far it looked: whoever comes back
// with that has missed nothing and need not look there again. To begin one counts as a query.
#[tokio::test]
async fn a_quiet_stream_says_how_far_it_looked() {
    let tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let [service, auditor] = tranche.callers([("billing", "service"), ("ada", "auditor")]);
    send(&service, &[event("invoice.sent", 0)]).await;
    let left = async || {
        let stats = auditor.get("/v1/audit/stats").await;
        let left: i64 = stats
            .header("ratelimit-remaining")
            .parse()
            .expect("a count");
        left
    };
    let before = left().await;
    let path = format!("{STREAM}?action=invoice.paid");
    let mut stream = auditor.stream(&path).await;
    assert_eq!(
        before - left().await,
        2,
        "the stream and the question itself"
    );
    let looked: i64 = stream.sign_of_life().await.parse().expect("a position");
    let last = "SELECT max(leaf_index) FROM audit_leaves";
    let last: i64 = tranche.sql(last).await.parse().expect("a leaf index");
    assert!((0..=last).contains(&looked), "{looked} of {last}");
    send(&service, &[event("invoice.paid", 1)]).await;
    let live = stream.take(1).await;
    let back = auditor.with("last-event-id", &looked.to_string());
    assert_eq!(back.stream(&path).await.take(1).await, live);
    eventually("what both were told is counted", async || {
        let told = figure(&tranche, "tranche_stream_events_total").await;
        (told == "2").then_some(())
    })
    .await;
    // The last event there is: nothing more to come yet, and no mistake.
    let end = auditor.with("last-event-id", &live[0].id);
    let mut end = end.stream(&path).await;
    send(&service, &[event("invoice.paid", 2)]).await;
    assert_eq!(numbers(&end.take(1).await), ["2"]);
}

/// A figure of `/metrics`, 0 where there is none yet.
async fn figure(tranche: &Tranche, name: &str) -> String {
    let metrics = tranche.with_token(None).get("/metrics").await;
    let line = metrics
        .text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    line.map_or("0", |line| &line[name.len() + 1..]).to_owned()
}

// S6: whoever reads nothing is left, and nobody else waits for them.
#[tokio::test]
async fn a_reader_that_never_reads_is_left() {
    let tranche = start(StoreKind::Sqlite, &[("TRANCHE_STALL_SECONDS", "2")]);
    let service = tranche.caller("billing", "service", None);
    let key = tranche.key("ada", "auditor", None);
    let host = tranche.url().replace("http://", "");
    let mut never = TcpStream::connect(&host).expect("it listens");
    write!(
        never,
        "GET {STREAM}?after=-1 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    .expect("it takes the call");
    let auditor = tranche.with_token(Some(&key));
    let mut quick = auditor
        .stream(&format!("{STREAM}?action=invoice.sent"))
        .await;
    let ended = r#"tranche_streams_ended_total{reason="slow_reader"}"#;
    let (mut sent, mut seen) = (0, 0);
    let until = Instant::now() + Duration::from_mins(1);
    // Until the machine's own buffers are full.
    while figure(&tranche, ended).await != "1" {
        assert!(Instant::now() < until, "it is never left");
        let bulky = (0..40).map(|at| {
            let mut bulky = event("invoice.sent", sent + at);
            bulky["severity"] = json!("info");
            bulky["details"] = json!({ "text": "a".repeat(60_000) });
            bulky
        });
        let body = json!({ "entries": bulky.collect::<Vec<_>>() });
        let answer = service.post("/v1/audit/events", &body).await;
        assert!(matches!(answer.status, 201 | 202), "{}", answer.text);
        sent += 40;
        seen += quick.take(40).await.len();
    }
    assert_eq!(seen, sent);
    assert_eq!(figure(&tranche, "tranche_streams").await, "1");
    assert!(tranche.log().contains(r#""reason":"slow_reader""#));
    drop(never);
}

/// From now on, transactions that write events last for up to a quarter of a second after that: the
/// order of commits is not that of ids.
const LATE: &str = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(random() * 0.25); RETURN NULL; END $$;
    CREATE TRIGGER late AFTER INSERT ON audit_pending FOR EACH STATEMENT EXECUTE FUNCTION late()";

// S6: whoever comes back, on whichever process, misses nothing and gets nothing twice, though
// transactions commit late.
#[tokio::test]
async fn a_stream_goes_on_in_another_process() {
    const WRITERS: usize = 8;
    const EACH: usize = 20;
    let sandbox = Sandbox::start(200);
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..options(&[])
    };
    let mut tranche = Tranche::start(StoreKind::Postgres, options);
    tranche.sql(LATE).await;
    let replica = tranche.replica(&[]);
    let (billing, key) = (
        tranche.key("billing", "service", None),
        tranche.key("ada", "auditor", None),
    );
    let writers = (0..WRITERS).map(|writer| {
        let service = match writer % 2 {
            0 => tranche.with_token(Some(&billing)),
            _ => replica.with_token(&billing),
        };
        tokio::spawn(async move {
            for number in 0..EACH {
                send(&service, &[event("invoice.sent", writer * EACH + number)]).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let here = [tranche.with_token(Some(&key)), replica.with_token(&key)];
    let (mut last, mut seen) = ("-1".to_owned(), Vec::new());
    let path = format!("{STREAM}?action=invoice.sent");
    for turn in 0.. {
        let left = WRITERS * EACH - seen.len();
        if left == 0 {
            break;
        }
        let reader = here[turn % 2].with("last-event-id", &last);
        let mut stream = reader.stream(&path).await;
        seen.extend(stream.take(left.min(turn % 17 + 1)).await);
        // Nothing may have come in between: then the last id is older, and as good.
        last.clone_from(&stream.last_id);
    }
    for writer in writers {
        writer.await.expect("it writes");
    }
    assert_in_order(&seen);
    let numbers: BTreeSet<usize> = numbers(&seen)
        .iter()
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(numbers, (0..WRITERS * EACH).collect(), "each one");
    assert_eq!(seen.len(), WRITERS * EACH, "once");
}
