//! What becomes of a command when the store refuses: nothing is committed, the caller hears of it,
//! and so does the monitor.

use serde_json::json;
use tranche_application::Outcome;
use tranche_application::milestones::{CreateMilestone, MilestoneError};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::{MilestoneStatus, Severity};

use super::scene::{MILESTONE, PAID, PROJECT, Scene, call, stroops, title, transfer};
use super::script::Step;
use super::stage::{Stage, conflict, down, refused};

fn submitted() -> Step {
    Step::Milestone(Some(Scene::at(MilestoneStatus::Submitted).milestone))
}

fn is_down<T>(outcome: Result<T, MilestoneError>) -> bool {
    let Err(MilestoneError::Store(error)) = outcome else {
        return false;
    };
    matches!(error, StoreError::Unavailable(_))
}

// M6, M11, M13
#[tokio::test]
async fn an_approval_whose_evidence_is_refused_is_not_committed_and_reported() {
    let mut stage = Stage::new();
    stage.work([submitted(), Step::Record(down())]);
    let milestones = stage.milestones();
    assert!(is_down(
        milestones.approve(MILESTONE, &call("checker")).await
    ));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "milestone.approved");
    assert!(incidents[0].critical);
    assert_eq!(
        incidents[0].error,
        "the store is unavailable: the disk is full"
    );
    assert_eq!(
        incidents[0].context,
        json!({
            "project_id": null,
            "milestone_id": MILESTONE.0,
            "actor": "checker",
            "request_id": "request-7",
        })
    );
    assert!(!stage.rung().await);
}

// M7, M11, M13
#[tokio::test]
async fn a_transfer_whose_evidence_is_refused_is_not_committed_and_reported() {
    let mut stage = Stage::new();
    let scene = Scene::at(MilestoneStatus::Approved);
    stage.work([Step::Milestone(Some(scene.milestone)), Step::Record(down())]);
    let milestones = stage.milestones();
    let call = call("treasurer");
    let outcome = milestones
        .record_transfer(MILESTONE, transfer(), &call)
        .await;
    assert!(is_down(outcome));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "milestone.bank_transfer_recorded");
    assert!(incidents[0].critical);
    assert_eq!(incidents[0].context["milestone_id"], json!(MILESTONE.0));
    assert_eq!(incidents[0].context["actor"], "treasurer");
}

// M6, M11
#[tokio::test]
async fn a_commit_that_fails_is_an_error_and_reported() {
    let mut stage = Stage::new();
    stage.work([submitted(), Step::Record(Ok(())), Step::Commit(down())]);
    let milestones = stage.milestones();
    assert!(is_down(
        milestones.approve(MILESTONE, &call("checker")).await
    ));
    assert!(stage.incidents()[0].critical);
    assert!(!stage.rung().await);
}

// M6, M11
#[tokio::test]
async fn a_commit_whose_outcome_is_unknown_is_not_tried_again_and_reported() {
    let mut stage = Stage::new();
    let lost = StoreError::OutcomeUnknown("the connection broke".into());
    stage.work([submitted(), Step::Record(Ok(())), Step::Commit(Err(lost))]);
    let milestones = stage.milestones();
    let outcome = milestones.approve(MILESTONE, &call("checker")).await;
    assert!(matches!(
        outcome,
        Err(MilestoneError::Store(StoreError::OutcomeUnknown(_)))
    ));
    assert!(stage.incidents()[0].critical);
}

// M6, M11
#[tokio::test]
async fn a_unit_of_work_that_cannot_begin_is_an_error_and_reported() {
    let mut stage = Stage::new();
    stage.begin_refused(refused());
    let milestones = stage.milestones();
    assert!(is_down(
        milestones.approve(MILESTONE, &call("checker")).await
    ));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0].critical);
}

// M11
#[tokio::test]
async fn failures_that_are_not_critical_are_reported_as_such() {
    let mut stage = Stage::new();
    let scene = Scene::at(MilestoneStatus::Draft);
    stage.work([Step::Milestone(Some(scene.milestone)), Step::Record(down())]);
    stage.work([Step::Project(Some(scene.project)), Step::Record(down())]);
    let milestones = stage.milestones();
    assert!(is_down(milestones.submit(MILESTONE, &call("maker")).await));
    let new = CreateMilestone {
        number: 2,
        title: title("Pumps"),
        description: None,
        target_amount: stroops(PAID),
    };
    let outcome = milestones.create(PROJECT, new, &call("maker")).await;
    assert!(is_down(outcome));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 2);
    assert_eq!(incidents[0].operation, "milestone.submitted");
    assert!(!incidents[0].critical);
    assert_eq!(incidents[1].operation, "milestone.created");
    assert!(!incidents[1].critical);
    assert_eq!(incidents[1].context["project_id"], json!(PROJECT.0));
}

#[tokio::test]
async fn a_database_that_asks_to_try_again_is_tried_five_times() {
    let mut stage = Stage::new();
    let retry = || conflict(Conflict::Retry);
    stage.begin_refused(StoreError::Conflict(Conflict::Retry));
    stage.work([submitted(), Step::Record(retry())]);
    stage.work([submitted(), Step::Record(Ok(())), Step::Commit(retry())]);
    stage.work([submitted(), Step::Record(retry())]);
    stage.work([submitted(), Step::Record(Ok(())), Step::Commit(Ok(()))]);
    let milestones = stage.milestones();
    let outcome = milestones.approve(MILESTONE, &call("checker")).await;
    let Outcome::Done(milestone) = outcome.unwrap() else {
        panic!("it was not done before");
    };
    assert_eq!(milestone.status(), MilestoneStatus::Approved);
    assert!(stage.rung().await);
    assert_eq!(stage.incidents(), []);
    let seen = stage.seen.lock().unwrap();
    let mut events: Vec<_> = seen.changes.iter().map(|made| made.event().id).collect();
    events.dedup();
    assert_eq!(events.len(), 4, "every try has an event of its own");
}

#[tokio::test]
async fn a_database_that_asks_for_ever_is_a_conflict() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.work([submitted(), Step::Record(conflict(Conflict::Retry))]);
    }
    let milestones = stage.milestones();
    let outcome = milestones.approve(MILESTONE, &call("checker")).await;
    assert!(matches!(
        outcome,
        Err(MilestoneError::Store(StoreError::Conflict(Conflict::Retry)))
    ));
    assert_eq!(stage.incidents(), [], "a conflict is nobody's failure");
}

#[tokio::test]
async fn other_conflicts_are_handed_on_at_once() {
    for what in [Conflict::Stale, Conflict::TransferReference] {
        let mut stage = Stage::new();
        stage.work([submitted(), Step::Record(conflict(what))]);
        let milestones = stage.milestones();
        let outcome = milestones.approve(MILESTONE, &call("checker")).await;
        let Err(MilestoneError::Store(StoreError::Conflict(told))) = outcome else {
            panic!("a conflict is an error");
        };
        assert_eq!(told, what);
        assert_eq!(stage.incidents(), []);
    }
}

// M6, M12
#[tokio::test]
async fn what_the_rules_forbid_writes_nothing_and_is_no_incident() {
    let mut stage = Stage::new();
    stage.work([submitted()]);
    let milestones = stage.milestones();
    let outcome = milestones.approve(MILESTONE, &call("maker")).await;
    assert!(matches!(outcome, Err(MilestoneError::Refused(_))));
    assert_eq!(stage.incidents(), []);
}

// M7
#[tokio::test]
async fn a_transfer_of_the_day_after_tomorrow_is_refused_before_anything_is_locked() {
    let mut stage = Stage::new();
    let milestones = stage.milestones();
    let mut late = transfer();
    late.date = super::scene::time(0).date_naive() + chrono::Days::new(2);
    let outcome = milestones
        .record_transfer(MILESTONE, late, &call("treasurer"))
        .await;
    assert!(matches!(outcome, Err(MilestoneError::TransferInFuture)));
}

// M6
#[tokio::test]
async fn the_event_says_who_approved_from_where() {
    let mut stage = Stage::new();
    stage.work([submitted(), Step::Record(Ok(())), Step::Commit(Ok(()))]);
    let milestones = stage.milestones();
    let by = call("checker");
    milestones.approve(MILESTONE, &by).await.unwrap();
    let seen = stage.seen.lock().unwrap();
    let event = seen.changes[0].event();
    assert_eq!(event.actor, by.caller.actor);
    assert_eq!(event.origin, by.caller.origin);
    assert_eq!(event.occurred_at, super::scene::time(0));
    assert_eq!(event.action.severity(), Severity::Critical);
}
