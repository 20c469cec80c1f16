//! What a project's messages cost: by day, by model, in all, on every backend.

use chrono::{DateTime, Days, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, StoreKind};

use crate::scene::Scene;
use crate::trails::{BACKENDS, kept_in, message, now, put, written_at};

on_both_stores! {
    figures: figures_agree_with_the_trails_on_sqlite, figures_agree_with_the_trails_on_postgres;
    ranges: ranges_of_figures_are_checked_on_sqlite, ranges_of_figures_are_checked_on_postgres;
}

/// Noon of a day so long ago.
fn noon(days: u64) -> DateTime<Utc> {
    let day = now().date_naive() - Days::new(days);
    day.and_hms_opt(12, 0, 0).expect("noon").and_utc()
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

async fn spend(service: &Caller, project: &str, number: u32, at: DateTime<Utc>, body: &Value) {
    let mut body = body.clone();
    body["created_at"] = json!(shown(at));
    let at = written_at(project, &message(number));
    put(service, &at, &body).await.json(201);
}

fn costing(model: &str, prompt: &str, completion: &str, tokens: u32) -> Value {
    json!({
        "model": model,
        "tokens": { "prompt": tokens, "completion": 1 },
        "cost": { "prompt": prompt, "completion": completion },
        "reasoning_traces": ["not for a list"],
    })
}

async fn analytics(caller: &Caller, project: &str, query: &str) -> Value {
    let path = format!("/v1/projects/{project}/assessment/analytics{query}");
    caller.get(&path).await.json(200)
}

// T6: totals, average, days with nothing on them, models, the newest trails; another project's and
// what is not complete do not count.
async fn figures(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let [project, other] = [scene.project().await, scene.project().await];
        let [service, viewer] = scene
            .tranche
            .callers([("assessor", "service"), ("vera", "viewer")]);
        let none = analytics(&viewer, &project, "").await;
        assert_eq!(
            (
                &none["total_cost"],
                &none["average_cost"],
                &none["message_count"]
            ),
            (
                &json!("0.000000000000"),
                &json!("0.000000000000"),
                &json!(0)
            )
        );
        let [a, b] = ["assessor-1", "assessor-2"];
        spend(
            &service,
            &project,
            1,
            noon(5),
            &costing(a, "0.1", "0.2", 10),
        )
        .await;
        spend(
            &service,
            &project,
            2,
            noon(5),
            &costing(b, "1", "0.000000000001", 20),
        )
        .await;
        spend(
            &service,
            &project,
            3,
            noon(3),
            &costing(a, "0.2", "0.1", 30),
        )
        .await;
        spend(&service, &project, 4, noon(2), &json!({ "model": a })).await;
        spend(&service, &other, 5, noon(3), &costing(a, "7", "7", 700)).await;
        spend(&service, &project, 6, noon(6), &costing(a, "100", "0", 1)).await;

        let range = format!("?from={}&to={}", shown(noon(5)), shown(noon(1)));
        let told = analytics(&viewer, &project, &range).await;
        assert_eq!(told["project_id"], project);
        assert_eq!(told["total_cost"], "1.600000000001", "{backend}: {told}");
        // A third of it, rounded half to even.
        assert_eq!(told["average_cost"], "0.533333333334");
        assert_eq!(told["total_tokens"], 63);
        assert_eq!(
            (&told["message_count"], &told["open_count"]),
            (&json!(3), &json!(1))
        );
        let tokens = json!({ "prompt": 60, "completion": 3, "total": 63 });
        assert_eq!(told["tokens"], tokens);
        assert_eq!(
            told["cost"],
            json!({ "prompt": "1.300000000000", "completion": "0.300000000001",
                "total": "1.600000000001" })
        );
        let day = |days: u64| json!(noon(days).date_naive().to_string());
        let line = |days, cost: &str, tokens: u32, messages: u32| json!({ "day": day(days), "cost": cost, "tokens": tokens, "messages": messages });
        let nothing = |days| line(days, "0.000000000000", 0, 0);
        assert_eq!(
            told["cost_by_day"],
            json!([
                line(5, "1.300000000001", 32, 2),
                nothing(4),
                line(3, "0.300000000000", 31, 1),
                nothing(2),
                nothing(1),
            ]),
            "{backend}"
        );
        assert_eq!(
            told["by_model"],
            json!([
                { "model": b, "cost": "1.000000000001", "tokens": 21, "messages": 1,
                    "average_cost": "1.000000000001" },
                { "model": a, "cost": "0.600000000000", "tokens": 42, "messages": 2,
                    "average_cost": "0.300000000000" },
            ])
        );
        told_with(&told, &project, &range);
        later(&service, &project, &range, backend).await;
    }
}

/// The newest trails without their texts, and where this is.
fn told_with(told: &Value, project: &str, range: &str) {
    let recent: Vec<&str> = told["recent_trails"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|trail| trail["message_id"].as_str())
        .collect();
    assert_eq!(recent.len(), 4);
    assert_eq!(recent[..2], [message(4), message(3)]);
    assert!(!told.to_string().contains("not for a list"), "{told}");
    let here = format!("/v1/projects/{project}/assessment/analytics{range}");
    assert_eq!(told["navigation"]["self"], here);
    assert_eq!(
        told["navigation"]["breadcrumbs"][1]["href"],
        format!("/v1/projects/{project}")
    );
}

/// What is written afterwards counts from then on.
async fn later(service: &Caller, project: &str, range: &str, backend: &str) {
    // A trail that is amended counts as it is now, one that is completed counts from now on.
    let dearer = json!({ "cost": { "prompt": "0.5" } });
    let at = written_at(project, &message(3));
    service.patch(&at, &dearer).await.json(200);
    let whole = json!({ "tokens": { "prompt": 1, "completion": 1 },
        "cost": { "prompt": "0", "completion": "0" } });
    let at = written_at(project, &message(4));
    service.patch(&at, &whole).await.json(200);
    let told = analytics(service, project, range).await;
    assert_eq!(told["total_cost"], "1.900000000001", "{backend}");
    assert_eq!(
        (&told["message_count"], &told["open_count"]),
        (&json!(4), &json!(0))
    );
    // Thirty days by themselves.
    let month = analytics(service, project, "").await;
    assert_eq!(month["message_count"], 5, "{backend}");
    assert_eq!(month["cost_by_day"].as_array().map(Vec::len), Some(31));
}

// T6: the edges of a range, within an hour too, and ranges that are none.
async fn ranges(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let project = scene.project().await;
        let [service] = scene.tranche.callers([("assessor", "service")]);
        let start = (now() - TimeDelta::hours(5)).trunc_subsecs(0);
        for minutes in 0..8_u32 {
            let at = start + TimeDelta::minutes(20 * i64::from(minutes));
            let cost = costing("m", "1", "0", 1);
            spend(&service, &project, minutes, at, &cost).await;
        }
        let count = async |from: i64, to: i64| {
            let minute = |minutes| shown(start + TimeDelta::minutes(minutes));
            let range = format!("?from={}&to={}", minute(from), minute(to));
            analytics(&service, &project, &range).await["message_count"].clone()
        };
        assert_eq!(count(0, 160).await, 8, "{backend}");
        assert_eq!(count(0, 140).await, 7, "{backend}: the end is outside");
        assert_eq!(count(1, 140).await, 6, "{backend}");
        assert_eq!(count(20, 21).await, 1, "{backend}");
        assert_eq!(count(21, 39).await, 0, "{backend}");
        assert_eq!(count(30, 30).await, 0, "{backend}");
        for (query, field) in [
            ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
            ("from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
            ("from=yesterday", "from"),
            ("to=7", "to"),
            ("form=2026-01-01T00:00:00Z", "form"),
        ] {
            let path = format!("/v1/projects/{project}/assessment/analytics?{query}");
            assert_eq!(
                service.get(&path).await.refused_fields(),
                [field],
                "{query}"
            );
        }
    }
}
