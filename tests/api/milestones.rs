//! Milestones: drafting, editing, deleting, rejecting, and who may check whose work.

use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, StoreKind};

use crate::scene::{Scene, at, id, rows, text};

on_both_stores! {
    drafts: drafts_are_numbered_and_counted_on_sqlite, drafts_are_numbered_and_counted_on_postgres;
    edits: edits_record_what_changed_and_only_that_on_sqlite,
        edits_record_what_changed_and_only_that_on_postgres;
    deletion: deletion_leaves_its_evidence_on_sqlite, deletion_leaves_its_evidence_on_postgres;
    rejection: a_rejected_milestone_goes_on_on_sqlite, a_rejected_milestone_goes_on_on_postgres;
    maker_checker: makers_do_not_check_themselves_on_sqlite,
        makers_do_not_check_themselves_on_postgres;
    versions: stale_versions_are_refused_on_sqlite, stale_versions_are_refused_on_postgres;
    repeated: repeated_commands_answer_the_same_on_sqlite,
        repeated_commands_answer_the_same_on_postgres;
}

// M1: a number is used once in a project; the counter goes up with each draft and only with it.
async fn drafts(store: StoreKind) {
    let scene = Scene::new(store);
    let [project, other] = [scene.project().await, scene.project().await];
    let address = format!("/v1/projects/{project}/milestones");
    scene.draft(&project, 7, "1").await;
    let body = json!({ "number": 7, "title": "Again", "target_amount": "1" });
    let taken = scene.manager.post(&address, &body).await;
    assert_eq!(
        taken.problem(409, "milestone.number_taken")["field"],
        "number"
    );
    assert_eq!(scene.project_view(&project).await["total_milestones"], 1);
    scene.draft(&other, 7, "1").await;

    // Ten at once with ten numbers, and ten at once with one.
    let draft = async |number: i32| {
        let body = json!({ "number": number, "title": "At once", "target_amount": "1" });
        scene.manager.post(&address, &body).await.status
    };
    let different = futures::future::join_all((100..110).map(&draft)).await;
    assert_eq!(different, [201; 10]);
    let mut same = futures::future::join_all((0..10).map(|_| draft(8))).await;
    same.sort_unstable();
    assert_eq!(same, [&[201][..], &[409; 9]].concat());
    assert_eq!(scene.project_view(&project).await["total_milestones"], 12);
    let list = scene.admin.get(&address).await.json(200);
    let numbers: Vec<i64> = rows(&list)
        .iter()
        .filter_map(|row| row["number"].as_i64())
        .collect();
    assert_eq!(
        numbers,
        [7, 8, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109]
    );
    let gone = "/v1/projects/00000000-0000-7000-8000-000000000000/milestones";
    scene
        .manager
        .post(gone, &body)
        .await
        .problem(404, "not_found");
}

// M2: the diff names what changed and nothing else; an edit that changes nothing leaves no event.
async fn edits(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let draft = scene.draft(&project, 1, "10").await;
    let address = format!("/v1/milestones/{draft}");
    let edit = async |body: Value| scene.manager.patch(&address, &body).await.json(200);

    let view = edit(json!({ "title": "Roof", "target_amount": "12.5" })).await;
    assert_eq!(view["title"], "Roof");
    assert_eq!(view["target_amount"], "12.5000000");
    assert_eq!(view["version"], 2);
    // The same again, nothing at all, and the same amount written otherwise.
    for same in [
        json!({ "title": "Roof", "target_amount": "12.5" }),
        json!({}),
        json!({ "target_amount": "12.5000000" }),
        json!({ "description": null }),
    ] {
        assert_eq!(edit(same).await, view);
    }
    let view = edit(json!({ "description": "Tiles." })).await;
    assert_eq!(view["description"], "Tiles.");
    let view = edit(json!({ "description": null, "title": "Roof" })).await;
    assert_eq!(view["description"], Value::Null);
    assert_eq!(view["version"], 4);

    let events = scene.events(&draft).await;
    let changes: Vec<&Value> = events[1..].iter().map(|event| &event["changes"]).collect();
    let title = json!({ "from": "Foundations", "to": "Roof" });
    let amount = json!({ "from": "10.0000000", "to": "12.5000000" });
    assert_eq!(
        changes,
        [
            &json!({ "title": title, "target_amount": amount }),
            &json!({ "description": { "from": null, "to": "Tiles." } }),
            &json!({ "description": { "from": "Tiles.", "to": null } }),
        ]
    );
    assert!(
        events[1..]
            .iter()
            .all(|event| event["action"] == "milestone.updated")
    );
}

// M3: the draft goes, the counter goes down, and the log says what was there.
async fn deletion(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let draft = scene.draft(&project, 3, "10").await;
    let address = format!("/v1/milestones/{draft}");
    let deleted = scene.manager.delete(&address).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    scene.admin.get(&address).await.problem(404, "not_found");
    scene
        .manager
        .delete(&address)
        .await
        .problem(404, "not_found");
    assert_eq!(scene.project_view(&project).await["total_milestones"], 0);

    let events = scene.events(&draft).await;
    let event = events.last().expect("the deletion");
    assert_eq!(event["action"], "milestone.deleted");
    assert_eq!(event["severity"], "warning");
    assert_eq!(event["previous_status"], "draft");
    assert_eq!(event["new_status"], Value::Null);
    assert_eq!(
        event["metadata"],
        json!({ "number": 3, "title": "Foundations", "description": null,
            "target_amount": "10.0000000" })
    );
    // Its number is free again, for another milestone.
    assert_ne!(scene.draft(&project, 3, "11").await, draft);
}

// M5: rejected with a reason, revised, edited, submitted again, approved.
async fn rejection(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.submitted(&project, 1, "10").await;
    let reason = json!({ "reason": "The panels are missing." });
    let view = scene
        .approver
        .post(&at(&milestone, "reject"), &reason)
        .await
        .json(200);
    assert_eq!(view["status"], "rejected");
    assert_eq!(view["rejected_by"], "tunde");
    assert_eq!(view["submitted_by"], "ngozi");
    assert_eq!(view["rejection_reason"], "The panels are missing.");
    assert_eq!(view["rejected_at"], view["updated_at"]);

    let view = scene
        .manager
        .post(&at(&milestone, "revise"), &json!({}))
        .await
        .json(200);
    assert_eq!(view["status"], "draft");
    for gone in [
        "submitted_at",
        "submitted_by",
        "rejected_at",
        "rejected_by",
        "rejection_reason",
    ] {
        assert_eq!(view[gone], Value::Null, "{gone}");
    }
    let address = format!("/v1/milestones/{milestone}");
    scene
        .manager
        .patch(&address, &json!({ "title": "With panels" }))
        .await
        .json(200);
    scene
        .manager
        .post(&at(&milestone, "submit"), &json!({}))
        .await
        .json(200);
    scene
        .approver
        .post(&at(&milestone, "approve"), &json!({}))
        .await
        .json(200);

    let events = scene.events(&milestone).await;
    assert_eq!(
        scene.actions(&milestone).await,
        [
            "milestone.created",
            "milestone.submitted",
            "milestone.rejected",
            "milestone.revised",
            "milestone.updated",
            "milestone.submitted",
            "milestone.approved",
        ]
    );
    assert_eq!(events[2]["metadata"]["reason"], "The panels are missing.");
    assert_eq!(events[2]["severity"], "warning");
    assert_eq!(events[3]["previous_status"], "rejected");
    assert_eq!(events[3]["new_status"], "draft");
}

// M12: the submitter does not approve, the approver does not disburse; unless the project says so.
async fn maker_checker(store: StoreKind) {
    let scene = Scene::new(store);
    let [ada] = scene
        .tranche
        .callers([("ada", "manager,approver,treasurer,admin")]);
    let walk = async |project: &str, until: &str| {
        let body = json!({ "number": 1, "title": "Alone", "target_amount": "5" });
        let address = format!("/v1/projects/{project}/milestones");
        let milestone = id(&ada.post(&address, &body).await.json(201));
        for step in ["submit", "approve"] {
            if step != until {
                ada.post(&at(&milestone, step), &json!({})).await.json(200);
            }
        }
        milestone
    };
    let guarded = scene.project().await;
    let milestone = walk(&guarded, "approve").await;
    let refused = ada.post(&at(&milestone, "approve"), &json!({})).await;
    refused.problem(403, "milestone.maker_is_checker");
    assert_eq!(scene.milestone(&milestone).await["status"], "submitted");
    // Rejecting one's own work back is no danger; approving it by another person goes on.
    scene
        .approver
        .post(&at(&milestone, "approve"), &json!({}))
        .await
        .json(200);
    let transfer = crate::scene::transfer("NIP-1", "5");
    ada.post(&at(&milestone, "bank-transfer"), &transfer)
        .await
        .json(200);
    // Who submitted may disburse; who approved may not, whatever other role they have.
    let other = scene.submitted(&guarded, 2, "5").await;
    ada.post(&at(&other, "approve"), &json!({})).await.json(200);
    let transfer = crate::scene::transfer("NIP-2", "5");
    ada.post(&at(&other, "bank-transfer"), &transfer)
        .await
        .json(200);
    let refused = ada
        .keyed("other")
        .post(&at(&other, "disburse"), &json!({}))
        .await;
    refused.problem(403, "milestone.maker_is_checker");
    assert_eq!(scene.milestone(&other).await["status"], "approved");
    assert_eq!(scene.tranche.ledger().burned().await, 0);

    let open = scene.open(&json!({ "maker_checker": false })).await;
    assert_eq!(scene.project_view(&open).await["maker_checker"], false);
    let milestone = walk(&open, "").await;
    let transfer = crate::scene::transfer("NIP-1", "5");
    ada.post(&at(&milestone, "bank-transfer"), &transfer)
        .await
        .json(200);
    let settled = ada
        .keyed("alone")
        .post(&at(&milestone, "disburse?wait=30"), &json!({}))
        .await;
    assert_eq!(text(&settled.json(200)["milestone"], "disbursed_by"), "ada");
}

// API contract: `ETag`/`If-Match`; 412 when stale, for every command.
async fn versions(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.draft(&project, 1, "5").await;
    let address = format!("/v1/milestones/{milestone}");
    let seen = |caller: &Caller, tag: &str| caller.with("if-match", tag);
    let edited = json!({ "title": "Second" });
    let first = seen(&scene.manager, "\"1\"").patch(&address, &edited).await;
    assert_eq!(first.header("etag"), "\"2\"");
    first.json(200);
    let stale = seen(&scene.manager, "\"1\"");
    let problem = stale.patch(&address, &json!({ "title": "Third" })).await;
    assert_eq!(problem.problem(412, "milestone.stale")["version"], 2);
    stale.delete(&address).await.problem(412, "milestone.stale");
    stale
        .post(&at(&milestone, "submit"), &json!({}))
        .await
        .problem(412, "milestone.stale");
    seen(&scene.manager, "*")
        .post(&at(&milestone, "submit"), &json!({}))
        .await
        .json(200);
    let stale = seen(&scene.approver, "W/\"2\"");
    stale
        .post(&at(&milestone, "approve"), &json!({}))
        .await
        .problem(412, "milestone.stale");
    let reason = json!({ "reason": "No." });
    stale
        .post(&at(&milestone, "reject"), &reason)
        .await
        .problem(412, "milestone.stale");
    seen(&scene.approver, "\"3\"")
        .post(&at(&milestone, "approve"), &json!({}))
        .await
        .json(200);
    let transfer = crate::scene::transfer("NIP-1", "5");
    let stale = seen(&scene.treasurer, "\"3\"").keyed("stale");
    stale
        .post(&at(&milestone, "bank-transfer"), &transfer)
        .await
        .problem(412, "milestone.stale");
    scene
        .treasurer
        .post(&at(&milestone, "bank-transfer"), &transfer)
        .await
        .json(200);
    stale
        .post(&at(&milestone, "disburse"), &json!({}))
        .await
        .problem(412, "milestone.stale");
    let nonsense = seen(&scene.manager, "\"one\"")
        .patch(&address, &edited)
        .await;
    nonsense.problem(400, "request.malformed");
    assert_eq!(scene.milestone(&milestone).await["version"], 5);
}

// API contract: the same Idempotency-Key and body answer the same again; another body is 422.
async fn repeated(store: StoreKind) {
    let scene = Scene::new(store);
    let admin = scene.admin.keyed("open");
    let body = json!({ "name": "Once", "nav": "50", "lp_tokens_outstanding": "10" });
    let first = admin.post("/v1/projects", &body).await;
    let again = admin.post("/v1/projects", &body).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(
        rows(&scene.admin.get("/v1/projects").await.json(200)).len(),
        1
    );
    let project = id(&first.json(201));

    let manager = scene.manager.keyed("draft");
    let address = format!("/v1/projects/{project}/milestones");
    let body = json!({ "number": 1, "title": "Once", "target_amount": "5" });
    let created = futures::future::join_all((0..5).map(|_| manager.post(&address, &body))).await;
    for again in &created {
        assert_eq!((again.status, &again.text), (201, &created[0].text));
    }
    let other = json!({ "number": 2, "title": "Once", "target_amount": "5" });
    manager
        .post(&address, &other)
        .await
        .problem(422, "idempotency.key_reused");
    // The key is its owner's: somebody else's same key is another one.
    let milestone = id(&created[0].json(201));
    let submit = at(&milestone, "submit");
    let submitted = scene.manager.keyed("step").post(&submit, &json!({})).await;
    scene
        .approver
        .keyed("step")
        .post(&at(&milestone, "approve"), &json!({}))
        .await
        .json(200);
    let again = scene.manager.keyed("step").post(&submit, &json!({})).await;
    assert_eq!((again.status, &again.text), (200, &submitted.text));
    assert_eq!(again.header("etag"), "\"2\"");
    assert_eq!(scene.milestone(&milestone).await["status"], "approved");
    // The same key on another path is another request.
    let misused = scene
        .manager
        .keyed("step")
        .post(&at(&milestone, "revise"), &json!({}))
        .await;
    misused.problem(422, "idempotency.key_reused");
    let long = "k".repeat(256);
    scene
        .manager
        .keyed(&long)
        .post(&submit, &json!({}))
        .await
        .problem(400, "request.malformed");
    // A refusal is not kept: the key works once the way is free.
    let second = scene.draft(&project, 2, "5").await;
    let approver = scene.approver.keyed("later");
    let early = approver.post(&at(&second, "approve"), &json!({})).await;
    early.problem(409, "milestone.not_submitted");
    scene
        .manager
        .post(&at(&second, "submit"), &json!({}))
        .await
        .json(200);
    approver
        .post(&at(&second, "approve"), &json!({}))
        .await
        .json(200);
    assert_eq!(scene.actions(&milestone).await.len(), 3);
}
