//! The sequence number is used and the lookup does not know the burn: who used it?

use std::num::NonZeroU64;

use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use stellar_xdr::{TransactionEnvelope, TransactionResult, TransactionResultResult as Outcome};
use tranche_adapters_stellar::account;
use tranche_adapters_stellar::envelope::{Burn, Draft};
use tranche_adapters_stellar::network::Network;
use tranche_application::ports::burner::LedgerBurner;
use tranche_domain::disbursement::verdict::{SEQUENCE_TAKEN, Wait};
use tranche_domain::disbursement::{BurnOrder, PreparedBurn, Verdict};

use crate::fake::Reply;
use crate::judging::{bump_success, bumped, envelope};
use crate::world::{
    MAX_TIME, NOW, PASSPHRASE, SIGNED, USED, World, asset, base64, burned, not_found,
    not_found_since, order, result, success, underfunded, wallet,
};

const FOREIGN: &str = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";
/// The ledger in whose state the number is used.
const USED_BY: u32 = 110;

fn record(ledger: u32, hash: &str, tx: &TransactionEnvelope, outcome: &TransactionResult) -> Value {
    let success = matches!(
        outcome.result,
        Outcome::TxSuccess(_) | Outcome::TxFeeBumpInnerSuccess(_)
    );
    json!({
        "status": if success { "SUCCESS" } else { "FAILED" },
        "txHash": hash, "ledger": ledger, "createdAt": NOW + i64::from(ledger - SIGNED),
        "envelopeXdr": base64(tx), "resultXdr": base64(outcome),
    })
}

fn page(records: &[Value], latest: u32, cursor: &str) -> Reply {
    page_since(2, records, latest, cursor)
}

fn page_since(oldest: u32, records: &[Value], latest: u32, cursor: &str) -> Reply {
    Reply::Result(json!({
        "transactions": records, "latestLedger": latest, "latestLedgerCloseTimestamp": NOW,
        "oldestLedger": oldest, "oldestLedgerCloseTimestamp": 1, "cursor": cursor,
    }))
}

/// A burn whose number is used at ledger [`USED_BY`] while the lookup says `NOT_FOUND`; two burns of
/// other transactions: one with the same number, one with the next.
async fn world() -> (World, PreparedBurn, PreparedBurn, PreparedBurn) {
    let (world, burn) = World::with_burn().await;
    world
        .fake
        .on("getTransaction", [not_found(SIGNED, NOW + 1)]);
    let stranger = BurnOrder {
        memo: [0xee; 32],
        ..order()
    };
    let rival = world.burner.prepare(&stranger).await.unwrap();
    world
        .fake
        .on("getLedgerEntries", [wallet(SIGNED, USED + 1)]);
    let next = world.burner.prepare(&order()).await.unwrap();
    assert_eq!(rival.slot, burn.slot);
    world
        .fake
        .on("getTransaction", [not_found(USED_BY, NOW + 10)]);
    world
        .fake
        .on("getLedgerEntries", [wallet(USED_BY, USED + 1)]);
    (world, burn, rival, next)
}

#[tokio::test]
async fn a_foreign_transaction_with_our_number_is_found() {
    let (world, burn, rival, next) = world().await;
    for (tx, outcome) in [
        (envelope(&rival), success()),
        (envelope(&rival), underfunded()),
        (bumped(&rival), bump_success(&rival)),
    ] {
        let records = [
            record(101, "00", &envelope(&next), &result(Outcome::TxBadSeq)),
            record(105, FOREIGN, &tx, &outcome),
        ];
        world
            .fake
            .on("getTransactions", [page(&records, USED_BY, "1")]);
        let failure = world.failure(&burn).await;
        assert_eq!(failure.code, SEQUENCE_TAKEN);
        assert!(failure.detail.contains(FOREIGN), "{}", failure.detail);
    }
    let first = &world.fake.calls("getTransactions")[0];
    assert_eq!(
        *first,
        json!({ "startLedger": SIGNED, "pagination": { "limit": 100 } })
    );
}

#[tokio::test]
async fn a_foreign_transaction_that_used_no_number_did_not_take_it() {
    let (world, burn, rival, _) = world().await;
    let records = [record(
        105,
        FOREIGN,
        &envelope(&rival),
        &result(Outcome::TxBadSeq),
    )];
    world
        .fake
        .on("getTransactions", [page(&records, USED_BY, "1")]);
    let failure = world.failure(&burn).await;
    assert_eq!(failure.code, SEQUENCE_TAKEN);
    assert!(!failure.detail.contains(FOREIGN), "{}", failure.detail);
}

#[tokio::test]
async fn the_same_number_of_another_account_is_another_place() {
    let (world, burn, _, _) = world().await;
    let key = SigningKey::from_bytes(&[8; 32]);
    let stranger = Burn {
        source: account::of_key(key.verifying_key().to_bytes()),
        wallet: None,
        sequence: burn.slot.sequence,
        fee: 100,
        min_time: 0,
        max_time: NonZeroU64::MAX,
        ledgers: None,
        memo: [0; 32],
        asset: asset(),
        amount: 1,
    };
    let draft = Draft::burn(&stranger, &Network::new(PASSPHRASE.to_owned())).unwrap();
    let signature = key.sign(&draft.hash()).to_bytes();
    let tx = draft.sign(&[(stranger.source, signature)]).unwrap();
    let ours = record(106, &burn.id.0, &envelope(&burn), &success());
    let records = [record(105, FOREIGN, &tx, &success()), ours];
    world
        .fake
        .on("getTransactions", [page(&records, USED_BY, "1")]);
    assert_eq!(world.verdict(&burn).await, burned(&burn, 106));
}

#[tokio::test]
async fn a_burn_that_the_lookup_missed_is_found_by_the_search() {
    let (world, burn, _, _) = world().await;
    let ours = record(104, &burn.id.0, &envelope(&burn), &success());
    world
        .fake
        .on("getTransactions", [page(&[ours], USED_BY, "1")]);
    assert_eq!(world.verdict(&burn).await, burned(&burn, 104));
    let ours = record(104, FOREIGN, &bumped(&burn), &bump_success(&burn));
    world
        .fake
        .on("getTransactions", [page(&[ours], USED_BY, "1")]);
    assert_eq!(world.verdict(&burn).await, burned(&burn, 104));
    let ours = record(104, &burn.id.0, &envelope(&burn), &underfunded());
    world
        .fake
        .on("getTransactions", [page(&[ours], USED_BY, "1")]);
    assert_eq!(world.failure(&burn).await.code, "underfunded");
}

#[tokio::test]
async fn a_fee_bump_that_stopped_before_our_burn_is_not_its_end() {
    let (world, burn, _, _) = world().await;
    let stopped = result(Outcome::TxInsufficientBalance);
    let records = [
        record(103, FOREIGN, &bumped(&burn), &stopped),
        record(104, &burn.id.0, &envelope(&burn), &success()),
    ];
    world
        .fake
        .on("getTransactions", [page(&records, USED_BY, "1")]);
    assert_eq!(world.verdict(&burn).await, burned(&burn, 104));
}

#[tokio::test]
async fn a_search_without_a_gap_proves_that_the_number_was_passed() {
    let (world, burn, _, next) = world().await;
    let records = [record(105, "00", &envelope(&next), &success())];
    world
        .fake
        .on("getTransactions", [page(&records, USED_BY, "1")]);
    assert_eq!(world.failure(&burn).await.code, SEQUENCE_TAKEN);
    world.fake.on("getTransactions", [page(&[], USED_BY, "")]);
    assert_eq!(world.failure(&burn).await.code, SEQUENCE_TAKEN);
}

#[tokio::test]
async fn what_the_server_no_longer_keeps_goes_to_a_person() {
    let (world, burn, rival, _) = world().await;
    let late = not_found_since(SIGNED + 1, USED_BY, NOW + 10);
    world.fake.on("getTransaction", [late]);
    world.fake.on(
        "getTransactions",
        [page_since(SIGNED + 1, &[], USED_BY, "")],
    );
    let verdict = world.verdict(&burn).await;
    assert!(
        matches!(verdict, Verdict::NeedsOperator { .. }),
        "{verdict:?}"
    );
    let start = world.fake.calls("getTransactions")[0]["startLedger"].clone();
    assert_eq!(start, SIGNED + 1);
    // Unless what is left shows who took it.
    let records = [record(105, FOREIGN, &envelope(&rival), &success())];
    world.fake.on(
        "getTransactions",
        [page_since(SIGNED + 1, &records, USED_BY, "")],
    );
    assert_eq!(world.failure(&burn).await.code, SEQUENCE_TAKEN);
    // A ledger that falls out between the two questions counts as well.
    world
        .fake
        .on("getTransaction", [not_found(USED_BY, NOW + 10)]);
    world.fake.on(
        "getTransactions",
        [page_since(SIGNED + 1, &[], USED_BY, "")],
    );
    let verdict = world.verdict(&burn).await;
    assert!(
        matches!(verdict, Verdict::NeedsOperator { .. }),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_listing_that_lags_behind_the_account_is_waited_for() {
    let (world, burn, _, _) = world().await;
    world
        .fake
        .on("getTransactions", [page(&[], USED_BY - 1, "")]);
    let verdict = world.verdict(&burn).await;
    assert_eq!(verdict, Verdict::Undecided(Wait::ScanNeeded));
}

#[tokio::test]
async fn pages_are_joined_by_their_cursors() {
    let (world, burn, _, next) = world().await;
    let other = |ledger| record(ledger, "00", &envelope(&next), &success());
    let full: Vec<_> = (0..100).map(|_| other(101)).collect();
    let ours = record(104, &burn.id.0, &envelope(&burn), &success());
    let pages = [
        page(&full, USED_BY, "first"),
        page(&full, USED_BY, "second"),
        page(&[other(102), ours], USED_BY, "third"),
    ];
    world.fake.on("getTransactions", pages);
    assert_eq!(world.verdict(&burn).await, burned(&burn, 104));
    let calls = world.fake.calls("getTransactions");
    let cursors: Vec<_> = calls
        .iter()
        .map(|call| &call["pagination"]["cursor"])
        .collect();
    assert_eq!(cursors, [&Value::Null, &json!("first"), &json!("second")]);
    assert!(
        calls[1]["startLedger"].is_null(),
        "a cursor excludes a start"
    );

    for broken in ["", "first"] {
        let pages = [page(&full, USED_BY, "first"), page(&full, USED_BY, broken)];
        world.fake.on("getTransactions", pages);
        world.unavailable(&burn).await;
    }
}

#[tokio::test]
async fn a_burn_of_ours_under_a_forgotten_name_goes_to_a_person() {
    let (world, burn, _, _) = world().await;
    world
        .fake
        .on("getTransaction", [not_found(SIGNED, NOW + 2)]);
    world.fake.on("getLedgerEntries", [wallet(SIGNED, USED)]);
    let forgotten = world.burner.prepare(&order()).await.unwrap();
    assert_eq!((&forgotten.slot, forgotten.memo), (&burn.slot, burn.memo));
    assert_ne!(forgotten.id, burn.id);
    world
        .fake
        .on("getTransaction", [not_found(USED_BY, NOW + 10)]);
    world
        .fake
        .on("getLedgerEntries", [wallet(USED_BY, USED + 1)]);
    let shows = |tx: &TransactionEnvelope, outcome: &TransactionResult, status: &str| {
        let mut found = record(105, FOREIGN, tx, outcome);
        found["status"] = status.into();
        let page = page(&[found], USED_BY, "1");
        world.fake.on("getTransactions", [page]);
    };
    for (tx, outcome, status) in [
        (envelope(&forgotten), success(), "SUCCESS"),
        (bumped(&forgotten), bump_success(&forgotten), "SUCCESS"),
        (envelope(&forgotten), success(), "FAILED"),
        (envelope(&forgotten), underfunded(), "SUCCESS"),
    ] {
        shows(&tx, &outcome, status);
        let verdict = world.verdict(&burn).await;
        let Verdict::NeedsOperator { reason } = verdict else {
            panic!("{verdict:?}");
        };
        assert!(reason.contains(FOREIGN), "{reason}");
        assert!(reason.contains("ledger 105"), "{reason}");
    }
    shows(&envelope(&forgotten), &underfunded(), "FAILED");
    assert_eq!(world.failure(&burn).await.code, SEQUENCE_TAKEN);
}

#[tokio::test]
async fn the_search_goes_on_past_the_end_of_the_known_envelopes() {
    let (world, burn, rival, next) = world().await;
    let late = |ledger, hash, tx: &PreparedBurn| {
        let mut late = record(ledger, hash, &envelope(tx), &success());
        late["createdAt"] = (MAX_TIME + 1).into();
        late
    };
    let pages = [
        page(&vec![late(136, "00", &next); 100], 90_000, "on"),
        page(&[late(137, FOREIGN, &rival)], 90_000, "end"),
    ];
    world.fake.on("getTransactions", pages);
    world
        .fake
        .on("getLedgerEntries", [wallet(90_000, USED + 9)]);
    world
        .fake
        .on("getTransaction", [not_found(90_000, MAX_TIME + 500_000)]);
    let failure = world.failure(&burn).await;
    assert_eq!(failure.code, SEQUENCE_TAKEN);
    assert!(failure.detail.contains(FOREIGN), "{}", failure.detail);
    assert_eq!(world.fake.calls("getTransactions").len(), 2);
}

#[tokio::test]
async fn the_search_ends_at_the_ledger_of_the_account() {
    let (world, burn, _, next) = world().await;
    let beyond = record(USED_BY + 1, "00", &envelope(&next), &success());
    world
        .fake
        .on("getTransactions", [page(&vec![beyond; 100], 90_000, "on")]);
    assert_eq!(world.failure(&burn).await.code, SEQUENCE_TAKEN);
    assert_eq!(world.fake.calls("getTransactions").len(), 1);
}

#[tokio::test]
async fn a_transaction_that_cannot_be_read_leaves_a_gap() {
    let (world, burn, _, _) = world().await;
    let mut unreadable = record(105, "00", &envelope(&burn), &success());
    unreadable["envelopeXdr"] = "AAAAzQ==".into();
    world
        .fake
        .on("getTransactions", [page(&[unreadable], USED_BY, "1")]);
    let verdict = world.verdict(&burn).await;
    assert!(
        matches!(verdict, Verdict::NeedsOperator { .. }),
        "{verdict:?}"
    );
}
