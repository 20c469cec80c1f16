//! Events of other services over HTTP: what is accepted, where it is then, and what is refused.

use reqwest::Method;
use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Caller, Options, StoreKind, Tranche, eventually};
use uuid::{NoContext, Timestamp, Uuid};

use crate::scene::{Scene, id};

on_both_stores! {
    kept: what_is_accepted_is_in_the_log_once_on_sqlite,
        what_is_accepted_is_in_the_log_once_on_postgres;
    judged: each_entry_is_judged_by_itself_on_sqlite, each_entry_is_judged_by_itself_on_postgres;
    confined: a_key_for_one_project_sends_its_events_alone_on_sqlite,
        a_key_for_one_project_sends_its_events_alone_on_postgres;
    extremes: the_most_that_is_allowed_is_stored_on_sqlite,
        the_most_that_is_allowed_is_stored_on_postgres;
}

const EVENTS: &str = "/v1/audit/events";

fn start(store: StoreKind, rate_limit: &str) -> Tranche {
    let options = Options {
        settings: vec![("TRANCHE_RATE_LIMIT", rate_limit.to_owned())],
        ..Options::default()
    };
    Tranche::start(store, options)
}

fn fresh() -> Uuid {
    Uuid::new_v7(Timestamp::now(NoContext))
}

fn event(severity: &str) -> Value {
    json!({
        "id": fresh(), "action": "invoice.sent", "resource_type": "invoice", "severity": severity,
        "resource_id": "inv-7", "actor_id": "ada", "details": { "total": "12.50" },
    })
}

async fn send(caller: &Caller, entries: &[Value]) -> Answer {
    caller.post(EVENTS, &json!({ "entries": entries })).await
}

/// Waits until so many events of the tests' action are in the log.
async fn stored(tranche: &Tranche, count: usize) {
    let sql = "SELECT count(*) FROM audit_events WHERE action = 'invoice.sent'";
    eventually("the events are in the log", async || {
        (tranche.sql(sql).await == count.to_string()).then_some(())
    })
    .await;
}

// S2 S3: critical before the answer, the rest soon after, each once however often it is sent.
async fn kept(store: StoreKind) {
    let tranche = start(store, "off");
    let service = tranche.caller("billing", "service", None);
    let critical = [event("critical"), event("critical")];
    let answer = send(&service, &critical).await.json(201);
    let expected = json!({ "accepted": 2, "stored": 2, "queued": 0, "rejected": [] });
    assert_eq!(answer, expected);
    let count = "SELECT count(*) FROM audit_events WHERE action = 'invoice.sent'";
    assert_eq!(tranche.sql(count).await, "2", "before the answer");

    let mixed = [event("critical"), event("warning"), event("info")];
    for key in ["a", "a", "b"] {
        let answer = send(&service.keyed(key), &mixed).await;
        assert!(matches!(answer.status, 201 | 202), "{}", answer.text);
        let told = answer.json(answer.status);
        assert_eq!(told["accepted"], 3, "{told}");
    }
    stored(&tranche, 5).await;
    send(&service, &critical).await.json(201);
    assert_eq!(tranche.sql(count).await, "5");
    let sender = "SELECT count(*) FROM audit_events WHERE actor_id = 'ada' AND actor_role IS NULL
        AND severity IN ('critical', 'warning', 'info') AND request_id IS NOT NULL";
    assert_eq!(tranche.sql(sender).await, "5");
}

// S1 S2: what is wrong is named, what is good is kept.
async fn judged(store: StoreKind) {
    let tranche = start(store, "off");
    let service = tranche.caller("billing", "service", None);
    let bad: Vec<(&str, Value)> = vec![
        ("severity", json!("fatal")),
        ("action", json!("")),
        ("action", json!("bell\u{7}")),
        ("resource_type", Value::Null),
        ("details", json!({ "a": "x".repeat(65 * 1024) })),
        ("details", json!({ "a": 9_007_199_254_740_992_u64 })),
        ("details", json!({ "a": "\u{0}" })),
        ("id", json!("00000000-0000-4000-8000-000000000000")),
        ("id", json!("01890a5d-ac96-774b-bcce-b302099a8057")),
        ("occurred_at", json!("2999-01-01T00:00:00Z")),
        ("occurred_at", json!("2020-01-01T00:00:00Z")),
        ("ip_address", json!("localhost")),
        ("project_id", json!("7")),
        ("actor_id", json!(7)),
        ("statuss", json!("x")),
    ];
    let mut entries = vec![event("info")];
    for (field, value) in &bad {
        let mut entry = event("critical");
        entry[*field] = value.clone();
        entries.push(entry);
    }
    entries.push(json!("no object"));
    let answer = send(&service, &entries).await.json(202);
    let counts = ["accepted", "stored", "queued"].map(|name| answer[name].clone());
    assert_eq!(counts, [json!(1), json!(0), json!(1)]);
    let rejected = answer["rejected"].as_array().expect("a list");
    assert_eq!(rejected.len(), bad.len() + 1);
    for ((index, (field, value)), told) in (1..).zip(&bad).zip(rejected) {
        assert_eq!(told["index"], index, "{told}");
        assert_eq!(told["errors"][0]["field"], *field, "{value}: {told}");
    }
    stored(&tranche, 1).await;

    let problem = send(&service, &entries[1..2]).await;
    assert_eq!(problem.refused_fields(), ["entries[0].severity"]);
    let problem = problem.json(422);
    assert_eq!(
        (&problem["accepted"], &problem["rejected"][0]["index"]),
        (&json!(0), &json!(0))
    );
}

// S9
async fn confined(store: StoreKind) {
    let scene = Scene::with(
        store,
        Options {
            settings: vec![("TRANCHE_RATE_LIMIT", "off".to_owned())],
            ..Options::default()
        },
    );
    let (own, other) = (scene.project().await, scene.project().await);
    let service = scene.tranche.caller("billing", "service", Some(&own));
    let mut entries = [event("critical"), event("critical"), event("critical")];
    entries[1]["project_id"] = json!(own);
    entries[2]["project_id"] = json!(other);
    let answer = send(&service, &entries).await.json(201);
    assert_eq!(answer["stored"], 2, "{answer}");
    assert_eq!(answer["rejected"][0]["index"], 2, "{answer}");
    assert_eq!(answer["rejected"][0]["errors"][0]["field"], "project_id");
    let timeline = scene
        .admin
        .get(&format!("/v1/projects/{own}/activity"))
        .await;
    let sent: Vec<String> = crate::scene::rows(&timeline.json(200))
        .iter()
        .filter(|row| row["action"] == "invoice.sent")
        .map(id)
        .collect();
    assert_eq!(sent.len(), 2);
}

// S1: whatever is accepted no store refuses.
async fn extremes(store: StoreKind) {
    let tranche = start(store, "off");
    let service = tranche.caller("billing", "service", None);
    let deep = (0..31).fold(json!(1), |inner, _| json!([inner]));
    let mut entry = event("critical");
    entry["resource_type"] = json!("😀".repeat(200));
    entry["resource_id"] = json!("😀".repeat(400));
    entry["actor_id"] = json!("é".repeat(200));
    entry["user_agent"] = json!("é".repeat(512));
    entry["ip_address"] = json!("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
    entry["details"] = json!({
        "deep": deep, "text": "\u{1}\u{7f}\u{ffff}😀", "largest": 9_007_199_254_740_991_i64,
        "tiny": 5e-324, "minus": -0.0, "fraction": 0.100_000_000_000_000_02, "long": "x".repeat(65_000),
    });
    send(&service, &[entry]).await.json(201);
    stored(&tranche, 1).await;
    let many: Vec<Value> = (0..1000).map(|_| event("critical")).collect();
    assert_eq!(send(&service, &many).await.json(201)["stored"], 1000);
    stored(&tranche, 1001).await;
}

// S2: the body as a whole.
#[tokio::test]
async fn a_body_that_cannot_be_split_is_refused() {
    let tranche = start(StoreKind::Sqlite, "off");
    let service = tranche.caller("billing", "service", None);
    let raw = async |body: &[u8]| {
        let caller = service.with("content-type", "application/json");
        caller.send(Method::POST, EVENTS, Some(body.to_vec())).await
    };
    for malformed in [&b"{"[..], b"[]", b"", b"\xff{}", br#"{"entries":[1,]}"#] {
        raw(malformed).await.problem(400, "request.malformed");
    }
    for entries in [vec![], vec![event("info"); 1001]] {
        assert_eq!(send(&service, &entries).await.refused_fields(), ["entries"]);
    }
    let large = format!(r#"{{"entries":[{}1]}}"#, " ".repeat(8 * 1024 * 1024));
    raw(large.as_bytes())
        .await
        .problem(413, "request.too_large");
    let text = service.with("content-type", "text/plain");
    let answer = text.send(Method::POST, EVENTS, Some(b"{}".to_vec())).await;
    answer.problem(415, "request.not_json");
    let deep = format!(
        r#"{{"entries":[{}{}]}}"#,
        "[".repeat(500_000),
        "]".repeat(500_000)
    );
    let problem = raw(deep.as_bytes()).await;
    assert_eq!(problem.refused_fields(), ["entries[0]"]);
    let spoiled = b"{\"entries\":[{\"action\":\"\xff\",\"resource_type\":\"t\"}]}";
    assert_eq!(raw(spoiled).await.refused_fields(), ["entries[0].action"]);
}

// S9
#[tokio::test]
async fn who_sends_too_often_is_told_when_to_come_back() {
    let tranche = start(StoreKind::Sqlite, "2/d");
    let [service, other] = tranche.callers([("billing", "service"), ("reports", "service")]);
    let one = [event("info")];
    for left in ["1", "0"] {
        let answer = send(&service, &one).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(answer.header("ratelimit-limit"), "2");
        assert_eq!(answer.header("ratelimit-remaining"), left);
    }
    let refused = send(&service, &one).await;
    refused.problem(429, "rate_limit.exceeded");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=43_200).contains(&wait), "{wait}");
    assert_eq!(send(&other, &one).await.status, 202, "each key by itself");
    let own = [
        "key",
        "issue",
        "--subject",
        "bulk",
        "--role",
        "service",
        "--rate-limit",
        "5/d",
    ];
    let output = tranche.command(&own);
    let token = String::from_utf8(output.stdout).expect("a key");
    let own = tranche.sql("SELECT count(rate_limit) FROM api_keys").await;
    assert_eq!(own, "1", "the service's setting is no key's own");
    let bulk = tranche.with_token(Some(token.trim()));
    let mut accepted = 0;
    while send(&bulk, &one).await.status == 202 {
        accepted += 1;
    }
    assert_eq!(accepted, 5, "a key's own limit goes before the default");
}

// S9: a thousand by default.
#[tokio::test]
async fn a_thousand_requests_an_hour_are_the_default() {
    let tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let service = tranche.caller("billing", "service", None);
    let answer = send(&service, &[]).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.header("ratelimit-limit"), "1000");
    assert_eq!(answer.header("ratelimit-remaining"), "999");
}
