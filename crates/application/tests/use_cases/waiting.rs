//! Waiting for a disbursement to end: an impatient helper of the same steps. Time is paused.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tranche_application::disbursement::{AdvanceError, Progress};
use tranche_domain::MilestoneStatus;
use tranche_domain::disbursement::Verdict;
use tranche_domain::disbursement::verdict::Wait;

use super::scene::{DISBURSEMENT, Scene};
use super::script::Step;
use super::slow::SlowLedger;
use super::stage::{Stage, burned, down, silent};

const ASK_EVERY: Duration = Duration::from_millis(250);
const WAIT: Verdict = Verdict::Undecided(Wait::MayStillHappen);

fn sent() -> Scene {
    Scene::at(MilestoneStatus::Disbursing)
}

/// One look that decides nothing.
fn look(stage: &mut Stage) {
    stage.read(Ok(Some(sent().sent())));
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(sent().sent())));
}

#[tokio::test(start_paused = true)]
async fn it_asks_four_times_a_second_until_patience_ends() {
    let mut stage = Stage::new();
    for _ in 0..4 {
        look(&mut stage);
    }
    stage.read(Ok(Some(sent().sent())));
    let disbursements = stage.disbursements();
    let start = Instant::now();
    let progress = disbursements.wait(DISBURSEMENT, ASK_EVERY * 4).await;
    assert_eq!(progress.unwrap(), Progress::Open(Box::new(sent().sent())));
    assert_eq!(start.elapsed(), ASK_EVERY * 3);
}

#[tokio::test(start_paused = true)]
async fn it_survives_a_ledger_and_a_store_that_do_not_answer() {
    let scene = sent();
    let mut stage = Stage::new();
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(silent());
    stage.read(down());
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(burned()));
    stage.work([
        Step::LockBooks(Some(scene.books(scene.sent()))),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let disbursements = stage.disbursements();
    let start = Instant::now();
    let patience = Duration::from_secs(15);
    let progress = disbursements.wait(DISBURSEMENT, patience).await;
    assert!(matches!(progress, Ok(Progress::Ended(_))), "{progress:?}");
    assert_eq!(start.elapsed(), ASK_EVERY * 2);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_patience_though_the_ledger_hangs() {
    let mut stage = Stage::new();
    stage.read(Ok(Some(sent().sent())));
    stage.read(Ok(Some(sent().sent())));
    let services = stage.services();
    let (inner, by) = (stage.ledger(), Duration::from_hours(1));
    let disbursements = stage.protocol(services, Arc::new(SlowLedger::new(inner, by)));
    let start = Instant::now();
    let patience = Duration::from_secs(15);
    let progress = disbursements.wait(DISBURSEMENT, patience).await;
    assert!(matches!(progress, Ok(Progress::Open(_))));
    assert_eq!(start.elapsed(), patience);
}

#[tokio::test(start_paused = true)]
async fn without_patience_it_looks_once_and_says_how_things_stand() {
    let settled = Scene::at(MilestoneStatus::Disbursed).disbursement();
    let mut stage = Stage::new();
    stage.read(Ok(Some(sent().sent())));
    stage.verdict(silent());
    stage.read(Ok(Some(settled.clone())));
    let disbursements = stage.disbursements();
    let progress = disbursements.wait(DISBURSEMENT, Duration::ZERO).await;
    assert_eq!(
        progress.unwrap(),
        Progress::Ended(Box::new(settled)),
        "somebody else ended it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_read_in_the_end_is_an_error() {
    let mut stage = Stage::new();
    stage.read(down());
    stage.read(down());
    let disbursements = stage.disbursements();
    let progress = disbursements.wait(DISBURSEMENT, Duration::ZERO).await;
    assert!(matches!(progress, Err(AdvanceError::Store(_))));
}
