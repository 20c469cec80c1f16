//! Disbursements: what is refused, what a key is worth, and that many at once burn once each.

use serde_json::{Value, json};
use tranche_tests::support::service::{Options, StoreKind};

use crate::scene::{Scene, at, id, rows, stroops, text, transfer};

on_both_stores! {
    refusals: money_that_may_not_burn_stays_on_sqlite, money_that_may_not_burn_stays_on_postgres;
    reserved: money_in_flight_is_not_there_twice_on_sqlite,
        money_in_flight_is_not_there_twice_on_postgres;
    keys: a_key_stands_for_one_burn_on_sqlite, a_key_stands_for_one_burn_on_postgres;
    one_of_eight: eight_at_once_burn_once_on_sqlite, eight_at_once_burn_once_on_postgres;
    twelve: twelve_milestones_at_once_all_settle_on_sqlite,
        twelve_milestones_at_once_all_settle_on_postgres;
    listing: disbursements_are_listed_by_state_on_sqlite,
        disbursements_are_listed_by_state_on_postgres;
}

// M8: no LP tokens, above the NAV, not the transfer's amount, not covered by the wallet.
async fn refusals(store: StoreKind) {
    let scene = Scene::new(store);
    let ledger = scene.tranche.ledger();
    let burn = async |milestone: &str, amount: Option<&str>| {
        let body = amount.map_or_else(|| json!({}), |amount| json!({ "amount": amount }));
        let key = format!("{milestone}{amount:?}");
        scene
            .treasurer
            .keyed(&key)
            .post(&at(milestone, "disburse?wait=30"), &body)
            .await
    };
    let orphan = scene.open(&json!({ "lp_tokens_outstanding": "0" })).await;
    assert_eq!(
        scene.project_view(&orphan).await["lp_token_price"],
        Value::Null
    );
    let drained = scene.paid(&orphan, 1, "10").await;
    burn(&drained, None)
        .await
        .problem(409, "project.no_lp_tokens");

    let small = scene.open(&json!({ "nav": "100" })).await;
    let exact = scene.paid(&small, 1, "60").await;
    for other in ["59.9999999", "60.0000001", "1"] {
        let refused = burn(&exact, Some(other)).await;
        let problem = refused.problem(422, "disbursement.amount_differs_from_transfer");
        assert_eq!(problem["errors"][0]["field"], "amount");
    }
    let above = scene.paid(&small, 2, "100.0000001").await;
    burn(&above, None)
        .await
        .problem(422, "disbursement.amount_above_nav");

    let free = scene
        .open(&json!({ "nav": "100", "burn_policy": "any_amount" }))
        .await;
    assert_eq!(scene.project_view(&free).await["burn_policy"], "any_amount");
    let any = scene.paid(&free, 1, "60").await;
    let refused = burn(&any, Some("100.0000001")).await;
    refused.problem(422, "disbursement.amount_above_nav");
    for nothing in ["0", "0.0000000", "0.00000001", "-1"] {
        assert_eq!(
            burn(&any, Some(nothing)).await.refused_fields(),
            ["amount"],
            "{nothing}"
        );
    }

    // The wallet holds less than the books say: the ledger would refuse, so nothing is sent.
    let poor = ledger.wallet("5").await;
    let wallet = json!({ "nav": "100", "wallet": { "secret_seed": poor.seed } });
    let poor = scene.open(&wallet).await;
    let unpaid = scene.paid(&poor, 1, "10").await;
    burn(&unpaid, None).await.problem(409, "ledger.refused");

    for (project, milestone) in [
        (&orphan, &drained),
        (&small, &exact),
        (&free, &any),
        (&poor, &unpaid),
    ] {
        assert_eq!(scene.milestone(milestone).await["status"], "approved");
        assert_eq!(
            scene.project_view(project).await["nav_reserved"],
            "0.0000000"
        );
        assert_eq!(scene.disbursements(project).await, [] as [Value; 0]);
    }
    assert_eq!(ledger.burns().await, []);

    // What the rules allow, to the stroop: the whole NAV, and another amount where that may be.
    let settled = burn(&any, Some("100")).await.json(200);
    assert_eq!(settled["new_nav"], "0.0000000");
    assert_eq!(settled["lp_token_price"], "0.0000000");
    assert_eq!(
        settled["milestone"]["bank_transfer"]["amount"],
        "60.0000000"
    );
    assert_eq!(settled["milestone"]["ngnts_burned"], "100.0000000");
    assert_eq!(
        burn(&exact, Some("60.0")).await.json(200)["new_nav"],
        "40.0000000"
    );
}

// M8: in flight: refused by name; and its money is spoken for, so that no other burn counts on it.
async fn reserved(store: StoreKind) {
    let options = Options {
        ledger_ms: 2000,
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let project = scene.open(&json!({ "nav": "100" })).await;
    let first = scene.paid(&project, 1, "60").await;
    let second = scene.paid(&project, 2, "60").await;
    let began = scene.disburse(&first, "first", 0).await;
    let disbursement = began.json(202)["disbursement"].clone();
    let address = format!("/v1/disbursements/{}", id(&disbursement));
    assert_eq!(began.header("location"), address);
    let view = scene.milestone(&first).await;
    assert_eq!(view["status"], "disbursing");
    assert_eq!(view["disbursement_id"], disbursement["id"]);
    assert_eq!(view["ngnts_burned"], Value::Null);
    let books = scene.project_view(&project).await;
    assert_eq!(
        (&books["nav"], &books["nav_reserved"]),
        (&json!("100.0000000"), &json!("60.0000000"))
    );

    let again = scene.disburse(&first, "again", 0).await;
    again.problem(409, "milestone.disbursement_in_flight");
    let late = scene
        .treasurer
        .post(&at(&first, "bank-transfer"), &transfer("NIP-9", "60"))
        .await;
    late.problem(409, "milestone.disbursement_in_flight");
    let edit = scene
        .manager
        .patch(&format!("/v1/milestones/{first}"), &json!({}))
        .await;
    edit.problem(409, "milestone.not_draft");
    let refused = scene.disburse(&second, "second", 0).await;
    refused.problem(422, "disbursement.amount_above_nav");

    scene.reaches(&first, "disbursed").await;
    let settled = scene.admin.get(&address).await.json(200);
    assert_eq!(settled["state"], "settled");
    assert_eq!(settled["tx_hash"], disbursement["tx_hash"]);
    assert_eq!(settled["envelope_xdr"], disbursement["envelope_xdr"]);
    // The key that got 202 now gets the settled answer, and burns nothing.
    let known = scene.disburse(&first, "first", 5).await.json(200);
    assert_eq!(known["burn_tx_hash"], disbursement["tx_hash"]);
    assert_eq!(known["new_nav"], "40.0000000");
    assert_eq!(scene.tranche.ledger().burned().await, 1);
}

// M8: a key is required; the same key and body are one burn, also at once; another body is 422.
async fn keys(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    let address = at(&milestone, "disburse?wait=30");
    let none = scene.treasurer.post(&address, &json!({})).await;
    none.problem(400, "idempotency.key_required");
    scene
        .treasurer
        .keyed("")
        .post(&address, &json!({}))
        .await
        .problem(400, "request.malformed");
    assert_eq!(scene.milestone(&milestone).await["status"], "approved");

    let same = (0..6).map(|_| scene.disburse(&milestone, "one", 30));
    let answers = futures::future::join_all(same).await;
    let first = answers[0].json(200);
    for answer in &answers {
        let answer = answer.json(200);
        assert_eq!(answer["burn_tx_hash"], first["burn_tx_hash"]);
        assert_eq!(answer["disbursement"]["id"], first["disbursement"]["id"]);
    }
    let again = scene.disburse(&milestone, "one", 30).await;
    assert_eq!(again.json(200), first);
    let other = scene
        .treasurer
        .keyed("one")
        .post(&address, &json!({ "amount": "10" }))
        .await;
    other.problem(422, "idempotency.key_reused");
    let second = scene.paid(&project, 2, "10").await;
    let elsewhere = scene.disburse(&second, "one", 30).await;
    elsewhere.problem(422, "idempotency.key_reused");
    // The project moves on; the first answer stays as it was.
    let next = scene.disburse(&second, "two", 30).await.json(200);
    assert_ne!(next["new_nav"], first["new_nav"]);
    assert_eq!(scene.disburse(&milestone, "one", 30).await.json(200), first);
    assert_eq!(scene.tranche.ledger().burned().await, 2);
    assert_eq!(scene.disbursements(&project).await.len(), 2);
}

// M8: eight people at once, each with a key of their own: one burn, asked of the ledger itself.
async fn one_of_eight(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "12.3456789").await;
    let orders = (0..8).map(async |n| scene.disburse(&milestone, &format!("key {n}"), 30).await);
    let answers = futures::future::join_all(orders).await;
    let (settled, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(settled.len(), 1, "{answers:?}");
    for answer in refused {
        let code = text(&answer.json(409), "code");
        let fair = [
            "milestone.disbursement_in_flight",
            "milestone.already_disbursed",
        ];
        assert!(fair.contains(&code.as_str()), "{code}");
    }
    let ledger = scene.tranche.ledger();
    assert_eq!(ledger.burns().await.len(), 1);
    let books = scene.project_view(&project).await;
    assert_eq!(books["nav"], "999987.6543211");
    let wallet = text(&books, "wallet_account_id");
    assert_eq!(ledger.balance(&wallet).await, stroops(&books["nav"]));
    assert_eq!(scene.disbursements(&project).await.len(), 1);
    let actions = scene.actions(&milestone).await;
    assert_eq!(
        actions
            .iter()
            .filter(|action| *action == "disbursement.prepared")
            .count(),
        1
    );
}

// M8: one wallet, twelve burns at once: every one settles, and the NAV is exact to the stroop.
async fn twelve(store: StoreKind) {
    let options = Options {
        ledger_ms: 100,
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let project = scene.project().await;
    let mut milestones = Vec::new();
    let mut sum = 0;
    for number in 1..=12 {
        let amount = format!("{number}.000000{}", number % 10);
        milestones.push(scene.paid(&project, number, &amount).await);
        sum += i64::from(number) * 10_000_000 + i64::from(number % 10);
    }
    let orders = milestones
        .iter()
        .map(|milestone| scene.disburse(milestone, milestone, 60));
    let answers = futures::future::join_all(orders).await;
    let mut navs: Vec<i64> = answers
        .iter()
        .map(|answer| stroops(&answer.json(200)["new_nav"]))
        .collect();
    navs.sort_unstable();
    navs.dedup();
    assert_eq!(navs.len(), 12, "each burn has a NAV of its own after it");

    let books = scene.project_view(&project).await;
    assert_eq!(stroops(&books["nav"]), 10_000_000_000_000 - sum);
    assert_eq!(navs.first().copied(), Some(stroops(&books["nav"])));
    assert_eq!(books["nav_reserved"], "0.0000000");
    assert_eq!(books["completed_milestones"], 12);
    let ledger = scene.tranche.ledger();
    let burns = ledger.burns().await;
    assert_eq!(burns.len(), 12);
    assert!(burns.iter().all(|burn| burn.succeeded));
    assert_eq!(burns.iter().map(|burn| burn.stroops).sum::<i64>(), sum);
    let wallet = text(&books, "wallet_account_id");
    assert_eq!(ledger.balance(&wallet).await, stroops(&books["nav"]));
}

// API contract: `GET /v1/disbursements?state=`, of one project or all, newest first, in pages.
async fn listing(store: StoreKind) {
    let scene = Scene::new(store);
    let [project, other] = [scene.project().await, scene.project().await];
    for (project, number) in [(&project, 1), (&project, 2), (&other, 1)] {
        let milestone = scene.paid(project, number, "1").await;
        scene.disburse(&milestone, &milestone, 30).await.json(200);
    }
    let list = async |query: &str| {
        scene
            .admin
            .get(&format!("/v1/disbursements{query}"))
            .await
            .json(200)
    };
    let all = rows(&list("").await);
    assert_eq!(all.len(), 3);
    assert_eq!(text(&all[0], "project_id"), other, "newest first");
    assert_eq!(rows(&list("?state=settled").await), all);
    for none in ["prepared", "submitted", "failed", "needs_operator"] {
        assert_eq!(
            rows(&list(&format!("?state={none}")).await),
            [] as [Value; 0],
            "{none}"
        );
    }
    let of_project = rows(&list(&format!("?state=settled&project_id={project}")).await);
    assert_eq!(of_project, all[1..]);
    let first = list("?limit=2").await;
    assert_eq!(rows(&first), all[..2]);
    let cursor = text(&first["page"], "next_cursor");
    let second = list(&format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(rows(&second), all[2..]);
    assert_eq!(second["page"], json!({ "next_cursor": null, "limit": 2 }));
    let bad = scene.admin.get("/v1/disbursements?state=burned").await;
    assert_eq!(bad.refused_fields(), ["state"]);
    let bad = scene.admin.get("/v1/disbursements?project_id=mine").await;
    assert_eq!(bad.refused_fields(), ["project_id"]);
}
