//! What would take longer than an answer may: refused by its own code, and answered once nothing is in
//! its way.

use futures::join;
use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Caller, Options, StoreKind, Tranche, eventually};

// S7: the parts of the log are counted for 10 seconds at most.
#[tokio::test]
async fn a_look_at_the_log_s_parts_ends() {
    let tranche = Tranche::start(StoreKind::Postgres, Options::default());
    let [auditor] = tranche.callers([("uche", "auditor")]);
    let path = "/v1/audit/retention";
    auditor.get(path).await.json(200);
    let held = tranche
        .database()
        .hold("LOCK TABLE audit_events_info IN ACCESS EXCLUSIVE MODE");
    let held = held.expect("the lock is free");
    let refused = auditor.get(path).await;
    refused.problem(503, "retention.counting");
    assert_eq!(refused.header("retry-after"), "1");
    drop(held);
    eventually("the parts are told", async || {
        (auditor.get(path).await.status == 200).then_some(())
    })
    .await;
}

async fn look(admin: &Caller) -> Answer {
    let body = json!({ "subject": "dr-ada", "reason": "asked to", "dry_run": true });
    admin.post("/v1/audit/erasures", &body).await
}

// S9: what an erasure would be about is counted for 5 seconds at most, and for one who asks at a time.
#[tokio::test]
async fn a_dry_run_of_an_erasure_ends() {
    let options = Options {
        settings: vec![("TRANCHE_AUDIT_SEAL", "$.email".to_owned())],
        ..Options::default()
    };
    let tranche = Tranche::start(StoreKind::Postgres, options);
    let [service, admin] = tranche.callers([("clinic", "service"), ("ada", "admin")]);
    let visit = json!({ "entries": [{
        "action": "visit.made", "resource_type": "visit", "severity": "critical",
        "actor_id": "dr-ada", "details": { "email": "ada@clinic.example" },
    }] });
    service.post("/v1/audit/events", &visit).await.json(201);

    let held = tranche
        .database()
        .hold("LOCK TABLE ONLY audit_archive IN ACCESS EXCLUSIVE MODE");
    let held = held.expect("the lock is free");
    let (one, other) = join!(look(&admin), look(&admin));
    let (busy, counting) = if one.status == 503 {
        (one, other)
    } else {
        (other, one)
    };
    busy.problem(503, "erasure.busy");
    assert_eq!(busy.header("retry-after"), "1");
    counting.problem(422, "erasure.too_many_events");

    drop(held);
    let told = look(&admin).await.json(200);
    assert_eq!(told["events"], json!({ "sealed": 1, "acted": 1 }));
    let erase = json!({ "subject": "dr-ada", "reason": "asked to" });
    let erased: Value = admin.post("/v1/audit/erasures", &erase).await.json(200);
    assert_eq!(erased["key_id"], told["key_id"]);
}
