//! How the audit pipeline is, for people and for Prometheus; and a line in the log for each request.

use serde_json::{Value, json};
use tranche_tests::support::service::{Options, StoreKind, Tranche};

on_both_stores! {
    figures: audit_metrics_have_every_figure_on_sqlite,
        audit_metrics_have_every_figure_on_postgres;
}

// P6, P7: every figure, as a number, and a verdict.
async fn figures(store: StoreKind) {
    let tranche = Tranche::start(store, Options::default());
    let [auditor] = tranche.callers([("ada", "auditor")]);
    let metrics = auditor.get("/v1/monitoring/audit-metrics").await.json(200);
    for figure in [
        "queue_length",
        "inserts_per_minute",
        "failures_per_minute",
        "failures_in_five_minutes",
        "inserted",
        "dropped",
        "overflow",
        "spooled",
        "buried",
        "spool_bytes",
        "spool_events",
        "dead_letters",
        "lag_seconds",
        "workers",
    ] {
        assert!(metrics[figure].is_u64(), "{figure}: {metrics}");
    }
    for figure in ["mean", "p99"] {
        assert!(metrics["batch_ms"][figure].is_f64(), "{figure}: {metrics}");
    }
    assert_eq!(metrics["store_available"], true);
    assert_eq!(metrics["processes"].as_array().map(Vec::len), Some(1));
    let health = &metrics["health"];
    let statuses = ["healthy", "degraded", "warning", "critical", "no_data"];
    assert!(
        statuses.contains(&health["status"].as_str().unwrap_or("")),
        "{health}"
    );
    let issues = health["issues"].as_array().expect("a list of issues");
    assert_eq!(issues.is_empty(), health["status"] == "healthy", "{health}");
}

/// The samples of a scrape: name with labels, and value.
fn samples(text: &str) -> Vec<(&str, &str)> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.rsplit_once(' ')).collect()
}

// P6: Prometheus needs no credential; routes are patterns, whatever paths and methods clients invent.
#[tokio::test]
async fn prometheus_reads_figures_whose_number_is_bounded() {
    let tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let none = tranche.with_token(None);
    let [viewer] = tranche.callers([("ada", "viewer")]);
    for number in 0..20 {
        let path = format!("/v1/projects/00000000-0000-7000-8000-0000000000{number:02}");
        viewer.get(&path).await.problem(404, "not_found");
        none.get(&format!("/invented/{number}")).await;
    }
    let answer = none.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let samples = samples(&answer.text);
    let value = |name: &str| {
        let found = samples.iter().find(|(found, _)| *found == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {}", answer.text))
            .1
    };
    let requests =
        r#"tranche_http_requests_total{method="GET",route="/v1/projects/{id}",status="404"}"#;
    assert_eq!(value(requests), "20");
    let strays = r#"tranche_http_requests_total{method="GET",route="none",status="404"}"#;
    assert_eq!(value(strays), "20");
    assert_eq!(value("tranche_audit_store_available"), "1");
    assert!(!answer.text.contains("invented"));
    for name in ["tranche_audit_queue_events", "tranche_audit_dead_letters"] {
        let help = format!("# HELP {name} ");
        let help = answer.text.lines().find(|line| line.starts_with(&help));
        assert!(
            help.is_some_and(|help| help.contains("not the sum")),
            "{help:?}"
        );
    }
}

/// The lines of the log that are JSON.
fn lines(tranche: &Tranche) -> Vec<Value> {
    let log = tranche.log();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

// One line a request, with the id that its answer bears, so that logs can be followed.
#[tokio::test]
async fn each_request_has_its_line_in_the_log() {
    let tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let [viewer] = tranche.callers([("ada", "viewer")]);
    let viewer = viewer.with("x-request-id", "follow-me-7");
    let answer = viewer
        .get("/v1/projects/00000000-0000-7000-8000-000000000001")
        .await;
    answer.problem(404, "not_found");
    viewer.get("/healthz").await;
    let found: Vec<Value> = lines(&tranche)
        .into_iter()
        .filter(|line| line["request_id"] == "follow-me-7")
        .collect();
    let [line] = &found[..] else {
        panic!("one line, and none for a probe: {found:?}")
    };
    assert_eq!(line["message"], "answered");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["route"], "/v1/projects/{id}");
    assert_eq!(line["status"], json!(404));
    assert!(line["ms"].is_u64(), "{line}");
    assert_eq!(line["span"]["id"], "follow-me-7");
}
