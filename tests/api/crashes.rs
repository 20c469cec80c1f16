//! The process ends, outright or asked to, while money moves.

use std::time::Duration;

use serde_json::json;
use tranche_tests::support::service::{Options, Sandbox, StoreKind, eventually};

use crate::scene::{Scene, at, stroops, text};

on_both_stores! {
    killed: killed_between_order_and_burn_on_sqlite, killed_between_order_and_burn_on_postgres;
    killed_at_any_time: killed_at_any_time_on_sqlite, killed_at_any_time_on_postgres;
    drained: sigterm_ends_what_was_begun_on_sqlite, sigterm_ends_what_was_begun_on_postgres;
}

/// A service on a ledger of its own, which outlives it, and a project that brought its wallet.
async fn on_a_ledger_of_its_own(store: StoreKind, interval_ms: u64) -> (Scene, Sandbox, String) {
    let sandbox = Sandbox::start(interval_ms);
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let wallet = sandbox.client().wallet("1000").await;
    let wallet = json!({ "nav": "1000", "wallet": { "secret_seed": wallet.seed } });
    let project = scene.open(&wallet).await;
    (scene, sandbox, project)
}

// M8: SIGKILL after the order is kept and before the ledger decides: settled once, by itself.
async fn killed(store: StoreKind) {
    let (mut scene, sandbox, project) = on_a_ledger_of_its_own(store, 3000).await;
    let ledger = sandbox.client();
    let milestone = scene.paid(&project, 1, "10").await;
    let pending = scene.disburse(&milestone, "killed", 0).await.json(202);
    scene.tranche.kill();
    assert_eq!(ledger.burned().await, 0, "killed before the ledger decided");
    scene.tranche.restart();
    let view = scene.reaches(&milestone, "disbursed").await;
    assert_eq!(
        view["stellar_burn_tx_hash"],
        pending["disbursement"]["tx_hash"]
    );
    assert_eq!(view["disbursed_by"], "amaka");
    let books = scene.project_view(&project).await;
    assert_eq!(books["nav"], "990.0000000");
    assert_eq!(books["nav_reserved"], "0.0000000");
    // The key still stands for that burn, and a new one finds it done.
    let again = scene.disburse(&milestone, "killed", 5).await.json(200);
    assert_eq!(again["burn_tx_hash"], pending["disbursement"]["tx_hash"]);
    let other = scene.disburse(&milestone, "other", 5).await;
    other.problem(409, "milestone.already_disbursed");
    assert_eq!(ledger.burns().await.len(), 1);
    let actions = scene.actions(&milestone).await;
    assert_eq!(
        actions[4..],
        ["disbursement.prepared", "milestone.disbursed"]
    );
    // What is kept of the caller is the order's, not the restarted process's.
    let events = scene.events(&milestone).await;
    assert_eq!(events[5]["request_id"], events[4]["request_id"]);
}

// M8: SIGKILL after so many milliseconds, wherever that is; the same key then ends it, with one burn.
async fn killed_at_any_time(store: StoreKind) {
    let (mut scene, sandbox, project) = on_a_ledger_of_its_own(store, 300).await;
    let ledger = sandbox.client();
    for (number, milliseconds) in (1_i32..).zip([2, 10, 25, 60, 150, 400]) {
        let milestone = scene.paid(&project, number, "10").await;
        let (treasurer, address) = (
            scene.treasurer.keyed(&milestone),
            at(&milestone, "disburse"),
        );
        let body = Some(b"{}".to_vec());
        let call = tokio::spawn(async move {
            treasurer
                .try_send(reqwest::Method::POST, &address, body)
                .await
        });
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        scene.tranche.kill();
        // Whether it was answered or broken off does not matter.
        drop(call.await.expect("the call ends"));
        scene.tranche.restart();
        let address = at(&milestone, "disburse?wait=30");
        let caller = scene.treasurer.keyed(&milestone);
        let again = caller
            .send(reqwest::Method::POST, &address, Some(b"{}".to_vec()))
            .await;
        assert_eq!(
            again.json(200)["milestone"]["status"],
            "disbursed",
            "{milliseconds} ms"
        );
        assert_eq!(
            json!(ledger.burned().await),
            json!(number),
            "{milliseconds} ms"
        );
    }
    let books = scene.project_view(&project).await;
    assert_eq!(books["nav"], "940.0000000");
    assert_eq!(books["nav_reserved"], "0.0000000");
    assert_eq!(books["completed_milestones"], 6);
    let wallet = text(&books, "wallet_account_id");
    assert_eq!(ledger.balance(&wallet).await, stroops(&books["nav"]));
    assert!(
        scene
            .disbursements(&project)
            .await
            .iter()
            .all(|row| row["state"] == "settled")
    );
}

// P9, API contract: SIGTERM lets an open call end, answers it, and exits 0.
async fn drained(store: StoreKind) {
    let (mut scene, sandbox, project) = on_a_ledger_of_its_own(store, 2000).await;
    let milestone = scene.paid(&project, 1, "10").await;
    let (treasurer, address) = (
        scene.treasurer.keyed("drained"),
        at(&milestone, "disburse?wait=15"),
    );
    let call = tokio::spawn(async move { treasurer.post(&address, &json!({})).await });
    eventually("an open disbursement", async || {
        (!scene.disbursements(&project).await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(scene.tranche.terminate(), Some(0));
    let answer = call.await.expect("the open call is answered");
    assert_eq!(answer.json(200)["milestone"]["status"], "disbursed");
    assert_eq!(sandbox.client().burned().await, 1);
    let gone = scene
        .admin
        .try_send(reqwest::Method::GET, "/healthz", None)
        .await;
    assert!(gone.is_err(), "nobody listens any more");
    scene.tranche.restart();
    assert_eq!(scene.project_view(&project).await["nav"], "990.0000000");
    assert_eq!(scene.tranche.terminate(), Some(0), "quiet, it ends as well");
}
