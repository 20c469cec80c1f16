//! What the service says of itself: the OpenAPI document and the page that shows it.

use serde_json::{Value, json};
use tranche_tests::support::service::{Options, StoreKind, Tranche};

/// Every route of the contract that there is so far.
const ROUTES: [(&str, &[&str]); 29] = [
    ("/v1/projects", &["get", "post"]),
    ("/v1/projects/{id}", &["delete", "get"]),
    ("/v1/projects/{id}/activity", &["get"]),
    ("/v1/projects/{id}/milestones", &["get", "post"]),
    ("/v1/projects/{id}/milestones/stats", &["get"]),
    ("/v1/milestones/{id}", &["delete", "get", "patch"]),
    ("/v1/milestones/{id}/activity", &["get"]),
    ("/v1/milestones/{id}/approve", &["post"]),
    ("/v1/milestones/{id}/bank-transfer", &["post"]),
    ("/v1/milestones/{id}/disburse", &["post"]),
    ("/v1/milestones/{id}/reject", &["post"]),
    ("/v1/milestones/{id}/revise", &["post"]),
    ("/v1/milestones/{id}/submit", &["post"]),
    ("/v1/disbursements", &["get"]),
    ("/v1/disbursements/{id}", &["get"]),
    ("/v1/monitoring/audit-metrics", &["get"]),
    ("/metrics", &["get"]),
    ("/v1/audit/capacity", &["get"]),
    ("/v1/audit/events", &["get", "post"]),
    ("/v1/audit/events/{id}", &["get"]),
    ("/v1/audit/stats", &["get"]),
    (
        "/v1/projects/{id}/assessment/trails/{message_id}",
        &["patch", "put"],
    ),
    ("/v1/projects/{id}/assessment/analytics", &["get"]),
    ("/v1/assessment/trails/{message_id}", &["get"]),
    ("/v1/assessment/trails/backend", &["get", "put"]),
    ("/v1/assessment/trails/comparison", &["post"]),
    ("/v1/assessment/trails/migration", &["post"]),
    ("/healthz", &["get"]),
    ("/readyz", &["get"]),
];

/// What a reference in the document points to.
fn has_target(document: &Value, reference: &str) -> bool {
    reference
        .strip_prefix('#')
        .is_some_and(|pointer| document.pointer(pointer).is_some())
}

/// Every `$ref` below.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(target) if name == "$ref" => vec![target.to_owned()],
                _ => references(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

// API contract: `tranche openapi` and `/openapi.json` are one document, with every route.
#[tokio::test]
async fn the_openapi_document_has_every_route() {
    let tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let served = tranche
        .with_token(None)
        .get("/openapi.json")
        .await
        .json(200);
    let printed = tranche.command(&["openapi"]);
    assert!(printed.status.success());
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("it prints JSON");
    assert_eq!(printed, served);
    assert!(
        served["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
    );
    for (path, methods) in ROUTES {
        let operations = served["paths"][path].as_object();
        let operations = operations.unwrap_or_else(|| panic!("{path} is not in the document"));
        let mut found: Vec<&str> = operations.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, methods, "{path}");
        for (method, operation) in operations {
            let told = operation["summary"].as_str().unwrap_or("");
            assert!(!told.is_empty(), "{method} {path} says nothing");
            assert!(
                operation["responses"]
                    .as_object()
                    .is_some_and(|all| !all.is_empty()),
                "{path}"
            );
        }
    }
    let all = references(&served);
    assert!(all.len() > 20);
    for reference in all {
        assert!(
            has_target(&served, &reference),
            "{reference} points nowhere"
        );
    }
    let schemes = &served["components"]["securitySchemes"];
    assert_eq!(schemes["bearer"]["scheme"], "bearer", "{schemes}");
    assert_eq!(served["paths"]["/healthz"]["get"]["security"], json!([{}]));
}

// API contract: `/docs` is self-hosted: no page of it asks anybody else for anything.
#[tokio::test]
async fn the_reference_asks_nobody_else() {
    let tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let anybody = tranche.with_token(None);
    let root = anybody.get("/").await;
    assert_eq!(root.status, 307);
    assert_eq!(root.header("location"), "/docs");
    let mut page = anybody.get("/docs").await;
    if (300..400).contains(&page.status) {
        page = anybody.get(page.header("location")).await;
    }
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let assets: Vec<&str> = ["src=\"", "href=\""]
        .into_iter()
        .flat_map(|mark| page.text.split(mark).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(assets.len() >= 3, "{}", page.text);
    assert!(
        !page.text.contains("//cdn") && !page.text.contains("https://"),
        "{}",
        page.text
    );
    for asset in assets {
        assert!(
            !asset.contains("://") && !asset.starts_with("//"),
            "{asset} is elsewhere"
        );
        let address = format!(
            "/docs/{}",
            asset.trim_start_matches("./").trim_start_matches("/docs/")
        );
        let answer = anybody.get(&address).await;
        assert_eq!(answer.status, 200, "{address}");
    }
    let setup = anybody.get("/docs/swagger-initializer.js").await;
    assert_eq!(setup.status, 200);
    assert!(setup.text.contains("/openapi.json"), "{}", setup.text);
    assert!(!setup.text.contains("://"), "{}", setup.text);
}
