//! Preparing: what is asked, what is refused, what is signed.

use std::time::Duration;

use serde_json::{Value, json};
use stellar_xdr::{Limits, Memo, Preconditions, ReadXdr, TransactionEnvelope};
use tranche_adapters_stellar::network::Network;
use tranche_adapters_stellar::{ConfigError, StellarBurner, StellarConfig};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};

use crate::fake::Reply;
use crate::keys::{CHANNEL, ISSUER, WALLET, WALLET_SEED, custody_of};
use crate::world::{
    MAX_TIME, MEMO, NOW, PASSPHRASE, SIGNED, USED, World, account_entry, asset, config, entries,
    network, not_found, order, trustline_entry, wallet,
};

async fn refusal(world: &World) -> LedgerError {
    world.burner.prepare(&order()).await.unwrap_err()
}

#[tokio::test]
async fn signs_a_burn_that_knows_its_place_and_its_end() {
    let (world, burn) = World::with_burn().await;
    let envelope = TransactionEnvelope::from_xdr(&burn.envelope, Limits::none()).unwrap();
    let hash = envelope
        .hash(Network::new(PASSPHRASE.to_owned()).id())
        .unwrap();
    assert_eq!(burn.id.0, hex::encode(hash));
    assert_eq!(burn.memo, MEMO);
    assert_eq!(burn.slot.network, PASSPHRASE);
    assert_eq!(
        (burn.slot.account.as_str(), burn.slot.sequence),
        (WALLET, USED + 1)
    );
    assert_eq!(burn.valid_until.timestamp(), MAX_TIME);
    assert_eq!(burn.signed_at_ledger, SIGNED);
    let TransactionEnvelope::Tx(signed) = envelope else {
        panic!("{envelope:?}");
    };
    assert_eq!(
        (signed.tx.fee, signed.tx.memo),
        (10_000, Memo::Hash(stellar_xdr::Hash(MEMO)))
    );
    let Preconditions::Time(bounds) = signed.tx.cond else {
        panic!("{:?}", signed.tx.cond);
    };
    assert_eq!(
        (bounds.min_time.0, bounds.max_time.0),
        (0, u64::try_from(MAX_TIME).unwrap())
    );
    assert_eq!(signed.tx.operations[0].source_account, None);

    let vectors: Value = serde_json::from_str(include_str!("../stellar_vectors.json")).unwrap();
    let keys = [
        "ledger_key_account_wallet",
        "ledger_key_trustline_wallet_NGNTS",
    ];
    let keys = keys.map(|name| vectors["aux"][name].clone());
    assert_eq!(
        world.fake.calls("getLedgerEntries"),
        [json!({ "keys": keys })]
    );
    assert!(world.fake.calls("sendTransaction").is_empty());
}

#[tokio::test]
async fn a_channel_lends_its_sequence_and_both_sign() {
    let world = World::new().await;
    let channel = account_entry(CHANNEL, 7);
    let held = trustline_entry(WALLET, i64::MAX);
    let state = [channel, account_entry(WALLET, USED), held];
    world.fake.on("getLedgerEntries", [entries(SIGNED, &state)]);
    let mut order = order();
    CHANNEL.clone_into(&mut order.sequence_account_id);
    let burn = world.burner.prepare(&order).await.unwrap();
    assert_eq!(
        (burn.slot.account.as_str(), burn.slot.sequence),
        (CHANNEL, 8)
    );
    let envelope = TransactionEnvelope::from_xdr(&burn.envelope, Limits::none()).unwrap();
    let TransactionEnvelope::Tx(signed) = envelope else {
        panic!("{envelope:?}");
    };
    assert_eq!(signed.signatures.len(), 2);
    assert_eq!(signed.tx.source_account.account_id().to_string(), CHANNEL);
    let source = signed.tx.operations[0].source_account.clone().unwrap();
    assert_eq!(source.account_id().to_string(), WALLET);
}

#[tokio::test]
async fn signs_for_no_other_network_and_no_ill_server() {
    let world = World::new().await;
    world.fake.on(
        "getNetwork",
        [network("Public Global Stellar Network ; September 2015")],
    );
    assert!(matches!(
        refusal(&world).await,
        LedgerError::Misconfigured(_)
    ));
    assert!(matches!(
        world.burner.ready().await,
        Err(LedgerError::Misconfigured(_))
    ));
    world.fake.on("getNetwork", [network(PASSPHRASE)]);
    world.burner.ready().await.unwrap();
    let latency = "latency (31s) since last known ledger closed is too high (>30s)";
    for ill in [
        Reply::Error(-32603, latency),
        Reply::Http(502),
        Reply::Body("<html>"),
        Reply::Body("{}"),
        Reply::Result(json!({ "status": "sick" })),
    ] {
        world.fake.on("getHealth", [ill]);
        assert!(matches!(refusal(&world).await, LedgerError::Unavailable(_)));
        assert!(matches!(
            world.burner.ready().await,
            Err(LedgerError::Unavailable(_))
        ));
    }
    assert!(world.fake.calls("getLedgerEntries").is_empty());
}

#[tokio::test]
async fn the_ledger_tells_the_time_and_only_of_this_moment() {
    let world = World::new().await;
    for ledger in [SIGNED - 60, SIGNED + 60] {
        world
            .fake
            .on("getTransaction", [not_found(ledger, NOW - 60)]);
        let burn = world.burner.prepare(&order()).await.unwrap();
        assert_eq!(burn.valid_until.timestamp(), NOW - 60 + 180);
        assert_eq!(burn.signed_at_ledger, SIGNED);
    }
    for ledger in [SIGNED - 61, SIGNED + 61] {
        world.fake.on("getTransaction", [not_found(ledger, NOW)]);
        assert!(matches!(refusal(&world).await, LedgerError::Unavailable(_)));
    }
    world.fake.on("getTransaction", [not_found(SIGNED, 0)]);
    assert!(matches!(refusal(&world).await, LedgerError::Unavailable(_)));
}

#[tokio::test]
async fn refuses_what_the_ledger_would_refuse() {
    let world = World::new().await;
    let code = async |replies: Reply| {
        world.fake.on("getLedgerEntries", [replies]);
        match refusal(&world).await {
            LedgerError::Refused { code, .. } => code,
            other => panic!("{other}"),
        }
    };
    let nothing = Reply::Result(json!({ "entries": null, "latestLedger": SIGNED }));
    assert_eq!(code(nothing).await, "no_account");
    let account = account_entry(WALLET, USED);
    assert_eq!(
        code(entries(SIGNED, std::slice::from_ref(&account))).await,
        "no_trustline"
    );
    let little = trustline_entry(WALLET, 12_504_999_999);
    assert_eq!(
        code(entries(SIGNED, &[account.clone(), little])).await,
        "underfunded"
    );
    let exact = trustline_entry(WALLET, 12_505_000_000);
    world
        .fake
        .on("getLedgerEntries", [entries(SIGNED, &[account, exact])]);
    world.burner.prepare(&order()).await.unwrap();
}

#[tokio::test]
async fn the_issuers_own_payment_is_no_burn() {
    let world = World::new().await;
    let mut order = order();
    ISSUER.clone_into(&mut order.wallet_account_id);
    let error = world.burner.prepare(&order).await.unwrap_err();
    assert!(matches!(
        error,
        LedgerError::Refused {
            code: "wallet_is_issuer",
            ..
        }
    ));
}

#[tokio::test]
async fn a_wallet_that_is_not_in_custody_cannot_sign() {
    let world = World::new().await;
    let burner = StellarBurner::try_new(config(world.fake.url()), custody_of(&[])).unwrap();
    let error = burner.prepare(&order()).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misconfigured(_)), "{error}");
    assert!(error.to_string().contains(WALLET));
}

#[tokio::test]
async fn unreadable_state_is_no_state() {
    let world = World::new().await;
    let garbage = json!({ "entries": [{ "xdr": "AAAA" }], "latestLedger": SIGNED });
    world.fake.on("getLedgerEntries", [Reply::Result(garbage)]);
    assert!(matches!(refusal(&world).await, LedgerError::Unavailable(_)));
    world.fake.on("getLedgerEntries", [wallet(SIGNED, USED)]);
    world.burner.prepare(&order()).await.unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused_and_the_url_is_not_shown() {
    let good = || config("http://127.0.0.1:1/key-0123456789".to_owned());
    let refused =
        |config: StellarConfig| StellarBurner::try_new(config, custody_of(&[WALLET_SEED])).err();
    assert_eq!(refused(good()), None);
    assert!(!format!("{:?}", good()).contains("key-0123456789"));
    let ttl = |seconds| StellarConfig {
        burn_ttl: Duration::from_secs(seconds),
        ..good()
    };
    assert_eq!(refused(ttl(0)), Some(ConfigError::BurnTtl));
    assert_eq!(refused(ttl(3_600)), None);
    assert_eq!(refused(ttl(3_601)), Some(ConfigError::BurnTtl));
    let cheap = StellarConfig {
        max_fee: 99,
        ..good()
    };
    assert_eq!(refused(cheap), Some(ConfigError::MaxFee));
    let url = StellarConfig::new(vec!["ledger".to_owned()], PASSPHRASE.to_owned(), asset());
    assert_eq!(refused(url), Some(ConfigError::RpcUrl));
    let nowhere = StellarConfig {
        network_passphrase: String::new(),
        ..good()
    };
    assert_eq!(refused(nowhere), Some(ConfigError::Passphrase));
}
