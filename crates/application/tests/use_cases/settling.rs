//! Acting on the verdict: the books follow the ledger once, with their evidence, or not at all.

use serde_json::json;
use tranche_application::disbursement::{AdvanceError, Progress};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::disbursement::{Replacement, Verdict};
use tranche_domain::{
    Action, BurnId, Change, Disbursement, DisbursementState, Fact, MilestoneStatus, Role,
};

use super::scene::{
    DISBURSEMENT, MILESTONE, PAID, PROJECT, Scene, failure, stroops, time, written,
};
use super::script::Step;
use super::stage::{Stage, burned, conflict, down};

const REASON: &str = "the node's memory does not reach back";

fn operator() -> Verdict {
    Verdict::NeedsOperator {
        reason: REASON.to_owned(),
    }
}

/// A burn that was sent, and what locking finds.
fn sent() -> (Stage, Scene) {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let mut stage = Stage::new();
    stage.read(Ok(Some(scene.sent())));
    (stage, scene)
}

fn locks(scene: &Scene, disbursement: Disbursement) -> [Step; 1] {
    [Step::LockBooks(Some(scene.books(disbursement)))]
}

fn concluded(scene: &Scene, record: Result<(), StoreError>) -> Vec<Step> {
    let end = match record {
        Ok(()) => vec![Step::Record(Ok(())), Step::Commit(Ok(()))],
        Err(error) => vec![Step::Record(Err(error))],
    };
    locks(scene, scene.sent()).into_iter().chain(end).collect()
}

async fn advance(stage: &mut Stage) -> Result<Progress, AdvanceError> {
    stage.disbursements().advance(DISBURSEMENT).await
}

/// The only change that was recorded.
fn only_change(stage: &Stage) -> Change {
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.changes.len(), 1);
    seen.changes[0].clone()
}

fn settled() -> Disbursement {
    Scene::at(MilestoneStatus::Disbursed).disbursement()
}

/// The scene's disbursement, as it stands once it is settled now.
fn settled_now(scene: &Scene) -> Disbursement {
    let mut disbursement = scene.sent();
    disbursement.version += 1;
    disbursement.state = DisbursementState::Settled {
        at: time(0),
        burn: disbursement.burn.id.clone(),
        ledger: 110,
    };
    disbursement
}

/// The scene's disbursement, once a person was called for it.
fn called(scene: &Scene) -> Disbursement {
    let mut disbursement = scene.sent();
    disbursement.version += 1;
    disbursement.state = DisbursementState::NeedsOperator {
        reason: REASON.to_owned(),
        proposal: None,
    };
    disbursement
}

// M8
#[tokio::test]
async fn a_burned_verdict_settles_milestone_nav_and_disbursement_together() {
    let (mut stage, scene) = sent();
    stage.verdict(Ok(burned()));
    stage.work(concluded(&scene, Ok(())));
    let progress = advance(&mut stage).await.unwrap();
    let now = settled_now(&scene);
    assert_eq!(progress, Progress::Ended(Box::new(now.clone())));
    let locked = stage.seen.lock().unwrap().locked.clone();
    assert_eq!(locked, [(PROJECT, vec![DISBURSEMENT])]);
    let change = only_change(&stage);
    assert_eq!(written(change.disbursement()), now);
    assert_eq!(
        written(change.milestone()).status(),
        MilestoneStatus::Disbursed
    );
    let project = written(change.project());
    assert_eq!(project.nav, stroops(1_000 - PAID));
    assert_eq!(project.nav_reserved, stroops(0));
    let event = change.event();
    assert_eq!(event.action, Action::MilestoneDisbursed);
    assert_eq!(event.metadata["ledger"], Fact::Count(110));
    assert_eq!(event.actor.id, "treasurer", "in the name of who ordered it");
    assert_eq!(event.actor.role, Role::Treasurer);
    assert_eq!(event.origin, scene.disbursement().origin);
}

// M8
#[tokio::test]
async fn a_failed_verdict_releases_the_reservation() {
    let (mut stage, scene) = sent();
    stage.verdict(Ok(Verdict::Failed(failure())));
    stage.work(concluded(&scene, Ok(())));
    let mut failed = scene.sent();
    let (at, failure) = (time(0), failure());
    failed.version += 1;
    failed.state = DisbursementState::Failed { at, failure };
    let progress = advance(&mut stage).await.unwrap();
    assert_eq!(progress, Progress::Ended(Box::new(failed.clone())));
    let change = only_change(&stage);
    assert_eq!(written(change.disbursement()).state, failed.state);
    assert_eq!(
        written(change.milestone()).status(),
        MilestoneStatus::Approved
    );
    let project = written(change.project());
    assert_eq!(project.nav, stroops(1_000));
    assert_eq!(project.nav_reserved, stroops(0));
    assert_eq!(change.event().action, Action::DisbursementFailed);
    assert_eq!(stage.incidents(), []);
}

// M8, M11: somebody else has the key.
#[tokio::test]
async fn a_sequence_number_used_elsewhere_is_an_alarm() {
    let (mut stage, scene) = sent();
    let mut failure = failure();
    failure.code = "sequence_taken".to_owned();
    stage.verdict(Ok(Verdict::Failed(failure.clone())));
    stage.work(concluded(&scene, Ok(())));
    advance(&mut stage).await.unwrap();
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "disbursement.failed");
    assert!(incidents[0].critical);
    assert_eq!(incidents[0].error, failure.detail);
}

// M8, M11
#[tokio::test]
async fn a_verdict_that_proves_nothing_calls_a_person_once() {
    let (mut stage, scene) = sent();
    stage.verdict(Ok(operator()));
    stage.work(concluded(&scene, Ok(())));
    stage.read(Ok(Some(called(&scene))));
    stage.verdict(Ok(operator()));
    let disbursements = stage.disbursements();
    for _ in 0..2 {
        let progress = disbursements.advance(DISBURSEMENT).await.unwrap();
        assert_eq!(progress, Progress::Open(Box::new(called(&scene))));
    }
    let change = only_change(&stage);
    assert_eq!(written(change.disbursement()).state, called(&scene).state);
    assert!(change.milestone().is_none() && change.project().is_none());
    assert_eq!(change.event().action, Action::DisbursementNeedsOperator);
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "disbursement.needs_operator");
    assert!(incidents[0].critical);
    assert_eq!(incidents[0].error, REASON);
    assert_eq!(
        incidents[0].context,
        json!({
            "disbursement_id": DISBURSEMENT.0,
            "milestone_id": MILESTONE.0,
            "burn_id": scene.disbursement().burn.id.0,
            "account": "GWALLET",
            "sequence": 41,
        })
    );
}

// M8
#[tokio::test]
async fn a_person_whom_another_driver_called_first_is_not_called_again() {
    let (mut stage, scene) = sent();
    stage.verdict(Ok(operator()));
    stage.work(locks(&scene, called(&scene)));
    let progress = advance(&mut stage).await.unwrap();
    assert_eq!(progress, Progress::Open(Box::new(called(&scene))));
}

// M8
#[tokio::test]
async fn a_burn_settles_though_a_person_was_called() {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let mut stage = Stage::new();
    stage.read(Ok(Some(called(&scene))));
    stage.verdict(Ok(burned()));
    stage.work(
        locks(&scene, called(&scene))
            .into_iter()
            .chain([Step::Record(Ok(())), Step::Commit(Ok(()))]),
    );
    let progress = advance(&mut stage).await.unwrap();
    assert!(matches!(progress, Progress::Ended(_)));
}

// M8
#[tokio::test]
async fn what_another_driver_ended_first_is_left_as_it_is() {
    let (mut stage, _) = sent();
    let after = Scene::at(MilestoneStatus::Disbursed);
    stage.verdict(Ok(burned()));
    stage.work(locks(&after, settled()));
    let progress = advance(&mut stage).await.unwrap();
    assert_eq!(progress, Progress::Ended(Box::new(settled())));
}

// M8, M11, M13
#[tokio::test]
async fn books_that_cannot_be_settled_are_reported_and_settled_by_the_next_step() {
    let (mut stage, scene) = sent();
    stage.verdict(Ok(burned()));
    stage.work(concluded(&scene, down()));
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(burned()));
    stage.work(concluded(&scene, Ok(())));
    let disbursements = stage.disbursements();
    let progress = disbursements.advance(DISBURSEMENT).await;
    assert!(matches!(
        progress,
        Err(AdvanceError::Store(StoreError::Unavailable(_)))
    ));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "milestone.disbursed");
    assert!(incidents[0].critical);
    assert_eq!(
        incidents[0].context,
        json!({ "disbursement_id": DISBURSEMENT.0 })
    );
    let progress = disbursements.advance(DISBURSEMENT).await.unwrap();
    assert_eq!(progress, Progress::Ended(Box::new(settled_now(&scene))));
}

// M8, M13
#[tokio::test]
async fn a_settlement_whose_commit_fails_is_an_error() {
    let (mut stage, scene) = sent();
    stage.verdict(Ok(burned()));
    let end = [Step::Record(Ok(())), Step::Commit(down())];
    stage.work(locks(&scene, scene.sent()).into_iter().chain(end));
    let progress = advance(&mut stage).await;
    assert!(matches!(progress, Err(AdvanceError::Store(_))));
    assert!(stage.incidents()[0].critical);
}

// M8
#[tokio::test]
async fn a_settlement_is_tried_five_times_when_the_database_asks() {
    let (mut stage, scene) = sent();
    stage.verdict(Ok(burned()));
    let kinds = [Conflict::Retry, Conflict::Stale];
    for turn in 0..5 {
        stage.work(concluded(&scene, conflict(kinds[turn % 2])));
    }
    let progress = advance(&mut stage).await;
    assert!(matches!(
        progress,
        Err(AdvanceError::Store(StoreError::Conflict(Conflict::Retry)))
    ));
    let (mut stage, scene) = sent();
    stage.verdict(Ok(burned()));
    for turn in 0..4 {
        stage.work(concluded(&scene, conflict(kinds[turn % 2])));
    }
    stage.work(concluded(&scene, Ok(())));
    advance(&mut stage).await.unwrap();
    assert_eq!(stage.incidents(), []);
}

// M8, M11
#[tokio::test]
async fn books_that_do_not_fit_the_verdict_are_reported() {
    let (mut stage, scene) = sent();
    let mut tampered = Scene::at(MilestoneStatus::Approved);
    tampered.project = scene.project.clone();
    stage.verdict(Ok(burned()));
    stage.work(locks(&tampered, scene.sent()));
    let progress = advance(&mut stage).await;
    assert!(matches!(progress, Err(AdvanceError::Books(_))));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "milestone.disbursed");
    assert!(incidents[0].critical);
}

// M8, M11
#[tokio::test]
async fn a_project_that_is_gone_is_an_inconsistency_and_reported() {
    let (mut stage, _) = sent();
    stage.verdict(Ok(burned()));
    stage.work([Step::LockBooks(None)]);
    let progress = advance(&mut stage).await;
    assert!(matches!(
        progress,
        Err(AdvanceError::Store(StoreError::Inconsistent(_)))
    ));
    assert!(stage.incidents()[0].critical);
}

// M8
#[tokio::test]
async fn a_disbursement_that_is_gone_is_not_found_and_writes_nothing() {
    let (mut stage, scene) = sent();
    let mut books = scene.books(scene.sent());
    books.disbursements.clear();
    stage.verdict(Ok(burned()));
    stage.work([Step::LockBooks(Some(books))]);
    let progress = advance(&mut stage).await;
    assert!(matches!(progress, Err(AdvanceError::NotFound)));
}

// M8
#[tokio::test]
async fn a_verdict_over_fewer_envelopes_than_are_kept_moves_nothing_unless_it_burned() {
    let kept = |scene: &Scene| {
        let mut disbursement = scene.sent();
        disbursement.burn.replacements.push(Replacement {
            id: BurnId("second".to_owned()),
            envelope: vec![4],
            valid_until: time(300),
        });
        disbursement
    };
    // Another driver kept a further envelope after this one read the disbursement.
    for verdict in [Verdict::Failed(failure()), operator()] {
        let (mut stage, scene) = sent();
        stage.verdict(Ok(verdict));
        stage.work(locks(&scene, kept(&scene)));
        let progress = advance(&mut stage).await.unwrap();
        assert_eq!(progress, Progress::Open(Box::new(kept(&scene))));
    }
    let (mut stage, scene) = sent();
    stage.verdict(Ok(burned()));
    let end = [Step::Record(Ok(())), Step::Commit(Ok(()))];
    stage.work(locks(&scene, kept(&scene)).into_iter().chain(end));
    let progress = advance(&mut stage).await.unwrap();
    assert!(matches!(progress, Progress::Ended(_)));
}
