//! Who may call: credentials, roles, and keys for one project.

use reqwest::Method;
use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, StoreKind, Tranche};

use crate::scene::{Scene, at, id, rows, transfer};

on_both_stores! {
    credentials: bad_credentials_are_401_on_sqlite, bad_credentials_are_401_on_postgres;
    roles: each_role_may_do_its_duty_alone_on_sqlite,
        each_role_may_do_its_duty_alone_on_postgres;
    scopes: a_key_for_one_project_sees_no_other_on_sqlite,
        a_key_for_one_project_sees_no_other_on_postgres;
}

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";
const ROLES: [&str; 7] = [
    "viewer",
    "manager",
    "approver",
    "treasurer",
    "auditor",
    "service",
    "admin",
];
const READERS: &[&str] = &[
    "viewer",
    "manager",
    "approver",
    "treasurer",
    "auditor",
    "admin",
];

/// Every call that needs a credential, and the roles that have it.
const CALLS: [(Method, &str, &[&str]); 19] = [
    (Method::POST, "/v1/projects", &["admin"]),
    (Method::GET, "/v1/projects", READERS),
    (Method::GET, "/v1/projects/{id}", READERS),
    (Method::GET, "/v1/projects/{id}/activity", READERS),
    (Method::POST, "/v1/projects/{id}/milestones", &["manager"]),
    (Method::GET, "/v1/projects/{id}/milestones", READERS),
    (Method::GET, "/v1/projects/{id}/milestones/stats", READERS),
    (Method::GET, "/v1/milestones/{id}", READERS),
    (Method::PATCH, "/v1/milestones/{id}", &["manager"]),
    (Method::DELETE, "/v1/milestones/{id}", &["manager"]),
    (Method::POST, "/v1/milestones/{id}/submit", &["manager"]),
    (Method::POST, "/v1/milestones/{id}/revise", &["manager"]),
    (Method::POST, "/v1/milestones/{id}/approve", &["approver"]),
    (Method::POST, "/v1/milestones/{id}/reject", &["approver"]),
    (
        Method::POST,
        "/v1/milestones/{id}/bank-transfer",
        &["treasurer"],
    ),
    (Method::POST, "/v1/milestones/{id}/disburse", &["treasurer"]),
    (Method::GET, "/v1/milestones/{id}/activity", READERS),
    (
        Method::GET,
        "/v1/monitoring/audit-metrics",
        &["auditor", "admin"],
    ),
    (Method::POST, "/v1/audit/events", &["service"]),
];

// API contract: 401 for every call without a good credential, with `WWW-Authenticate`.
async fn credentials(store: StoreKind) {
    let tranche = Tranche::start(store, tranche_tests::support::service::Options::default());
    let token = tranche.key("ada", "admin", None);
    let good = tranche.with_token(Some(&token));
    good.get("/v1/projects").await.json(200);
    let refused = async |caller: &Caller, code: &str| {
        let answer = caller.get("/v1/projects").await;
        answer.problem(401, code);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(!answer.text.contains("trk_"), "{}", answer.text);
    };
    let none = tranche.with_token(None);
    refused(&none, "auth.missing").await;
    for header in ["Basic YWRhOmFkYQ==", "Bearer", token.as_str()] {
        refused(&none.with("authorization", header), "auth.missing").await;
    }
    let last = token
        .chars()
        .last()
        .map_or('0', |last| if last == '0' { '1' } else { '0' });
    let (id, secret) = token["trk_".len()..]
        .split_once('_')
        .expect("an id and a secret");
    for wrong in [
        "x".to_owned(),
        token.to_uppercase(),
        format!("{}{last}", &token[..token.len() - 1]),
        format!("trk_{}_{secret}", "0".repeat(id.len())),
        format!("{token}0"),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJ0cmFuY2hlX3JvbGVzIjpbImFkbWluIl19.".to_owned(),
    ] {
        refused(&tranche.with_token(Some(&wrong)), "auth.invalid").await;
    }
    let lower = none.with("authorization", &format!("bearer {token}"));
    lower.get("/v1/projects").await.json(200);
    for (method, path, _) in CALLS {
        let path = path.replace("{id}", NOBODY);
        none.json(method, &path, &json!({}))
            .await
            .problem(401, "auth.missing");
    }
    none.get("/v1/disbursements")
        .await
        .problem(401, "auth.missing");
    // Revoked, it is as good as none, in the same process and at once.
    let revoked = tranche.command(&["key", "revoke", id]);
    assert!(revoked.status.success());
    refused(&good, "auth.invalid").await;
}

// API contract: the roles' sentence, call by call. A refusal names the roles that would do.
async fn roles(store: StoreKind) {
    let scene = Scene::new(store);
    let people = scene.tranche.callers(ROLES.map(|role| (role, role)));
    let disbursements = (Method::GET, "/v1/disbursements", READERS);
    let disbursement = (Method::GET, "/v1/disbursements/{id}", READERS);
    for (method, path, allowed) in CALLS.into_iter().chain([disbursements, disbursement]) {
        let path = path.replace("{id}", NOBODY);
        for (role, caller) in ROLES.into_iter().zip(&people) {
            let what = format!("{method} {path} as {role}");
            let answer = match method {
                Method::GET => caller.get(&path).await,
                _ => caller.json(method.clone(), &path, &json!({})).await,
            };
            if allowed.contains(&role) {
                assert!(
                    [200, 400, 404, 422].contains(&answer.status),
                    "{what}: {}",
                    answer.text
                );
            } else {
                let problem = answer.problem(403, "auth.role_required");
                let detail = problem["detail"].as_str().unwrap_or("");
                assert!(
                    allowed.iter().all(|role| detail.contains(role)),
                    "{what}: {problem}"
                );
            }
        }
    }
    // The role that allowed an act is the one in its event, whatever else the caller may do.
    let [all] = scene
        .tranche
        .callers([("zuri", "viewer,treasurer,manager,admin")]);
    let project = scene.project().await;
    let body = json!({ "number": 1, "title": "One", "target_amount": "1" });
    let address = format!("/v1/projects/{project}/milestones");
    let milestone = id(&all.post(&address, &body).await.json(201));
    let event = &scene.events(&milestone).await[0];
    assert_eq!(
        (&event["actor"]["id"], &event["actor"]["role"]),
        (&json!("zuri"), &json!("manager"))
    );
}

// API contract: `key issue --project`: what is not that project's does not exist for the key.
async fn scopes(store: StoreKind) {
    let scene = Scene::new(store);
    let [mine, other] = [scene.project().await, scene.project().await];
    let all = "viewer,manager,approver,treasurer,admin";
    let scoped = scene
        .tranche
        .caller("scoped", all, Some(&mine))
        .keyed("scoped");
    let milestone = scene.paid(&other, 1, "10").await;
    let draft = scene.draft(&other, 2, "10").await;
    let disbursed = scene.disburse(&milestone, "other", 30).await.json(200);
    let disbursement = id(&disbursed["disbursement"]);
    let own = scene.draft(&mine, 1, "10").await;

    for path in [
        format!("/v1/projects/{other}"),
        format!("/v1/projects/{other}/activity"),
        format!("/v1/projects/{other}/milestones"),
        format!("/v1/projects/{other}/milestones/stats"),
        format!("/v1/milestones/{draft}"),
        format!("/v1/milestones/{draft}/activity"),
        format!("/v1/disbursements/{disbursement}"),
    ] {
        scoped.get(&path).await.problem(404, "not_found");
    }
    let body = json!({ "number": 9, "title": "Mine", "target_amount": "1" });
    let address = format!("/v1/projects/{other}/milestones");
    scoped.post(&address, &body).await.problem(404, "not_found");
    let foreign = format!("/v1/milestones/{draft}");
    scoped
        .patch(&foreign, &json!({ "title": "Mine" }))
        .await
        .problem(404, "not_found");
    scoped.delete(&foreign).await.problem(404, "not_found");
    for (command, body) in [
        ("submit", json!({})),
        ("approve", json!({})),
        ("revise", json!({})),
        ("reject", json!({ "reason": "Mine." })),
        ("bank-transfer", transfer("NIP-9", "1")),
        ("disburse", json!({})),
    ] {
        let caller = scoped.with("idempotency-key", command);
        caller
            .post(&at(&draft, command), &body)
            .await
            .problem(404, "not_found");
    }
    let body = json!({ "name": "New", "nav": "1", "lp_tokens_outstanding": "1" });
    scoped
        .post("/v1/projects", &body)
        .await
        .problem(403, "auth.out_of_scope");

    let projects = rows(&scoped.get("/v1/projects").await.json(200));
    assert_eq!((projects.len(), id(&projects[0])), (1, mine.clone()));
    assert_eq!(
        rows(&scoped.get("/v1/disbursements").await.json(200)),
        [] as [Value; 0]
    );
    let asked = format!("/v1/disbursements?project_id={other}");
    assert_eq!(rows(&scoped.get(&asked).await.json(200)), [] as [Value; 0]);
    scoped.get(&format!("/v1/milestones/{own}")).await.json(200);
    scoped.post(&at(&own, "submit"), &json!({})).await.json(200);
    assert_eq!(scene.milestone(&draft).await["status"], "draft");

    let unknown = scene.tranche.command(&[
        "key",
        "issue",
        "--subject",
        "x",
        "--role",
        "viewer",
        "--project",
        NOBODY,
    ]);
    assert!(!unknown.status.success(), "there is no such project");
    assert_eq!(unknown.stdout, b"");
}
