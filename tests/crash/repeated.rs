//! Every step taken again changes nothing, and a step that failed is taken up again.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tranche_tests::support::scene::at;
use tranche_tests::support::service::StoreKind;

use crate::books;
use crate::step::Step;
use crate::worker::Worker;

/// How often a disbursement is pushed at each point.
const TIMES: usize = 6;

#[tokio::test]
async fn steps_taken_again_change_nothing_on_sqlite() {
    taken_again(StoreKind::Sqlite).await;
}

#[tokio::test]
async fn steps_taken_again_change_nothing_on_postgres() {
    taken_again(StoreKind::Postgres).await;
}

#[tokio::test]
async fn a_step_that_failed_is_taken_up_again_on_sqlite() {
    failed_once(StoreKind::Sqlite).await;
}

#[tokio::test]
async fn a_step_that_failed_is_taken_up_again_on_postgres() {
    failed_once(StoreKind::Postgres).await;
}

/// Takes up everything that is open, from several processes at once.
fn reconcile(worker: &Worker) {
    let tranche = &worker.scene.tranche;
    std::thread::scope(|scope| {
        let started = [(); TIMES].map(|()| scope.spawn(|| tranche.command(&["reconcile"])));
        for command in started {
            let output = command.join().expect("the command ends");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "reconcile: {errors}");
        }
    });
}

/// Everything that a settled milestone is.
async fn everything(worker: &Worker, milestone: &str) -> [Value; 4] {
    let scene = &worker.scene;
    [
        scene.milestone(milestone).await,
        scene.project_view(&worker.project).await,
        Value::from(worker.disbursements(milestone).await),
        Value::from(scene.events(milestone).await),
    ]
}

// M8: prepared, sent, judged and settled again and again, by the service and by `tranche reconcile`.
async fn taken_again(store: StoreKind) {
    let mut worker = Worker::start(store).await;
    let ledger = worker.sandbox.client();
    let milestone = worker.paid().await;
    ledger.hold(true).await;
    let first = worker.scene.disburse(&milestone, "once", 0).await.json(202);
    for _ in 0..TIMES {
        let again = worker.scene.disburse(&milestone, "once", 0).await.json(202);
        let hash = |answer: &Value| answer["disbursement"]["tx_hash"].clone();
        assert_eq!(hash(&again), hash(&first), "another burn for one key");
    }
    reconcile(&worker);
    ledger.hold(false).await;
    reconcile(&worker);
    assert_eq!(worker.quiet(&milestone).await, "disbursed");
    books::check(&worker).await;

    let before = everything(&worker, &milestone).await;
    reconcile(&worker);
    for _ in 0..TIMES {
        worker.scene.disburse(&milestone, "once", 0).await.json(200);
    }
    let other = worker.scene.disburse(&milestone, "other", 0).await;
    other.problem(409, "milestone.already_disbursed");
    assert_eq!(everything(&worker, &milestone).await, before);
    books::check(&worker).await;
}

// M8: the code at each step panics once, wherever it runs; the same call, repeated, comes to the end.
async fn failed_once(store: StoreKind) {
    let mut worker = Worker::start(store).await;
    for step in Step::ALL {
        worker.scene.tranche.kill();
        let fail = ("FAILPOINTS", format!("{}=1*panic", step.name()));
        worker.scene.tranche.restart_with(&[fail]);
        let milestone = worker.paid().await;
        let start = worker.scene.tranche.starts() - 1;
        let address = at(&milestone, "disburse?wait=30");
        let caller = worker.scene.treasurer.keyed(&milestone);
        let answer = loop {
            let body = Some(json!({}).to_string().into_bytes());
            let answer = caller.send(Method::POST, &address, body).await;
            if answer.status < 500 {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(answer.json(200)["milestone"]["status"], "disbursed");
        let log = worker.scene.tranche.log_since(start);
        let name = step.name();
        assert!(
            log.contains(&format!("failpoint {name} panic")),
            "{name} did not fail:\n{log}"
        );
        books::check(&worker).await;
    }
}
