//! The same request twice, and the request that has seen another version.

use tranche_application::Outcome;
use tranche_application::disbursement::DisburseError;
use tranche_application::idempotency::Claim;
use tranche_application::milestones::MilestoneError;
use tranche_domain::MilestoneStatus;

use super::scene::{MILESTONE, Scene, answered, call, keyed};
use super::script::Step;
use super::stage::{Stage, refused};

fn used() -> Step {
    Step::Claim(Ok(Claim::Used(answered())))
}

fn misused() -> Step {
    Step::Claim(Ok(Claim::Misused))
}

#[tokio::test]
async fn a_command_done_before_answers_as_before_and_locks_nothing() {
    let mut stage = Stage::new();
    stage.work([used()]);
    let milestones = stage.milestones();
    let outcome = milestones.approve(MILESTONE, &keyed("checker")).await;
    assert_eq!(outcome.unwrap(), Outcome::AlreadyApplied(answered()));
    assert!(!stage.rung().await);
}

#[tokio::test]
async fn a_key_of_another_request_is_refused() {
    let mut stage = Stage::new();
    stage.work([misused()]);
    let milestones = stage.milestones();
    let outcome = milestones.approve(MILESTONE, &keyed("checker")).await;
    assert!(matches!(outcome, Err(MilestoneError::KeyMisused)));
    assert_eq!(stage.incidents(), []);
}

// M8
#[tokio::test]
async fn a_disbursement_ordered_before_asks_neither_reads_nor_ledger() {
    let mut stage = Stage::new();
    stage.work([used()]);
    let disbursements = stage.disbursements();
    let outcome = disbursements
        .prepare(MILESTONE, None, &keyed("treasurer"))
        .await;
    assert_eq!(outcome.unwrap(), Outcome::AlreadyApplied(answered()));
}

// M8
#[tokio::test]
async fn a_disbursement_with_a_key_of_another_request_is_refused_before_the_ledger_is_asked() {
    let mut stage = Stage::new();
    stage.work([misused()]);
    let disbursements = stage.disbursements();
    let outcome = disbursements
        .prepare(MILESTONE, None, &keyed("treasurer"))
        .await;
    assert!(matches!(outcome, Err(DisburseError::KeyMisused)));
}

// M8
#[tokio::test]
async fn a_disbursement_ordered_while_it_was_signed_is_dropped() {
    for (claim, misuse) in [(used(), false), (misused(), true)] {
        let mut stage = Stage::new();
        stage.committed(&Scene::at(MilestoneStatus::Approved));
        stage.work([Step::Claim(Ok(Claim::New))]);
        stage.sign(41);
        stage.work([claim]);
        let disbursements = stage.disbursements();
        let outcome = disbursements
            .prepare(MILESTONE, None, &keyed("treasurer"))
            .await;
        if misuse {
            assert!(matches!(outcome, Err(DisburseError::KeyMisused)));
        } else {
            assert_eq!(outcome.unwrap(), Outcome::AlreadyApplied(answered()));
        }
    }
}

// M8, M11
#[tokio::test]
async fn a_key_that_cannot_be_looked_up_stops_the_disbursement_and_is_reported() {
    let mut stage = Stage::new();
    stage.begin_refused(refused());
    let disbursements = stage.disbursements();
    let outcome = disbursements
        .prepare(MILESTONE, None, &keyed("treasurer"))
        .await;
    assert!(matches!(outcome, Err(DisburseError::Store(_))));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "disbursement.prepared");
    assert!(incidents[0].critical);
}

#[tokio::test]
async fn another_version_than_the_caller_saw_stops_the_command() {
    let scene = Scene::at(MilestoneStatus::Submitted);
    let current = scene.milestone.version;
    let mut stage = Stage::new();
    stage.work([Step::Milestone(Some(scene.milestone.clone()))]);
    stage.work([
        Step::Milestone(Some(scene.milestone)),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let milestones = stage.milestones();
    let mut call = call("checker");
    call.expected_version = Some(current - 1);
    let outcome = milestones.approve(MILESTONE, &call).await;
    let Err(MilestoneError::VersionMismatch { current: told }) = outcome else {
        panic!("the version is another");
    };
    assert_eq!(told, current);
    call.expected_version = Some(current);
    milestones.approve(MILESTONE, &call).await.unwrap();
}

// M8
#[tokio::test]
async fn another_version_than_the_caller_saw_stops_the_disbursement_before_the_ledger_is_asked() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let mut stage = Stage::new();
    stage.committed(&scene);
    let disbursements = stage.disbursements();
    let mut call = call("treasurer");
    call.expected_version = Some(scene.milestone.version + 1);
    let outcome = disbursements.prepare(MILESTONE, None, &call).await;
    let Err(DisburseError::VersionMismatch { current }) = outcome else {
        panic!("the version is another");
    };
    assert_eq!(current, scene.milestone.version);
}

// M8
#[tokio::test]
async fn a_version_that_changed_while_it_was_signed_stops_the_disbursement() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let mut changed = scene.milestone.clone();
    changed.version += 1;
    let mut stage = Stage::new();
    stage.committed(&scene);
    stage.sign(41);
    stage.work([
        Step::Project(Some(scene.project)),
        Step::Milestone(Some(changed)),
    ]);
    let disbursements = stage.disbursements();
    let mut call = call("treasurer");
    call.expected_version = Some(scene.milestone.version);
    let outcome = disbursements.prepare(MILESTONE, None, &call).await;
    let Err(DisburseError::VersionMismatch { current }) = outcome else {
        panic!("the version is another");
    };
    assert_eq!(current, scene.milestone.version + 1);
}
