//! What tests ask of a sandbox ledger and no network offers: faults, and its clock.

use reqwest::Response;
use serde_json::{Value, json};

use super::ledger::LedgerClient;
use super::{Tranche, Wallet};

impl Tranche {
    /// Makes channel accounts, paid for by an account that has the sandbox's XLM.
    pub async fn channels(&self, ledger: &LedgerClient, count: u16) {
        let funder = Wallet::random();
        ledger.befriend(&funder.account).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("funder.seed");
        std::fs::write(&file, &funder.seed).expect("a seed file");
        let (count, file) = (count.to_string(), file.display().to_string());
        let made = self.command(&[
            "channels",
            "create",
            "--count",
            &count,
            "--funder-seed-file",
            &file,
        ]);
        assert!(made.status.success(), "{made:?}");
    }
}

impl LedgerClient {
    /// Makes the next calls misbehave.
    pub async fn fault(&self, fault: &str, calls: u32) {
        self.set_fault(&json!({ "fault": fault, "calls": calls }))
            .await;
    }

    /// Sets a fault with everything that may be said of it.
    pub async fn set_fault(&self, fault: &Value) {
        self.post("/sandbox/faults", fault).await;
    }

    /// How many calls of a fault are left.
    pub async fn fault_left(&self, fault: &str) -> u64 {
        let request = self.http.get(format!("{}/sandbox/faults", self.url)).send();
        let answer = request.await.and_then(Response::error_for_status);
        let answer = answer.expect("the sandbox answers");
        let in_force: Value = answer.json().await.expect("the sandbox answers JSON");
        in_force["in_force"][fault].as_u64().unwrap_or(0)
    }

    /// Gives an account its first XLM, as test networks do.
    pub async fn befriend(&self, account: &str) {
        let url = format!("{}/friendbot?addr={account}", self.url);
        let answer = self.http.get(url).send().await;
        let answer = answer.and_then(Response::error_for_status);
        answer.expect("the friendbot answers");
    }

    /// Holds the timer that closes ledgers, or lets it go.
    pub async fn hold(&self, held: bool) {
        self.post("/sandbox/clock", &json!({ "held": held })).await;
    }

    /// Makes the next ledger close so many seconds later than the last.
    pub async fn skip(&self, seconds: u32) {
        self.post("/sandbox/clock", &json!({ "skip_seconds": seconds }))
            .await;
    }
}
