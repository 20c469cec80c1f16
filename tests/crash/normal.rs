//! The binary that people run has no failpoints.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tranche_tests::support::scene::Scene;
use tranche_tests::support::service::{Options, Sandbox, StoreKind, binary, failpoints_binary};

const VARIABLE: &str = "TRANCHE_KILL_AT";

/// Whether a file has these bytes.
fn holds(file: &Path, text: &str) -> bool {
    let found = Command::new("grep")
        .args(["--quiet", "--text", "--fixed-strings", text])
        .arg(file)
        .status();
    found.expect("grep runs").success()
}

#[tokio::test]
async fn the_normal_binary_has_no_failpoints() {
    assert!(holds(&failpoints_binary(), VARIABLE), "the test can see it");
    assert!(!holds(&binary(), VARIABLE));
    assert!(!holds(&binary(), "FAILPOINTS"));

    let sandbox = Sandbox::start(100);
    let mut ledger = sandbox.settings().await;
    ledger.push((VARIABLE, "planned".to_owned()));
    let options = Options {
        ledger: Some(ledger),
        ..Options::default()
    };
    let mut scene = Scene::with(StoreKind::Sqlite, options);
    let wallet = sandbox.client().wallet("1000").await;
    let body = json!({ "nav": "1000", "wallet": { "secret_seed": wallet.seed } });
    let project = scene.open(&body).await;
    let milestone = scene.paid(&project, 1, "10").await;
    scene.disburse(&milestone, "once", 30).await.json(200);
    assert_eq!(scene.tranche.ended_by(), None, "it still runs");
}
