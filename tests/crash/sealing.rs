//! The sealer is killed at every step, and the disk fails at every step of keeping a checkpoint:
//! nothing is skipped or doubled, and an outsider finds the log whole.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tranche_tests::support::service::{
    Caller, Options, StoreKind, Tranche, eventually, failpoints_binary,
};
use uuid::{NoContext, Timestamp, Uuid};

/// Where the sealer and the keeper may end.
const PLACES: [&str; 11] = [
    "seal.signed",
    "seal.kept",
    "seal.committed",
    "keep.begin",
    "kept.create",
    "kept.write",
    "kept.flush",
    "kept.rename",
    "kept.flush_folder",
    "kept.remember",
    "keep.done",
];

#[tokio::test]
async fn a_sealer_killed_at_every_step_skips_nothing_on_sqlite() {
    killed(StoreKind::Sqlite).await;
}

#[tokio::test]
async fn a_sealer_killed_at_every_step_skips_nothing_on_postgres() {
    killed(StoreKind::Postgres).await;
}

// The disk has nothing to do with the store: once is enough.
#[tokio::test]
async fn a_checkpoint_that_the_disk_refuses_is_kept_later() {
    let mut tranche = start(StoreKind::Sqlite);
    let sender = tranche.caller("billing", "service", None);
    let auditor = tranche.key("ada", "auditor", None);
    for place in PLACES.iter().filter(|place| place.starts_with("kept.")) {
        assert_eq!(tranche.terminate(), Some(0));
        let fails = format!("{place}=1*return");
        tranche.restart_with(&[("FAILPOINTS", fails)]);
        send(&sender, Uuid::new_v7(Timestamp::now(NoContext))).await;
        sealed(&tranche).await;
        let told = tranche.log_since(tranche.starts() - 1);
        assert!(told.contains("audit.keep_checkpoint"), "{place}: {told}");
        let ready = tranche.with_token(None).get("/readyz").await.json(200);
        assert_eq!(ready["audit_log"], "sound", "{place}");
    }
    judge(&tranche, &auditor);
}

fn start(store: StoreKind) -> Tranche {
    let options = Options {
        binary: Some(failpoints_binary()),
        settings: vec![("TRANCHE_RATE_LIMIT", "off".to_owned())],
        ..Options::default()
    };
    Tranche::start(store, options)
}

/// Sends a critical event; the service may end meanwhile.
async fn send(sender: &Caller, id: Uuid) {
    let entry = json!({
        "id": id, "action": "invoice.sent", "resource_type": "invoice", "severity": "critical",
    });
    let body = json!({ "entries": [entry] }).to_string().into_bytes();
    let sender = sender.with("content-type", "application/json");
    let sent = sender.try_send(Method::POST, "/v1/audit/events", Some(body));
    drop(sent.await);
}

/// Waits until every event has its leaf under the checkpoint that is served.
async fn sealed(tranche: &Tranche) {
    let anybody = tranche.with_token(None);
    eventually("everything is sealed and kept", async || {
        let posted = tranche.sql("SELECT count(*) FROM audit_outbox").await;
        let waiting = tranche.sql("SELECT count(*) FROM audit_pending").await;
        let leaves = tranche.sql("SELECT count(*) FROM audit_leaves").await;
        let served = anybody.get("/checkpoint").await;
        let all =
            posted == "0" && waiting == "0" && served.text.lines().nth(1) == Some(leaves.as_str());
        all.then_some(())
    })
    .await;
}

/// By which signal the service ended, if it does.
async fn ended(tranche: &mut Tranche) -> Option<Option<i32>> {
    for _ in 0..300 {
        if let Some(signal) = tranche.ended_by() {
            return Some(signal);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

fn judge(tranche: &Tranche, auditor: &str) {
    let key = tranche.command(&["log", "key"]);
    let key = String::from_utf8_lossy(&key.stdout).trim().to_owned();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = Command::new(tests.join("../.judges/venv/bin/python"))
        .arg(tests.join("judges/python_log.py"))
        .args([&tranche.url(), &key, auditor])
        .output()
        .expect("python runs: make setup installs it");
    let errors = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{errors}");
}

async fn killed(store: StoreKind) {
    let mut tranche = start(store);
    let sender = tranche.caller("billing", "service", None);
    let auditor = tranche.key("ada", "auditor", None);
    sealed(&tranche).await;
    for place in PLACES {
        assert_eq!(tranche.terminate(), Some(0));
        tranche.restart_with(&[("TRANCHE_KILL_AT", place.to_owned())]);
        let id = Uuid::new_v7(Timestamp::now(NoContext));
        send(&sender, id).await;
        assert_eq!(ended(&mut tranche).await, Some(Some(9)), "{place}");
        tranche.restart();
        send(&sender, id).await;
        sealed(&tranche).await;
    }
    let sent = "SELECT count(*) FROM audit_events WHERE action = 'invoice.sent'";
    assert_eq!(tranche.sql(sent).await, PLACES.len().to_string());
    let counts = ["events", "leaves"].map(|of| format!("SELECT count(*) FROM audit_{of}"));
    let events = tranche.sql(&counts[0]).await;
    assert_eq!(tranche.sql(&counts[1]).await, events);
    let last = tranche
        .sql("SELECT max(leaf_index) + 1 FROM audit_leaves")
        .await;
    assert_eq!(last, events, "without a gap");
    judge(&tranche, &auditor);
}
