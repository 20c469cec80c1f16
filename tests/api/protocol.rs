//! HTTP itself: bodies, addresses, headers, pages.

use reqwest::Method;
use serde_json::{Value, json};
use tranche_tests::support::service::{StoreKind, eventually};

use crate::scene::{Scene, at, id, rows, text};

on_both_stores! {
    bodies: bodies_that_are_none_are_refused_on_sqlite,
        bodies_that_are_none_are_refused_on_postgres;
    addresses: unknown_addresses_and_methods_are_problems_on_sqlite,
        unknown_addresses_and_methods_are_problems_on_postgres;
    request_ids: every_answer_has_its_request_s_id_on_sqlite,
        every_answer_has_its_request_s_id_on_postgres;
    pages: lists_come_in_pages_on_sqlite, lists_come_in_pages_on_postgres;
}

// API contract: 400 malformed, 413 too large, 415 not JSON, 422 not an idempotency key's body.
async fn bodies(store: StoreKind) {
    let scene = Scene::new(store);
    let post = async |kind: &str, body: &[u8]| {
        let caller = match kind {
            "" => scene.admin.clone(),
            kind => scene.admin.with("content-type", kind),
        };
        caller
            .send(Method::POST, "/v1/projects", Some(body.to_vec()))
            .await
    };
    let json = "application/json";
    for malformed in [
        &b"{"[..],
        b"[]",
        b"\"x\"",
        b"null",
        b"7",
        b"nul",
        b"{\"name\": }",
        b"{} {}",
        b"{'name': 1}",
        b"\xff\xfe",
        b"{\"name\": \"\xff\"}",
        b"{\"name\": \"\\ud800\"}",
        b"{\"nav\": NaN}",
    ] {
        post(json, malformed)
            .await
            .problem(400, "request.malformed");
    }
    let deep = [vec![b'['; 5000], vec![b']'; 5000]].concat();
    post(json, &deep).await.problem(400, "request.malformed");
    let nested = format!("{{\"name\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    post(json, nested.as_bytes())
        .await
        .problem(400, "request.malformed");
    let good = br#"{"name":"Good","nav":"1","lp_tokens_outstanding":"1"}"#;
    for kind in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        post(kind, good).await.problem(415, "request.not_json");
    }
    let padded = [&good[..], &vec![b' '; 64 * 1024][..]].concat();
    post(json, &padded).await.problem(413, "request.too_large");
    let exact = [&good[..], &vec![b' '; 64 * 1024 - good.len()][..]].concat();
    post("application/json; charset=utf-8", &exact)
        .await
        .json(201);
    post("application/merge-patch+json", good).await.json(201);
    post("", good).await.json(201);
    // Empty is `{}`: everything is missing, and nothing at all is a fine submission.
    assert_eq!(
        post(json, b"").await.refused_fields(),
        ["lp_tokens_outstanding", "name", "nav"]
    );
    let project = scene.project().await;
    let draft = scene.draft(&project, 1, "1").await;
    scene
        .manager
        .send(Method::POST, &at(&draft, "submit"), None)
        .await
        .json(200);
    assert_eq!(
        rows(&scene.admin.get("/v1/projects").await.json(200)).len(),
        4
    );
}

// API contract: 404 and 405 are problems too; what is no id names nothing.
async fn addresses(store: StoreKind) {
    let scene = Scene::new(store);
    for path in [
        "/v1",
        "/v1/nothing",
        "/v2/projects",
        "/v1/projects/",
        "/v1//projects",
        "/%2e%2e/etc",
        "/.env",
    ] {
        scene.admin.get(path).await.problem(404, "not_found");
    }
    for id in ["1", "null", "0190-", "%00", "..%2f..", "' OR 1=1"] {
        let id = id.replace(' ', "%20");
        scene
            .admin
            .get(&format!("/v1/projects/{id}"))
            .await
            .problem(404, "not_found");
        scene
            .admin
            .get(&format!("/v1/milestones/{id}"))
            .await
            .problem(404, "not_found");
        scene
            .admin
            .get(&format!("/v1/disbursements/{id}"))
            .await
            .problem(404, "not_found");
    }
    let nobody = "00000000-0000-7000-8000-000000000000";
    for path in ["projects", "milestones", "disbursements"] {
        let unknown = scene.admin.get(&format!("/v1/{path}/{nobody}")).await;
        let problem = unknown.problem(404, "not_found");
        assert_eq!(problem["instance"], format!("/v1/{path}/{nobody}"));
    }
    for (method, path) in [
        (Method::DELETE, "/v1/projects".to_owned()),
        (Method::PUT, format!("/v1/milestones/{nobody}")),
        (Method::GET, at(nobody, "approve")),
        (Method::POST, "/v1/disbursements".to_owned()),
        (Method::POST, "/healthz".to_owned()),
    ] {
        let refused = scene.admin.send(method.clone(), &path, None).await;
        refused.problem(405, "request.method");
        assert_ne!(
            refused.header("allow"),
            "",
            "{method} {path} says what is allowed"
        );
    }
    let health = scene.tranche.with_token(None).get("/healthz").await;
    assert_eq!((health.status, health.text.as_str()), (200, "ok\n"));
    let ready = scene
        .tranche
        .with_token(None)
        .get("/readyz")
        .await
        .json(200);
    assert_eq!(
        ready,
        json!({ "status": "ready", "store": "ok", "ledger": "ok", "audit_log": "sound" })
    );
    assert_eq!(health.header("x-content-type-options"), "nosniff");
}

// M10, API contract: yours if you sent a decent one, else a fresh one; the event carries the same.
async fn request_ids(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let address = format!("/v1/projects/{project}/milestones");
    let body = json!({ "number": 1, "title": "One", "target_amount": "1" });
    let long_agent = "a".repeat(600);
    let caller = scene.manager.with("x-request-id", "from-the-client/42");
    let answer = caller.post(&address, &body).await;
    assert_eq!(answer.header("x-request-id"), "from-the-client/42");
    let milestone = id(&answer.json(201));
    let submitted = scene
        .manager
        .post(&at(&milestone, "submit"), &json!({}))
        .await;
    let made = submitted.header("x-request-id");
    assert_eq!(made.len(), 36);
    let events = scene.events(&milestone).await;
    assert_eq!(text(&events[0], "request_id"), "from-the-client/42");
    assert_eq!(text(&events[1], "request_id"), made);

    for odd in ["with space", "", &"x".repeat(129), "tab\tbed"] {
        let answer = scene
            .admin
            .with("x-request-id", odd)
            .get("/v1/projects")
            .await;
        assert_eq!(
            answer.header("x-request-id").len(),
            36,
            "{odd:?} is replaced"
        );
    }
    let fresh = scene.admin.get("/v1/projects").await;
    assert_ne!(fresh.header("x-request-id"), made);
    // Refusals and what was never reached have one as well.
    let none = scene.tranche.with_token(None).with("x-request-id", "mine");
    for path in ["/v1/projects", "/nowhere", "/healthz", "/readyz"] {
        assert_eq!(
            none.get(path).await.header("x-request-id"),
            "mine",
            "{path}"
        );
    }
    // An address that somebody claims to come from is not believed; a long user agent is cut.
    let claimed = scene
        .approver
        .with("x-forwarded-for", "203.0.113.9")
        .with("user-agent", &long_agent);
    claimed
        .post(&at(&milestone, "approve"), &json!({}))
        .await
        .json(200);
    let event = scene.events(&milestone).await.pop().expect("the approval");
    assert_eq!(event["ip_address"], "127.0.0.1");
    let agent = text(&event, "user_agent");
    assert!(agent.len() <= 600 && agent.len() >= 100, "{agent}");
}

// M9 S10, API contract: pages behind a cursor that skip nothing and show nothing twice.
async fn pages(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    for number in [5, 3, 1, 2, 4, 7, 6] {
        scene.draft(&project, number, "1").await;
    }
    for _ in 0..4 {
        scene.project().await;
    }
    let milestones = format!("/v1/projects/{project}/milestones");
    let activity = format!("/v1/projects/{project}/activity");
    eventually("every event has its place", async || {
        let listing = scene.admin.get(&activity).await.json(200);
        let is_sealed = |event: &Value| event["leaf_index"].is_i64();
        rows(&listing).iter().all(is_sealed).then_some(())
    })
    .await;
    for list in ["/v1/projects", milestones.as_str(), activity.as_str()] {
        let whole = scene.admin.get(list).await.json(200);
        assert_eq!(whole["page"], json!({ "next_cursor": null, "limit": 50 }));
        assert_eq!(whole["navigation"]["self"], list);
        let crumbs = whole["navigation"]["breadcrumbs"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert_eq!(
            crumbs.first().map(|crumb| crumb["href"].clone()),
            Some(json!("/v1/projects"))
        );
        for crumb in &crumbs {
            scene.admin.get(&text(crumb, "href")).await.json(200);
            assert!(!text(crumb, "label").is_empty());
        }
        let whole = rows(&whole);
        for limit in [1, 2, 3, whole.len()] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let here = format!("{list}?limit={limit}{cursor}");
                let page = scene.admin.get(&here).await.json(200);
                assert_eq!(page["navigation"]["self"], here, "the link leads back here");
                let part = rows(&page);
                assert!(part.len() <= limit);
                seen.extend(part);
                match page["page"]["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, whole, "{list} in pages of {limit}");
        }
        for bad in ["0", "1001", "-1", "x", "1.5", "", "99999999999999999999"] {
            let answer = scene.admin.get(&format!("{list}?limit={bad}")).await;
            assert_eq!(answer.refused_fields(), ["limit"], "{bad}");
        }
        for bad in [
            "x",
            "",
            "AAAA",
            "%00",
            "00000000-0000-7000-8000-000000000000",
        ] {
            let answer = scene.admin.get(&format!("{list}?cursor={bad}")).await;
            answer.problem(400, "request.malformed");
        }
        let unknown = scene.admin.get(&format!("{list}?page=2")).await;
        assert_eq!(unknown.refused_fields(), ["page"]);
        scene
            .admin
            .get(&format!("{list}?limit=1000"))
            .await
            .json(200);
    }
    let list = scene.admin.get(&milestones).await.json(200);
    let numbers: Vec<Value> = rows(&list)
        .iter()
        .map(|row| row["number"].clone())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    // A row that comes between two pages moves no other.
    let first = scene
        .admin
        .get(&format!("{activity}?limit=3"))
        .await
        .json(200);
    scene.draft(&project, 8, "1").await;
    let cursor = text(&first["page"], "next_cursor");
    let second = scene
        .admin
        .get(&format!("{activity}?limit=3&cursor={cursor}"))
        .await
        .json(200);
    let ids: Vec<String> = rows(&first).iter().chain(&rows(&second)).map(id).collect();
    let all = scene.admin.get(&activity).await.json(200);
    let all: Vec<String> = rows(&all).iter().map(id).collect();
    assert_eq!(ids, all[1..7]);
}
