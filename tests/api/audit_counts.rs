//! The audit log counted and measured over HTTP.

use serde_json::{Value, json};
use tranche_tests::support::service::StoreKind;

use crate::audit_query::{address, event, list, sent, start};
use crate::scene::rows;

on_both_stores! {
    counted: counts_and_sizes_agree_with_the_log_on_sqlite,
        counts_and_sizes_agree_with_the_log_on_postgres;
}

// S5, S12
async fn counted(store: StoreKind) {
    let tranche = start(store);
    let service = tranche.caller("billing", "service", None);
    let auditor = tranche.caller("bisi", "auditor", None);
    sent(&service, (0..30).map(event)).await;
    let parameters = [
        ("resource_type", "invoice"),
        ("include", "stats"),
        ("limit", "1"),
    ];
    let listing = list(&auditor, &parameters).await;
    let stats = &listing["stats"];
    assert_eq!(stats["total"], 30);
    assert_eq!(stats["by_severity"], json!({ "critical": 30 }));
    let step = 10;
    let steps = json!({ "invoice.step_0": step, "invoice.step_1": step, "invoice.step_2": step });
    assert_eq!(stats["by_action"], steps);
    let sum = |series: &Value| -> i64 {
        let buckets = series.as_array().expect("a list").iter();
        buckets
            .map(|bucket| bucket["events"].as_i64().expect("a count"))
            .sum()
    };
    assert_eq!(sum(&stats["series"]), 30);
    let hours = address(
        "/v1/audit/stats",
        &[
            ("resource_type", "invoice"),
            ("bucket", "hour"),
            ("from", &two_days_before(&rows(&listing)[0])),
        ],
    );
    let by_rows = address("/v1/audit/stats", &[("actor", "clerk-0,clerk-1")]);
    for path in [&hours, &by_rows] {
        let stats = auditor.get(path).await.json(200);
        assert_eq!(
            (&stats["total"], sum(&stats["series"])),
            (&json!(30), 30),
            "{path}"
        );
    }
    let nothing = auditor
        .get(&address("/v1/audit/stats", &[("action", "none")]))
        .await;
    assert_eq!(nothing.json(200)["total"], 0);

    tranche.sql("ANALYZE").await;
    let capacity = auditor.get("/v1/audit/capacity").await.json(200);
    let critical = &capacity["by_severity"]["critical"];
    assert!(critical["events"].as_i64() >= Some(30), "{capacity}");
    assert!(critical["bytes"].as_i64() > Some(0), "{capacity}");
    assert!(critical["events_per_day"].as_i64() >= Some(1), "{capacity}");
    assert!(critical["bytes_per_day"].as_i64() > Some(0), "{capacity}");
    let parts = capacity["parts"].as_array().expect("parts");
    let severities = capacity["by_severity"].as_object().expect("severities");
    for figure in ["events", "bytes", "events_per_day", "bytes_per_day"] {
        let of = |row: &Value| row[figure].as_i64();
        let all: i64 = severities.values().filter_map(of).sum();
        assert_eq!(capacity["total"][figure], all, "{figure}");
        let all: i64 = parts.iter().filter_map(of).sum();
        let is_of_parts = matches!(figure, "events" | "bytes");
        assert!(!is_of_parts || capacity["total"][figure] == all, "{figure}");
    }
    let listed = rows(&listing);
    let month = &listed[0]["occurred_at"].as_str().expect("a time")[..7];
    let is_ours = |part: &&Value| part["severity"] == "critical" && part["month"] == month;
    let part = parts.iter().find(is_ours).expect("this month's");
    assert!(part["events"].as_i64() >= Some(30), "{part}");
    assert!(part["events_per_day"].as_i64() >= Some(1), "{part}");
    assert_eq!(part["archived"], false);
}

/// Two days before an event occurred.
fn two_days_before(event: &Value) -> String {
    let time = event["occurred_at"].as_str().expect("a time");
    let time = chrono::DateTime::parse_from_rfc3339(time).expect("a time");
    (time - chrono::TimeDelta::days(2)).to_rfc3339()
}
