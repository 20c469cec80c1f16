//! Verdicts from lookups and account reads: every answer class of the fourth step.

use ed25519_dalek::{Signer, SigningKey};
use serde_json::json;
use stellar_xdr::{
    InnerTransactionResult, InnerTransactionResultExt, InnerTransactionResultPair,
    InnerTransactionResultResult, Limits, PaymentResult, ReadXdr, TransactionEnvelope,
    TransactionResult, TransactionResultResult as Outcome,
};
use tranche_adapters_stellar::account;
use tranche_adapters_stellar::envelope::Draft;
use tranche_adapters_stellar::network::Network;
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::disbursement::{PreparedBurn, Verdict};

use crate::fake::Reply;
use crate::world::{
    MAX_TIME, NOW, PASSPHRASE, SIGNED, USED, World, burned, included, network, not_found, order,
    payments, result, success, underfunded, wallet,
};

const STILL_OPEN: Verdict = Verdict::Undecided(Wait::MayStillHappen);

pub fn envelope(burn: &PreparedBurn) -> TransactionEnvelope {
    TransactionEnvelope::from_xdr(&burn.envelope, Limits::none()).unwrap()
}

/// The burn inside a fee bump that somebody pays for.
pub fn bumped(burn: &PreparedBurn) -> TransactionEnvelope {
    let TransactionEnvelope::Tx(inner) = envelope(burn) else {
        panic!("a plain transaction");
    };
    let sponsor = SigningKey::from_bytes(&[9; 32]);
    let id = account::of_key(sponsor.verifying_key().to_bytes());
    let network = Network::new(PASSPHRASE.to_owned());
    let draft = Draft::fee_bump(inner, id.clone(), 100_000, &network).unwrap();
    let signature = sponsor.sign(&draft.hash()).to_bytes();
    draft.sign(&[(id, signature)]).unwrap()
}

pub fn bump_success(burn: &PreparedBurn) -> TransactionResult {
    let hash: [u8; 32] = hex::decode(&burn.id.0).unwrap().try_into().unwrap();
    result(Outcome::TxFeeBumpInnerSuccess(InnerTransactionResultPair {
        transaction_hash: stellar_xdr::Hash(hash),
        result: InnerTransactionResult {
            fee_charged: 0,
            result: InnerTransactionResultResult::TxSuccess(payments(PaymentResult::Success)),
            ext: InnerTransactionResultExt::V0,
        },
    }))
}

#[tokio::test]
async fn a_success_with_our_envelope_is_burned() {
    let (world, burn) = World::with_burn().await;
    let found = included("SUCCESS", 101, &envelope(&burn), &success());
    world.fake.on("getTransaction", [found]);
    world.fake.on("getLedgerEntries", [wallet(102, USED + 1)]);
    assert_eq!(world.verdict(&burn).await, burned(&burn, 101));
    let found = included("SUCCESS", 103, &bumped(&burn), &bump_success(&burn));
    world.fake.on("getTransaction", [found]);
    assert_eq!(world.verdict(&burn).await, burned(&burn, 103));
}

#[tokio::test]
async fn a_success_with_another_envelope_or_result_goes_to_a_person() {
    let (world, burn) = World::with_burn().await;
    world
        .fake
        .on("getTransaction", [not_found(SIGNED, NOW + 1)]);
    let other = world.burner.prepare(&order()).await.unwrap();
    assert_ne!(other.id, burn.id);
    world.fake.on("getLedgerEntries", [wallet(102, USED + 1)]);
    for (shown, outcome) in [
        (&other, success()),
        (&burn, underfunded()),
        (
            &burn,
            result(Outcome::TxSuccess(payments(PaymentResult::NoTrust))),
        ),
    ] {
        let found = included("SUCCESS", 101, &envelope(shown), &outcome);
        world.fake.on("getTransaction", [found]);
        let verdict = world.verdict(&burn).await;
        assert!(
            matches!(verdict, Verdict::NeedsOperator { .. }),
            "{verdict:?}"
        );
    }
}

#[tokio::test]
async fn a_failure_counts_once_the_sequence_is_used() {
    let (world, burn) = World::with_burn().await;
    let found = included("FAILED", 101, &envelope(&burn), &underfunded());
    world.fake.on("getTransaction", [found]);
    world.fake.on("getLedgerEntries", [wallet(102, USED)]);
    assert_eq!(world.verdict(&burn).await, STILL_OPEN);
    for used in [USED + 1, USED + 5] {
        world.fake.on("getLedgerEntries", [wallet(102, used)]);
        assert_eq!(world.failure(&burn).await.code, "underfunded");
    }
}

#[tokio::test]
async fn a_failure_that_is_not_ours_proves_nothing() {
    let (world, burn) = World::with_burn().await;
    world
        .fake
        .on("getTransaction", [not_found(SIGNED, NOW + 1)]);
    let other = world.burner.prepare(&order()).await.unwrap();
    world.fake.on("getLedgerEntries", [wallet(102, USED + 1)]);
    for (shown, outcome) in [(&other, underfunded()), (&burn, success())] {
        let found = included("FAILED", 101, &envelope(shown), &outcome);
        world.fake.on("getTransaction", [found]);
        world.unavailable(&burn).await;
    }
}

#[tokio::test]
async fn nothing_expires_before_a_ledger_closed_strictly_later() {
    let (world, burn) = World::with_burn().await;
    for closed in [NOW, MAX_TIME - 1, MAX_TIME] {
        world.fake.on("getTransaction", [not_found(136, closed)]);
        world.fake.on("getLedgerEntries", [wallet(140, USED)]);
        assert_eq!(world.verdict(&burn).await, STILL_OPEN, "closed at {closed}");
    }
    world
        .fake
        .on("getTransaction", [not_found(137, MAX_TIME + 1)]);
    assert_eq!(world.failure(&burn).await.code, "expired");
}

#[tokio::test]
async fn a_late_not_found_with_an_old_account_is_not_expiry() {
    let (world, burn) = World::with_burn().await;
    world
        .fake
        .on("getTransaction", [not_found(150, MAX_TIME + 60)]);
    for ledger in [SIGNED, 137, 149] {
        world.fake.on("getLedgerEntries", [wallet(ledger, USED)]);
        assert_eq!(
            world.verdict(&burn).await,
            STILL_OPEN,
            "account at {ledger}"
        );
    }
    world.fake.on("getLedgerEntries", [wallet(150, USED)]);
    assert_eq!(world.failure(&burn).await.code, "expired");
}

#[tokio::test]
async fn nothing_expires_by_a_state_older_than_the_newest_seen() {
    let (world, burn) = World::with_burn().await;
    world.fake.on("getTransaction", [not_found(160, NOW)]);
    world.verdict(&burn).await;
    world
        .fake
        .on("getTransaction", [not_found(150, MAX_TIME + 60)]);
    world.fake.on("getLedgerEntries", [wallet(155, USED)]);
    assert_eq!(world.verdict(&burn).await, STILL_OPEN);
    world.fake.on("getLedgerEntries", [wallet(160, USED)]);
    assert_eq!(world.failure(&burn).await.code, "expired");
}

#[tokio::test]
async fn the_account_is_read_after_the_lookup() {
    let (world, burn) = World::with_burn().await;
    world.verdict(&burn).await;
    world.fake.on("getTransaction", [Reply::Http(500)]);
    let reads = world.fake.calls("getLedgerEntries").len();
    world.unavailable(&burn).await;
    assert_eq!(world.fake.calls("getLedgerEntries").len(), reads);
}

#[tokio::test]
async fn a_close_time_that_is_missing_proves_no_expiry() {
    let (world, burn) = World::with_burn().await;
    world.fake.on("getTransaction", [not_found(150, 0)]);
    world.fake.on("getLedgerEntries", [wallet(150, USED)]);
    assert_eq!(world.verdict(&burn).await, STILL_OPEN);
}

#[tokio::test]
async fn an_account_that_is_gone_goes_to_a_person() {
    let (world, burn) = World::with_burn().await;
    let nothing = Reply::Result(json!({ "entries": [], "latestLedger": 150 }));
    world.fake.on("getLedgerEntries", [nothing]);
    world
        .fake
        .on("getTransaction", [not_found(150, MAX_TIME + 60)]);
    let verdict = world.verdict(&burn).await;
    assert!(
        matches!(verdict, Verdict::NeedsOperator { .. }),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn another_network_proves_nothing() {
    let (world, burn) = World::with_burn().await;
    world
        .fake
        .on("getTransaction", [not_found(150, MAX_TIME + 60)]);
    world.fake.on("getLedgerEntries", [wallet(150, USED)]);
    world.fake.on(
        "getNetwork",
        [network("Standalone Network ; February 2017")],
    );
    let error = world.burner.verdict(&burn).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misconfigured(_)), "{error}");
}

#[tokio::test]
async fn a_ledger_that_runs_backwards_is_not_believed() {
    let (mut world, burn) = World::with_burn().await;
    // Against the burn's own ledger: a new process notices a reset as well.
    world.restart();
    world
        .fake
        .on("getTransaction", [not_found(12, MAX_TIME + 60)]);
    world.fake.on("getLedgerEntries", [wallet(12, USED)]);
    assert!(world.unavailable(&burn).await.contains("runs backwards"));
    world.fake.on("getLedgerEntries", [wallet(SIGNED, USED)]);
    assert!(world.unavailable(&burn).await.contains("runs backwards"));
    // Against what this process saw, even where the burn's own ledger is passed again.
    world.fake.on("getTransaction", [not_found(9_000, NOW)]);
    world.fake.on("getLedgerEntries", [wallet(9_000, USED)]);
    assert_eq!(world.verdict(&burn).await, STILL_OPEN);
    world
        .fake
        .on("getTransaction", [not_found(200, MAX_TIME + 60)]);
    world.fake.on("getLedgerEntries", [wallet(200, USED)]);
    assert!(world.unavailable(&burn).await.contains("runs backwards"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let (world, burn) = World::with_burn().await;
    for method in ["getLedgerEntries", "getTransaction"] {
        for reply in [
            Reply::Hang,
            Reply::Http(502),
            Reply::Error(-32603, "unable to get ledger range"),
            Reply::Result(json!({ "status": "MAYBE", "latestLedger": 150 })),
        ] {
            let is_entries = matches!(&reply, Reply::Result(_)) && method == "getLedgerEntries";
            world.fake.on(method, [reply]);
            if !is_entries {
                world.unavailable(&burn).await;
            }
        }
    }
}
