//! A restored backup has forgotten burns. That is noticed before anything is sent.

use serde_json::json;
use tranche_tests::support::service::{Options, Sandbox, StoreKind};

use crate::scene::{Scene, text};

on_both_stores! {
    forgotten: a_restore_that_forgot_five_burns_pays_none_again_on_sqlite,
        a_restore_that_forgot_five_burns_pays_none_again_on_postgres;
    reset: a_ledger_that_was_reset_is_not_burned_on_on_sqlite,
        a_ledger_that_was_reset_is_not_burned_on_on_postgres;
}

async fn on(sandbox: &Sandbox, store: StoreKind) -> Scene {
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..Options::default()
    };
    Scene::with(store, options)
}

// Step 8, M8: the five are listed, exactly; nothing is sent for the project; another one goes on.
async fn forgotten(store: StoreKind) {
    let sandbox = Sandbox::start(200);
    let mut scene = on(&sandbox, store).await;
    let ledger = sandbox.client();
    let project = scene.project_on(&ledger).await;
    let other = scene.project_on(&ledger).await;
    let mut milestones = Vec::new();
    for number in 1..=8 {
        milestones.push(scene.paid(&project, number, "10").await);
    }
    let elsewhere = scene.paid(&other, 1, "10").await;
    for milestone in &milestones[..3] {
        scene.disburse(milestone, milestone, 30).await.json(200);
    }
    let agree = scene.tranche.command(&["reconcile", "--check"]);
    assert!(agree.status.success(), "{agree:?}");
    assert_eq!(scene.tranche.terminate(), Some(0));
    let backup = scene.tranche.backup();
    scene.tranche.restart();
    let mut lost = Vec::new();
    for milestone in &milestones[3..] {
        let answer = scene.disburse(milestone, milestone, 30).await.json(200);
        lost.push(text(&answer, "burn_tx_hash"));
    }
    assert_eq!(scene.tranche.terminate(), Some(0));
    scene.tranche.restore(&backup);
    scene.tranche.restart();

    // The treasurer, who sees five approved milestones again, pays again: refused, whoever asks first.
    for milestone in &milestones[3..] {
        assert_eq!(scene.milestone(milestone).await["status"], "approved");
        let again = scene.disburse(milestone, "again", 5).await;
        let problem = again.problem(409, "project.books_differ");
        assert!(text(&problem, "detail").contains("tranche reconcile --check"));
    }
    scene.disburse(&elsewhere, "elsewhere", 30).await.json(200);
    assert_eq!(
        sandbox.client().burned().await,
        9,
        "8 before and the other project's"
    );

    let check = scene.tranche.command(&["reconcile", "--check"]);
    assert_eq!(check.status.code(), Some(1));
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    let rows: Vec<&str> = told
        .lines()
        .filter(|line| line.contains(&project))
        .collect();
    assert_eq!(rows.len(), 5, "{told}");
    for hash in &lost {
        let of_it = rows
            .iter()
            .filter(|row| row.contains(hash.as_str()))
            .count();
        assert_eq!(of_it, 1, "{told}");
    }
    assert!(
        rows.iter().all(|row| row.starts_with("unknown_burn")),
        "{told}"
    );
    assert!(told.contains("restore a later backup"), "{told}");
    let log = scene.tranche.log();
    assert!(log.contains("unknown_burn"), "the monitor hears of it");
}

// A network that was reset keeps its passphrase and stands before what was watched: nothing is sent.
async fn reset(store: StoreKind) {
    let mut sandbox = Sandbox::start(20);
    let mut scene = on(&sandbox, store).await;
    let project = scene.project_on(&sandbox.client()).await;
    let milestones = [
        scene.paid(&project, 1, "10").await,
        scene.paid(&project, 2, "10").await,
    ];
    scene.disburse(&milestones[0], "first", 30).await.json(200);
    tranche_tests::support::service::eventually("a ledger far from its beginning", async || {
        (sandbox.client().latest().await > 400).then_some(())
    })
    .await;
    let agree = scene.tranche.command(&["reconcile", "--check"]);
    assert!(agree.status.success(), "{agree:?}");
    scene.tranche.kill();
    sandbox.kill();
    sandbox.forget();
    sandbox.restart();
    scene.tranche.restart();
    let refused = scene.disburse(&milestones[1], "second", 5).await;
    refused.problem(503, "ledger.halted");
    assert_eq!(sandbox.client().burned().await, 0);
    let check = scene.tranche.command(&["reconcile", "--check"]);
    assert!(!check.status.success());
    let told = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(told.contains("runs backwards"), "{told}");
    let books = scene.project_view(&project).await;
    assert_eq!(books["nav_reserved"], json!("0.0000000"));
}
