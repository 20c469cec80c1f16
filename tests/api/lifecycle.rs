//! The whole way of a milestone, with every field of every view on it.

use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, StoreKind, eventually};

use crate::scene::{NAV, Scene, at, id, rows, stroops, text};

on_both_stores! {
    the_whole_walk: the_whole_walk_on_sqlite, the_whole_walk_on_postgres;
    statistics: statistics_add_up_on_sqlite, statistics_add_up_on_postgres;
    reading: reading_a_timeline_is_recorded_on_sqlite, reading_a_timeline_is_recorded_on_postgres;
}

/// A view whose times and ids are as they must be, without them.
#[track_caller]
fn plain(view: &Value, times: &[&str]) -> Value {
    let mut view = view.clone();
    let fields = view.as_object_mut().expect("a view");
    for name in times {
        let time = fields.remove(*name).expect(name);
        let time = time.as_str().unwrap_or_else(|| panic!("{name} is {time}"));
        let parsed = chrono::DateTime::parse_from_rfc3339(time).expect(name);
        assert!(
            time.ends_with('Z') && parsed.timestamp() > 1_700_000_000,
            "{name} is {time}"
        );
    }
    view
}

// M1 M4 M6 M7 M8 M9 M10: each step, what it answers, and what it leaves in project and log.
async fn the_whole_walk(store: StoreKind) {
    let scene = Scene::new(store);
    let (project, milestone) = open_and_draft(&scene).await;
    let address = format!("/v1/milestones/{milestone}");

    let draft = scene.milestone(&milestone).await;
    scene
        .manager
        .post(&at(&milestone, "submit"), &json!({}))
        .await
        .json(200);
    let approved = scene
        .approver
        .post(&at(&milestone, "approve"), &json!({}))
        .await;
    assert_eq!(approved.header("etag"), "\"3\"");
    let approved = approved.json(200);
    let mut expected = draft.clone();
    for (name, value) in [
        ("status", json!("approved")),
        ("submitted_by", json!("ngozi")),
        ("submitted_at", approved["submitted_at"].clone()),
        ("approved_by", json!("tunde")),
        ("approved_at", approved["approved_at"].clone()),
        ("updated_at", approved["approved_at"].clone()),
        ("version", json!(3)),
    ] {
        expected[name] = value;
    }
    assert_eq!(approved, expected);

    let body = json!({ "reference": "NIP-417", "amount": "123456.7890123", "date": "2026-01-15",
        "notes": "Paid to the contractor." });
    let paid = scene
        .treasurer
        .post(&at(&milestone, "bank-transfer"), &body)
        .await
        .json(200);
    expected["bank_transfer"] =
        json!({ "reference": "NIP-417", "amount": "123456.7890123", "date": "2026-01-15" });
    expected["notes"] = json!("Paid to the contractor.");
    expected["version"] = json!(4);
    expected["updated_at"] = paid["updated_at"].clone();
    assert_eq!(paid, expected);

    let settled = scene.disburse(&milestone, "walk", 30).await.json(200);
    let read = scene.admin.get(&address).await;
    assert_eq!(read.header("etag"), "\"6\"");
    assert_eq!(read.json(200), settled["milestone"]);
    expected = paid;
    for (name, value) in [
        ("status", json!("disbursed")),
        ("disbursed_by", json!("amaka")),
        ("disbursed_at", settled["milestone"]["disbursed_at"].clone()),
        ("updated_at", settled["milestone"]["disbursed_at"].clone()),
        ("ngnts_burned", json!("123456.7890123")),
        ("stellar_burn_tx_hash", settled["burn_tx_hash"].clone()),
        ("version", json!(6)),
    ] {
        expected[name] = value;
    }
    assert_eq!(settled["milestone"], expected);
    the_disbursement(&scene, &settled, &project, &milestone).await;
    the_books(&scene, &settled, &project).await;
    the_evidence(&scene, &settled, &project, &milestone).await;
}

/// Opens a project and drafts a milestone, both looked at in full.
async fn open_and_draft(scene: &Scene) -> (String, String) {
    let body = json!({ "name": "Lekki solar", "nav": NAV, "lp_tokens_outstanding": "400000" });
    let opened = scene.admin.post("/v1/projects", &body).await;
    assert_eq!(opened.header("content-type"), "application/json");
    let opened = opened.json(201);
    let project = id(&opened);
    assert_eq!(
        plain(&opened, &["created_at"]),
        json!({
            "id": project, "name": "Lekki solar", "nav": NAV, "nav_reserved": "0.0000000",
            "lp_tokens_outstanding": "400000.0000000", "lp_token_price": "2.5000000",
            "total_milestones": 0, "completed_milestones": 0, "last_milestone_date": null,
            "wallet_account_id": opened["wallet_account_id"], "maker_checker": true,
            "burn_policy": "exact_transfer", "version": 1,
        })
    );
    let body = json!({ "number": 1, "title": "Foundations", "description": "Civil works.\nAll.",
        "target_amount": "123456.7890123" });
    let created = scene
        .manager
        .post(&format!("/v1/projects/{project}/milestones"), &body)
        .await;
    assert_eq!(created.header("etag"), "\"1\"");
    let created = created.json(201);
    let milestone = id(&created);
    assert_eq!(
        plain(&created, &["created_at", "updated_at"]),
        json!({
            "id": milestone, "project_id": project, "number": 1, "title": "Foundations",
            "description": "Civil works.\nAll.", "target_amount": "123456.7890123",
            "status": "draft", "submitted_at": null, "submitted_by": null, "approved_at": null,
            "approved_by": null, "rejected_at": null, "rejected_by": null,
            "rejection_reason": null, "bank_transfer": null, "notes": null, "disbursed_at": null,
            "disbursed_by": null, "ngnts_burned": null, "stellar_burn_tx_hash": null,
            "disbursement_id": null, "version": 1,
        })
    );
    assert_eq!(scene.milestone(&milestone).await, created);
    assert_eq!(scene.project_view(&project).await["total_milestones"], 1);
    (project, milestone)
}

async fn the_disbursement(scene: &Scene, settled: &Value, project: &str, milestone: &str) {
    let disbursement = &settled["disbursement"];
    let address = format!("/v1/disbursements/{}", id(disbursement));
    assert_eq!(scene.admin.get(&address).await.json(200), *disbursement);
    let wallet = text(&scene.project_view(project).await, "wallet_account_id");
    assert_eq!(
        plain(disbursement, &["prepared_at", "settled_at", "valid_until"]),
        json!({
            "id": disbursement["id"], "milestone_id": milestone, "project_id": project,
            "amount": "123456.7890123", "state": "settled", "tx_hash": settled["burn_tx_hash"],
            "envelope_xdr": disbursement["envelope_xdr"], "memo_hash": disbursement["memo_hash"],
            "attempts": disbursement["attempts"], "failure": null, "proposal": null,
            // Prepared, sent as often as it took, settled.
            "version": disbursement["attempts"].as_i64().map(|sent| sent + 2),
            "tx_hashes": [disbursement["tx_hash"]], "sequence_account_id": wallet,
            "sequence": disbursement["sequence"], "ordered_by": "amaka",
            "ledger": disbursement["ledger"],
        })
    );
    assert!(
        disbursement["attempts"]
            .as_i64()
            .is_some_and(|attempts| attempts >= 1)
    );
    // The ledger itself holds that burn, of that amount, with that memo, and no other.
    let ledger = scene.tranche.ledger();
    let burns = ledger.burns().await;
    assert_eq!(burns.len(), 1, "{burns:?}");
    assert_eq!(burns[0].hash, text(settled, "burn_tx_hash"));
    assert_eq!(burns[0].memo, text(disbursement, "memo_hash"));
    assert_eq!(burns[0].account, wallet);
    assert_eq!(burns[0].stroops, 1_234_567_890_123);
    assert!(burns[0].succeeded);
    assert_eq!(json!(burns[0].ledger), disbursement["ledger"]);
    assert_eq!(ledger.balance(&wallet).await, 8_765_432_109_877);
}

async fn the_books(scene: &Scene, settled: &Value, project: &str) {
    assert_eq!(settled["new_nav"], "876543.2109877");
    // 876543.2109877 ÷ 400000 = 2.19135802746925
    assert_eq!(settled["lp_token_price"], "2.1913580");
    let after = scene.project_view(project).await;
    assert_eq!(after["nav"], "876543.2109877");
    assert_eq!(after["lp_token_price"], "2.1913580");
    assert_eq!(after["nav_reserved"], "0.0000000");
    assert_eq!(after["completed_milestones"], 1);
    assert_eq!(after["total_milestones"], 1);
    assert_eq!(
        after["last_milestone_date"],
        settled["milestone"]["disbursed_at"]
    );
}

/// What an event says in one line.
fn step(event: &Value) -> String {
    let word = |pointer| match event.pointer(pointer) {
        Some(Value::String(word)) => word.clone(),
        other => other.map_or("missing".to_owned(), Value::to_string),
    };
    format!(
        "{} {} {}/{} {} → {}",
        word("/action"),
        word("/severity"),
        word("/actor/id"),
        word("/actor/role"),
        word("/previous_status"),
        word("/new_status")
    )
}

async fn the_evidence(scene: &Scene, settled: &Value, project: &str, milestone: &str) {
    let events = scene.events(milestone).await;
    let steps: Vec<String> = events.iter().map(step).collect();
    assert_eq!(
        steps,
        [
            "milestone.created info ngozi/manager null → draft",
            "milestone.submitted info ngozi/manager draft → submitted",
            "milestone.approved critical tunde/approver submitted → approved",
            "milestone.bank_transfer_recorded critical amaka/treasurer approved → approved",
            "disbursement.prepared critical amaka/treasurer approved → disbursing",
            "milestone.disbursed critical amaka/treasurer disbursing → disbursed",
        ]
    );
    for event in &events {
        assert_eq!(event["ip_address"], "127.0.0.1", "{event}");
        assert_eq!(event["user_agent"], Caller::USER_AGENT, "{event}");
        assert!(
            event["request_id"]
                .as_str()
                .is_some_and(|id| id.len() == 36),
            "{event}"
        );
        assert_eq!(event["project_id"], project, "{event}");
        assert_eq!(event["milestone_id"], milestone, "{event}");
        plain(event, &["occurred_at", "recorded_at"]);
    }
    let created = &events[0]["metadata"];
    assert_eq!(created["number"], 1);
    assert_eq!(created["title"], "Foundations");
    assert_eq!(created["target_amount"], "123456.7890123");
    let disbursed = &events[5]["metadata"];
    assert_eq!(disbursed["amount"], "123456.7890123", "{disbursed}");
    assert_eq!(disbursed["tx_hash"], settled["burn_tx_hash"], "{disbursed}");
    assert_eq!(disbursed["new_nav"], "876543.2109877", "{disbursed}");
    assert_eq!(disbursed["lp_token_price"], "2.1913580", "{disbursed}");

    // The project's own activity: the same events, newest first, after its opening.
    let list = scene
        .admin
        .get(&format!("/v1/projects/{project}/activity"))
        .await
        .json(200);
    let mut of_project = rows(&list);
    of_project.reverse();
    assert_eq!(of_project[0]["action"], "project.created");
    assert_eq!(
        of_project[0]["actor"],
        json!({ "id": "ifeoma", "name": null, "email": null, "role": "admin" })
    );
    assert_eq!(of_project[1..], events);
}

// M9: counts and amounts by status, what was disbursed, the completion rate and the mean times.
async fn statistics(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let stats = format!("/v1/projects/{project}/milestones/stats");
    let none = json!({ "count": 0, "amount": "0.0000000" });
    let empty = scene.admin.get(&stats).await.json(200);
    assert_eq!(
        empty,
        json!({
            "total": 0,
            "by_status": { "draft": none, "submitted": none, "rejected": none, "approved": none,
                "disbursing": none, "disbursed": none },
            "disbursed_total": "0.0000000", "completion_rate": 0.0,
            "average_days_submit_to_approve": null, "average_days_approve_to_disburse": null,
        })
    );
    scene.draft(&project, 1, "1.0000001").await;
    scene.draft(&project, 2, "2").await;
    scene.approved(&project, 3, "4").await;
    let paid = scene.paid(&project, 4, "8.5").await;
    scene.disburse(&paid, "four", 30).await.json(200);
    let full = scene.admin.get(&stats).await.json(200);
    assert_eq!(full["total"], 4);
    assert_eq!(
        full["by_status"]["draft"],
        json!({ "count": 2, "amount": "3.0000001" })
    );
    assert_eq!(
        full["by_status"]["approved"],
        json!({ "count": 1, "amount": "4.0000000" })
    );
    assert_eq!(
        full["by_status"]["disbursed"],
        json!({ "count": 1, "amount": "8.5000000" })
    );
    assert_eq!(full["by_status"]["submitted"], none);
    assert_eq!(full["disbursed_total"], "8.5000000");
    assert_eq!(full["completion_rate"], 0.25);
    for mean in [
        "average_days_submit_to_approve",
        "average_days_approve_to_disburse",
    ] {
        assert!(
            full[mean]
                .as_f64()
                .is_some_and(|days| (0.0..0.01).contains(&days)),
            "{full}"
        );
    }
    let burned = stroops(&scene.project_view(&project).await["nav"]);
    assert_eq!(burned, 10_000_000_000_000 - 85_000_000);
}

// S9: who reads a timeline is in the log, and not in the timeline that was read.
async fn reading(store: StoreKind) {
    let scene = Scene::new(store);
    let (project, milestone) = open_and_draft(&scene).await;
    let address = format!("/v1/milestones/{milestone}/activity");
    scene.manager.get(&address).await.json(200);
    let reads =
        "SELECT actor_id || ' ' || resource_id FROM audit_events WHERE action = 'audit.read'";
    let read = eventually("the reading is recorded", async || {
        let read = scene.tranche.sql(reads).await;
        (!read.is_empty()).then_some(read)
    })
    .await;
    assert_eq!(read, format!("ngozi {milestone}"));
    for timeline in [address, format!("/v1/projects/{project}/activity")] {
        let listed = scene.manager.get(&timeline).await.json(200);
        let listed = rows(&listed);
        assert!(listed.iter().all(|event| event["action"] != "audit.read"));
    }
}
