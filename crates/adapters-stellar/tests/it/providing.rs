//! Several servers: each question goes to the next one, as a whole, when one is unavailable.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tranche_adapters_stellar::{ConfigError, StellarBurner, StellarConfig};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::disbursement::{PreparedBurn, Verdict};

use crate::fake::{Fake, Reply};
use crate::judging::envelope;
use crate::keys::{WALLET, WALLET_SEED, custody_of};
use crate::world::{
    MAX_TIME, NOW, PASSPHRASE, SIGNED, USED, World, asset, burned, config, included, network,
    not_found, order, success, wallet,
};

const METHODS: [&str; 7] = [
    "getHealth",
    "getNetwork",
    "getTransaction",
    "getTransactions",
    "getLedgerEntries",
    "getEvents",
    "sendTransaction",
];

/// A preferred server, another one, and a burner that asks both.
struct Pair {
    first: World,
    second: World,
    burner: StellarBurner,
    burn: PreparedBurn,
}

impl Pair {
    async fn new() -> Self {
        let (first, burn) = World::with_burn().await;
        let second = World::new().await;
        let sent = json!({ "status": "PENDING", "latestLedger": SIGNED });
        second.fake.on("sendTransaction", [Reply::Result(sent)]);
        let cursor = format!("{}-0", u64::from(SIGNED + 1) << 32);
        let page = json!({ "events": [], "latestLedger": SIGNED, "cursor": cursor });
        second.fake.on("getEvents", [Reply::Result(page)]);
        let urls = [&first, &second].map(|world| format!("{}/key-0123", world.fake.url()));
        let config = StellarConfig {
            rpc_urls: urls.to_vec(),
            timeout: Duration::from_millis(300),
            ..config(String::new())
        };
        let custody: Arc<_> = custody_of(&[WALLET_SEED]);
        Self {
            first,
            second,
            burner: StellarBurner::try_new(config, custody).unwrap(),
            burn,
        }
    }

    /// The same, but the preferred server is ill.
    async fn ill(reply: Reply) -> Self {
        let pair = Self::new().await;
        for method in METHODS {
            pair.first.fake.on(method, [reply.clone()]);
        }
        pair
    }
}

fn calls(fake: &Fake) -> usize {
    METHODS.iter().map(|method| fake.calls(method).len()).sum()
}

#[tokio::test]
async fn every_question_goes_to_the_next_server_when_one_is_ill() {
    for reply in [
        Reply::Http(500),
        Reply::Http(429),
        Reply::Error(-32603, "unable to get ledger range"),
        Reply::Body("<html>"),
        Reply::Hang,
    ] {
        let pair = Pair::ill(reply.clone()).await;
        pair.burner.ready().await.unwrap();
        let pair = Pair::ill(reply.clone()).await;
        let prepared = pair.burner.prepare(&order()).await.unwrap();
        assert_eq!(prepared.signed_at_ledger, SIGNED);
        let pair = Pair::ill(reply.clone()).await;
        let hint = pair.burner.submit(&pair.burn).await.unwrap();
        assert_eq!(hint.said, "PENDING");
        let pair = Pair::ill(reply.clone()).await;
        let outbid = pair.burner.outbid(&pair.burn, 20_000).await.unwrap();
        assert!(outbid.is_some());
        let pair = Pair::ill(reply.clone()).await;
        let verdict = pair.burner.verdict(&pair.burn).await.unwrap();
        assert_eq!(verdict, Verdict::Undecided(Wait::MayStillHappen));
        let pair = Pair::ill(reply).await;
        let wallets = [WALLET.to_owned()];
        let seen = pair.burner.burns_since(Some(SIGNED), &wallets).await;
        assert_eq!(seen.unwrap().to, SIGNED);
    }
}

#[tokio::test]
async fn a_judgement_is_made_on_one_server_as_a_whole() {
    let pair = Pair::new().await;
    // The first would prove an expiry together with the second's state.
    let past = not_found(150, MAX_TIME + 60);
    pair.first.fake.on("getTransaction", [past]);
    pair.first.fake.on("getLedgerEntries", [Reply::Http(503)]);
    let open = not_found(149, MAX_TIME - 1);
    pair.second.fake.on("getTransaction", [open]);
    pair.second.fake.on("getLedgerEntries", [wallet(151, USED)]);
    let verdict = pair.burner.verdict(&pair.burn).await.unwrap();
    assert_eq!(verdict, Verdict::Undecided(Wait::MayStillHappen));
    assert_eq!(pair.second.fake.calls("getTransaction").len(), 1);
    let found = included("SUCCESS", 101, &envelope(&pair.burn), &success());
    pair.second.fake.on("getTransaction", [found]);
    let verdict = pair.burner.verdict(&pair.burn).await.unwrap();
    assert_eq!(verdict, burned(&pair.burn, 101));
}

#[tokio::test]
async fn whoever_answered_last_is_asked_first() {
    let pair = Pair::ill(Reply::Http(502)).await;
    let before = calls(&pair.first.fake);
    pair.burner.ready().await.unwrap();
    let tried = calls(&pair.first.fake);
    assert_eq!(tried, before + 1);
    for _ in 0..3 {
        pair.burner.verdict(&pair.burn).await.unwrap();
    }
    assert_eq!(
        calls(&pair.first.fake),
        tried,
        "a dead server is left alone"
    );
    for method in METHODS {
        pair.second.fake.on(method, [Reply::Http(502)]);
    }
    let error = pair.burner.ready().await.unwrap_err().to_string();
    assert_eq!(calls(&pair.first.fake), tried + 1, "but not forgotten");
    assert!(!error.contains("key-0123"), "{error}");
    for world in [&pair.first, &pair.second] {
        let host = world.fake.url().replace("http://", "");
        assert!(error.contains(&format!("{host}: ")), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_runs_backwards_or_fell_behind_is_passed_over() {
    let pair = Pair::new().await;
    let before = calls(&pair.second.fake);
    for world in [&pair.first, &pair.second] {
        world.fake.on("getTransaction", [not_found(9_000, NOW + 1)]);
        world.fake.on("getLedgerEntries", [wallet(9_000, USED)]);
    }
    pair.burner.verdict(&pair.burn).await.unwrap();
    assert_eq!(calls(&pair.second.fake), before);
    let backwards = not_found(200, NOW + 2);
    pair.first.fake.on("getTransaction", [backwards]);
    pair.burner.verdict(&pair.burn).await.unwrap();
    assert_eq!(pair.second.fake.calls("getTransaction").len(), 1);

    // Stuck, but not far enough behind to be noticed by its ledger: its health tells.
    let pair = Pair::new().await;
    let latency = "latency (31s) since last known ledger closed is too high (>30s)";
    let sick = Reply::Error(-32603, latency);
    pair.first.fake.on("getHealth", [sick]);
    let found = included("SUCCESS", 101, &envelope(&pair.burn), &success());
    pair.second.fake.on("getTransaction", [found]);
    let state = wallet(102, USED + 1);
    pair.second.fake.on("getLedgerEntries", [state]);
    let verdict = pair.burner.verdict(&pair.burn).await.unwrap();
    assert_eq!(verdict, burned(&pair.burn, 101));
}

#[tokio::test]
async fn a_server_of_another_network_is_an_error_and_no_reason_to_go_on() {
    let pair = Pair::new().await;
    let before = calls(&pair.second.fake);
    let other = network("Standalone Network ; February 2017");
    pair.first.fake.on("getNetwork", [other]);
    for error in [
        pair.burner.verdict(&pair.burn).await.err(),
        pair.burner.submit(&pair.burn).await.err(),
        pair.burner.outbid(&pair.burn, 20_000).await.err(),
        pair.burner.ready().await.err(),
        pair.burner.burns_since(None, &[]).await.err(),
    ] {
        let is_wrong = matches!(error, Some(LedgerError::Misconfigured(_)));
        assert!(is_wrong, "{error:?}");
    }
    assert_eq!(calls(&pair.second.fake), before);
    assert!(pair.first.fake.calls("sendTransaction").is_empty());
}

#[test]
fn settings_name_servers_and_an_independent_witness() {
    let with = |urls: &[&str], witness: Option<&str>| {
        let urls = urls.iter().map(ToString::to_string).collect();
        let mut config = StellarConfig::new(urls, PASSPHRASE.to_owned(), asset());
        config.witness_rpc_url = witness.map(str::to_owned);
        assert!(!format!("{config:?}").contains("http"));
        StellarBurner::try_new(config, custody_of(&[])).err()
    };
    assert_eq!(with(&[], None), Some(ConfigError::RpcUrl));
    assert_eq!(with(&["http://a", "b"], None), Some(ConfigError::RpcUrl));
    assert_eq!(with(&["http://a"], Some("b")), Some(ConfigError::RpcUrl));
    let same = with(&["http://a", "http://b"], Some("http://b"));
    assert_eq!(same, Some(ConfigError::Witness));
    assert_eq!(with(&["http://a", "http://b"], Some("http://c")), None);
}
