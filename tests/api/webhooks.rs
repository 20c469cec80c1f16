//! Webhooks: told of each event in order and at least once, signed, whatever receivers and processes
//! do.

use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, Options, Sandbox, StoreKind, Tranche, eventually};

use crate::scene::{Scene, id};
use crate::webhook_receiver::{Message, Receiver, verdicts};

on_both_stores! {
    kept: webhooks_are_made_shown_and_deleted_on_sqlite,
        webhooks_are_made_shown_and_deleted_on_postgres;
    delivered: a_flapping_receiver_gets_all_in_order_on_sqlite,
        a_flapping_receiver_gets_all_in_order_on_postgres;
    crashed: what_a_crash_left_open_is_told_again_on_sqlite,
        what_a_crash_left_open_is_told_again_on_postgres;
    disabled: receivers_that_fail_are_left_until_replayed_on_sqlite,
        receivers_that_fail_are_left_until_replayed_on_postgres;
}

const WEBHOOKS: &str = "/v1/webhooks";

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

async fn send(service: &Caller, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let entry = json!({
            "action": "invoice.sent", "resource_type": "invoice", "severity": "critical",
            "resource_id": number.to_string(),
        });
        let body = json!({ "entries": [entry] });
        service.post("/v1/audit/events", &body).await.json(201);
    }
}

async fn hook(admin: &Caller, url: &str) -> Value {
    let body = json!({ "url": url, "filter": { "action": ["invoice.sent"] } });
    admin.post(WEBHOOKS, &body).await.json(201)
}

fn numbers(messages: &[Message]) -> Vec<usize> {
    let number = |message: &Message| {
        let data = message.data();
        data["resource_id"]
            .as_str()
            .and_then(|number| number.parse().ok())
    };
    messages.iter().filter_map(number).collect()
}

async fn until(admin: &Caller, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let webhook = admin.get(&format!("{WEBHOOKS}/{id}")).await.json(200);
        is_so(&webhook).then_some(webhook)
    })
    .await
}

// S6: a secret is shown once and kept sealed; a webhook is its project's; each act has its event.
async fn kept(store: StoreKind) {
    let scene = Scene::new(store);
    let receiver = Receiver::new().await;
    let (admin, project) = (&scene.admin, scene.project().await);
    let body = json!({
        "url": receiver.url(), "description": "accounting",
        "filter": { "severity": ["critical"], "details": { "a": [1] }, "q": "50%" },
    });
    let keyed = admin.keyed("one");
    let made = keyed.post(WEBHOOKS, &body).await.json(201);
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(
        secret.starts_with("whsec_") && secret.len() == 50,
        "{secret}"
    );
    let mut bare = made.clone();
    bare.as_object_mut().expect("an object").remove("secret");
    assert_eq!(keyed.post(WEBHOOKS, &body).await.json(201), bare, "once");
    let one = format!("{WEBHOOKS}/{}", id(&made));
    assert_eq!(admin.get(&one).await.json(200), bare);
    let database = scene.tranche.database_bytes().await;
    let raw = &secret.as_bytes()["whsec_".len()..];
    assert!(!database.windows(raw.len()).any(|part| part == raw));
    assert!(!scene.tranche.log().contains(&secret[6..]));

    let ours = scene.tranche.caller("bola", "admin", Some(&project));
    let confined = hook(&ours, &receiver.url()).await;
    assert_eq!(confined["project_id"], *project);
    ours.get(&one).await.problem(404, "not_found");
    ours.delete(&one).await.problem(404, "not_found");
    let list = |list: Value| -> Vec<Value> {
        let all = list["data"].as_array().cloned().unwrap_or_default();
        all.iter().map(|webhook| webhook["id"].clone()).collect()
    };
    let both = [confined["id"].clone(), made["id"].clone()];
    assert_eq!(list(ours.get(WEBHOOKS).await.json(200)), both[..1]);
    assert_eq!(list(admin.get(WEBHOOKS).await.json(200)), both);
    scene
        .manager
        .get(WEBHOOKS)
        .await
        .problem(403, "auth.role_required");

    assert_eq!(admin.delete(&one).await.status, 204);
    admin.get(&one).await.problem(404, "not_found");
    admin.delete(&one).await.problem(404, "not_found");
    let events = "SELECT count(*) FROM audit_events WHERE resource_type = 'webhook' \
        AND action IN ('webhook.created', 'webhook.deleted')";
    eventually("the acts are in the log", async || {
        (scene.tranche.sql(events).await == "3").then_some(())
    })
    .await;
}

// S6: each mistake is named; no address inside is taken.
#[tokio::test]
async fn webhooks_that_cannot_be_are_refused() {
    let tranche = start(StoreKind::Sqlite, &[]);
    let admin = tranche.caller("ifeoma", "admin", None);
    for (body, field) in [
        (json!({}), "url"),
        (json!({ "url": 7 }), "url"),
        (json!({ "url": "receiver.example" }), "url"),
        (json!({ "url": "http://receiver.example/hook" }), "url"),
        (json!({ "url": "https://10.0.0.1/hook" }), "url"),
        (json!({ "url": "https://169.254.169.254/latest" }), "url"),
        (json!({ "url": "https://[fd00::1]/" }), "url"),
        (json!({ "url": "https://ada:pw@receiver.example" }), "url"),
        (
            json!({ "url": "https://r.example", "description": "" }),
            "description",
        ),
        (
            json!({ "url": "https://r.example", "filter": { "severity": ["grave"] } }),
            "filter.severity",
        ),
        (
            json!({ "url": "https://r.example", "filter": { "action": [] } }),
            "filter.action",
        ),
        (
            json!({ "url": "https://r.example", "filter": { "from": "2026-11-21" } }),
            "filter.from",
        ),
        (
            json!({ "url": "https://r.example", "secret": "mine" }),
            "secret",
        ),
    ] {
        let refused = admin.post(WEBHOOKS, &body).await;
        assert_eq!(refused.refused_fields(), [field], "{body}");
    }
    let made = hook(&admin, "https://receiver.example/hook").await;
    let replay = format!("{WEBHOOKS}/{}/replay", id(&made));
    for from in [json!(-1), json!(1_000_000), json!("7"), json!(1.5)] {
        let refused = admin.post(&replay, &json!({ "from": from })).await;
        assert_eq!(refused.refused_fields(), ["from"], "{from}");
    }
}

// S6: in order and at least once, with one id an event; the official library verifies each.
async fn delivered(store: StoreKind) {
    let tranche = start(store, &[]);
    let (service, admin) = (
        tranche.caller("billing", "service", None),
        tranche.caller("ifeoma", "admin", None),
    );
    let (receiver, hanging) = (Receiver::new().await, Receiver::new().await);
    hanging.will_hang();
    hook(&admin, &hanging.url()).await;
    let made = hook(&admin, &receiver.url()).await;
    let (webhook, first) = (id(&made), made["secret"].as_str().unwrap_or("").to_owned());
    receiver.will_answer([500, 204, 429, 302, 200]);
    send(&service, 0..12).await;
    let told = receiver.at_least(15).await;
    assert_eq!(
        numbers(&told),
        [0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    );
    for pair in told.windows(2) {
        let same = numbers(pair)
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            == 1;
        assert_eq!(pair[0].id == pair[1].id, same, "an event has one id");
    }
    assert!(
        verdicts(&told, &first)
            .iter()
            .all(|verdict| verdict == "ok")
    );
    let done = until(&admin, &webhook, "its position moves", |hook| {
        hook["delivered"] == 12
    })
    .await;
    assert_eq!(
        (&done["status"], &done["attempts"]),
        (&json!("enabled"), &json!(0))
    );
    assert_eq!(
        hanging.messages().await.len(),
        1,
        "a receiver that hangs delays itself alone"
    );

    let rotate = format!("{WEBHOOKS}/{webhook}/rotate-secret");
    let rotated = admin.post(&rotate, &json!({})).await.json(200);
    let second = rotated["secret"].as_str().unwrap_or("").to_owned();
    assert_ne!(first, second);
    send(&service, 12..14).await;
    let told = &receiver.at_least(17).await[15..];
    assert_eq!(numbers(told), [12, 13]);
    for secret in [&first, &second] {
        assert_eq!(verdicts(told, secret), ["ok", "ok"], "both secrets sign");
    }
    assert_eq!(told[0].signatures.split(' ').count(), 2);
    let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert!(verdicts(told, other).iter().all(|verdict| verdict != "ok"));
}

// S6: killed while the receiver has an event and nobody knows it yet.
async fn crashed(store: StoreKind) {
    let mut tranche = start(store, &[]);
    let (service, admin) = (
        tranche.caller("billing", "service", None),
        tranche.caller("ifeoma", "admin", None),
    );
    let receiver = Receiver::new().await;
    let webhook = id(&hook(&admin, &receiver.url()).await);
    send(&service, 0..3).await;
    receiver.at_least(3).await;
    until(&admin, &webhook, "its position moves", |hook| {
        hook["delivered"] == 3
    })
    .await;
    receiver.will_hang();
    send(&service, 3..5).await;
    receiver.at_least(4).await;
    tranche.kill();
    tranche.restart();
    send(&service, 5..7).await;
    let told = receiver.at_least(8).await;
    assert_eq!(
        numbers(&told),
        [0, 1, 2, 3, 3, 4, 5, 6],
        "again, and none is missed"
    );
    assert_eq!(told[3].id, told[4].id);
}

// S6: 410 and long failure disable; replay enables, from where it stood or from an earlier event.
async fn disabled(store: StoreKind) {
    let tranche = start(store, &[("TRANCHE_WEBHOOK_DISABLE_AFTER_SECONDS", "3")]);
    let (service, admin) = (
        tranche.caller("billing", "service", None),
        tranche.caller("ifeoma", "admin", None),
    );
    let (gone, failing) = (Receiver::new().await, Receiver::new().await);
    gone.will_answer([204, 410]);
    failing.will_answer([500; 50]);
    let (gone_id, failing_id) = (
        id(&hook(&admin, &gone.url()).await),
        id(&hook(&admin, &failing.url()).await),
    );
    let is_disabled = |hook: &Value| hook["status"] == "disabled";
    send(&service, 0..3).await;
    let webhook = until(&admin, &failing_id, "it fails", |hook| {
        hook["status"] != "enabled"
    })
    .await;
    assert_eq!(webhook["status"], "failing");
    assert_eq!(webhook["last_error"], "HTTP 500");
    assert!(webhook["next_attempt_at"].is_string(), "{webhook}");
    let webhook = until(&admin, &gone_id, "it is disabled", is_disabled).await;
    assert_eq!(webhook["disabled_why"], "the receiver answered 410 Gone");
    let webhook = until(&admin, &failing_id, "it is disabled", is_disabled).await;
    let why = webhook["disabled_why"].as_str().unwrap_or("");
    assert!(why.ends_with("the last time with: HTTP 500"), "{why}");
    let first = webhook["position"].as_i64().expect("a position");
    let events = "SELECT count(*) FROM audit_events WHERE action = 'webhook.disabled' \
        AND actor_id = 'system'";
    eventually("both are in the log", async || {
        (tranche.sql(events).await == "2").then_some(())
    })
    .await;
    eventually("people are told", async || {
        tranche.log().contains("webhook.disabled").then_some(())
    })
    .await;

    let metrics = tranche.with_token(None).get("/metrics").await.text;
    for figure in [
        r#"tranche_webhook_attempts_total{outcome="taken"} 1"#,
        r#"tranche_webhook_attempts_total{outcome="gone"} 1"#,
        "tranche_webhooks_disabled_total 2",
    ] {
        assert!(metrics.lines().any(|line| line == figure), "{metrics}");
    }

    send(&service, 3..5).await;
    assert_eq!(numbers(&gone.messages().await), [0, 1], "nothing more");
    let go_on = async |id: &str, body: Value| {
        let path = format!("{WEBHOOKS}/{id}/replay");
        let webhook = admin.post(&path, &body).await.json(200);
        assert_eq!(webhook["status"], "enabled");
    };
    go_on(&gone_id, json!({})).await;
    assert_eq!(numbers(&gone.at_least(6).await), [0, 1, 1, 2, 3, 4]);
    go_on(&gone_id, json!({ "from": first })).await;
    let again = gone.at_least(11).await;
    assert_eq!(numbers(&again[6..]), [0, 1, 2, 3, 4]);
    assert_eq!(again[0].id, again[6].id, "the id is the event's");
}

// S6: two processes share the webhooks; each has one driver, and another one when that dies.
#[tokio::test]
async fn a_webhook_has_one_driver_of_two_processes() {
    let sandbox = Sandbox::start(200);
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..options(&[])
    };
    let mut tranche = Tranche::start(StoreKind::Postgres, options);
    let replica = tranche.replica(&[]);
    let (service, admin) = (
        tranche.caller("billing", "service", None),
        tranche.caller("ifeoma", "admin", None),
    );
    let receivers = [
        Receiver::new().await,
        Receiver::new().await,
        Receiver::new().await,
    ];
    for receiver in &receivers {
        hook(&admin, &receiver.url()).await;
    }
    send(&service, 0..20).await;
    for receiver in &receivers {
        receiver.at_least(20).await;
    }
    send(&service, 20..30).await;
    for receiver in &receivers {
        let told = receiver.at_least(30).await;
        assert_eq!(
            numbers(&told),
            (0..30).collect::<Vec<_>>(),
            "each event once"
        );
    }
    // Dead, its leases end; what it drove is driven again.
    replica.kill();
    send(&service, 30..33).await;
    for receiver in &receivers {
        let told = receiver.at_least(33).await;
        assert_eq!(numbers(&told[30..]), [30, 31, 32]);
    }
}
