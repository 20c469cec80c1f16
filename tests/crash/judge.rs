//! The official Python SDK reads the ledger and makes its own sums.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tranche_tests::support::service::{LedgerClient, PASSPHRASE};

/// What one wallet burned.
pub struct Burned {
    pub burns: usize,
    pub stroops: i64,
    pub memos: Vec<String>,
}

/// What every wallet burned, by its account.
pub fn burned(ledger: &LedgerClient) -> HashMap<String, Burned> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = tests.join("../.judges/venv/bin/python");
    assert!(
        python.exists(),
        "the SDK that judges is missing: run make setup"
    );
    let output = Command::new(python)
        .arg(tests.join("judges/python_burns.py"))
        .args([ledger.url(), PASSPHRASE])
        .output()
        .expect("python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let wallets: HashMap<String, Value> =
        serde_json::from_slice(&output.stdout).expect("the judge prints JSON");
    wallets
        .into_iter()
        .map(|(account, found)| {
            let memos = found["memos"].as_array().expect("memos");
            let burned = Burned {
                burns: memos.len(),
                stroops: found["stroops"].as_i64().expect("stroops"),
                memos: memos
                    .iter()
                    .map(|memo| memo.as_str().expect("a memo").to_owned())
                    .collect(),
            };
            assert_eq!(found["burns"], burned.burns);
            (account, burned)
        })
        .collect()
}
