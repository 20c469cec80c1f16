//! Every command in every status: taken as the transition table says, or refused by name.

use serde_json::json;
use tranche_tests::support::service::StoreKind;

use crate::scene::{Scene, at};

on_both_stores! {
    only_the_table_s_steps: only_the_table_s_steps_are_taken_on_sqlite,
        only_the_table_s_steps_are_taken_on_postgres;
}

// M2 M3 M4 M5 M6 M7 M8: every command in every status: taken as the table says, or 409 by name.
async fn only_the_table_s_steps(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let draft = scene.draft(&project, 1, "10").await;
    let submitted = scene.submitted(&project, 2, "10").await;
    let approved = scene.approved(&project, 3, "10").await;
    let rejected = scene.submitted(&project, 4, "10").await;
    let reason = json!({ "reason": "The panels are missing." });
    scene
        .approver
        .post(&at(&rejected, "reject"), &reason)
        .await
        .json(200);
    let disbursed = scene.paid(&project, 5, "10").await;
    scene.disburse(&disbursed, "five", 30).await.json(200);

    let before = scene.project_view(&project).await;
    let all = [&draft, &submitted, &approved, &rejected, &disbursed];
    let mut views = Vec::new();
    for id in all {
        views.push(scene.milestone(id).await);
    }
    let refused = async |id: &String, command: &str, code: &str| {
        let (caller, body) = match command {
            "approve" => (&scene.approver, json!({})),
            "reject" => (&scene.approver, reason.clone()),
            "bank-transfer" => (&scene.treasurer, crate::scene::transfer("NIP-9", "10")),
            "disburse" => (&scene.treasurer, json!({})),
            _ => (&scene.manager, json!({})),
        };
        let key = format!("{id}{command}");
        let problem = caller
            .keyed(&key)
            .post(&at(id, command), &body)
            .await
            .problem(409, code);
        assert!(
            problem["from"].is_string() && problem["action"].is_string(),
            "{problem}"
        );
    };
    for id in [&submitted, &approved, &rejected, &disbursed] {
        let address = format!("/v1/milestones/{id}");
        let edit = scene
            .manager
            .patch(&address, &json!({ "title": "Other" }))
            .await;
        edit.problem(409, "milestone.not_draft");
        scene
            .manager
            .delete(&address)
            .await
            .problem(409, "milestone.not_draft");
        refused(id, "submit", "milestone.not_draft").await;
    }
    for id in [&draft, &approved, &rejected, &disbursed] {
        refused(id, "approve", "milestone.not_submitted").await;
        refused(id, "reject", "milestone.not_submitted").await;
    }
    for id in [&draft, &submitted, &approved, &disbursed] {
        refused(id, "revise", "milestone.not_rejected").await;
    }
    for id in [&draft, &submitted, &rejected] {
        refused(id, "bank-transfer", "milestone.not_approved").await;
        refused(id, "disburse", "milestone.not_approved").await;
    }
    refused(&approved, "disburse", "milestone.no_bank_transfer").await;
    refused(&disbursed, "bank-transfer", "milestone.already_disbursed").await;
    refused(&disbursed, "disburse", "milestone.already_disbursed").await;

    for (id, view) in all.into_iter().zip(views) {
        assert_eq!(
            scene.milestone(id).await,
            view,
            "a refused command changes nothing"
        );
    }
    assert_eq!(scene.project_view(&project).await, before);
    assert_eq!(scene.tranche.ledger().burned().await, 1);
}
