//! The restore drill of the audit log (S13): an older database is found out before anything is signed,
//! and an intact one goes on.

use serde_json::{Value, json};
use tranche_tests::support::service::{Options, StoreKind, Tranche, eventually};

use crate::scene::text;

on_both_stores! {
    older: an_older_database_is_found_out_on_sqlite, an_older_database_is_found_out_on_postgres;
    intact: an_intact_restore_goes_on_on_sqlite, an_intact_restore_goes_on_on_postgres;
    elsewhere: another_history_is_found_out_on_sqlite, another_history_is_found_out_on_postgres;
}

fn start(store: StoreKind) -> Tranche {
    let options = Options {
        settings: vec![("TRANCHE_RATE_LIMIT", "off".to_owned())],
        ..Options::default()
    };
    Tranche::start(store, options)
}

async fn send(tranche: &Tranche, count: usize) {
    let service = tranche.caller("billing", "service", None);
    let entry = json!({
        "action": "invoice.sent", "resource_type": "invoice", "severity": "critical",
    });
    let entries: Vec<Value> = vec![entry; count];
    let body = json!({ "entries": entries });
    let sent = service.post("/v1/audit/events", &body).await;
    sent.json(201);
}

/// The checkpoint that is served, once it covers every leaf there is.
async fn checkpoint(tranche: &Tranche) -> String {
    let caller = tranche.caller("ada", "auditor", None);
    eventually("everything is sealed and kept", async || {
        let waiting = tranche.sql("SELECT count(*) FROM audit_pending").await;
        let leaves = tranche.sql("SELECT count(*) FROM audit_leaves").await;
        let served = caller.get("/checkpoint").await;
        let all = waiting == "0" && served.text.lines().nth(1) == Some(leaves.as_str());
        all.then_some(served.text)
    })
    .await
}

async fn standing(tranche: &Tranche) -> String {
    let ready = tranche.with_token(None).get("/readyz").await.json(200);
    text(&ready, "audit_log")
}

/// What the database has signed.
async fn signed(tranche: &Tranche) -> String {
    tranche.sql("SELECT size, note FROM audit_tree").await
}

fn kept(tranche: &Tranche) -> String {
    let file = tranche.data_dir().join("checkpoints/newest");
    std::fs::read_to_string(file).expect("a kept checkpoint")
}

/// Nothing is signed, everybody is told, and what was given out is still served.
async fn assert_found_out(tranche: &Tranche, before: &str) {
    eventually("it is found out", async || {
        (standing(tranche).await == "contradicted").then_some(())
    })
    .await;
    let signed_before = signed(tranche).await;
    send(tranche, 3).await;
    let caller = tranche.caller("ada", "auditor", None);
    let refused = caller.get("/v1/audit/consistency?from=0").await;
    refused.problem(503, "audit.contradicted");
    let refused = caller.get("/v1/audit/export?format=ndjson").await;
    refused.problem(503, "audit.contradicted");
    assert_eq!(caller.get("/v1/audit/export?format=csv").await.status, 200);
    let out = tranche.data_dir().join("copy.ndjson");
    let to = out.display().to_string();
    let copied = tranche.command(&["export", "--format", "ndjson", "--out", &to]);
    assert_ne!(copied.status.code(), Some(0), "a copy of another history");
    assert!(!out.exists());
    for tile in ["/tile/0/000.p/1", "/tile/entries/000.p/1"] {
        let refused = caller.get(tile).await;
        refused.problem(503, "audit.contradicted");
    }
    assert_eq!(caller.get("/checkpoint").await.text, before);
    assert_eq!(kept(tranche), before);
    let metrics = tranche.with_token(None).get("/metrics").await.text;
    assert!(
        metrics.contains("\ntranche_audit_log_contradicted 1\n"),
        "{metrics}"
    );
    eventually("people are told", async || {
        let health = caller.get("/v1/monitoring/audit-metrics").await.json(200);
        health
            .to_string()
            .contains("audit.log_contradicted")
            .then_some(())
    })
    .await;
    let log = tranche.log();
    assert!(log.contains("\"operation\":\"audit.tree\""), "{log}");
    assert_eq!(signed(tranche).await, signed_before);
    assert_ne!(tranche.sql("SELECT count(*) FROM audit_pending").await, "0");
}

// S13: a backup, more events, the backup again. A person accepts it, on record, and sealing goes on.
async fn older(store: StoreKind) {
    let mut tranche = start(store);
    send(&tranche, 30).await;
    checkpoint(&tranche).await;
    assert_eq!(tranche.terminate(), Some(0));
    let backup = tranche.backup();
    tranche.restart();
    send(&tranche, 10).await;
    let before = checkpoint(&tranche).await;
    assert_eq!(kept(&tranche), before);
    assert_eq!(tranche.terminate(), Some(0));
    tranche.restore(&backup);
    tranche.restart();
    assert_found_out(&tranche, &before).await;

    let accepted = tranche.command(&["log", "accept", "--reason", "the disk died at noon"]);
    assert!(accepted.status.success(), "{accepted:?}");
    let told = String::from_utf8_lossy(&accepted.stdout).into_owned();
    assert!(told.contains("set-aside-"), "{told}");
    eventually("it goes on", async || {
        (standing(&tranche).await == "sound").then_some(())
    })
    .await;
    let after = checkpoint(&tranche).await;
    assert_ne!(after, before);
    let metadata =
        "SELECT metadata FROM audit_events WHERE action = 'audit.contradiction_accepted'";
    let recorded = tranche.sql(metadata).await;
    assert!(recorded.contains("the disk died at noon"), "{recorded}");
    let again = tranche.command(&["log", "accept", "--reason", "once more"]);
    assert!(!again.status.success(), "{again:?}");
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(told.contains("nothing is to be accepted"), "{told}");
    // What was kept of the history that is lost is no evidence against this one.
    let verified = tranche.command(&["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

// S13: the same database again, from a copy: the proofs of before still verify.
async fn intact(store: StoreKind) {
    let mut tranche = start(store);
    send(&tranche, 30).await;
    let before = checkpoint(&tranche).await;
    assert_eq!(tranche.terminate(), Some(0));
    let backup = tranche.backup();
    tranche.restore(&backup);
    tranche.restart();
    send(&tranche, 10).await;
    let after = checkpoint(&tranche).await;
    assert_eq!(standing(&tranche).await, "sound");
    let size = |note: &str| note.lines().nth(1).map(str::to_owned).expect("a size");
    assert_ne!(size(&after), size(&before));
    let caller = tranche.caller("ada", "auditor", None);
    let proof = format!("/v1/audit/consistency?from={}", size(&before));
    caller.get(&proof).await.json(200);
}

// S8 S13: a restored database that went on elsewhere is longer, and another history.
async fn elsewhere(store: StoreKind) {
    let mut tranche = start(store);
    send(&tranche, 30).await;
    checkpoint(&tranche).await;
    assert_eq!(tranche.terminate(), Some(0));
    let backup = tranche.backup();
    tranche.restart();
    send(&tranche, 10).await;
    let before = checkpoint(&tranche).await;
    assert_eq!(tranche.terminate(), Some(0));
    tranche.restore(&backup);
    let folder = tranche.data_dir().join("checkpoints");
    let moved = tranche.data_dir().join("checkpoints-of-here");
    std::fs::rename(&folder, &moved).expect("it is moved");
    tranche.restart();
    send(&tranche, 50).await;
    checkpoint(&tranche).await;
    assert_eq!(tranche.terminate(), Some(0));
    std::fs::remove_dir_all(&folder).expect("it is removed");
    std::fs::rename(&moved, &folder).expect("it is moved back");
    tranche.restart();
    assert_found_out(&tranche, &before).await;
}
