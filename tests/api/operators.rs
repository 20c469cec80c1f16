//! What no answer of the ledger can prove, two people decide, and nothing that it contradicts.

use serde_json::{Value, json};
use tranche_tests::support::service::{Options, Sandbox, StoreKind, Wallet, eventually};

use crate::scene::{Scene, text};

on_both_stores! {
    decided: two_people_decide_what_the_ledger_cannot_on_sqlite,
        two_people_decide_what_the_ledger_cannot_on_postgres;
    refused: people_decide_nothing_that_the_ledger_decides_on_sqlite,
        people_decide_nothing_that_the_ledger_decides_on_postgres;
}

async fn scene_on(sandbox: &Sandbox, store: StoreKind) -> (Scene, Wallet, String) {
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let wallet = sandbox.client().wallet("1000").await;
    let body = json!({ "nav": "1000", "wallet": { "secret_seed": wallet.seed } });
    let project = scene.open(&body).await;
    (scene, wallet, project)
}

fn resolution(id: &str) -> String {
    format!("/v1/disbursements/{id}/resolution")
}

/// A disbursement whose wallet's account was merged away before its burn was included: who could
/// tell? The milestone and the disbursement.
async fn lost(scene: &mut Scene, wallet: &Wallet, sandbox: &Sandbox, project: &str) -> [String; 2] {
    let ledger = sandbox.client();
    let milestone = scene.paid(project, 1, "10").await;
    ledger.fault("try_again_later", 1_000_000).await;
    let pending = scene.disburse(&milestone, "lost", 0).await.json(202);
    let id = text(&pending["disbursement"], "id");
    let asset = ledger.asset().await;
    let used = ledger.sequence(&wallet.account).await;
    let (envelope, _) = wallet.leaves(used + 1, &asset, 10_000_000_000);
    scene.tranche.kill();
    ledger.fault("clear", 1).await;
    let sent = ledger.call("sendTransaction", json!({ "transaction": envelope }));
    let sent = sent.await;
    assert_eq!(sent["status"], "PENDING", "{sent}");
    let hash = json!({ "hash": sent["hash"] });
    eventually("the account is gone", async || {
        let found = ledger.call("getTransaction", hash.clone()).await;
        (found["status"] == "SUCCESS").then_some(())
    })
    .await;
    scene.tranche.restart();
    [milestone, id]
}

// M8, M12: what must be said of it, and by whom.
async fn refusals(scene: &Scene, address: &str, confirm: &str, view: &Value) {
    let version = &format!("\"{}\"", view["version"]);
    let hash = &view["tx_hash"];
    let early = scene.approver.post(confirm, &json!({})).await;
    early.problem(428, "disbursement.version_required");
    let early = scene.approver.with("If-Match", version);
    let early = early.post(confirm, &json!({})).await;
    early.problem(409, "disbursement.no_proposal");
    for (body, fields) in [
        (json!({}), vec!["judgement", "why"]),
        (
            json!({ "why": "x", "judgement": "lost" }),
            vec!["judgement"],
        ),
        (
            json!({ "why": "x", "judgement": "burned" }),
            vec!["ledger", "tx_hash"],
        ),
    ] {
        let answer = scene.treasurer.post(address, &body).await;
        assert_eq!(answer.refused_fields(), fields, "{body}");
    }
    let foreign =
        json!({ "why": "seen", "judgement": "burned", "tx_hash": "ab".repeat(32), "ledger": 5 });
    let answer = scene.treasurer.post(address, &foreign).await;
    assert_eq!(answer.refused_fields(), ["tx_hash"]);
    let wrong = |ledger: u64| json!({ "why": "seen", "judgement": "burned", "tx_hash": hash, "ledger": ledger });
    let answer = scene.treasurer.post(address, &wrong(1)).await;
    assert_eq!(answer.refused_fields(), ["ledger"]);
    let answer = scene.treasurer.post(address, &wrong(2_000_000)).await;
    answer.problem(409, "disbursement.contradicted");
    scene
        .manager
        .post(address, &json!({}))
        .await
        .problem(403, "auth.role_required");
}

// M8, M12: one proposes, another confirms, and the books follow with both names.
async fn decided(store: StoreKind) {
    let sandbox = Sandbox::start(200);
    let (mut scene, wallet, project) = scene_on(&sandbox, store).await;
    let [milestone, id] = lost(&mut scene, &wallet, &sandbox, &project).await;
    let view = eventually("an operator is called", async || {
        let view = scene
            .admin
            .get(&format!("/v1/disbursements/{id}"))
            .await
            .json(200);
        (view["state"] == "needs_operator").then_some(view)
    })
    .await;
    assert!(
        text(&view["failure"], "detail").contains("is gone"),
        "{view}"
    );
    assert_eq!(view["proposal"], Value::Null);

    let page = scene.tranche.command(&["disbursement", "show", &id]);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    for fact in [
        "needs_operator",
        &wallet.account,
        &text(&view, "tx_hash"),
        "is gone",
        "confirm",
    ] {
        assert!(page.contains(fact), "{fact} is not in\n{page}");
    }

    let address = resolution(&id);
    let confirm = format!("{address}/confirm");
    refusals(&scene, &address, &confirm, &view).await;
    let failed = json!({ "judgement": "failed", "why": "the account was closed by its owner" });
    let keyed = scene.treasurer.keyed("once");
    let proposed = keyed.post(&address, &failed).await.json(200);
    assert_eq!(keyed.post(&address, &failed).await.json(200), proposed);
    assert_eq!(proposed["proposal"]["judgement"], "failed");
    assert_eq!(proposed["proposal"]["proposed_by"], "amaka");
    assert_eq!(proposed["state"], "needs_operator");
    let read = proposed["version"].to_string();
    let stale = scene
        .approver
        .with("If-Match", &format!("\"{}\"", view["version"]));
    let stale = stale.post(&confirm, &json!({})).await;
    stale.problem(412, "disbursement.stale");
    let same = scene.treasurer.with("If-Match", &format!("\"{read}\""));
    let same = same.post(&confirm, &json!({})).await;
    same.problem(403, "disbursement.proposer_may_not_confirm");
    let ended = scene.approver.with("If-Match", &format!("\"{read}\""));
    let ended = ended.post(&confirm, &json!({})).await.json(200);
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["failure"]["code"], "decided_by_operators");
    let again = scene.approver.with("If-Match", &format!("\"{read}\""));
    let again = again.post(&confirm, &json!({})).await;
    again.problem(409, "disbursement.needs_no_operator");

    assert_eq!(scene.milestone(&milestone).await["status"], "approved");
    let books = scene.project_view(&project).await;
    assert_eq!(
        (&books["nav"], &books["nav_reserved"]),
        (&json!("1000.0000000"), &json!("0.0000000"))
    );
    let events = scene.events(&milestone).await;
    let last = events.last().expect("events");
    assert_eq!(last["action"], "disbursement.failed");
    assert_eq!(last["metadata"]["proposed_by"], "amaka");
    assert_eq!(last["metadata"]["confirmed_by"], "tunde");
    assert_eq!(last["actor"]["id"], "tunde");
}

// M8: while the burn may still happen, and once the ledger knows, nobody is asked.
async fn refused(store: StoreKind) {
    let sandbox = Sandbox::start(200);
    let (scene, _, project) = scene_on(&sandbox, store).await;
    let ledger = sandbox.client();
    let milestone = scene.paid(&project, 1, "10").await;
    ledger.hold(true).await;
    let pending = scene.disburse(&milestone, "held", 0).await.json(202);
    let id = text(&pending["disbursement"], "id");
    let failed = json!({ "judgement": "failed", "why": "I am in a hurry" });
    let answer = scene.treasurer.post(&resolution(&id), &failed).await;
    answer.problem(409, "disbursement.needs_no_operator");
    ledger.hold(false).await;
    scene.reaches(&milestone, "disbursed").await;
    let answer = scene.treasurer.post(&resolution(&id), &failed).await;
    answer.problem(409, "disbursement.needs_no_operator");
    let nobody = resolution("0198c000-0000-7000-8000-000000000000");
    scene
        .treasurer
        .post(&nobody, &failed)
        .await
        .problem(404, "not_found");
    let key = scene.tranche.key("amaka", "treasurer", None);
    let by_command = scene.tranche.command(&[
        "disbursement",
        "resolve",
        &id,
        "--failed",
        "--why",
        "in a hurry",
        "--api-key",
        &key,
    ]);
    assert!(!by_command.status.success());
    let told = String::from_utf8_lossy(&by_command.stderr).into_owned();
    assert!(told.contains("only one that needs an operator"), "{told}");
    assert!(!told.contains(&key));
}
