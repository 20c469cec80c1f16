//! Who may write and read trails, and that another project's are not there.

use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Options, StoreKind};

use crate::scene::Scene;
use crate::trails::{BACKENDS, kept_in, message, put, read_at, whole, written_at};

on_both_stores! {
    projects: another_projects_trail_is_not_there_on_sqlite,
        another_projects_trail_is_not_there_on_postgres;
    roles: trails_are_for_their_roles_on_sqlite, trails_are_for_their_roles_on_postgres;
    limits: who_writes_trails_too_often_is_told_on_sqlite,
        who_writes_trails_too_often_is_told_on_postgres;
}

/// A problem without where it happened.
fn bare(answer: &Answer) -> Value {
    let mut problem = answer.problem(404, "not_found");
    problem
        .as_object_mut()
        .expect("a problem")
        .remove("instance");
    problem
}

// T1: a message of another project answers as one that there is not, to the letter.
async fn projects(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let [mine, other] = [scene.project().await, scene.project().await];
        let [service] = scene.tranche.callers([("assessor", "service")]);
        let scoped = scene
            .tranche
            .caller("scoped", "service,viewer", Some(&mine));
        put(&service, &written_at(&other, &message(1)), &whole())
            .await
            .json(201);
        let before = service.get(&read_at(&message(1))).await.json(200);

        let there_is_none = bare(
            &service
                .patch(&written_at(&mine, &message(9)), &whole())
                .await,
        );
        for caller in [&service, &scoped] {
            let at = written_at(&mine, &message(1));
            for body in [json!({}), whole(), json!({ "model": "mine" })] {
                assert_eq!(
                    bare(&put(caller, &at, &body).await),
                    there_is_none,
                    "{backend}"
                );
            }
            let patched = caller.patch(&at, &json!({ "model": "mine" })).await;
            assert_eq!(bare(&patched), there_is_none, "{backend}");
        }
        let unread = bare(&scoped.get(&read_at(&message(9))).await);
        assert_eq!(bare(&scoped.get(&read_at(&message(1))).await), unread);
        // Not even a free message is put into a project that is not the key's.
        let at = written_at(&other, &message(2));
        put(&scoped, &at, &whole()).await.problem(404, "not_found");
        let analytics = format!("/v1/projects/{other}/assessment/analytics");
        scoped.get(&analytics).await.problem(404, "not_found");
        let nowhere = "00000000-0000-7000-8000-000000000000";
        put(&service, &written_at(nowhere, &message(3)), &whole())
            .await
            .problem(404, "not_found");
        let analytics = format!("/v1/projects/{nowhere}/assessment/analytics");
        service.get(&analytics).await.problem(404, "not_found");
        assert_eq!(service.get(&read_at(&message(1))).await.json(200), before);
        put(&scoped, &written_at(&mine, &message(4)), &whole())
            .await
            .json(201);
        scoped.get(&read_at(&message(4))).await.json(200);
    }
}

// T1: service and manager write; whoever may read the project, and the service, read.
async fn roles(store: StoreKind) {
    let scene = Scene::with(store, kept_in("database"));
    let project = scene.project().await;
    let names = [
        "viewer",
        "manager",
        "approver",
        "treasurer",
        "auditor",
        "service",
        "admin",
    ];
    let people = scene.tranche.callers(names.map(|role| (role, role)));
    let at = written_at(&project, &message(1));
    put(&people[5], &at, &whole()).await.json(201);
    let analytics = format!("/v1/projects/{project}/assessment/analytics");
    for (role, caller) in names.into_iter().zip(&people) {
        caller.get(&read_at(&message(1))).await.json(200);
        caller.get(&analytics).await.json(200);
        let (written, patched) = (
            put(caller, &at, &whole()).await,
            caller.patch(&at, &json!({ "model": "assessor-2" })).await,
        );
        for answer in [written, patched] {
            if ["service", "manager"].contains(&role) {
                answer.json(200);
            } else {
                answer.problem(403, "auth.role_required");
            }
        }
        let backend = "/v1/assessment/trails/backend";
        let switched = put(caller, backend, &json!({ "backend": "database" })).await;
        let migrated = caller
            .post("/v1/assessment/trails/migration", &json!({}))
            .await;
        let compared = caller
            .post("/v1/assessment/trails/comparison", &json!({}))
            .await;
        for answer in [switched, migrated, compared, caller.get(backend).await] {
            if role == "admin" {
                answer.json(200);
            } else {
                answer.problem(403, "auth.role_required");
            }
        }
    }
    let scoped = scene.tranche.caller("scoped", "admin", Some(&project));
    let backend = "/v1/assessment/trails/backend";
    scoped.get(backend).await.problem(403, "auth.out_of_scope");
    put(&scoped, backend, &json!({ "backend": "database" }))
        .await
        .problem(403, "auth.out_of_scope");
    let none = scene.tranche.with_token(None);
    put(&none, &at, &whole()).await.problem(401, "auth.missing");
}

// S9: a write counts as events do; a refused one does nothing.
async fn limits(store: StoreKind) {
    let options = Options {
        settings: vec![("TRANCHE_RATE_LIMIT", "2/h".to_owned())],
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let project = scene.project().await;
    let [service] = scene.tranche.callers([("assessor", "service")]);
    let at = written_at(&project, &message(1));
    let first = put(&service, &at, &json!({})).await;
    assert_eq!(
        (first.status, first.header("ratelimit-remaining")),
        (201, "1")
    );
    // A bad one counts, before it is read.
    put(&service, &at, &json!({ "x": 1 }))
        .await
        .refused_fields();
    let refused = service.patch(&at, &json!({ "model": "m" })).await;
    refused.problem(429, "rate_limit.exceeded");
    assert_ne!(refused.header("retry-after"), "");
    let kept = service.get(&read_at(&message(1))).await.json(200);
    assert_eq!(kept["version"], 1);
}
