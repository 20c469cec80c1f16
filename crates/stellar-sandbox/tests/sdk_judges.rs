//! The official Python and JavaScript SDKs drive the sandbox and judge what it answers.
//!
//! Both live in `.judges/` at the top of the checkout; `make setup` puts them there.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use stellar_sandbox::{Config, SANDBOX_PASSPHRASE, Sandbox, start};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is two levels up")
}

fn installed(path: &str) -> PathBuf {
    let path = workspace().join(path);
    assert!(
        path.exists(),
        "the SDK that judges is missing at {}: run make setup",
        path.display()
    );
    path
}

fn script(name: &str) -> PathBuf {
    workspace().join("tests/judges").join(name)
}

async fn sandbox(folder: &Path) -> Sandbox {
    start(Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        data_dir: folder.to_owned(),
        ledger_interval: Duration::from_millis(100),
        network_passphrase: SANDBOX_PASSPHRASE.to_owned(),
    })
    .await
    .expect("the sandbox starts")
}

async fn verdict(mut judge: Command) {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = sandbox(folder.path()).await;
    judge.arg(sandbox.url()).arg(sandbox.network_passphrase());
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::task::spawn_blocking(move || judge.output())
        .await
        .expect("the judge is awaited")
        .expect("the judge runs");
    assert!(
        status.success(),
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    sandbox.stop().await.expect("the sandbox stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sdk_accepts_the_sandbox() {
    let mut judge = Command::new(installed(".judges/venv/bin/python"));
    judge.arg(script("python_judge.py"));
    verdict(judge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_javascript_sdk_accepts_the_sandbox() {
    let modules = installed(".judges/node/node_modules");
    let mut judge = Command::new("node");
    judge
        .arg(script("js_judge.mjs"))
        .current_dir(modules.parent().expect("node_modules lies in a folder"));
    verdict(judge).await;
}
