//! The order of things: claim, then project, then milestone, then the record, then the binding of
//! the key, then the commit. The script is strict: another order fails these tests.

use tranche_application::Outcome;
use tranche_application::idempotency::Claim;
use tranche_application::milestones::{CreateMilestone, MilestoneError};
use tranche_domain::milestone::MilestoneEdit;
use tranche_domain::{Milestone, MilestoneStatus, Write};

use super::scene::{
    MILESTONE, PAID, PROJECT, Scene, call, keyed, reason, stroops, title, transfer, written,
};
use super::script::Step;
use super::stage::Stage;

fn done(outcome: Result<Outcome<Milestone>, MilestoneError>) -> Milestone {
    match outcome.unwrap() {
        Outcome::Done(milestone) => milestone,
        Outcome::AlreadyApplied(_) => panic!("it was not done before"),
    }
}

// M1
#[tokio::test]
async fn creating_locks_the_project_and_binds_the_key_to_the_milestone() {
    let scene = Scene::at(MilestoneStatus::Draft);
    let mut stage = Stage::new();
    stage.work([
        Step::Claim(Ok(Claim::New)),
        Step::Project(Some(scene.project)),
        Step::Record(Ok(())),
        Step::Bind,
        Step::Commit(Ok(())),
    ]);
    let new = CreateMilestone {
        number: 2,
        title: title("Pumps"),
        description: None,
        target_amount: stroops(PAID),
    };
    let milestones = stage.milestones();
    let made = done(milestones.create(PROJECT, new, &keyed("maker")).await);
    assert_eq!(made.number, 2);
    assert!(stage.rung().await);
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.bound, [made.id.0]);
    let project = written(seen.changes[0].project());
    assert_eq!(project.total_milestones, 2, "counted with it");
    assert_eq!(written(seen.changes[0].milestone()), made);
}

// M3
#[tokio::test]
async fn deleting_locks_the_project_before_the_milestone() {
    let scene = Scene::at(MilestoneStatus::Draft);
    let mut stage = Stage::new();
    stage.committed(&scene);
    stage.work([
        Step::Claim(Ok(Claim::New)),
        Step::Project(Some(scene.project)),
        Step::Milestone(Some(scene.milestone)),
        Step::Record(Ok(())),
        Step::Bind,
        Step::Commit(Ok(())),
    ]);
    let milestones = stage.milestones();
    done(milestones.delete(MILESTONE, &keyed("maker")).await);
    let seen = stage.seen.lock().unwrap();
    assert!(matches!(
        seen.changes[0].milestone(),
        Some(Write::Delete(_))
    ));
    assert_eq!(written(seen.changes[0].project()).total_milestones, 0);
}

// M2, M4, M5, M6, M7
#[tokio::test]
async fn every_command_on_one_milestone_claims_locks_records_binds_and_commits() {
    use MilestoneStatus::{Approved, Draft, Rejected, Submitted};
    for (name, from, to) in [
        ("edit", Draft, Draft),
        ("submit", Draft, Submitted),
        ("reject", Submitted, Rejected),
        ("revise", Rejected, Draft),
        ("approve", Submitted, Approved),
        ("transfer", Approved, Approved),
    ] {
        let scene = Scene::at(from);
        let before = scene.milestone.version;
        let mut stage = Stage::new();
        stage.work([
            Step::Claim(Ok(Claim::New)),
            Step::Milestone(Some(scene.milestone)),
            Step::Record(Ok(())),
            Step::Bind,
            Step::Commit(Ok(())),
        ]);
        let milestones = stage.milestones();
        let call = keyed("checker");
        let outcome = match name {
            "edit" => {
                let edit = MilestoneEdit {
                    title: Some(title("Wells and pumps")),
                    ..MilestoneEdit::default()
                };
                milestones.edit(MILESTONE, edit, &call).await
            }
            "submit" => milestones.submit(MILESTONE, &call).await,
            "reject" => milestones.reject(MILESTONE, reason(), &call).await,
            "revise" => milestones.revise(MILESTONE, &call).await,
            "approve" => milestones.approve(MILESTONE, &call).await,
            _ => {
                milestones
                    .record_transfer(MILESTONE, transfer(), &call)
                    .await
            }
        };
        let milestone = done(outcome);
        assert_eq!(milestone.status(), to, "{name}");
        assert_eq!(milestone.version, before + 1, "{name}");
        assert!(stage.rung().await, "{name} rings the outbox's bell");
        let seen = stage.seen.lock().unwrap();
        assert_eq!(seen.bound, [MILESTONE.0], "{name}");
        assert_eq!(written(seen.changes[0].milestone()), milestone, "{name}");
    }
}

// M2
#[tokio::test]
async fn an_edit_that_changes_nothing_leaves_no_event_but_uses_the_key() {
    let scene = Scene::at(MilestoneStatus::Draft);
    let mut stage = Stage::new();
    stage.work([
        Step::Claim(Ok(Claim::New)),
        Step::Milestone(Some(scene.milestone.clone())),
        Step::Bind,
        Step::Commit(Ok(())),
    ]);
    let milestones = stage.milestones();
    let same = MilestoneEdit {
        title: Some(scene.milestone.title.clone()),
        ..MilestoneEdit::default()
    };
    let milestone = done(milestones.edit(MILESTONE, same, &keyed("maker")).await);
    assert_eq!(milestone, scene.milestone);
}

#[tokio::test]
async fn a_call_without_a_key_claims_and_binds_nothing() {
    let scene = Scene::at(MilestoneStatus::Draft);
    let mut stage = Stage::new();
    stage.work([
        Step::Milestone(Some(scene.milestone)),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let milestones = stage.milestones();
    done(milestones.submit(MILESTONE, &call("maker")).await);
}
