//! The reconciler: every open disbursement gets its look, whatever happens to the others.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tranche_application::disbursement::Reconciler;
use tranche_application::disbursement::reconcile::Round;
use tranche_application::ports::store::BackOff;
use tranche_domain::disbursement::Verdict;
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::{DisbursementId, MilestoneStatus};
use uuid::Uuid;

use super::scene::{DISBURSEMENT, Scene, time};
use super::script::Step;
use super::stage::{Answer, Stage, burned, down, hint, silent};

fn other(n: u128) -> DisbursementId {
    DisbursementId(Uuid::from_u128(0xD100 + n))
}

fn lease(stage: &mut Stage, answer: Answer<Option<DisbursementId>>) {
    let end = answer.is_ok().then_some(Step::Commit(Ok(())));
    stage.work([Step::Lease(answer)].into_iter().chain(end));
}

// M8
#[tokio::test]
async fn one_that_fails_does_not_stop_the_others() {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let mut stage = Stage::new();
    let all = [other(1), other(2), other(3), other(4), DISBURSEMENT];
    for id in all {
        lease(&mut stage, Ok(Some(id)));
    }
    lease(&mut stage, Ok(None));
    // Its state cannot be read.
    stage.read(down());
    // The ledger does not answer.
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(silent());
    // It is gone.
    stage.read(Ok(None));
    // It stays open, and is sent again.
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(Verdict::Undecided(Wait::MayStillHappen)));
    stage.read(Ok(Some(scene.sent())));
    stage.work([Step::NoteSent(Ok(())), Step::Commit(Ok(()))]);
    stage.submit(Ok(hint()));
    // It is settled.
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(burned()));
    stage.work([
        Step::LockBooks(Some(scene.books(scene.sent()))),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let reconciler = Reconciler::new(stage.disbursements());
    let round = reconciler.run_once().await.unwrap();
    let expected = Round {
        ended: 1,
        open: 1,
        errors: 2,
    };
    assert_eq!(round, expected);
    let seen = stage.seen.lock().unwrap();
    let back_off = BackOff {
        least: Duration::from_secs(1),
        most: Duration::from_secs(30),
    };
    assert_eq!(seen.leases, [(time(0), back_off); 6]);
}

// M8
#[tokio::test]
async fn a_round_ends_when_a_lease_ran_out_before_it() {
    let mut stage = Stage::new();
    for id in [other(1), other(2)] {
        lease(&mut stage, Ok(Some(id)));
    }
    lease(&mut stage, Ok(Some(other(1))));
    for _ in 0..2 {
        stage.read(down());
    }
    let reconciler = Reconciler::new(stage.disbursements());
    let round = reconciler.run_once().await.unwrap();
    assert_eq!(round.errors, 2);
}

// M8
#[tokio::test]
async fn open_ones_that_cannot_be_listed_are_an_error() {
    let mut stage = Stage::new();
    lease(&mut stage, down());
    let reconciler = Reconciler::new(stage.disbursements());
    assert!(reconciler.run_once().await.is_err());
}

// M8
#[tokio::test(start_paused = true)]
async fn it_looks_twice_a_second_whatever_fails_until_cancelled() {
    let mut stage = Stage::new();
    lease(&mut stage, Ok(None));
    lease(&mut stage, down());
    lease(&mut stage, Ok(None));
    let stop = CancellationToken::new();
    let reconciler = Reconciler::new(stage.disbursements());
    let start = Instant::now();
    let task = tokio::spawn(reconciler.run(stop.clone()));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(1_200));
}
