//! A ledger that loses answers, refuses, lags behind and includes what then fails.

use serde_json::{Value, json};
use tranche_tests::support::service::{Options, StoreKind, eventually};

use crate::scene::{Scene, stroops, text};

on_both_stores! {
    included_and_failed: a_burn_that_failed_gives_everything_back_on_sqlite,
        a_burn_that_failed_gives_everything_back_on_postgres;
    sending: a_lost_or_refused_sending_settles_by_itself_on_sqlite,
        a_lost_or_refused_sending_settles_by_itself_on_postgres;
    asking: a_broken_or_lagging_ledger_settles_by_itself_on_sqlite,
        a_broken_or_lagging_ledger_settles_by_itself_on_postgres;
    before: a_ledger_that_fails_before_the_order_leaves_nothing_on_sqlite,
        a_ledger_that_fails_before_the_order_leaves_nothing_on_postgres;
}

// M8: included and failed: released, approved as before, audited; a new key tries again.
async fn included_and_failed(store: StoreKind) {
    let scene = Scene::new(store);
    let ledger = scene.tranche.ledger();
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    let (before, books) = (
        scene.milestone(&milestone).await,
        scene.project_view(&project).await,
    );
    ledger.fault("fail_included", 1).await;
    let answer = scene.disburse(&milestone, "first", 30).await;
    let problem = answer.problem(409, "disbursement.failed");
    assert!(problem["reason"].is_string(), "{problem}");
    let failed = &scene.disbursements(&project).await[0];
    assert_eq!(*failed, problem["disbursement"]);
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["failure"]["code"], problem["reason"]);
    assert_eq!(failed["settled_at"], Value::Null);

    let view = scene.milestone(&milestone).await;
    for same in [
        "status",
        "bank_transfer",
        "approved_by",
        "approved_at",
        "disbursement_id",
    ] {
        assert_eq!(view[same], before[same], "{same}");
    }
    let after = scene.project_view(&project).await;
    for same in [
        "nav",
        "nav_reserved",
        "lp_token_price",
        "completed_milestones",
    ] {
        assert_eq!(after[same], books[same], "{same}");
    }
    let burns = ledger.burns().await;
    assert_eq!((burns.len(), ledger.burned().await), (1, 0));
    let events = scene.events(&milestone).await;
    let last = events.last().expect("an event");
    assert_eq!(last["action"], "disbursement.failed");
    assert_eq!(last["previous_status"], "disbursing");
    assert_eq!(last["new_status"], "approved");
    assert_eq!(last["severity"], "critical");

    // The old key tells of the old burn; a new one burns.
    scene
        .disburse(&milestone, "first", 30)
        .await
        .problem(409, "disbursement.failed");
    let settled = scene.disburse(&milestone, "second", 30).await.json(200);
    assert_ne!(settled["burn_tx_hash"], failed["tx_hash"]);
    assert_eq!(settled["new_nav"], "999990.0000000");
    assert_eq!(ledger.burned().await, 1);
    let states = scene.disbursements(&project).await;
    let states: Vec<_> = states.iter().map(|row| text(row, "state")).collect();
    assert_eq!(states, ["settled", "failed"]);
}

// M8: the answer to the sending proves nothing, whatever it is: one burn, and it settles.
async fn sending(store: StoreKind) {
    let scene = Scene::new(store);
    let ledger = scene.tranche.ledger();
    let project = scene.project().await;
    for (number, fault, calls) in [(1, "lose_answer", 1), (2, "try_again_later", 2)] {
        let milestone = scene.paid(&project, number, "10").await;
        ledger.fault(fault, calls).await;
        let settled = scene.disburse(&milestone, fault, 30).await.json(200);
        assert_eq!(settled["milestone"]["status"], "disbursed", "{fault}");
    }
    let burns = ledger.burns().await;
    assert_eq!((burns.len(), ledger.burned().await), (2, 2));
    let books = scene.project_view(&project).await;
    assert_eq!(books["nav"], "999980.0000000");
    let wallet = text(&books, "wallet_account_id");
    assert_eq!(ledger.balance(&wallet).await, stroops(&books["nav"]));
}

// M8: nobody asks for it any more, and the ledger answers 500 or from the past: it settles.
async fn asking(store: StoreKind) {
    let options = Options {
        ledger_ms: 700,
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let ledger = scene.tranche.ledger();
    let project = scene.project().await;
    for (number, fault, calls) in [(1, "error_500", 4), (2, "lag", 12)] {
        let milestone = scene.paid(&project, number, "10").await;
        scene.disburse(&milestone, fault, 0).await.json(202);
        ledger.fault(fault, calls).await;
        scene.reaches(&milestone, "disbursed").await;
    }
    ledger.fault("clear", 1).await;
    // From the past, the wallet's sequence number is the one just used: no second burn takes it.
    let [third, fourth] = [
        scene.paid(&project, 3, "10").await,
        scene.paid(&project, 4, "10").await,
    ];
    scene.disburse(&third, "third", 30).await.json(200);
    ledger.fault("lag", 6).await;
    scene.disburse(&fourth, "fourth", 30).await.json(200);
    ledger.fault("clear", 1).await;
    assert_eq!((ledger.burns().await.len(), ledger.burned().await), (4, 4));
    assert_eq!(scene.project_view(&project).await["nav"], "999960.0000000");
}

// M8: the ledger cannot be asked before anything is signed: 503, nothing half done, and the same
// key works afterwards.
async fn before(store: StoreKind) {
    let scene = Scene::new(store);
    let ledger = scene.tranche.ledger();
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    let (view, books) = (
        scene.milestone(&milestone).await,
        scene.project_view(&project).await,
    );
    ledger.fault("error_500", 1000).await;
    let answer = scene.disburse(&milestone, "once", 5).await;
    answer.problem(503, "ledger.unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    let body = json!({ "name": "New", "nav": "1", "lp_tokens_outstanding": "1" });
    let ready = scene.admin.get("/readyz").await;
    assert_eq!(ready.json(503)["ledger"], "ledger unavailable");
    ledger.fault("clear", 1).await;
    assert_eq!(scene.milestone(&milestone).await, view);
    assert_eq!(scene.project_view(&project).await, books);
    assert_eq!(scene.disbursements(&project).await, [] as [Value; 0]);
    assert_eq!(ledger.burns().await, []);
    eventually("ready again", async || {
        (scene.admin.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    scene.disburse(&milestone, "once", 30).await.json(200);
    scene.admin.post("/v1/projects", &body).await.json(201);
    assert_eq!(ledger.burned().await, 1);
}
