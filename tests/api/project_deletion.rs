//! A project that never had a milestone can be deleted; its trails go with it, its wallet stays.

use serde_json::json;
use tranche_tests::support::service::{StoreKind, eventually};

use crate::scene::{Scene, rows};
use crate::trails::{BACKENDS, kept_in, message, put, read_at, whole, written_at};

on_both_stores! {
    deletion: a_projects_trails_go_with_it_on_sqlite, a_projects_trails_go_with_it_on_postgres;
    refusals: a_project_with_books_stays_on_sqlite, a_project_with_books_stays_on_postgres;
}

// T7: trails go with their project, on each backend; the wallet's record of custody stays.
async fn deletion(store: StoreKind) {
    for backend in BACKENDS {
        let scene = Scene::with(store, kept_in(backend));
        let [project, other] = [scene.project().await, scene.project().await];
        let [service, auditor] = scene
            .tranche
            .callers([("assessor", "service"), ("uche", "auditor")]);
        for (number, project) in [(1, &project), (2, &project), (3, &other)] {
            let at = written_at(project, &message(number));
            put(&service, &at, &whole()).await.json(201);
        }
        let wallets = "SELECT account_id FROM wallets ORDER BY account_id";
        let before = scene.tranche.sql(wallets).await;
        let wallet = scene.project_view(&project).await["wallet_account_id"].clone();
        let at = format!("/v1/projects/{project}");
        scene
            .manager
            .delete(&at)
            .await
            .problem(403, "auth.role_required");
        let stale = scene.admin.with("if-match", "\"7\"").delete(&at).await;
        assert_eq!(stale.problem(412, "project.stale")["version"], 1);
        let deleted = scene.admin.with("if-match", "\"1\"").delete(&at).await;
        assert_eq!(
            (deleted.status, deleted.text.as_str()),
            (204, ""),
            "{backend}"
        );

        scene.admin.delete(&at).await.problem(404, "not_found");
        scene.admin.get(&at).await.problem(404, "not_found");
        for number in [1, 2] {
            let gone = service.get(&read_at(&message(number))).await;
            gone.problem(404, "not_found");
            let at = written_at(&project, &message(number));
            put(&service, &at, &whole()).await.problem(404, "not_found");
        }
        service.get(&read_at(&message(3))).await.json(200);
        eventually("what it left is gone", async || {
            for table in ["assessment_trails", "trail_rollups", "trail_removals"] {
                let left = format!("SELECT count(*) FROM {table} WHERE project_id = '{project}'");
                if scene.tranche.sql(&left).await != "0" {
                    return None;
                }
            }
            Some(())
        })
        .await;
        assert_eq!(scene.tranche.sql(wallets).await, before, "{backend}");
        // Its seed was never shown: what lies in the wallet is reached by who names it.
        let wallet = json!({ "account_id": wallet, "custody": "local" });
        let body =
            json!({ "name": "again", "nav": "1", "lp_tokens_outstanding": "1", "wallet": wallet });
        let again = scene.admin.post("/v1/projects", &body).await.json(201);
        assert_eq!(again["wallet_account_id"], wallet["account_id"]);
        let taken = scene.admin.post("/v1/projects", &body).await;
        taken.problem(409, "project.wallet_taken");
        let search = format!("/v1/audit/events?action=project.deleted&project_id={project}");
        let events = eventually("the deletion is in the log", async || {
            let events = rows(&auditor.get(&search).await.json(200));
            (!events.is_empty()).then_some(events)
        })
        .await;
        assert_eq!(events[0]["severity"], "warning");
        assert_eq!(events[0]["actor"]["id"], "ifeoma");
        // The message is free again, for another project.
        let at = written_at(&other, &message(1));
        put(&service, &at, &whole()).await.json(201);
    }
}

// T7: what has books, or had, or has whom to tell, stays as it is.
async fn refusals(store: StoreKind) {
    let scene = Scene::with(store, kept_in("database"));
    let project = scene.project().await;
    let at = format!("/v1/projects/{project}");
    let scoped = scene.tranche.caller("scoped", "admin", Some(&project));
    scoped.delete(&at).await.problem(403, "auth.out_of_scope");
    let webhook = json!({ "url": "http://127.0.0.1:9/hook" });
    let webhook = scoped.post("/v1/webhooks", &webhook).await.json(201);
    scene
        .admin
        .delete(&at)
        .await
        .problem(409, "project.has_webhooks");
    let webhook = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    assert_eq!(scene.admin.delete(&webhook).await.status, 204);

    let draft = scene.draft(&project, 1, "10").await;
    scene
        .admin
        .delete(&at)
        .await
        .problem(409, "project.has_milestones");
    let deleted = scene
        .manager
        .delete(&format!("/v1/milestones/{draft}"))
        .await;
    assert_eq!(deleted.status, 204);
    scene
        .admin
        .delete(&at)
        .await
        .problem(409, "project.has_milestones");
    assert_eq!(scene.project_view(&project).await["id"], project);
    let body = json!({ "cascade": true });
    let strange = scene.admin.json(reqwest::Method::DELETE, &at, &body).await;
    assert_eq!(strange.refused_fields(), ["cascade"]);
}
