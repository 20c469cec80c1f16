//! A fee that the ledger finds too low: a higher one in the same slot, and one burn whatever happens.

use std::time::Duration;

use serde_json::json;
use stellar_xdr::{
    FeeBumpTransactionInnerTx, Limits, Preconditions, ReadXdr, Transaction, TransactionEnvelope,
    TransactionResult, TransactionResultResult as Outcome, WriteXdr,
};
use tranche_adapters_stellar::{StellarBurner, StellarConfig};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_domain::disbursement::{PreparedBurn, Replacement, Verdict};

use crate::fake::Reply;
use crate::judging::envelope;
use crate::keys::{CHANNEL, CHANNEL_SEED, WALLET, WALLET_SEED, custody_of};
use crate::sandbox::Ledger;
use crate::world::{
    MAX_TIME, NOW, SIGNED, USED, World, account_entry, base64, burned, config, entries, included,
    not_found, order, result, success, trustline_entry, underfunded, wallet,
};

/// More than a third of what a burn offers at first.
const PRESSURE: i64 = 30_000;

fn read(bytes: &[u8]) -> TransactionEnvelope {
    TransactionEnvelope::from_xdr(bytes, Limits::none()).unwrap()
}

/// The fee a fee bump offers, and the transaction in it.
fn bump(replacement: &Replacement) -> (i64, Transaction) {
    let TransactionEnvelope::TxFeeBump(bump) = read(&replacement.envelope) else {
        panic!("a fee bump");
    };
    let FeeBumpTransactionInnerTx::Tx(inner) = bump.tx.inner_tx;
    (bump.tx.fee, inner.tx)
}

fn plain(bytes: &[u8]) -> Transaction {
    match read(bytes) {
        TransactionEnvelope::Tx(envelope) => envelope.tx,
        other => panic!("{other:?}"),
    }
}

impl World {
    /// The ledger's clock, where the burn's outbidding reads it.
    fn at(&self, seconds: i64) {
        let answer = not_found(SIGNED + 1, NOW + seconds);
        self.fake.on("getTransaction", [answer]);
    }

    async fn outbid(&self, burn: &PreparedBurn, asked: u64) -> Option<Replacement> {
        self.burner.outbid(burn, asked).await.unwrap()
    }

    fn burner_with(&self, change: impl FnOnce(&mut StellarConfig)) -> StellarBurner {
        let mut config = config(self.fake.url());
        change(&mut config);
        StellarBurner::try_new(config, custody_of(&[WALLET_SEED, CHANNEL_SEED])).unwrap()
    }
}

#[tokio::test]
async fn a_fee_bump_goes_around_a_young_burn() {
    let (world, mut burn) = World::with_burn().await;
    world.at(90);
    let first = world.outbid(&burn, 20_000).await.unwrap();
    assert_eq!((&first.id, first.valid_until), (&burn.id, burn.valid_until));
    let (fee, inner) = bump(&first);
    assert_eq!(
        fee,
        10 * 2 * 10_000,
        "ten times the rate, for two operations"
    );
    assert_eq!(inner, plain(&burn.envelope));
    let bumped = world.outbid(&burn, 700_000).await.unwrap();
    assert_eq!(
        bump(&bumped).0,
        1_400_000,
        "what is asked of each operation"
    );

    burn.replacements.push(first);
    assert_eq!(world.outbid(&burn, 200_000).await, None, "it offers that");
    let second = world.outbid(&burn, 200_001).await.unwrap();
    assert_eq!(bump(&second).0, 2_000_000, "around the burn, not the bump");
    assert_eq!(second.id, burn.id);
    burn.replacements.push(second);
    assert_eq!(world.outbid(&burn, 2_000_001).await, None, "20 million");
}

#[tokio::test]
async fn an_old_burn_is_signed_anew_for_the_same_place() {
    let (world, mut burn) = World::with_burn().await;
    world.at(91);
    let anew = world.outbid(&burn, 30_000).await.unwrap();
    assert_ne!(anew.id, burn.id);
    assert_eq!(anew.valid_until.timestamp(), NOW + 91 + 180);
    let (old, new) = (plain(&burn.envelope), plain(&anew.envelope));
    let Preconditions::Time(bounds) = &new.cond else {
        panic!("{:?}", new.cond);
    };
    assert_eq!(
        bounds.max_time.0.cast_signed(),
        anew.valid_until.timestamp()
    );
    let same = Transaction {
        fee: old.fee,
        cond: old.cond.clone(),
        ..new.clone()
    };
    assert_eq!((same, new.fee), (old, 30_000));

    burn.replacements.push(anew.clone());
    world.at(92);
    let bumped = world.outbid(&burn, 30_001).await.unwrap();
    assert_eq!(bumped.id, anew.id, "the newest one's");
    assert_eq!(bump(&bumped).0, 600_000);
    burn.replacements.push(bumped);
    world.at(300);
    let third = world.outbid(&burn, 700_001).await.unwrap();
    assert_eq!(
        plain(&third.envelope).fee,
        350_001,
        "the rate of one operation"
    );
    assert_eq!(burn.ids().count(), 2);
}

#[tokio::test]
async fn a_channel_pays_for_its_bump_and_both_sign_anew() {
    let world = World::new().await;
    let line = trustline_entry(WALLET, i64::MAX);
    let state = [account_entry(CHANNEL, 7), account_entry(WALLET, USED), line];
    world.fake.on("getLedgerEntries", [entries(SIGNED, &state)]);
    let mut order = order();
    CHANNEL.clone_into(&mut order.sequence_account_id);
    let burn = world.burner.prepare(&order).await.unwrap();
    world.at(0);
    let bumped = world.outbid(&burn, 20_000).await.unwrap();
    let TransactionEnvelope::TxFeeBump(around) = read(&bumped.envelope) else {
        panic!("a fee bump");
    };
    assert_eq!(around.tx.fee_source.account_id().to_string(), CHANNEL);
    assert_eq!(around.signatures.len(), 1);
    world.at(170);
    let anew = world.outbid(&burn, 20_000).await.unwrap();
    let TransactionEnvelope::Tx(anew) = read(&anew.envelope) else {
        panic!("a plain transaction");
    };
    assert_eq!(anew.signatures.len(), 2);
    let source = anew.tx.operations[0].source_account.clone().unwrap();
    assert_eq!(source.account_id().to_string(), WALLET);
}

#[tokio::test]
async fn nothing_is_offered_beyond_the_most_or_the_balance() {
    let (world, burn) = World::with_burn().await;
    world.at(0);
    assert_eq!(world.outbid(&burn, 10_000).await, None, "it offers that");
    let frugal = world.burner_with(|config| config.most_fee = 199_999);
    assert_eq!(frugal.outbid(&burn, 10_001).await.unwrap(), None);
    let frugal = world.burner_with(|config| config.most_fee = 200_000);
    assert!(frugal.outbid(&burn, 10_001).await.unwrap().is_some());
    world.at(100);
    assert!(frugal.outbid(&burn, 200_000).await.unwrap().is_some());
    assert_eq!(frugal.outbid(&burn, 200_001).await.unwrap(), None);
    let lavish = world.burner_with(|config| config.most_fee = u64::MAX);
    // The wallet has 10 XLM and a reserve of 1.5.
    assert!(lavish.outbid(&burn, 85_000_000).await.unwrap().is_some());
    assert_eq!(lavish.outbid(&burn, 85_000_001).await.unwrap(), None);
    assert_eq!(lavish.outbid(&burn, u64::MAX).await.unwrap(), None);
    world.fake.on("getLedgerEntries", [entries(SIGNED, &[])]);
    assert_eq!(
        lavish.outbid(&burn, 20_000).await.unwrap(),
        None,
        "no account"
    );
    world.fake.on("getLedgerEntries", [wallet(SIGNED, USED)]);
    world
        .fake
        .on("getTransaction", [not_found(SIGNED - 1, NOW)]);
    let error = lavish.outbid(&burn, 20_000).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn only_our_own_burn_is_signed_anew() {
    let (world, burn) = World::with_burn().await;
    world.at(100);
    let other = {
        let mut order = order();
        order.memo = [1; 32];
        world.burner.prepare(&order).await.unwrap()
    };
    let mut spoilt: Vec<PreparedBurn> = vec![
        PreparedBurn {
            memo: [1; 32],
            ..burn.clone()
        },
        PreparedBurn {
            id: other.id.clone(),
            ..burn.clone()
        },
        PreparedBurn {
            envelope: other.envelope,
            ..burn.clone()
        },
        PreparedBurn {
            envelope: b"none".to_vec(),
            ..burn.clone()
        },
        PreparedBurn {
            valid_until: burn.valid_until + Duration::from_secs(1),
            ..burn.clone()
        },
    ];
    let mut elsewhere = burn.clone();
    elsewhere.slot.sequence += 1;
    spoilt.push(elsewhere);
    let mut else_whose = burn.clone();
    CHANNEL.clone_into(&mut else_whose.slot.account);
    spoilt.push(else_whose);
    // A payment of another amount is another hash.
    let TransactionEnvelope::Tx(mut altered) = read(&burn.envelope) else {
        panic!("a plain transaction");
    };
    altered.tx.fee += 1;
    let envelope = TransactionEnvelope::Tx(altered)
        .to_xdr(Limits::none())
        .unwrap();
    spoilt.push(PreparedBurn { envelope, ..burn });
    for burn in spoilt {
        let error = world.burner.outbid(&burn, 20_000).await.unwrap_err();
        assert!(matches!(error, LedgerError::Misconfigured(_)), "{error}");
    }
}

#[tokio::test]
async fn the_fee_asked_for_is_handed_on_and_the_newest_envelope_is_sent() {
    let (world, mut burn) = World::with_burn().await;
    let refusal = |fee_charged, outcome| {
        let result = base64(&TransactionResult {
            fee_charged,
            ..result(outcome)
        });
        Reply::Result(json!({ "status": "ERROR", "errorResultXdr": result, "latestLedger": 101 }))
    };
    world.at(0);
    burn.replacements
        .push(world.outbid(&burn, 20_000).await.unwrap());
    for (reply, asked) in [
        (refusal(54_321, Outcome::TxInsufficientFee), Some(54_321)),
        (refusal(0, Outcome::TxInsufficientFee), None),
        (refusal(54_321, Outcome::TxBadSeq), None),
    ] {
        world.fake.on("sendTransaction", [reply]);
        assert_eq!(world.burner.submit(&burn).await.unwrap().fee_asked, asked);
    }
    let sent = &world.fake.calls("sendTransaction")[0];
    assert_eq!(sent["transaction"], base64(&read(burn.newest_envelope())));
}

/// A burn that was signed anew at half of its life.
async fn twice_signed(world: &World, mut burn: PreparedBurn) -> PreparedBurn {
    world.at(100);
    burn.replacements
        .push(world.outbid(&burn, 20_000).await.unwrap());
    burn
}

#[tokio::test]
async fn every_name_is_looked_up_and_either_may_have_burned() {
    let (world, burn) = World::with_burn().await;
    let burn = twice_signed(&world, burn).await;
    let later = &burn.replacements[0];
    let nothing = || not_found(120, NOW + 110);
    let anew = || included("SUCCESS", 119, &read(&later.envelope), &success());
    let first = || included("SUCCESS", 119, &envelope(&burn), &success());
    world.fake.on("getLedgerEntries", [wallet(121, USED + 1)]);
    let by_later = Verdict::Burned {
        burn: later.id.clone(),
        ledger: 119,
    };
    for (answers, verdict) in [
        ([nothing(), anew()], by_later),
        ([first(), nothing()], burned(&burn, 119)),
    ] {
        world.fake.on("getTransaction", answers);
        assert_eq!(world.verdict(&burn).await, verdict);
    }
    // A failure under one name is one only while no other name burned.
    let failed = || included("FAILED", 119, &envelope(&burn), &underfunded());
    world.fake.on("getTransaction", [failed(), nothing()]);
    assert_eq!(world.failure(&burn).await.code, "underfunded");
    // One that did not use the number leaves the other to be searched for.
    let stopped = included("FAILED", 119, &envelope(&burn), &result(Outcome::TxBadSeq));
    world.fake.on("getTransaction", [stopped, nothing()]);
    let found = json!({ "status": "SUCCESS", "txHash": later.id.0, "ledger": 119,
        "createdAt": MAX_TIME + 20, "envelopeXdr": base64(&read(&later.envelope)),
        "resultXdr": base64(&success()) });
    let page =
        json!({ "transactions": [found], "latestLedger": 121, "oldestLedger": 2, "cursor": "1" });
    world.fake.on("getTransactions", [Reply::Result(page)]);
    let by_later = Verdict::Burned {
        burn: later.id.clone(),
        ledger: 119,
    };
    assert_eq!(world.verdict(&burn).await, by_later);
}

#[tokio::test]
async fn it_expires_with_the_last_of_its_envelopes() {
    let (world, burn) = World::with_burn().await;
    let burn = twice_signed(&world, burn).await;
    world
        .fake
        .on("getTransaction", [not_found(150, MAX_TIME + 1)]);
    world.fake.on("getLedgerEntries", [wallet(151, USED)]);
    let verdict = world.verdict(&burn).await;
    assert!(matches!(verdict, Verdict::Undecided(_)), "{verdict:?}");
    let end = burn.lasts_until().timestamp();
    world.fake.on("getTransaction", [not_found(152, end + 1)]);
    world.fake.on("getLedgerEntries", [wallet(152, USED)]);
    assert_eq!(world.failure(&burn).await.code, "expired");
}

impl Ledger {
    async fn press(&self, calls: u32) {
        let fault = json!({ "fault": "fee_pressure", "calls": calls, "fee": PRESSURE });
        self.post("/sandbox/faults", &fault).await;
    }
}

#[tokio::test]
async fn a_refused_burn_outbids_and_burns_once() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let mut burn = ledger.prepare("400").await;
    ledger.press(2).await;
    let hint = ledger.burner.submit(&burn).await.unwrap();
    assert_eq!(hint.said, "ERROR tx_insufficient_fee");
    let asked = hint.fee_asked.unwrap();
    assert_eq!(asked, PRESSURE.cast_unsigned());
    let bumped = ledger.burner.outbid(&burn, asked).await.unwrap().unwrap();
    burn.replacements.push(bumped);
    let hint = ledger.burner.submit(&burn).await.unwrap();
    assert_eq!((hint.said.as_str(), hint.fee_asked), ("PENDING", None));
    let verdict = ledger.decided(&burn, true).await;
    let Verdict::Burned { burn: by, .. } = &verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(*by, burn.id, "the inner name finds it");
    // Neither envelope burns again.
    let first = PreparedBurn {
        replacements: Vec::new(),
        ..burn.clone()
    };
    ledger.burner.submit(&first).await.unwrap();
    ledger.sandbox.close_ledger().await.unwrap();
    assert_eq!(ledger.decided(&burn, false).await, verdict);
    assert!(ledger.can_burn("600").await);
    assert!(!ledger.can_burn("600.0000001").await);
}

#[tokio::test]
async fn of_two_live_envelopes_one_burns_whichever_was_first() {
    for newest_first in [false, true] {
        let ledger = Ledger::start(Duration::from_mins(10)).await;
        let first = ledger.prepare("300").await;
        ledger
            .post("/sandbox/clock", &json!({ "skip_seconds": 400 }))
            .await;
        ledger.sandbox.close_ledger().await.unwrap();
        let anew = ledger.burner.outbid(&first, 20_000).await.unwrap().unwrap();
        assert_ne!(anew.id, first.id);
        let both = PreparedBurn {
            replacements: vec![anew.clone()],
            ..first.clone()
        };
        let sent = if newest_first {
            [&both, &first]
        } else {
            [&first, &both]
        };
        for burn in sent {
            ledger.burner.submit(burn).await.unwrap();
            ledger.sandbox.close_ledger().await.unwrap();
        }
        let verdict = ledger.decided(&both, true).await;
        let Verdict::Burned { burn: by, .. } = verdict else {
            panic!("{verdict:?}");
        };
        let expected = if newest_first { anew.id } else { first.id };
        assert_eq!(by, expected);
        assert!(ledger.can_burn("700").await);
        assert!(!ledger.can_burn("700.0000001").await);
    }
}
