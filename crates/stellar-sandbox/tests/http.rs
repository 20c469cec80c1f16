//! The sandbox over HTTP: protocol errors, funding and faults.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use serde_json::{Value, json};
use stellar_sandbox::{Config, SANDBOX_PASSPHRASE, Sandbox, start};
use tempfile::TempDir;

const ACCOUNT: &str = "GARY2PWDU3CCOY3HZMIIA3FOF2X4Q45XDFR4BPDFHGXT5BWCYAP24AMO";

async fn sandbox() -> (Sandbox, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = start(Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        data_dir: folder.path().join("ledger"),
        ledger_interval: Duration::from_millis(50),
        network_passphrase: SANDBOX_PASSPHRASE.to_owned(),
    })
    .await
    .expect("the sandbox starts");
    (sandbox, folder)
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

async fn post(sandbox: &Sandbox, path: &str, body: String) -> reqwest::Result<(u16, Value)> {
    let url = format!("{}{path}", sandbox.url());
    let answer = client().post(url).body(body).send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    ))
}

async fn call(sandbox: &Sandbox, method: &str, params: Value) -> reqwest::Result<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let (_, answer) = post(sandbox, "/", request.to_string()).await?;
    Ok(answer)
}

async fn fault(sandbox: &Sandbox, fault: &str, calls: u32) -> (u16, Value) {
    let body = json!({ "fault": fault, "calls": calls });
    post(sandbox, "/sandbox/faults", body.to_string())
        .await
        .expect("an answer")
}

#[tokio::test]
async fn requests_that_are_none_get_the_protocols_errors() {
    let (sandbox, _folder) = sandbox().await;
    let code = |answer: &Value| answer["error"]["code"].as_i64();
    for (body, expected) in [
        ("not json".to_owned(), -32700),
        ("[]".to_owned(), -32600),
        (
            json!({ "id": 1, "method": "getHealth" }).to_string(),
            -32600,
        ),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": [] }).to_string(),
            -32602,
        ),
    ] {
        let (_, answer) = post(&sandbox, "/", body).await.expect("an answer");
        assert_eq!(code(&answer), Some(expected), "{answer}");
    }
    let unknown = call(&sandbox, "simulate", json!({}))
        .await
        .expect("an answer");
    assert_eq!(code(&unknown), Some(-32601));
    assert_eq!(unknown["id"], json!(7));
    let bad = call(
        &sandbox,
        "sendTransaction",
        json!({ "transaction": "AAAA" }),
    )
    .await;
    assert_eq!(bad.expect("an answer")["error"]["message"], "invalid_xdr");
    let short = call(&sandbox, "getTransaction", json!({ "hash": "ab" })).await;
    assert_eq!(
        short.expect("an answer")["error"]["message"],
        "unexpected hash length (2)"
    );
    let (status, _) = post(&sandbox, "/", " ".repeat(513 * 1024))
        .await
        .expect("an answer");
    assert_eq!(status, 413);
}

#[tokio::test]
async fn funding_adds_and_is_readable_when_answered() {
    let (sandbox, _folder) = sandbox().await;
    let (_, known) = {
        let url = format!("{}/sandbox/asset", sandbox.url());
        let text = client()
            .get(url)
            .send()
            .await
            .expect("an answer")
            .text()
            .await;
        (
            0,
            serde_json::from_str::<Value>(&text.expect("a body")).expect("json"),
        )
    };
    let asset = known["asset"].as_str().expect("an asset").to_owned();
    assert_eq!(asset, format!("NGNTS:{}", sandbox.issuer_account()));
    for total in ["1.5000000", "3.0000000"] {
        let body = json!({ "account": ACCOUNT, "asset": asset, "amount": "1.5", "xlm": "5" });
        let (status, answer) = post(&sandbox, "/sandbox/fund", body.to_string())
            .await
            .expect("an answer");
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["balance"], total);
        assert_eq!(answer["xlm"], "5.0000000");
    }
    for wrong in [
        json!({ "account": "G" }),
        json!({ "account": ACCOUNT, "asset": asset }),
        json!({ "account": ACCOUNT, "asset": asset, "amount": "0.00000001" }),
        json!({ "account": ACCOUNT, "asset": asset, "amount": 1 }),
        json!({ "account": sandbox.issuer_account(), "asset": asset, "amount": "1" }),
    ] {
        let (status, answer) = post(&sandbox, "/sandbox/fund", wrong.to_string())
            .await
            .expect("an answer");
        assert_eq!(status, 422, "{answer}");
        assert!(answer["error"].is_string());
    }
}

#[tokio::test]
async fn many_can_be_funded_at_once() {
    let (sandbox, _folder) = sandbox().await;
    let url = format!("{}/sandbox/fund", sandbox.url());
    let body = json!({ "account": ACCOUNT, "asset": format!("NGNTS:{}", sandbox.issuer_account()),
        "amount": "1", "xlm": "9" });
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        calls.spawn(client().post(&url).body(body.to_string()).send());
    }
    let mut best = Vec::new();
    while let Some(answer) = calls.join_next().await {
        let text = answer.expect("a task").expect("an answer").text().await;
        let answer: Value = serde_json::from_str(&text.expect("a body")).expect("json");
        best.push(answer["balance"].as_str().expect("a balance").to_owned());
    }
    best.sort_by_key(|balance| (balance.len(), balance.clone()));
    assert_eq!(best.last().map(String::as_str), Some("20.0000000"));
}

#[tokio::test]
async fn an_unknown_fault_is_refused_by_name() {
    let (sandbox, _folder) = sandbox().await;
    let (status, answer) = fault(&sandbox, "explode", 1).await;
    assert_eq!(status, 422);
    let why = answer["error"].as_str().expect("a reason");
    assert!(
        why.contains("explode") && why.contains("lose_answer"),
        "{why}"
    );
    let (status, answer) = fault(&sandbox, "lag", 3).await;
    assert_eq!((status, answer), (200, json!({ "in_force": { "lag": 3 } })));
    let (_, answer) = fault(&sandbox, "clear", 0).await;
    assert_eq!(answer, json!({ "in_force": {} }));
}

#[tokio::test]
async fn faults_reach_the_client() {
    let (sandbox, _folder) = sandbox().await;
    fault(&sandbox, "error_500", 1).await;
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "getHealth" }).to_string();
    let (status, _) = post(&sandbox, "/", request.clone())
        .await
        .expect("an answer");
    assert_eq!(status, 500);
    let (status, answer) = post(&sandbox, "/", request.clone())
        .await
        .expect("an answer");
    assert_eq!(
        (status, &answer["result"]["status"]),
        (200, &json!("healthy"))
    );

    fault(&sandbox, "hang", 1).await;
    let hung = tokio::time::timeout(Duration::from_millis(400), post(&sandbox, "/", request)).await;
    assert!(hung.is_err(), "an answer came");

    fault(&sandbox, "lose_answer", 1).await;
    let lost = call(
        &sandbox,
        "sendTransaction",
        json!({ "transaction": "AAAA" }),
    )
    .await;
    assert!(lost.is_err_and(|error| error.status().is_none() && !error.is_timeout()));
    let answered = call(
        &sandbox,
        "sendTransaction",
        json!({ "transaction": "AAAA" }),
    )
    .await;
    assert!(answered.is_ok());
}

#[tokio::test]
async fn a_held_timer_closes_nothing_but_a_grant_does() {
    let (sandbox, _folder) = sandbox().await;
    let turn = async |body: Value| {
        let answer = post(&sandbox, "/sandbox/clock", body.to_string()).await;
        answer.expect("an answer")
    };
    let latest = async || {
        let health = call(&sandbox, "getHealth", json!({})).await;
        health.expect("an answer")["result"]["latestLedger"].as_u64()
    };
    let (status, held) = turn(json!({ "held": true })).await;
    assert_eq!((status, &held["held"]), (200, &json!(true)));
    let before = latest().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(latest().await, before);
    let grant = json!({ "account": ACCOUNT }).to_string();
    let granted = post(&sandbox, "/sandbox/fund", grant).await;
    assert_eq!(granted.expect("an answer").0, 200);
    assert_eq!(latest().await, before.map(|ledger| ledger + 1));
    turn(json!({ "held": false, "skip_seconds": 5 })).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(latest().await > before.map(|ledger| ledger + 1));
    assert_eq!(turn(json!({ "hold": true })).await.0, 422);
}

#[tokio::test]
async fn a_fault_may_be_of_one_method_and_says_how_often_it_is_left() {
    let (sandbox, _folder) = sandbox().await;
    let body = json!({ "fault": "error_500", "calls": 2, "method": "getNetwork" }).to_string();
    post(&sandbox, "/sandbox/faults", body)
        .await
        .expect("an answer");
    let health = call(&sandbox, "getHealth", json!({})).await;
    assert_eq!(
        health.expect("an answer")["result"]["status"],
        json!("healthy")
    );
    drop(call(&sandbox, "getNetwork", json!({})).await);
    let url = format!("{}/sandbox/faults", sandbox.url());
    let left = client().get(url).send().await.expect("an answer");
    let left: Value = left.json().await.expect("JSON");
    assert_eq!(left, json!({ "in_force": { "error_500": 1 } }));
    for body in [
        json!({ "fault": "fee_pressure" }),
        json!({ "fault": "lag", "fee": 5 }),
    ] {
        let answer = post(&sandbox, "/sandbox/faults", body.to_string()).await;
        assert_eq!(answer.expect("an answer").0, 422, "{body}");
    }
}

#[tokio::test]
async fn stopping_ends_hanging_calls_and_keeps_the_ledger() {
    let (sandbox, folder) = sandbox().await;
    fault(&sandbox, "hang", 1).await;
    let url = sandbox.url();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "getHealth" }).to_string();
    let hanging = tokio::spawn(client().post(url).body(request).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let latest = sandbox.close_ledger().await.expect("a ledger");
    let stopping = tokio::time::timeout(Duration::from_secs(5), sandbox.stop());
    stopping.await.expect("in time").expect("stopped");
    assert!(hanging.await.expect("a task").is_err());

    let again = start(Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        data_dir: folder.path().join("ledger"),
        ledger_interval: Duration::from_mins(1),
        network_passphrase: SANDBOX_PASSPHRASE.to_owned(),
    })
    .await
    .expect("it starts again");
    let health = call(&again, "getHealth", json!({}))
        .await
        .expect("an answer");
    let found = health["result"]["latestLedger"].as_u64().expect("a number");
    assert!(found >= u64::from(latest));
}
