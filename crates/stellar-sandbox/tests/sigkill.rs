//! SIGKILL at the worst moment loses nothing that was answered for.
//!
//! The test runs itself once more as a child that serves a sandbox, and kills that.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use stellar_sandbox::{Config, SANDBOX_PASSPHRASE, Sandbox, start};

const FOLDER: &str = "SANDBOX_UNDER_TEST";
const ACCOUNT: &str = "GARY2PWDU3CCOY3HZMIIA3FOF2X4Q45XDFR4BPDFHGXT5BWCYAP24AMO";
/// base64 of the XDR `LedgerKey` of [`ACCOUNT`]: type 0, key type 0, the key.
const ACCOUNT_KEY: &str = "AAAAAAAAAAAjjT7DpsQnY2fLEIBsri6vyHO3GWPAvGU5rz6GwsAfrg==";

async fn open(folder: &Path) -> Sandbox {
    start(Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        data_dir: folder.to_owned(),
        ledger_interval: Duration::from_millis(20),
        network_passphrase: SANDBOX_PASSPHRASE.to_owned(),
    })
    .await
    .expect("the sandbox starts")
}

/// Not a test of its own: what the child does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test below"]
async fn serve_until_killed() {
    let folder = std::env::var(FOLDER).expect("the parent names a folder");
    let sandbox = open(Path::new(&folder)).await;
    println!("\nserving {}", sandbox.url());
    std::future::pending::<()>().await;
}

fn spawn(folder: &Path) -> (Child, String) {
    let this = std::env::current_exe().expect("the test binary");
    let mut child = Command::new(this)
        .args(["--ignored", "--exact", "serve_until_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let stdout = child.stdout.take().expect("a pipe");
    let url = BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("serving ").map(str::to_owned))
        .expect("the child says where it serves");
    (child, url)
}

async fn call(url: &str, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let text = client().post(url).body(request.to_string()).send();
    let text = text.await.expect("an answer").text().await;
    let answer: Value = serde_json::from_str(&text.expect("a body")).expect("json");
    answer["result"].clone()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_for_survives_sigkill() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut granted = 0_u64;
    for _ in 0..3 {
        let (mut child, url) = spawn(folder.path());
        for _ in 0..5 {
            granted += 1;
            let body = json!({ "account": ACCOUNT, "xlm": format!("{}", 10 * granted) });
            let fund = client().post(format!("{url}/sandbox/fund"));
            let answer = fund.body(body.to_string()).send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), 200);
        }
        let params = json!({ "keys": [ACCOUNT_KEY] });
        let before = call(&url, "getLedgerEntries", params.clone()).await;
        child.kill().expect("SIGKILL");
        child.wait().expect("it is dead");

        let again = open(folder.path()).await;
        let after = call(&again.url(), "getLedgerEntries", params).await;
        assert_eq!(before["entries"], after["entries"]);
        assert!(after["entries"][0]["xdr"].is_string());
        assert!(before["latestLedger"].as_u64() <= after["latestLedger"].as_u64());
        // The next round's child takes the folder over from this one.
        drop(again);
    }
}
