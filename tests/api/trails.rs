//! Assessment trails over HTTP: opened, completed, amended, read; the same on every backend and store.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Caller, Options, StoreKind, eventually};

use crate::scene::{Scene, rows};

on_both_stores! {
    life: a_trail_is_opened_completed_and_amended_on_sqlite,
        a_trail_is_opened_completed_and_amended_on_postgres;
    again: the_same_put_again_changes_nothing_on_sqlite,
        the_same_put_again_changes_nothing_on_postgres;
    recorded: a_change_of_a_completed_trail_is_recorded_on_sqlite,
        a_change_of_a_completed_trail_is_recorded_on_postgres;
}

/// Every backend by the name that its setting has.
pub const BACKENDS: [&str; 3] = ["database", "memory", "dual"];

/// Trails in this backend from the start; no clean-up comes by itself.
pub fn kept_in(backend: &str) -> Options {
    Options {
        settings: vec![
            ("TRANCHE_TRAILS", backend.to_owned()),
            ("TRANCHE_TRAILS_CLEANUP_AT", "off".to_owned()),
            ("TRANCHE_RATE_LIMIT", "off".to_owned()),
        ],
        ..Options::default()
    }
}

/// Now, by the clock that the service goes by.
#[expect(
    clippy::disallowed_methods,
    reason = "the service lives in the machine's time"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The id of the message of this number.
pub fn message(number: u32) -> String {
    format!("5f0c0e6a-93c5-4f0e-9d2b-0000{number:08x}")
}

/// Where a trail is written.
pub fn written_at(project: &str, message: &str) -> String {
    format!("/v1/projects/{project}/assessment/trails/{message}")
}

/// Where it is read.
pub fn read_at(message: &str) -> String {
    format!("/v1/assessment/trails/{message}")
}

/// Puts a trail.
pub async fn put(caller: &Caller, address: &str, body: &Value) -> Answer {
    caller.json(Method::PUT, address, body).await
}

/// A whole trail.
pub fn whole() -> Value {
    json!({
        "model": "assessor-2",
        "reasoning_traces": [{ "step": 1, "thought": "The roof is on, and paid for." }],
        "context_layers": { "photos": 3, "invoices": ["A-1", "A-2"] },
        "tokens": { "prompt": 1200, "completion": 300, "total": 1500 },
        "cost": { "prompt": "0.0036", "completion": "0.004500000001", "total": "0.008100000001" },
    })
}

/// The fields of a view that nobody sent.
fn without_times(view: &Value) -> Value {
    let mut view = view.clone();
    for name in ["created_at", "updated_at", "completed_at"] {
        view.as_object_mut().expect("a view").remove(name);
    }
    view
}

// T1 T2 T3: a placeholder first, then its parts, on each backend; what is not named stays.
async fn life(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let project = scene.project().await;
        let [service] = scene.tranche.callers([("assessor", "service")]);
        let (at, read) = (written_at(&project, &message(1)), read_at(&message(1)));
        service.get(&read).await.problem(404, "not_found");

        let opened = put(&service, &at, &json!({})).await.json(201);
        assert_eq!(
            without_times(&opened),
            json!({
                "message_id": message(1), "project_id": project, "status": "open", "model": null,
                "reasoning_traces": null, "context_layers": null, "tokens": null, "cost": null,
                "version": 1,
            }),
            "{backend}"
        );
        assert_eq!(opened["completed_at"], Value::Null);
        assert_eq!(service.get(&read).await.json(200), opened);

        let layers = json!({ "context_layers": "site visit" });
        let patched = service.patch(&at, &layers).await.json(200);
        assert_eq!(patched["version"], 2);
        let named = service
            .patch(&at, &json!({ "model": "assessor-1" }))
            .await
            .json(200);
        assert_eq!(
            (&named["model"], &named["context_layers"]),
            (&json!("assessor-1"), &json!("site visit"))
        );
        let tokens = json!({ "tokens": { "prompt": 10, "completion": 4 } });
        let counted = service.patch(&at, &tokens).await.json(200);
        assert_eq!(counted["tokens"]["total"], 14, "the sum");
        assert_eq!(counted["status"], "open");
        let cost = json!({ "cost": { "prompt": "0.01", "completion": "0.000000000001" } });
        let done = service.patch(&at, &cost).await.json(200);
        assert_eq!(done["status"], "completed", "{backend}");
        assert_eq!(done["cost"]["total"], "0.010000000001");
        assert_eq!(done["created_at"], opened["created_at"]);
        assert!(done["completed_at"].is_string(), "{done}");

        let more = json!({ "tokens": { "completion": 5 } });
        let amended = service.patch(&at, &more).await;
        assert_eq!(amended.header("etag"), "\"6\"");
        let amended = amended.json(200);
        let tokens = json!({ "prompt": 10, "completion": 5, "total": 15 });
        assert_eq!(amended["tokens"], tokens, "the prompt's stay");
        assert_eq!(amended["cost"], done["cost"]);
        let cleared = json!({ "context_layers": null });
        let cleared = service.patch(&at, &cleared).await.json(200);
        assert_eq!(cleared["context_layers"], Value::Null);
        assert_eq!(service.get(&read).await.json(200), cleared);
    }
}

// T3: a whole trail at once; again, it is as it was; another content replaces all of it.
async fn again(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let project = scene.project().await;
        let [service] = scene.tranche.callers([("assessor", "service")]);
        let at = written_at(&project, &message(1));
        let first = put(&service, &at, &whole()).await.json(201);
        assert_eq!(first["status"], "completed");
        assert_eq!(first["cost"]["total"], "0.008100000001");
        for (name, value) in whole().as_object().expect("a body") {
            if !["tokens", "cost"].contains(&name.as_str()) {
                assert_eq!(&first[name], value, "{backend}");
            }
        }
        for _ in 0..2 {
            assert_eq!(put(&service, &at, &whole()).await.json(200), first);
        }
        let mut dated = whole();
        dated["created_at"] = first["created_at"].clone();
        assert_eq!(put(&service, &at, &dated).await.json(200), first);
        // The same amounts, written otherwise.
        dated["cost"] = json!({ "prompt": "0.003600", "completion": "0.004500000001" });
        assert_eq!(put(&service, &at, &dated).await.json(200), first);

        let mut other = whole();
        other
            .as_object_mut()
            .expect("a body")
            .remove("context_layers");
        other["model"] = json!("assessor-3");
        let replaced = put(&service, &at, &other).await.json(200);
        assert_eq!(
            (
                &replaced["model"],
                &replaced["context_layers"],
                &replaced["version"]
            ),
            (&json!("assessor-3"), &Value::Null, &json!(2))
        );
        let stale = service.with("if-match", "\"1\"");
        let refused = put(&stale, &at, &whole()).await;
        assert_eq!(refused.problem(412, "trail.stale")["version"], 2);
        let current = service.with("if-match", "\"2\"");
        put(&current, &at, &whole()).await.json(200);
    }
}

// T3: whoever changes what was completed is in the log, with what changed and none of the texts.
async fn recorded(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let project = scene.project().await;
        let [service, auditor] = scene
            .tranche
            .callers([("assessor", "service"), ("uche", "auditor")]);
        let at = written_at(&project, &message(1));
        put(&service, &at, &json!({ "model": "assessor-1" }))
            .await
            .json(201);
        put(&service, &at, &whole()).await.json(200);
        put(&service, &at, &whole()).await.json(200);
        let dearer = json!({ "cost": { "completion": "0.01" },
            "reasoning_traces": ["nobody is to read this in the log"] });
        let changed = service.patch(&at, &dearer).await.json(200);

        let search = format!("/v1/audit/events?action=trail.changed&project_id={project}");
        let events = eventually("the change is in the log", async || {
            let events = rows(&auditor.get(&search).await.json(200));
            (!events.is_empty()).then_some(events)
        })
        .await;
        assert_eq!(
            events.len(),
            1,
            "{backend}: opening and completing are no change"
        );
        let event = &events[0];
        assert_eq!(event["severity"], "warning");
        assert_eq!(event["actor"]["id"], "assessor");
        assert_eq!(event["resource_id"], message(1));
        let told = event.to_string();
        assert!(!told.contains("nobody is to read"), "{told}");
        for word in [
            "0.008100000001",
            "0.013600000000",
            "reasoning_traces",
            "cost",
        ] {
            assert!(told.contains(word), "{backend}: no {word} in {told}");
        }
        assert_eq!(changed["version"], 3);
    }
}
