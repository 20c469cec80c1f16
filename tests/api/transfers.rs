//! Bank transfers.

use chrono::{DateTime, Days, Utc};
use serde_json::{Value, json};
use tranche_tests::support::service::StoreKind;

use crate::scene::{Scene, at, transfer};

on_both_stores! {
    references: a_reference_pays_once_in_a_project_on_sqlite,
        a_reference_pays_once_in_a_project_on_postgres;
    replacing: a_second_recording_replaces_the_first_on_sqlite,
        a_second_recording_replaces_the_first_on_postgres;
    dates: dates_are_days_that_were_on_sqlite, dates_are_days_that_were_on_postgres;
}

// M7: a reference is used once per project, whatever happens at once; another project has its own.
async fn references(store: StoreKind) {
    let scene = Scene::new(store);
    let [project, other] = [scene.project().await, scene.project().await];
    let first = scene.approved(&project, 1, "10").await;
    let second = scene.approved(&project, 2, "10").await;
    let foreign = scene.approved(&other, 1, "10").await;
    let record = async |milestone: &str, body: Value| {
        scene
            .treasurer
            .post(&at(milestone, "bank-transfer"), &body)
            .await
    };
    let both = futures::join!(
        record(&first, transfer("NIP-1", "10")),
        record(&second, transfer("NIP-1", "10"))
    );
    let (winner, loser) = if both.0.status == 200 {
        (&first, &second)
    } else {
        (&second, &first)
    };
    let refused = if both.0.status == 200 { both.1 } else { both.0 };
    let problem = refused.problem(409, "milestone.transfer_reference_used");
    assert_eq!(problem["field"], "reference");
    assert_eq!(
        scene.milestone(winner).await["bank_transfer"]["reference"],
        "NIP-1"
    );
    assert_eq!(scene.milestone(loser).await["bank_transfer"], Value::Null);
    assert_eq!(scene.milestone(loser).await["version"], 3);
    record(&foreign, transfer("NIP-1", "10")).await.json(200);
    // Its own reference is no obstacle to its replacement; a freed one can be used.
    record(winner, transfer("NIP-1", "11")).await.json(200);
    record(winner, transfer("NIP-2", "11")).await.json(200);
    record(loser, transfer("NIP-1", "10")).await.json(200);
    // Once disbursed, a reference stays taken.
    let third = scene.approved(&project, 3, "10").await;
    scene.disburse(loser, "loser", 30).await.json(200);
    record(&third, transfer("NIP-1", "10"))
        .await
        .problem(409, "milestone.transfer_reference_used");
}

// M7: the event tells both recordings; notes stay where none are given; afterwards it is refused.
async fn replacing(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.approved(&project, 1, "10").await;
    let address = at(&milestone, "bank-transfer");
    let first = json!({ "reference": "NIP-1", "amount": "10", "date": "2026-01-15",
        "notes": "First half\nof it." });
    scene.treasurer.post(&address, &first).await.json(200);
    let second = json!({ "reference": "NIP-2", "amount": "10.25", "date": "2026-01-16" });
    let view = scene.treasurer.post(&address, &second).await.json(200);
    assert_eq!(view["notes"], "First half\nof it.");
    assert_eq!(
        view["bank_transfer"],
        json!({ "reference": "NIP-2", "amount": "10.2500000", "date": "2026-01-16" })
    );
    let third = json!({ "reference": "NIP-2", "amount": "10.25", "date": "2026-01-16",
        "notes": "All." });
    assert_eq!(
        scene.treasurer.post(&address, &third).await.json(200)["notes"],
        "All."
    );

    let events = scene.events(&milestone).await;
    let changes: Vec<&Value> = events[3..].iter().map(|event| &event["changes"]).collect();
    let diff = |from: Value, to: &str| json!({ "from": from, "to": to });
    assert_eq!(
        changes,
        [
            &json!({
                "reference": diff(Value::Null, "NIP-1"), "amount": diff(Value::Null, "10.0000000"),
                "date": diff(Value::Null, "2026-01-15"), "notes": diff(Value::Null, "First half\nof it."),
            }),
            &json!({
                "reference": diff(json!("NIP-1"), "NIP-2"),
                "amount": diff(json!("10.0000000"), "10.2500000"),
                "date": diff(json!("2026-01-15"), "2026-01-16"),
            }),
            &json!({ "notes": diff(json!("First half\nof it."), "All.") }),
        ]
    );
    let settled = scene.disburse(&milestone, "replaced", 30).await.json(200);
    assert_eq!(settled["milestone"]["ngnts_burned"], "10.2500000");
    let late = scene
        .treasurer
        .post(&address, &transfer("NIP-3", "10"))
        .await;
    late.problem(409, "milestone.already_disbursed");
    let view = scene.milestone(&milestone).await;
    assert_eq!(view["bank_transfer"]["reference"], "NIP-2");
    assert_eq!(view["notes"], "All.");
}

// M7: a transfer is not recorded for a day that cannot have come anywhere.
async fn dates(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.approved(&project, 1, "10").await;
    let created = scene.milestone(&milestone).await["created_at"]
        .as_str()
        .map(str::to_owned);
    let now: DateTime<Utc> = created.and_then(|time| time.parse().ok()).expect("a time");
    let today = now.date_naive();
    let address = at(&milestone, "bank-transfer");
    let record = async |date: &str| {
        let body = json!({ "reference": "NIP-1", "amount": "10", "date": date });
        scene.treasurer.post(&address, &body).await
    };
    let far = (today + Days::new(3)).to_string();
    for bad in [
        far.as_str(),
        "1999-12-31",
        "2026-02-30",
        "2026-1-5",
        "15.01.2026",
        "20260115",
        "soon",
        "",
    ] {
        assert_eq!(record(bad).await.refused_fields(), ["date"], "{bad}");
    }
    assert_eq!(scene.milestone(&milestone).await["version"], 3);
    assert_eq!(
        record(&today.to_string()).await.json(200)["bank_transfer"]["date"],
        today.to_string()
    );
}
