//! Channel accounts: as many burns in flight as there are channels, and without them as before.

use std::sync::Arc;

use serde_json::json;
use tranche_tests::support::service::{Options, Sandbox, StoreKind};

use crate::scene::{Scene, stroops};

on_both_stores! {
    faster: sixteen_channels_settle_eight_times_as_fast_on_sqlite,
        sixteen_channels_settle_eight_times_as_fast_on_postgres;
    pool: a_pool_is_made_once_and_listed_on_sqlite, a_pool_is_made_once_and_listed_on_postgres;
}

const MILESTONES: i32 = 64;
/// Long enough for sixteen orders on a busy machine, so that the ledger is what they wait for.
const LEDGER_MS: u64 = 700;

/// Settles [`MILESTONES`] of one project, all ordered at once; how many ledgers that took.
async fn ledgers_taken(scene: &Arc<Scene>, sandbox: &Sandbox) -> u64 {
    let project = scene.project_on(&sandbox.client()).await;
    let mut milestones = Vec::new();
    for number in 1..=MILESTONES {
        milestones.push(scene.paid(&project, number, "10").await);
    }
    let before = sandbox.client().latest().await;
    let orders: Vec<_> = milestones
        .iter()
        .map(|milestone| {
            let (scene, milestone) = (scene.clone(), milestone.clone());
            tokio::spawn(async move {
                // A wallet busy for longer than a call waits says so, and the same key goes on.
                for _ in 0..10 {
                    let answer = scene.disburse(&milestone, &milestone, 60).await;
                    if answer.status == 200 {
                        return;
                    }
                    if answer.status != 202 {
                        answer.problem(409, "project.wallet_busy");
                    }
                }
                panic!("{milestone} was not disbursed");
            })
        })
        .collect();
    for order in orders {
        order.await.expect("an order is answered");
    }
    let rows = scene.disbursements(&project).await;
    let last = rows
        .iter()
        .map(|row| row["ledger"].as_u64().expect("a ledger"));
    let last = last.max().expect("settled disbursements");
    let books = scene.project_view(&project).await;
    assert_eq!(books["completed_milestones"], MILESTONES);
    assert_eq!(books["nav_reserved"], "0.0000000");
    let burned = i64::from(MILESTONES) * 100_000_000;
    assert_eq!(stroops(&books["nav"]), 10_000_000_000_000 - burned);
    last - before
}

// Step 2 of the protocol in parallel, M8: measured in ledgers, not in seconds.
async fn faster(store: StoreKind) {
    let sandbox = Sandbox::start(LEDGER_MS);
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..Options::default()
    };
    let scene = Arc::new(Scene::with(store, options));
    let alone = ledgers_taken(&scene, &sandbox).await;
    scene.tranche.channels(&sandbox.client(), 16).await;
    let together = ledgers_taken(&scene, &sandbox).await;
    println!("64 milestones: {alone} ledgers without channels, {together} with 16");
    assert!(
        together * 8 <= alone,
        "{together} ledgers with 16 channels, {alone} without"
    );
    let burns = sandbox.client().burns().await;
    assert_eq!(burns.iter().filter(|burn| burn.succeeded).count(), 128);
}

// A pool is made beside a running service; what it is busy with is shown.
async fn pool(store: StoreKind) {
    let sandbox = Sandbox::start(200);
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let list = || {
        let listed = scene.tranche.command(&["channels", "list"]);
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8_lossy(&listed.stdout).into_owned()
    };
    assert!(
        list().contains("there are no channel accounts"),
        "{}",
        list()
    );
    let unpaid = scene
        .tranche
        .command(&["channels", "create", "--count", "3"]);
    let told = String::from_utf8_lossy(&unpaid.stderr).into_owned();
    assert!(told.contains("--funder-seed-file"), "{told}");
    scene.tranche.channels(&sandbox.client(), 3).await;
    assert_eq!(list().matches("free").count(), 3, "{}", list());
    let project = scene.project_on(&sandbox.client()).await;
    let milestone = scene.paid(&project, 1, "10").await;
    sandbox.client().hold(true).await;
    let pending = scene.disburse(&milestone, "held", 0).await.json(202);
    let id = pending["disbursement"]["id"].as_str().expect("an id");
    assert!(list().contains(&format!("leased by disbursement {id}")));
    let channel = &pending["disbursement"]["sequence_account_id"];
    assert_ne!(
        *channel,
        scene.project_view(&project).await["wallet_account_id"]
    );
    sandbox.client().hold(false).await;
    scene.reaches(&milestone, "disbursed").await;
    assert_eq!(list().matches("free").count(), 3, "{}", list());
    let mut events = scene.events(&milestone).await.into_iter();
    let order = events.rfind(|event| event["action"] == "disbursement.prepared");
    let order = order.expect("the order's event");
    assert_eq!(order["metadata"]["sequence_account_id"], *channel);
    let refused = scene
        .tranche
        .command(&["channels", "create", "--count", "1001"]);
    assert!(!refused.status.success());
    assert_eq!(json!(list().matches("free").count()), json!(3));
}
