//! The audit log refuses every event: what depends on it fails whole, what does not goes on.

use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Options, StoreKind, eventually};

use crate::scene::{Scene, at, rows, stroops, transfer};

on_both_stores! {
    critical: critical_steps_need_the_log_on_sqlite, critical_steps_need_the_log_on_postgres;
    the_rest: other_steps_go_on_and_their_events_come_later_on_sqlite,
        other_steps_go_on_and_their_events_come_later_on_postgres;
    in_flight: a_burn_in_flight_settles_when_the_log_is_back_on_sqlite,
        a_burn_in_flight_settles_when_the_log_is_back_on_postgres;
}

/// A failure on the service's side that says nothing was done.
#[track_caller]
fn failed(answer: &Answer) {
    assert!(answer.status >= 500, "{}", answer.text);
    answer.problem(answer.status, "store.unavailable");
}

// M6 M7 M8 M13: approve, transfer and disburse fail and change nothing; nothing reaches the ledger.
// M11: each failure is reported as critical, with its operation, error and context.
async fn critical(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let submitted = scene.submitted(&project, 1, "10").await;
    let approved = scene.approved(&project, 2, "10").await;
    let paid = scene.paid(&project, 3, "10").await;
    let all = async || {
        let mut views = vec![scene.project_view(&project).await];
        for id in [&submitted, &approved, &paid] {
            views.push(scene.milestone(id).await);
        }
        views.push(json!(scene.disbursements(&project).await));
        views
    };
    let before = all().await;
    scene.tranche.break_audit().await;
    failed(
        &scene
            .approver
            .keyed("a")
            .post(&at(&submitted, "approve"), &json!({}))
            .await,
    );
    let recorded = scene.treasurer.keyed("b");
    failed(
        &recorded
            .post(&at(&approved, "bank-transfer"), &transfer("NIP-2", "10"))
            .await,
    );
    failed(&scene.disburse(&paid, "c", 5).await);
    assert_eq!(all().await, before);

    let ledger = scene.tranche.ledger();
    let latest = ledger.latest().await;
    eventually("two more ledgers", async || {
        (ledger.latest().await > latest + 1).then_some(())
    })
    .await;
    assert_eq!(
        ledger.burns().await,
        [],
        "nothing was sent, not even something that failed"
    );
    assert_eq!(all().await, before);
    let log = scene.tranche.log();
    for operation in [
        "milestone.approved",
        "milestone.bank_transfer_recorded",
        "disbursement.prepared",
    ] {
        let incident = log.lines().find(|line| {
            line.contains("incident") && line.contains(&format!("\"operation\":\"{operation}\""))
        });
        let incident: Value = incident
            .and_then(|line| serde_json::from_str(line).ok())
            .expect(operation);
        assert_eq!(incident["critical"], true, "{incident}");
        assert_eq!(incident["level"], "ERROR", "{incident}");
        for part in ["error", "context", "timestamp"] {
            assert!(
                incident[part].as_str().is_some_and(|text| !text.is_empty()),
                "{incident}"
            );
        }
    }

    // The same calls under the same keys do it once the log is back, and their events are there.
    scene.tranche.heal_audit().await;
    scene
        .approver
        .keyed("a")
        .post(&at(&submitted, "approve"), &json!({}))
        .await
        .json(200);
    recorded
        .post(&at(&approved, "bank-transfer"), &transfer("NIP-2", "10"))
        .await
        .json(200);
    scene.disburse(&paid, "c", 30).await.json(200);
    assert_eq!(ledger.burned().await, 1);
    for (milestone, steps) in [(&submitted, 3), (&approved, 4), (&paid, 6)] {
        assert_eq!(scene.actions(milestone).await.len(), steps);
    }
}

// M13 M14: create, edit, submit, reject, revise and delete succeed; their events arrive exactly once.
async fn the_rest(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let edited = scene.draft(&project, 1, "10").await;
    let rejected = scene.submitted(&project, 2, "10").await;
    let deleted = scene.draft(&project, 3, "10").await;
    scene.events(&deleted).await;
    scene.tranche.break_audit().await;
    let created = scene.draft(&project, 4, "10").await;
    everything_else(&scene, &edited, &rejected, &deleted).await;

    // Nothing of it is in the log yet, and everything of it can be seen already.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    for (milestone, waiting) in [(&created, 1), (&edited, 2), (&rejected, 2), (&deleted, 1)] {
        let address = format!("/v1/milestones/{milestone}/activity");
        let events = rows(&scene.admin.get(&address).await.json(200));
        let late = events.iter().filter(|event| event["recorded_at"].is_null());
        assert_eq!(late.count(), waiting);
    }
    // By whoever found it first: the relay, or a worker.
    let told = ["audit.relay", "audit.worker"].map(|name| format!("\"operation\":\"{name}\""));
    let log = scene.tranche.log();
    assert!(told.iter().any(|told| log.contains(told)), "it is reported");

    scene.tranche.heal_audit().await;
    let mut seen = 0;
    for (milestone, actions) in [
        (&created, "created"),
        (&edited, "created updated submitted"),
        (&rejected, "created submitted rejected revised"),
        (&deleted, "created deleted"),
    ] {
        let found = scene.actions(milestone).await.join(" ");
        assert_eq!(found.replace("milestone.", ""), actions);
        seen += actions.split(' ').count();
    }
    let address = format!("/v1/projects/{project}/activity?limit=1000");
    let all = rows(&scene.admin.get(&address).await.json(200));
    assert_eq!(all.len(), seen + 1, "each event once, and the opening");
    let left = "SELECT count(*) FROM audit_outbox";
    eventually("an empty outbox", async || {
        (scene.tranche.sql(left).await == "0").then_some(())
    })
    .await;
}

/// Whatever may be done without the log.
async fn everything_else(scene: &Scene, edited: &str, rejected: &str, deleted: &str) {
    let (manager, nothing) = (&scene.manager, json!({}));
    let roof = json!({ "title": "Roof" });
    let address = format!("/v1/milestones/{edited}");
    manager.patch(&address, &roof).await.json(200);
    manager
        .post(&at(edited, "submit"), &nothing)
        .await
        .json(200);
    let (reject, reason) = (at(rejected, "reject"), json!({ "reason": "No." }));
    scene.approver.post(&reject, &reason).await.json(200);
    manager
        .post(&at(rejected, "revise"), &nothing)
        .await
        .json(200);
    let address = format!("/v1/milestones/{deleted}");
    manager.delete(&address).await.json(204);
    let opened = scene.project().await;
    let late = scene.tranche.caller("late", "viewer", None);
    late.get(&format!("/v1/projects/{opened}")).await.json(200);
}

// M8 M13: no NAV moves without its evidence, though the burn happened; nothing burns twice.
async fn in_flight(store: StoreKind) {
    let options = Options {
        ledger_ms: 1500,
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    let before = scene.project_view(&project).await;
    let pending = scene.disburse(&milestone, "flight", 0).await.json(202);
    scene.tranche.break_audit().await;
    let ledger = scene.tranche.ledger();
    eventually("the burn on the ledger", async || {
        (ledger.burned().await == 1).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let meanwhile = scene.project_view(&project).await;
    assert_eq!(meanwhile["nav"], before["nav"]);
    assert_eq!(meanwhile["nav_reserved"], "10.0000000");
    assert_eq!(scene.milestone(&milestone).await["status"], "disbursing");

    scene.tranche.heal_audit().await;
    let view = scene.reaches(&milestone, "disbursed").await;
    assert_eq!(
        view["stellar_burn_tx_hash"],
        pending["disbursement"]["tx_hash"]
    );
    let after = scene.project_view(&project).await;
    assert_eq!(
        stroops(&before["nav"]) - stroops(&after["nav"]),
        100_000_000
    );
    assert_eq!(after["nav_reserved"], "0.0000000");
    assert_eq!(ledger.burned().await, 1);
    let actions = scene.actions(&milestone).await;
    assert_eq!(
        actions
            .iter()
            .filter(|action| *action == "milestone.disbursed")
            .count(),
        1
    );
}
