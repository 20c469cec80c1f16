//! The store or the ledger is away for a while.

use std::time::Instant;

use serde_json::{Value, json};
use tranche_tests::support::postgres::Database;
use tranche_tests::support::service::{Options, Sandbox, StoreKind, eventually};

use crate::scene::{Scene, at, text};

on_both_stores! {
    store_away: the_store_is_away_for_a_while_on_sqlite, the_store_is_away_for_a_while_on_postgres;
    ledger_away: the_ledger_is_away_for_a_while_on_sqlite,
        the_ledger_is_away_for_a_while_on_postgres;
}

// M13, API contract: 503, nothing done, `/readyz` names the store; afterwards all goes on.
async fn store_away(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let submitted = scene.submitted(&project, 1, "10").await;
    let paid = scene.paid(&project, 2, "10").await;
    let began = Instant::now();
    match store {
        StoreKind::Postgres => postgres_away(&scene, &submitted, &paid).await,
        StoreKind::Sqlite => sqlite_locked(&scene, &submitted, &paid).await,
    }
    assert!(began.elapsed().as_secs() < 60, "nobody waits for ever");
    eventually("ready again", async || {
        (scene.admin.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    let ready = scene.admin.get("/readyz").await.json(200);
    assert_eq!(
        ready,
        json!({ "status": "ready", "store": "ok", "ledger": "ok", "audit_log": "sound" })
    );
    assert_eq!(scene.milestone(&submitted).await["status"], "submitted");
    assert_eq!(scene.milestone(&paid).await["status"], "approved");
    assert_eq!(scene.tranche.ledger().burned().await, 0);
    scene
        .approver
        .keyed("approve")
        .post(&at(&submitted, "approve"), &json!({}))
        .await
        .json(200);
    scene.disburse(&paid, "burn", 30).await.json(200);
    assert_eq!(scene.tranche.ledger().burned().await, 1);
}

/// What changes something is refused, all at once.
async fn refused(scene: &Scene, submitted: &str, paid: &str) {
    let (approve, nothing) = (at(submitted, "approve"), json!({}));
    let approver = scene.approver.keyed("approve");
    let answers = futures::join!(
        approver.post(&approve, &nothing),
        scene.disburse(paid, "burn", 1),
    );
    for answer in [answers.0, answers.1] {
        answer.problem(503, "store.unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
}

async fn postgres_away(scene: &Scene, submitted: &str, paid: &str) {
    let elsewhere = Database::create().expect("another database");
    let name = scene.tranche.database().name();
    let sql = |statement: String| elsewhere.run(&statement).expect("the server obeys");
    sql(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    sql(format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
    let readyz = scene.tranche.with_token(None);
    let ready = readyz.get("/readyz").await.json(503);
    assert_eq!(
        ready,
        json!({ "status": "unavailable", "store": "store unavailable", "ledger": "ok", "audit_log": "sound" })
    );
    readyz.get("/healthz").await;
    refused(scene, submitted, paid).await;
    scene
        .admin
        .get("/v1/projects")
        .await
        .problem(503, "store.unavailable");
    sql(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
}

async fn sqlite_locked(scene: &Scene, submitted: &str, paid: &str) {
    let held = scene.tranche.hold_write_lock().await;
    refused(scene, submitted, paid).await;
    // Reading goes on.
    assert_eq!(scene.milestone(paid).await["status"], "approved");
    drop(held);
}

// M8, API contract: no ledger: 503 with nothing half done; a burn in flight settles when it is back.
async fn ledger_away(store: StoreKind) {
    let mut sandbox = Sandbox::start(1000);
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let body = json!({ "name": "No wallet", "nav": "1", "lp_tokens_outstanding": "1" });
    assert_eq!(
        scene
            .admin
            .post("/v1/projects", &body)
            .await
            .refused_fields(),
        ["wallet"]
    );
    let wallet = sandbox.client().wallet("1000").await;
    let wallet = json!({ "nav": "1000", "wallet": { "secret_seed": wallet.seed } });
    let project = scene.open(&wallet).await;
    let in_flight = scene.paid(&project, 1, "10").await;
    let refused = scene.paid(&project, 2, "20").await;
    let pending = scene.disburse(&in_flight, "in flight", 0).await.json(202);
    sandbox.kill();

    let ready = scene.admin.get("/readyz").await.json(503);
    assert_eq!(
        ready,
        json!({ "status": "unavailable", "store": "ok", "ledger": "ledger unavailable", "audit_log": "sound" })
    );
    let view = scene.milestone(&refused).await;
    scene
        .disburse(&refused, "refused", 1)
        .await
        .problem(503, "ledger.unavailable");
    assert_eq!(scene.milestone(&refused).await, view);
    let open = scene.disbursements(&project).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(
        scene.project_view(&project).await["nav_reserved"],
        "10.0000000"
    );
    // What needs no ledger goes on.
    scene.submitted(&project, 3, "30").await;
    assert_eq!(scene.milestone(&in_flight).await["status"], "disbursing");

    sandbox.restart();
    let settled = scene.reaches(&in_flight, "disbursed").await;
    assert_eq!(
        settled["stellar_burn_tx_hash"],
        pending["disbursement"]["tx_hash"]
    );
    scene.disburse(&refused, "refused", 30).await.json(200);
    let burns = sandbox.client().burns().await;
    assert_eq!(burns.len(), 2);
    assert_eq!(scene.project_view(&project).await["nav"], "970.0000000");
    let states: Vec<Value> = scene.disbursements(&project).await;
    assert!(states.iter().all(|row| text(row, "state") == "settled"));
}
