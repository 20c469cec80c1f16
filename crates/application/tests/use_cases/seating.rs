//! Whose sequence number a burn takes: channel accounts side by side, one burn each; the wallet's
//! own when there are none. Time is paused, so every pause is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tranche_application::Outcome;
use tranche_application::disbursement::{DisburseError, Disbursements};
use tranche_application::ports::burner::LedgerError;
use tranche_application::ports::channels::Channel;
use tranche_application::ports::store::Conflict;
use tranche_domain::{DisbursementId, MilestoneStatus};

use super::scene::{DISBURSEMENT, MILESTONE, Scene, call, time};
use super::script::Step;
use super::slow::SlowLedger;
use super::stage::{Answer, Stage, conflict, down};

/// The pause between two looks for a free channel.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a disbursement waits for a seat.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the slow ledger takes to sign.
const SIGNING: Duration = Duration::from_secs(10);

/// A channel that is funded and free.
fn free(account: &str) -> Channel {
    Channel {
        account_id: account.to_owned(),
        created_at: time(-60),
        funded_at: Some(time(-50)),
        leased_by: None,
    }
}

fn leased(account: &str) -> Channel {
    Channel {
        leased_by: Some(DISBURSEMENT),
        ..free(account)
    }
}

fn unfunded(account: &str) -> Channel {
    Channel {
        funded_at: None,
        ..free(account)
    }
}

/// A stage with a payable milestone and these channels, at each look.
fn with(pool: impl Fn(usize) -> Answer<Vec<Channel>> + Send + 'static) -> (Stage, Scene) {
    let scene = Scene::at(MilestoneStatus::Approved);
    let mut stage = Stage::new();
    stage.committed(&scene);
    let looks = AtomicUsize::new(0);
    stage
        .channels
        .expect_channels()
        .withf(|network| network == "test")
        .returning(move |_| pool(looks.fetch_add(1, Ordering::Relaxed)));
    (stage, scene)
}

fn with_all(pool: Vec<Channel>) -> (Stage, Scene) {
    with(move |_| Ok(pool.clone()))
}

/// Then a burn is signed, and this comes of keeping it.
fn attempt(stage: &mut Stage, scene: &Scene, taken: Option<Conflict>) {
    stage.sign(41);
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

/// Then the account that should lend its sequence number cannot.
fn unfit(stage: &mut Stage) {
    let seen = stage.seen.clone();
    stage
        .burner
        .expect_prepare()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(move |order| {
            seen.lock().unwrap().orders.push(order.clone());
            Err(LedgerError::UnfitSequenceAccount {
                code: "no_sequence_account",
                detail: "it is gone".to_owned(),
            })
        });
}

/// The protocol over a ledger that takes its time to sign.
fn slowly(stage: &mut Stage) -> Disbursements {
    let services = stage.services();
    let ledger = SlowLedger::new(stage.ledger(), SIGNING);
    stage.protocol(services, Arc::new(ledger))
}

type Prepared = Result<Outcome<DisbursementId>, DisburseError>;

async fn prepare(disbursements: &Disbursements) -> Prepared {
    let call = call("treasurer");
    disbursements.prepare(MILESTONE, None, &call).await
}

/// Whose sequence numbers were asked for, in order.
fn asked(stage: &Stage) -> Vec<String> {
    let seen = stage.seen.lock().unwrap();
    let accounts = seen.orders.iter().map(|order| {
        assert_eq!(order.wallet_account_id, "GWALLET", "whose tokens burn");
        order.sequence_account_id.clone()
    });
    accounts.collect()
}

// M8
#[tokio::test(start_paused = true)]
async fn a_channel_is_taken_when_it_is_funded_and_nobody_has_it() {
    let (mut stage, scene) = with_all(vec![unfunded("A"), leased("B"), free("C"), free("D")]);
    attempt(&mut stage, &scene, None);
    let disbursements = stage.disbursements();
    prepare(&disbursements).await.unwrap();
    assert_eq!(asked(&stage), ["C"]);
}

// M8
#[tokio::test(start_paused = true)]
async fn without_a_funded_channel_the_wallets_own_sequence_is_taken() {
    for pool in [vec![], vec![unfunded("A")]] {
        let (mut stage, scene) = with_all(pool);
        attempt(&mut stage, &scene, None);
        let disbursements = stage.disbursements();
        prepare(&disbursements).await.unwrap();
        assert_eq!(asked(&stage), ["GWALLET"]);
    }
}

// M8
#[tokio::test(start_paused = true)]
async fn burns_take_a_channel_each_and_are_signed_side_by_side() {
    let (mut stage, scene) = with_all(vec![free("A"), free("B"), free("C")]);
    for _ in 0..3 {
        attempt(&mut stage, &scene, None);
    }
    let disbursements = slowly(&mut stage);
    let start = Instant::now();
    let one = || prepare(&disbursements);
    let (a, b, c) = tokio::join!(one(), one(), one());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(start.elapsed(), SIGNING, "side by side");
    let mut asked = asked(&stage);
    asked.sort_unstable();
    assert_eq!(asked, ["A", "B", "C"]);
}

// M8
#[tokio::test(start_paused = true)]
async fn a_channel_is_given_back_and_whoever_waits_longest_has_it_next() {
    let (mut stage, scene) = with_all(vec![free("A")]);
    for _ in 0..3 {
        attempt(&mut stage, &scene, None);
    }
    let disbursements = slowly(&mut stage);
    let start = Instant::now();
    let one = || async {
        prepare(&disbursements).await.unwrap();
        start.elapsed()
    };
    let (a, b, c) = tokio::join!(one(), one(), one());
    assert_eq!(a, SIGNING);
    assert!(b >= SIGNING * 2 && b <= SIGNING * 2 + PAUSE, "{b:?}");
    assert!(c >= SIGNING * 3 && c <= SIGNING * 3 + PAUSE * 2, "{c:?}");
    assert_eq!(asked(&stage), ["A", "A", "A"]);
}

// M8
#[tokio::test(start_paused = true)]
async fn a_burn_that_gives_up_gives_its_channel_and_its_place_in_line_back() {
    let (mut stage, scene) = with_all(vec![free("A")]);
    attempt(&mut stage, &scene, None);
    let disbursements = slowly(&mut stage);
    let start = Instant::now();
    // The first has the channel, the second is first in line; both give up.
    let first = timeout(SIGNING / 2, prepare(&disbursements));
    let second = timeout(SIGNING / 4, prepare(&disbursements));
    let third = prepare(&disbursements);
    let (first, second, third) = tokio::join!(first, second, third);
    assert!(first.is_err() && second.is_err());
    third.unwrap();
    assert!(start.elapsed() <= SIGNING * 3 / 2 + PAUSE);
    assert_eq!(asked(&stage), ["A"]);
}

// M8
#[tokio::test(start_paused = true)]
async fn channels_that_others_have_are_waited_for() {
    let pool = |look| Ok(vec![if look < 4 { leased("A") } else { free("A") }]);
    let (mut stage, scene) = with(pool);
    attempt(&mut stage, &scene, None);
    let disbursements = stage.disbursements();
    let start = Instant::now();
    prepare(&disbursements).await.unwrap();
    assert_eq!(start.elapsed(), PAUSE * 4);
    assert_eq!(asked(&stage), ["A"], "never the wallet's own meanwhile");
}

// M8
#[tokio::test(start_paused = true)]
async fn channels_that_stay_leased_are_a_busy_wallet_after_patience() {
    let (mut stage, _) = with_all(vec![leased("A"), leased("B")]);
    let disbursements = stage.disbursements();
    let start = Instant::now();
    let outcome = prepare(&disbursements).await;
    assert!(matches!(outcome, Err(DisburseError::WalletBusy)));
    assert_eq!(start.elapsed(), PATIENCE);
}

// M8
#[tokio::test(start_paused = true)]
async fn a_channel_that_another_process_took_first_is_asked_for_anew() {
    let pool = |look| {
        Ok(vec![
            if look == 0 { free("A") } else { leased("A") },
            free("B"),
        ])
    };
    let (mut stage, scene) = with(pool);
    attempt(&mut stage, &scene, Some(Conflict::LedgerSlot));
    attempt(&mut stage, &scene, None);
    let disbursements = stage.disbursements();
    prepare(&disbursements).await.unwrap();
    assert_eq!(asked(&stage), ["A", "B"]);
}

// M8
#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_lend_its_sequence_is_passed_over_at_once() {
    let (mut stage, scene) = with_all(vec![free("A"), free("B"), free("C")]);
    unfit(&mut stage);
    unfit(&mut stage);
    attempt(&mut stage, &scene, None);
    let disbursements = stage.disbursements();
    let start = Instant::now();
    prepare(&disbursements).await.unwrap();
    assert_eq!(asked(&stage), ["A", "B", "C"]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

// M8
#[tokio::test(start_paused = true)]
async fn when_no_channel_is_fit_the_wallets_own_is_taken_and_then_no_other() {
    let (mut stage, scene) = with_all(vec![free("A")]);
    unfit(&mut stage);
    attempt(&mut stage, &scene, None);
    // What is unfit for one burn is asked for again by the next.
    unfit(&mut stage);
    unfit(&mut stage);
    let disbursements = stage.disbursements();
    prepare(&disbursements).await.unwrap();
    let outcome = prepare(&disbursements).await;
    assert!(matches!(
        outcome,
        Err(DisburseError::Ledger(
            LedgerError::UnfitSequenceAccount { .. }
        ))
    ));
    assert_eq!(asked(&stage), ["A", "GWALLET", "A", "GWALLET"]);
}

// M8, M11
#[tokio::test(start_paused = true)]
async fn channels_that_cannot_be_listed_stop_the_burn_and_are_reported() {
    let (mut stage, _) = with(|_| down());
    let disbursements = stage.disbursements();
    let outcome = prepare(&disbursements).await;
    assert!(matches!(outcome, Err(DisburseError::Store(_))));
    assert!(stage.incidents()[0].critical);
}
