//! The sandbox ledger: asked over its own protocol, past the service, and run on its own.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use stellar_xdr::{
    AccountId, AlphaNum12, Asset, AssetCode12, FeeBumpTransactionInnerTx, LedgerEntryData,
    LedgerKey, LedgerKeyAccount, LedgerKeyTrustLine, Limits, Memo, OperationBody, ReadXdr,
    Transaction, TransactionEnvelope, TrustLineAsset, WriteXdr,
};
use tempfile::TempDir;

use super::PASSPHRASE;
use super::process::{Process, binary};
use super::wallet::Wallet;

/// A payment to the issuer that the ledger holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burn {
    /// The transaction's hash.
    pub hash: String,
    /// Whose tokens.
    pub account: String,
    /// How much, in stroops.
    pub stroops: i64,
    /// The memo in hex.
    pub memo: String,
    /// Whether it was applied, or only included.
    pub succeeded: bool,
    /// The ledger that holds it.
    pub ledger: u32,
}

/// A way to a sandbox ledger.
#[derive(Clone, Debug)]
pub struct LedgerClient {
    pub(super) url: String,
    pub(super) http: Client,
}

impl LedgerClient {
    /// The ledger that answers at this URL.
    pub fn at(url: &str) -> Self {
        let http = Client::builder().no_proxy().build();
        Self {
            url: url.to_owned(),
            http: http.expect("an HTTP client"),
        }
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method of the RPC protocol.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer = self.post("/", &body).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        let answer = request
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let answer = answer.unwrap_or_else(|error| panic!("the sandbox: {error}"));
        answer.json().await.expect("the sandbox answers JSON")
    }

    /// The asset that burns, `NGNTS:G…`.
    pub async fn asset(&self) -> String {
        let url = format!("{}/sandbox/asset", self.url);
        let answer = self
            .http
            .get(url)
            .send()
            .await
            .expect("the sandbox answers");
        let answer: Value = answer.json().await.expect("the sandbox answers JSON");
        answer["asset"].as_str().expect("an asset").to_owned()
    }

    /// Gives an account tokens, and XLM for its fees.
    pub async fn fund(&self, account: &str, amount: &str) {
        let asset = self.asset().await;
        let body = json!({ "account": account, "asset": asset, "amount": amount, "xlm": "100" });
        self.post("/sandbox/fund", &body).await;
    }

    /// A fresh keypair that holds this much.
    pub async fn wallet(&self, amount: &str) -> Wallet {
        let wallet = Wallet::random();
        self.fund(&wallet.account, amount).await;
        wallet
    }

    /// The latest closed ledger.
    pub async fn latest(&self) -> u64 {
        let latest = self.call("getLatestLedger", json!({})).await;
        latest["sequence"].as_u64().expect("a ledger's number")
    }

    /// Every payment to the issuer since the ledger began, oldest first.
    pub async fn burns(&self) -> Vec<Burn> {
        let asset = self.asset().await;
        let (_, issuer) = asset.split_once(':').expect("CODE:ISSUER");
        let health = self.call("getHealth", json!({})).await;
        let mut params =
            json!({ "startLedger": health["oldestLedger"], "pagination": { "limit": 200 } });
        let mut burns = Vec::new();
        loop {
            let page = self.call("getTransactions", params).await;
            let rows = page["transactions"].as_array().cloned().unwrap_or_default();
            burns.extend(rows.iter().filter_map(|row| burn(row, issuer)));
            if rows.len() < 200 {
                return burns;
            }
            params = json!({ "pagination": { "cursor": page["cursor"], "limit": 200 } });
        }
    }

    /// How many burns were applied.
    pub async fn burned(&self) -> usize {
        self.burns()
            .await
            .iter()
            .filter(|burn| burn.succeeded)
            .count()
    }

    /// How much of the asset an account holds, in stroops.
    pub async fn balance(&self, account: &str) -> i64 {
        let asset = self.asset().await;
        let (code, issuer) = asset.split_once(':').expect("CODE:ISSUER");
        let mut padded = [0; 12];
        padded[..code.len()].copy_from_slice(code.as_bytes());
        let key = LedgerKey::Trustline(LedgerKeyTrustLine {
            account_id: account_id(account),
            asset: TrustLineAsset::CreditAlphanum12(AlphaNum12 {
                asset_code: AssetCode12(padded),
                issuer: account_id(issuer),
            }),
        });
        let key = key.to_xdr_base64(Limits::none()).expect("a ledger key");
        let found = self
            .call("getLedgerEntries", json!({ "keys": [key] }))
            .await;
        let entry = found["entries"][0]["xdr"].as_str().expect("a trustline");
        match LedgerEntryData::from_xdr_base64(entry, Limits::none()) {
            Ok(LedgerEntryData::Trustline(line)) => line.balance,
            other => panic!("no trustline: {other:?}"),
        }
    }

    /// The last sequence number that an account has used.
    pub async fn sequence(&self, account: &str) -> i64 {
        let key = LedgerKey::Account(LedgerKeyAccount {
            account_id: account_id(account),
        });
        let key = key.to_xdr_base64(Limits::none()).expect("a ledger key");
        let found = self
            .call("getLedgerEntries", json!({ "keys": [key] }))
            .await;
        let entry = found["entries"][0]["xdr"].as_str().expect("an account");
        match LedgerEntryData::from_xdr_base64(entry, Limits::none()) {
            Ok(LedgerEntryData::Account(account)) => account.seq_num.0,
            other => panic!("no account: {other:?}"),
        }
    }
}

fn account_id(account: &str) -> AccountId {
    account.parse().expect("an account, G…")
}

/// The payment to the issuer in a listed transaction, if it is one.
fn burn(row: &Value, issuer: &str) -> Option<Burn> {
    let text = |name: &str| row[name].as_str().unwrap_or("").to_owned();
    let envelope = TransactionEnvelope::from_xdr_base64(text("envelopeXdr"), Limits::none());
    let transaction: Transaction = match envelope.expect("an envelope") {
        TransactionEnvelope::Tx(envelope) => envelope.tx,
        TransactionEnvelope::TxFeeBump(bump) => {
            let FeeBumpTransactionInnerTx::Tx(inner) = bump.tx.inner_tx;
            inner.tx
        }
        TransactionEnvelope::TxV0(_) => return None,
    };
    let operation = transaction.operations.first()?;
    let OperationBody::Payment(payment) = &operation.body else {
        return None;
    };
    let to_issuer = payment.destination.clone().account_id().to_string() == issuer
        && matches!(&payment.asset, Asset::CreditAlphanum12(asset) if asset.issuer.to_string() == issuer);
    let source = operation
        .source_account
        .as_ref()
        .unwrap_or(&transaction.source_account);
    to_issuer.then(|| Burn {
        hash: text("txHash"),
        account: source.clone().account_id().to_string(),
        stroops: payment.amount,
        memo: match &transaction.memo {
            Memo::Hash(hash) => hex::encode(hash.0),
            _ => String::new(),
        },
        succeeded: row["status"] == "SUCCESS",
        ledger: row["ledger"]
            .as_u64()
            .and_then(|ledger| ledger.try_into().ok())
            .unwrap_or(0),
    })
}

/// `tranche sandbox`: a ledger in a process of its own, which outlives the service's crashes.
#[derive(Debug)]
pub struct Sandbox {
    process: Option<Process>,
    listen: String,
    interval_ms: u64,
    starts: usize,
    folder: TempDir,
}

impl Sandbox {
    /// Starts one that closes a ledger every `interval_ms` milliseconds.
    pub fn start(interval_ms: u64) -> Self {
        let mut sandbox = Self {
            process: None,
            listen: "127.0.0.1:0".to_owned(),
            interval_ms,
            starts: 0,
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        sandbox.restart();
        sandbox
    }

    /// Forgets everything the ledger held: started again, it is a network that was reset.
    pub fn forget(&mut self) {
        assert!(self.process.is_none(), "the sandbox still runs");
        std::fs::remove_dir_all(self.folder.path().join("ledger")).expect("the ledger's folder");
    }

    /// Starts it again where it was, with everything it had.
    pub fn restart(&mut self) {
        let interval = self.interval_ms.to_string();
        let data = self.folder.path().join("ledger").display().to_string();
        let log = self
            .folder
            .path()
            .join(format!("stderr.{}.log", self.starts));
        let process = Process::start(
            &binary(),
            &[
                "sandbox",
                "--listen",
                &self.listen,
                "--data",
                &data,
                "--ledger-interval-ms",
                &interval,
                "--network-passphrase",
                PASSPHRASE,
            ],
            &[],
            self.folder.path(),
            &log,
        );
        let url = process.url().to_owned();
        url.trim_start_matches("http://")
            .clone_into(&mut self.listen);
        self.starts += 1;
        self.process = Some(process);
    }

    /// Kills it outright.
    pub fn kill(&mut self) {
        self.process.take().expect("the sandbox runs").kill();
    }

    /// How often it was started.
    pub fn starts(&self) -> usize {
        self.starts
    }

    /// Where it answers.
    pub fn client(&self) -> LedgerClient {
        LedgerClient::at(&format!("http://{}", self.listen))
    }

    /// What a service is told to use this ledger.
    pub async fn settings(&self) -> Vec<(&'static str, String)> {
        let client = self.client();
        vec![
            ("TRANCHE_LEDGER", "stellar".to_owned()),
            ("TRANCHE_STELLAR_RPC_URL", client.url.clone()),
            ("TRANCHE_STELLAR_NETWORK_PASSPHRASE", PASSPHRASE.to_owned()),
            ("TRANCHE_ASSET", client.asset().await),
        ]
    }
}

/// Asks until the answer is there, at most half a minute.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    for _ in 0..300 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not in half a minute: {what}");
}
