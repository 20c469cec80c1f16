//! Waiting for the wallet: while another burn of it is in flight, its next sequence number is
//! taken. Time is paused, so every pause is exact.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tranche_application::Outcome;
use tranche_application::disbursement::DisburseError;
use tranche_application::ports::burner::LedgerError;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::MilestoneStatus;

use super::scene::{MILESTONE, Scene, call, written};
use super::script::Step;
use super::slow::{SlowLedger, SlowStore};
use super::stage::{Stage, conflict};

/// How long a disbursement waits for its wallet.
const PATIENCE: Duration = Duration::from_secs(45);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// When the last try is made.
const LAST: Duration = Duration::from_millis(44_900);
/// How many tries that makes.
const TRIES: i64 = 450;

fn payable() -> (Stage, Scene) {
    let scene = Scene::at(MilestoneStatus::Approved);
    let mut stage = Stage::new();
    stage.committed(&scene);
    (stage, scene)
}

/// One try: signed with this sequence number, and what came of the record.
fn attempt(stage: &mut Stage, scene: &Scene, sequence: i64, taken: Option<Conflict>) {
    stage.sign(sequence);
    let locks = [
        Step::Project(Some(scene.project.clone())),
        Step::Milestone(Some(scene.milestone.clone())),
    ];
    let end = match taken {
        Some(what) => vec![Step::Record(conflict(what))],
        None => vec![Step::Record(Ok(())), Step::Commit(Ok(()))],
    };
    stage.work(locks.into_iter().chain(end));
}

// M8
#[tokio::test(start_paused = true)]
async fn a_taken_sequence_number_is_planned_and_asked_for_anew_until_one_is_free() {
    let (mut stage, scene) = payable();
    attempt(&mut stage, &scene, 41, Some(Conflict::LedgerSlot));
    attempt(&mut stage, &scene, 41, Some(Conflict::LedgerSlot));
    attempt(&mut stage, &scene, 42, None);
    let disbursements = stage.disbursements();
    let start = Instant::now();
    let outcome = disbursements
        .prepare(MILESTONE, None, &call("treasurer"))
        .await;
    assert_eq!(start.elapsed(), PAUSE * 2);
    let seen = stage.seen.lock().unwrap();
    let kept = written(seen.changes[2].disbursement());
    assert_eq!(outcome.unwrap(), Outcome::Done(kept.id));
    assert_eq!(kept.burn.slot.sequence, 42);
    assert_ne!(kept.id, written(seen.changes[1].disbursement()).id);
    assert_ne!(seen.orders[1].memo, seen.orders[2].memo);
    assert_eq!(seen.incidents, []);
}

// M8
#[tokio::test(start_paused = true)]
async fn a_wallet_that_stays_busy_is_told_after_patience() {
    let (mut stage, scene) = payable();
    for _ in 0..TRIES {
        attempt(&mut stage, &scene, 41, Some(Conflict::LedgerSlot));
    }
    let disbursements = stage.disbursements();
    let start = Instant::now();
    let outcome = disbursements
        .prepare(MILESTONE, None, &call("treasurer"))
        .await;
    assert!(matches!(outcome, Err(DisburseError::WalletBusy)));
    assert_eq!(start.elapsed(), LAST);
    assert_eq!(stage.incidents(), []);
}

// M8
#[tokio::test(start_paused = true)]
async fn a_store_that_conflicts_for_ever_is_a_conflict_after_patience() {
    for what in [Conflict::Retry, Conflict::Stale] {
        let (mut stage, scene) = payable();
        for _ in 0..TRIES {
            attempt(&mut stage, &scene, 41, Some(what));
        }
        let disbursements = stage.disbursements();
        let outcome = disbursements
            .prepare(MILESTONE, None, &call("treasurer"))
            .await;
        let Err(DisburseError::Store(StoreError::Conflict(told))) = outcome else {
            panic!("a conflict is told as one");
        };
        assert_eq!(told, what);
    }
}

// M8
#[tokio::test(start_paused = true)]
async fn a_ledger_that_does_not_answer_is_told_after_patience() {
    let (mut stage, _) = payable();
    let services = stage.services();
    let ledger = SlowLedger::new(stage.ledger(), PATIENCE * 2);
    let disbursements = stage.protocol(services, Arc::new(ledger));
    let start = Instant::now();
    let outcome = disbursements
        .prepare(MILESTONE, None, &call("treasurer"))
        .await;
    assert!(matches!(
        outcome,
        Err(DisburseError::Ledger(LedgerError::Unavailable(_)))
    ));
    assert_eq!(start.elapsed(), PATIENCE);
}

// M8
#[tokio::test(start_paused = true)]
async fn patience_does_not_end_within_a_commit() {
    let (mut stage, scene) = payable();
    attempt(&mut stage, &scene, 41, None);
    let mut services = stage.services();
    services.store = Arc::new(SlowStore {
        inner: services.store,
        by: Duration::from_secs(1),
    });
    let ledger = SlowLedger::new(stage.ledger(), LAST);
    let disbursements = stage.protocol(services, Arc::new(ledger));
    let start = Instant::now();
    let outcome = disbursements
        .prepare(MILESTONE, None, &call("treasurer"))
        .await;
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
    assert!(start.elapsed() > PATIENCE);
}

// M8
#[tokio::test(start_paused = true)]
async fn burns_of_one_wallet_take_turns() {
    let (mut stage, scene) = payable();
    attempt(&mut stage, &scene, 41, None);
    attempt(&mut stage, &scene, 42, None);
    let services = stage.services();
    let by = Duration::from_secs(10);
    let inner = stage.ledger();
    let ledger = Arc::new(SlowLedger::new(inner, by));
    let disbursements = stage.protocol(services, ledger);
    let start = Instant::now();
    let call = call("treasurer");
    let first = disbursements.prepare(MILESTONE, None, &call);
    let second = disbursements.prepare(MILESTONE, None, &call);
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(first, Ok(Outcome::Done(_))));
    assert!(matches!(second, Ok(Outcome::Done(_))));
    assert_eq!(start.elapsed(), by * 2, "the ledger is asked in turn");
}

// M8
#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_is_a_busy_wallet() {
    let (mut stage, scene) = payable();
    attempt(&mut stage, &scene, 41, None);
    let mut services = stage.services();
    services.store = Arc::new(SlowStore {
        inner: services.store,
        by: PATIENCE * 2,
    });
    let ledger = Arc::new(stage.ledger());
    let disbursements = stage.protocol(services, ledger);
    let call = call("treasurer");
    let first = disbursements.prepare(MILESTONE, None, &call);
    let second = disbursements.prepare(MILESTONE, None, &call);
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(first, Ok(Outcome::Done(_))));
    assert!(matches!(second, Err(DisburseError::WalletBusy)));
}
