//! Bad trails: every field that is wrong is named, and nothing is done.

use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, StoreKind};

use crate::scene::Scene;
use crate::trails::{BACKENDS, kept_in, message, put, read_at, whole, written_at};

on_both_stores! {
    fields: every_field_of_a_trail_is_checked_on_sqlite,
        every_field_of_a_trail_is_checked_on_postgres;
    texts: texts_of_a_trail_have_bounds_on_sqlite, texts_of_a_trail_have_bounds_on_postgres;
    patches: what_no_patch_may_do_is_named_on_sqlite, what_no_patch_may_do_is_named_on_postgres;
}

/// What is no cost.
fn bad_costs() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "-1",
        "-0.000000000001",
        "+1",
        "1e-3",
        "NaN",
        "0.0000000000001",
        "1.",
        ".5",
        "1,5",
        "1_000",
        " 1",
        "1000000000000000000",
        "0x1",
        "١",
    ];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([
        json!(1),
        json!(0.5),
        json!(-1),
        json!(true),
        json!([]),
        json!({}),
    ]);
    values
}

/// What is no count of tokens.
fn bad_counts() -> Vec<Value> {
    vec![
        json!(-1),
        json!(1.5),
        json!("7"),
        json!(true),
        json!([]),
        json!(9_223_372_036_854_775_808_u64),
        json!(1e30),
    ]
}

/// A body that differs at this place.
fn with(path: &str, value: &Value) -> Value {
    let mut body = whole();
    match path.split_once('.') {
        Some((outer, inner)) => {
            let outer = body[outer].as_object_mut().expect("an object");
            outer.remove("total");
            outer.insert(inner.to_owned(), value.clone());
        }
        None => body[path] = value.clone(),
    }
    body
}

async fn refused(service: &Caller, at: &str, body: &Value, field: &str) {
    let shown: String = body.to_string().chars().take(300).collect();
    let fields = put(service, at, body).await.refused_fields();
    assert_eq!(fields, [field], "PUT {shown}");
    let fields = service.patch(at, body).await.refused_fields();
    assert_eq!(fields, [field], "PATCH {shown}");
}

// T1 T3: the issue's list of bad input, each by its field's name, on each backend.
async fn fields(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let project = scene.project().await;
        let [service] = scene.tranche.callers([("assessor", "service")]);
        let at = written_at(&project, &message(1));
        let opened = put(&service, &at, &json!({})).await.json(201);

        for field in ["cost.prompt", "cost.completion", "cost.total"] {
            for value in bad_costs() {
                refused(&service, &at, &with(field, &value), field).await;
            }
        }
        for field in ["tokens.prompt", "tokens.completion", "tokens.total"] {
            for value in bad_counts() {
                refused(&service, &at, &with(field, &value), field).await;
            }
        }
        let total = with("tokens.total", &json!(1_501));
        refused(&service, &at, &total, "tokens.total").await;
        let total = with("cost.total", &json!("0.0081"));
        refused(&service, &at, &total, "cost.total").await;
        for value in [
            json!(""),
            json!("  "),
            json!("x".repeat(129)),
            json!("a\nb"),
            json!(7),
        ] {
            refused(&service, &at, &with("model", &value), "model").await;
        }
        for (field, value) in [
            ("tokens", json!([1])),
            ("cost", json!("0.01")),
            ("tokens.cached", json!(1)),
            ("cost.currency", json!("USD")),
            ("messages", json!(1)),
            ("completed", json!(true)),
        ] {
            refused(&service, &at, &with(field, &value), field).await;
        }
        for (value, field) in [
            (json!("yesterday"), "created_at"),
            (json!("2999-01-01T00:00:00Z"), "created_at"),
            (json!("2026-01-01T00:00:00Z"), "created_at"),
            (json!(1_700_000_000), "created_at"),
        ] {
            let body = with("created_at", &value);
            assert_eq!(
                put(&service, &at, &body).await.refused_fields(),
                [field],
                "{body}"
            );
        }
        // A model that nobody knows is fine, and so are just so many characters.
        let model = json!({ "model": "é".repeat(128) });
        service.patch(&at, &model).await.json(200);
        let kept = service.get(&read_at(&message(1))).await.json(200);
        assert_eq!(
            (&kept["version"], &kept["created_at"]),
            (&json!(2), &opened["created_at"])
        );
        service
            .send(reqwest::Method::PUT, &at, Some(b"[]".to_vec()))
            .await
            .problem(400, "request.malformed");
        let malformed = written_at(&project, "no-id");
        put(&service, &malformed, &whole())
            .await
            .problem(404, "not_found");
    }
}

// T1: 256 KiB each, nested so deep, and nothing that readers of JSON disagree on.
async fn texts(store: StoreKind) {
    let scene = Scene::with(store, kept_in("database"));
    let project = scene.project().await;
    let [service] = scene.tranche.callers([("assessor", "service")]);
    let at = written_at(&project, &message(1));
    let most = 256 * 1024;
    let of_bytes = |bytes: usize| json!(["x".repeat(bytes - 4)]);
    let mut deep = json!([]);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    for field in ["reasoning_traces", "context_layers"] {
        let kept = json!({ field: of_bytes(most) });
        let kept = put(&service, &at, &kept).await;
        assert!([200, 201].contains(&kept.status), "{}", kept.text);
        for value in [
            of_bytes(most + 1),
            json!(7),
            deep.clone(),
            json!(["nul \u{0}"]),
        ] {
            let body = json!({ field: value });
            let fields = put(&service, &at, &body).await.refused_fields();
            assert_eq!(fields, [field]);
        }
        for raw in [
            format!(r#"{{"{field}": {{"a": 1, "a": 2}}}}"#),
            format!(r#"{{"{field}": [9007199254740993]}}"#),
        ] {
            let answer = service
                .with("content-type", "application/json")
                .send(reqwest::Method::PATCH, &at, Some(raw.clone().into_bytes()))
                .await;
            assert_eq!(answer.refused_fields(), [field], "{raw}");
        }
    }
    let both = json!({ "reasoning_traces": of_bytes(most), "context_layers": of_bytes(most) });
    put(&service, &at, &both).await.json(200);
    let larger = json!({ "reasoning_traces": of_bytes(1_100_000) });
    put(&service, &at, &larger)
        .await
        .problem(413, "request.too_large");
    let read = service.get(&read_at(&message(1))).await.json(200);
    assert_eq!(read["reasoning_traces"], of_bytes(most));
}

// T3: a PATCH of nothing, of what there is not, and of what a completed trail needs.
async fn patches(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let project = scene.project().await;
        let [service] = scene.tranche.callers([("assessor", "service")]);
        let at = written_at(&project, &message(1));
        let nothing = service.patch(&at, &json!({ "model": "m" })).await;
        nothing.problem(404, "not_found");
        put(&service, &at, &whole()).await.json(201);
        let nothing = service.patch(&at, &json!({})).await.refused_fields();
        assert_eq!(nothing, ["body"], "{backend}");
        for field in ["model", "tokens", "cost"] {
            let cleared = service.patch(&at, &json!({ field: null })).await;
            assert_eq!(cleared.refused_fields(), [field], "{backend}");
        }
        let total = json!({ "tokens": { "completion": 5, "total": 1500 } });
        let fields = service.patch(&at, &total).await.refused_fields();
        assert_eq!(fields, ["tokens.total"]);
        let moved = json!({ "created_at": "2026-01-01T00:00:00Z" });
        let fields = service.patch(&at, &moved).await.refused_fields();
        assert_eq!(fields, ["created_at"]);
        // Several at once.
        let body =
            json!({ "model": "", "tokens": { "prompt": -1 }, "cost": { "total": 1 }, "x": 1 });
        let fields = service.patch(&at, &body).await.refused_fields();
        assert_eq!(fields, ["cost.total", "model", "tokens.prompt", "x"]);
        // A total is none of a sum, and named with whatever else is wrong.
        let off = json!({ "tokens": { "prompt": 1, "completion": 2, "total": 4 },
            "cost": { "prompt": "1", "completion": "2", "total": "4" } });
        let with = |name: &str, value: Value| {
            let mut body = off.clone();
            body[name] = value;
            body
        };
        let sums = ["cost.total", "tokens.total"];
        for (body, also) in [
            (with("model", json!(null)), "model"),
            (with("model", json!("")), "model"),
            (with("x", json!(1)), "x"),
        ] {
            let mut all = [sums[0], sums[1], also];
            all.sort_unstable();
            let fields = service.patch(&at, &body).await.refused_fields();
            assert_eq!(fields, all, "{backend}: PATCH {body}");
            let fields = put(&service, &at, &body).await.refused_fields();
            assert_eq!(fields, all, "{backend}: PUT {body}");
        }
        let late = with("created_at", json!("2200-01-01T00:00:00Z"));
        let free = written_at(&project, &message(2));
        let fields = put(&service, &free, &late).await.refused_fields();
        assert_eq!(fields, ["cost.total", "created_at", "tokens.total"]);
        let kept = service.get(&read_at(&message(1))).await.json(200);
        assert_eq!(kept["version"], 1, "{backend}");
    }
}
