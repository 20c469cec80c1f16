//! Sending a burn and asking for its verdict: the sending is noted before it is made, proves
//! nothing, and is made again only with the same bytes.

use tranche_application::disbursement::{AdvanceError, Progress};
use tranche_application::ports::store::Conflict;
use tranche_domain::disbursement::Verdict;
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::{Disbursement, DisbursementState, MilestoneStatus};

use super::scene::{DISBURSEMENT, Scene};
use super::script::Step;
use super::stage::{Stage, conflict, down, hint, silent};

const WAIT: Verdict = Verdict::Undecided(Wait::MayStillHappen);

fn in_flight() -> Scene {
    Scene::at(MilestoneStatus::Disbursing)
}

fn noted() -> [Step; 2] {
    [Step::NoteSent(Ok(())), Step::Commit(Ok(()))]
}

fn open(progress: Result<Progress, AdvanceError>) -> Disbursement {
    match progress {
        Ok(Progress::Open(disbursement)) => *disbursement,
        other => panic!("it is open: {other:?}"),
    }
}

/// A disbursement for which a person was called.
fn called() -> Disbursement {
    let mut disbursement = in_flight().sent();
    let reason = "gone".to_owned();
    disbursement.state = DisbursementState::NeedsOperator {
        reason,
        proposal: None,
    };
    disbursement
}

// M8
#[tokio::test]
async fn a_prepared_burn_is_noted_as_sent_and_committed_before_it_is_sent() {
    let scene = in_flight();
    let mut stage = Stage::new();
    stage.read(Ok(Some(scene.disbursement())));
    stage.work(noted());
    stage.submit(Ok(hint()));
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(scene.sent())));
    let disbursements = stage.disbursements();
    let now = open(disbursements.advance(DISBURSEMENT).await);
    assert_eq!(now.state, DisbursementState::Submitted);
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.noted, [scene.sent()]);
    assert_eq!(seen.noted[0].attempts, 1);
    assert_eq!(seen.sent, [scene.disbursement().burn.envelope]);
}

// M8
#[tokio::test]
async fn a_sending_that_another_driver_noted_first_is_left_to_it() {
    for what in [Conflict::Stale, Conflict::Retry] {
        let scene = in_flight();
        let mut stage = Stage::new();
        stage.read(Ok(Some(scene.disbursement())));
        stage.work([Step::NoteSent(conflict(what))]);
        stage.verdict(Ok(WAIT));
        stage.read(Ok(Some(scene.sent())));
        let disbursements = stage.disbursements();
        open(disbursements.advance(DISBURSEMENT).await);
    }
}

// M8
#[tokio::test]
async fn a_sending_that_cannot_be_noted_is_not_made() {
    for steps in [
        vec![Step::NoteSent(down())],
        vec![Step::NoteSent(Ok(())), Step::Commit(down())],
    ] {
        let mut stage = Stage::new();
        stage.read(Ok(Some(in_flight().disbursement())));
        stage.work(steps);
        let disbursements = stage.disbursements();
        let progress = disbursements.advance(DISBURSEMENT).await;
        assert!(matches!(progress, Err(AdvanceError::Store(_))));
    }
}

// M8
#[tokio::test]
async fn a_sending_without_an_answer_still_asks_for_the_verdict() {
    let scene = in_flight();
    let mut stage = Stage::new();
    stage.read(Ok(Some(scene.disbursement())));
    stage.work(noted());
    stage.submit(silent());
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(scene.sent())));
    let disbursements = stage.disbursements();
    open(disbursements.advance(DISBURSEMENT).await);
}

// M8
#[tokio::test]
async fn what_was_sent_before_is_only_asked_for() {
    for disbursement in [in_flight().sent(), called()] {
        let mut stage = Stage::new();
        stage.read(Ok(Some(disbursement.clone())));
        stage.verdict(Ok(WAIT));
        stage.read(Ok(Some(disbursement.clone())));
        let disbursements = stage.disbursements();
        let now = open(disbursements.advance(DISBURSEMENT).await);
        assert_eq!(now, disbursement);
    }
}

// M8
#[tokio::test]
async fn an_undecided_verdict_changes_nothing_whatever_it_waits_for() {
    for wait in [Wait::MayStillHappen, Wait::ScanNeeded, Wait::LookAgain] {
        let mut stage = Stage::new();
        stage.read(Ok(Some(in_flight().sent())));
        stage.verdict(Ok(Verdict::Undecided(wait)));
        stage.read(Ok(Some(in_flight().sent())));
        let disbursements = stage.disbursements();
        open(disbursements.advance(DISBURSEMENT).await);
        assert_eq!(stage.incidents(), []);
    }
}

// M8
#[tokio::test]
async fn a_ledger_that_gives_no_verdict_is_an_error() {
    let mut stage = Stage::new();
    stage.read(Ok(Some(in_flight().sent())));
    stage.verdict(silent());
    let disbursements = stage.disbursements();
    let progress = disbursements.advance(DISBURSEMENT).await;
    assert!(matches!(progress, Err(AdvanceError::Ledger(_))));
}

// M8
#[tokio::test]
async fn what_has_ended_is_left_alone() {
    let settled = Scene::at(MilestoneStatus::Disbursed).disbursement();
    let mut stage = Stage::new();
    stage.read(Ok(Some(settled.clone())));
    stage.read(Ok(Some(settled.clone())));
    let disbursements = stage.disbursements();
    for progress in [
        disbursements.advance(DISBURSEMENT).await,
        disbursements.push(DISBURSEMENT).await,
    ] {
        assert_eq!(
            progress.unwrap(),
            Progress::Ended(Box::new(settled.clone()))
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let mut stage = Stage::new();
    stage.read(Ok(None));
    let disbursements = stage.disbursements();
    let progress = disbursements.advance(DISBURSEMENT).await;
    assert!(matches!(progress, Err(AdvanceError::NotFound)));
}

// M8
#[tokio::test]
async fn pushing_sends_the_same_bytes_again_while_nothing_is_decided() {
    let scene = in_flight();
    let mut stage = Stage::new();
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(scene.sent())));
    stage.work(noted());
    stage.submit(Ok(hint()));
    let disbursements = stage.disbursements();
    open(disbursements.push(DISBURSEMENT).await);
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.sent, [scene.disbursement().burn.envelope]);
    assert_eq!(seen.noted[0].attempts, 2);
    assert_eq!(seen.noted[0].state, DisbursementState::Submitted);
}

// M8
#[tokio::test]
async fn pushing_sends_nothing_while_a_person_is_called() {
    let mut stage = Stage::new();
    stage.read(Ok(Some(called())));
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(called())));
    let disbursements = stage.disbursements();
    open(disbursements.push(DISBURSEMENT).await);
}
