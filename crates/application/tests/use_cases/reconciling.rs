//! The reconciler: every open disbursement gets its look, whatever happens to the others.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tranche_application::disbursement::Reconciler;
use tranche_application::disbursement::reconcile::Round;
use tranche_application::ports::burner::SubmitHint;
use tranche_domain::disbursement::Verdict;
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::{DisbursementId, MilestoneStatus};
use uuid::Uuid;

use super::scene::{DISBURSEMENT, Scene, time};
use super::script::Step;
use super::stage::{Answer, Stage, down, silent};

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
    // Its state cannot be read.
    lease(&mut stage, Ok(Some(other(1))));
    stage.read(down());
    // The ledger does not answer.
    lease(&mut stage, Ok(Some(other(2))));
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(silent());
    // It is gone.
    lease(&mut stage, Ok(Some(other(3))));
    stage.read(Ok(None));
    // It stays open, and is sent again.
    lease(&mut stage, Ok(Some(other(4))));
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(Verdict::Undecided(Wait::MayStillHappen)));
    stage.read(Ok(Some(scene.sent())));
    stage.work([Step::NoteSent(Ok(())), Step::Commit(Ok(()))]);
    stage.submit(Ok(SubmitHint("DUPLICATE".to_owned())));
    // It is settled.
    lease(&mut stage, Ok(Some(DISBURSEMENT)));
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(Verdict::Burned { ledger: 110 }));
    stage.work([
        Step::Project(Some(scene.project.clone())),
        Step::Milestone(Some(scene.milestone.clone())),
        Step::Disbursement(Some(scene.sent())),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let settled = Scene::at(MilestoneStatus::Disbursed).disbursement();
    stage.read(Ok(Some(settled)));
    lease(&mut stage, Ok(None));
    let reconciler = Reconciler::new(stage.disbursements());
    let round = reconciler.run_once().await.unwrap();
    let expected = Round {
        ended: 1,
        open: 1,
        errors: 2,
    };
    assert_eq!(round, expected);
    let seen = stage.seen.lock().unwrap();
    let leased = (time(0), time(0) + TimeDelta::seconds(1));
    assert_eq!(seen.leases, [leased; 6]);
}

// M8
#[tokio::test]
async fn a_round_ends_when_a_lease_ran_out_before_it() {
    let mut stage = Stage::new();
    for id in [other(1), other(2)] {
        lease(&mut stage, Ok(Some(id)));
        stage.read(down());
    }
    lease(&mut stage, Ok(Some(other(1))));
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
