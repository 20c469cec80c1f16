//! What a caller may not see does not exist for them, and no answer hints at it.

use tranche_application::Call;
use tranche_application::disbursement::DisburseError;
use tranche_application::milestones::{CreateMilestone, MilestoneError};
use tranche_domain::MilestoneStatus;

use super::scene::{ELSEWHERE, MILESTONE, PAID, PROJECT, Scene, scoped, stroops, title};
use super::script::Step;
use super::stage::Stage;

fn stranger() -> Call {
    scoped("checker", ELSEWHERE)
}

#[tokio::test]
async fn a_milestone_of_another_project_is_not_found_whatever_version_was_guessed() {
    let scene = Scene::at(MilestoneStatus::Submitted);
    for guess in [None, Some(scene.milestone.version), Some(99)] {
        let mut stage = Stage::new();
        stage.work([Step::Milestone(Some(scene.milestone.clone()))]);
        let milestones = stage.milestones();
        let call = Call {
            expected_version: guess,
            ..stranger()
        };
        let outcome = milestones.approve(MILESTONE, &call).await;
        assert!(matches!(outcome, Err(MilestoneError::NotFound)));
    }
}

#[tokio::test]
async fn a_milestone_that_is_not_there_is_not_found() {
    let mut stage = Stage::new();
    stage.work([Step::Milestone(None)]);
    let milestones = stage.milestones();
    let outcome = milestones.approve(MILESTONE, &stranger()).await;
    assert!(matches!(outcome, Err(MilestoneError::NotFound)));
}

#[tokio::test]
async fn a_milestone_of_ones_own_project_is_found() {
    let scene = Scene::at(MilestoneStatus::Submitted);
    let mut stage = Stage::new();
    stage.work([
        Step::Milestone(Some(scene.milestone)),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let milestones = stage.milestones();
    let call = scoped("checker", PROJECT);
    milestones.approve(MILESTONE, &call).await.unwrap();
}

#[tokio::test]
async fn nothing_is_created_in_another_project() {
    let scene = Scene::at(MilestoneStatus::Draft);
    let mut stage = Stage::new();
    stage.work([Step::Project(Some(scene.project))]);
    let milestones = stage.milestones();
    let new = CreateMilestone {
        number: 2,
        title: title("Pumps"),
        description: None,
        target_amount: stroops(PAID),
    };
    let outcome = milestones.create(PROJECT, new, &stranger()).await;
    assert!(matches!(outcome, Err(MilestoneError::ProjectNotFound)));
}

#[tokio::test]
async fn nothing_of_another_project_is_deleted() {
    let scene = Scene::at(MilestoneStatus::Draft);
    let mut stage = Stage::new();
    stage.committed(&scene);
    stage.work([
        Step::Project(Some(scene.project)),
        Step::Milestone(Some(scene.milestone)),
    ]);
    let milestones = stage.milestones();
    let outcome = milestones.delete(MILESTONE, &stranger()).await;
    assert!(matches!(outcome, Err(MilestoneError::NotFound)));
}

// M8
#[tokio::test]
async fn nothing_of_another_project_is_disbursed() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let mut stage = Stage::new();
    stage.committed(&scene);
    let disbursements = stage.disbursements();
    let call = Call {
        expected_version: Some(99),
        ..stranger()
    };
    let outcome = disbursements.prepare(MILESTONE, None, &call).await;
    assert!(matches!(outcome, Err(DisburseError::NotFound)));
}
