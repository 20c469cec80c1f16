//! Preparing a disbursement: planned without locks, signed outside any unit of work, kept with its
//! evidence in one, and never sent. The script's ledger checks that no unit of work is open.

use tranche_application::Outcome;
use tranche_application::audit::record::EventRecord;
use tranche_application::disbursement::DisburseError;
use tranche_application::idempotency::Claim;
use tranche_application::ports::burner::LedgerError;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::milestone::Refusal;
use tranche_domain::{Action, Amount, DisbursementId, DisbursementState, MilestoneStatus};

use super::scene::{MILESTONE, PAID, Scene, call, keyed, stroops, written};
use super::script::Step;
use super::stage::{Stage, conflict, down, refused};

type Prepared = Result<Outcome<DisbursementId>, DisburseError>;

/// On a milestone that is approved and paid.
fn payable() -> (Stage, Scene) {
    let scene = Scene::at(MilestoneStatus::Approved);
    let mut stage = Stage::new();
    stage.committed(&scene);
    (stage, scene)
}

/// The locks on what is committed, and this answer to the record.
fn recorded(scene: &Scene, answer: Result<(), StoreError>) -> [Step; 3] {
    [
        Step::Project(Some(scene.project.clone())),
        Step::Milestone(Some(scene.milestone.clone())),
        Step::Record(answer),
    ]
}

fn is_down(outcome: &Prepared) -> bool {
    matches!(
        outcome,
        Err(DisburseError::Store(StoreError::Unavailable(_)))
    )
}

async fn prepare(stage: &mut Stage, who: &str) -> Prepared {
    let disbursements = stage.disbursements();
    disbursements.prepare(MILESTONE, None, &call(who)).await
}

fn refusal(outcome: Prepared) -> Refusal {
    match outcome {
        Err(DisburseError::Refused(error)) => error.why,
        other => panic!("the rules forbid it: {other:?}"),
    }
}

// M8, M12
#[tokio::test]
async fn a_burn_is_signed_then_kept_with_everything_that_moves_and_not_sent() {
    let (mut stage, scene) = payable();
    stage.work([Step::Claim(Ok(Claim::New))]);
    stage.sign(41);
    stage.work([
        Step::Claim(Ok(Claim::New)),
        Step::Project(Some(scene.project)),
        Step::Milestone(Some(scene.milestone)),
        Step::Record(Ok(())),
        Step::Bind,
        Step::Commit(Ok(())),
    ]);
    let disbursements = stage.disbursements();
    let outcome = disbursements
        .prepare(MILESTONE, None, &keyed("treasurer"))
        .await;
    let Outcome::Done(id) = outcome.unwrap() else {
        panic!("it was not ordered before");
    };
    let seen = stage.seen.lock().unwrap();
    let change = &seen.changes[0];
    let kept = written(change.disbursement());
    assert_eq!(kept.id, id);
    assert_eq!(kept.state, DisbursementState::Prepared);
    assert_eq!(kept.attempts, 0);
    assert_eq!(kept.amount, stroops(PAID));
    assert_eq!(kept.burn.slot.sequence, 41);
    assert_eq!(written(change.project()).nav_reserved, stroops(PAID));
    let milestone = written(change.milestone());
    assert_eq!(milestone.status(), MilestoneStatus::Disbursing);
    assert_eq!(seen.bound, [id.0]);
}

// M8, S8
#[tokio::test]
async fn the_memo_is_the_leaf_hash_of_the_event_that_is_recorded() {
    let (mut stage, scene) = payable();
    stage.sign(41);
    stage.work(
        recorded(&scene, Ok(()))
            .into_iter()
            .chain([Step::Commit(Ok(()))]),
    );
    prepare(&mut stage, "treasurer").await.unwrap();
    let seen = stage.seen.lock().unwrap();
    let event = seen.changes[0].event();
    let leaf = EventRecord::from(event).leaf_hash(event.occurred_at);
    assert_eq!(event.action, Action::DisbursementPrepared);
    assert_eq!(seen.orders[0].memo, leaf.unwrap());
    assert_eq!(
        written(seen.changes[0].disbursement()).burn.memo,
        seen.orders[0].memo
    );
    assert_eq!(seen.orders[0].amount, stroops(PAID));
    assert_eq!(seen.orders[0].wallet_account_id, "GWALLET");
}

// M8, M11, M13
#[tokio::test]
async fn a_burn_whose_evidence_is_refused_is_neither_committed_nor_sent() {
    let (mut stage, scene) = payable();
    stage.sign(41);
    stage.work(recorded(&scene, down()));
    assert!(is_down(&prepare(&mut stage, "treasurer").await));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "disbursement.prepared");
    assert!(incidents[0].critical);
    assert_eq!(
        incidents[0].error,
        "the store is unavailable: the disk is full"
    );
    let context = serde_json::json!({ "milestone_id": MILESTONE.0, "actor": "treasurer",
        "request_id": "request-7" });
    assert_eq!(incidents[0].context, context);
}

// M8, M11, M13
#[tokio::test]
async fn a_burn_whose_commit_fails_is_not_sent() {
    let (mut stage, scene) = payable();
    stage.sign(41);
    stage.work(
        recorded(&scene, Ok(()))
            .into_iter()
            .chain([Step::Commit(down())]),
    );
    assert!(is_down(&prepare(&mut stage, "treasurer").await));
    assert!(stage.incidents()[0].critical);
}

// M8, M11
#[tokio::test]
async fn a_burn_whose_commit_may_have_happened_is_not_signed_again() {
    let (mut stage, scene) = payable();
    stage.sign(41);
    let lost = StoreError::OutcomeUnknown("the connection broke".into());
    let end = [Step::Commit(Err(lost))];
    stage.work(recorded(&scene, Ok(())).into_iter().chain(end));
    let outcome = prepare(&mut stage, "treasurer").await;
    assert!(matches!(
        outcome,
        Err(DisburseError::Store(StoreError::OutcomeUnknown(_)))
    ));
    assert!(stage.incidents()[0].critical);
}

// M8, M11
#[tokio::test]
async fn a_unit_of_work_that_cannot_begin_stops_the_burn() {
    let (mut stage, _) = payable();
    stage.sign(41);
    stage.begin_refused(refused());
    assert!(is_down(&prepare(&mut stage, "treasurer").await));
    assert!(stage.incidents()[0].critical);
}

// M11
#[tokio::test]
async fn a_milestone_that_cannot_be_read_stops_the_burn_and_is_reported() {
    let mut stage = Stage::new();
    stage.queries.expect_milestone().return_once(|_| down());
    assert!(is_down(&prepare(&mut stage, "treasurer").await));
    assert!(stage.incidents()[0].critical);
}

// M8
#[tokio::test]
async fn a_ledger_that_would_refuse_stops_the_burn_before_anything_is_locked() {
    let (mut stage, _) = payable();
    stage.burner.expect_prepare().times(1).return_once(|_| {
        Err(LedgerError::Refused {
            code: "underfunded",
            detail: "no tokens".to_owned(),
        })
    });
    let outcome = prepare(&mut stage, "treasurer").await;
    assert!(matches!(
        outcome,
        Err(DisburseError::Ledger(LedgerError::Refused {
            code: "underfunded",
            ..
        }))
    ));
    assert_eq!(stage.incidents(), []);
}

// M8, M12
#[tokio::test]
async fn what_the_rules_forbid_is_refused_without_asking_the_ledger() {
    let (mut stage, _) = payable();
    let outcome = prepare(&mut stage, "checker").await;
    assert_eq!(refusal(outcome), Refusal::ApproverMayNotDisburse);
    for status in [
        MilestoneStatus::Submitted,
        MilestoneStatus::Disbursing,
        MilestoneStatus::Disbursed,
    ] {
        let mut stage = Stage::new();
        stage.committed(&Scene::at(status));
        refusal(prepare(&mut stage, "treasurer").await);
    }
}

// M8
#[tokio::test]
async fn an_amount_that_the_rules_forbid_is_refused_without_asking_the_ledger() {
    for (amount, code) in [
        (Amount::ZERO, "disbursement.amount_not_positive"),
        (
            stroops(PAID + 1),
            "disbursement.amount_differs_from_transfer",
        ),
    ] {
        let (mut stage, _) = payable();
        let disbursements = stage.disbursements();
        let outcome = disbursements
            .prepare(MILESTONE, Some(amount), &call("treasurer"))
            .await;
        assert_eq!(refusal(outcome).code(), code);
    }
}

// M8
#[tokio::test]
async fn the_rules_are_checked_again_on_what_is_locked() {
    let (mut stage, scene) = payable();
    let mut poorer = scene.project.clone();
    poorer.nav_reserved = stroops(501);
    stage.sign(41);
    stage.work([
        Step::Project(Some(poorer)),
        Step::Milestone(Some(scene.milestone)),
    ]);
    let available = stroops(499);
    assert_eq!(
        refusal(prepare(&mut stage, "treasurer").await),
        Refusal::AmountAboveNav { available }
    );
}

// M8
#[tokio::test(start_paused = true)]
async fn a_plan_that_went_stale_is_made_again() {
    let (mut stage, scene) = payable();
    let mut changed = scene.milestone.clone();
    changed.version += 1;
    stage.sign(41);
    stage.work([
        Step::Project(Some(scene.project.clone())),
        Step::Milestone(Some(changed)),
    ]);
    stage.sign(41);
    stage.work(recorded(&scene, conflict(Conflict::Stale)));
    stage.sign(41);
    stage.work(recorded(&scene, conflict(Conflict::Retry)));
    stage.sign(41);
    stage.work(
        recorded(&scene, Ok(()))
            .into_iter()
            .chain([Step::Commit(Ok(()))]),
    );
    prepare(&mut stage, "treasurer").await.unwrap();
    let seen = stage.seen.lock().unwrap();
    let mut memos: Vec<_> = seen.orders.iter().map(|order| order.memo).collect();
    memos.sort_unstable();
    memos.dedup();
    assert_eq!(memos.len(), 4, "every plan has an event of its own");
    assert_eq!(seen.incidents, []);
}
