//! What happens to a command when the store refuses: nothing is committed, the caller hears of it,
//! and so does the monitor.

use serde_json::json;
use tranche_application::Outcome;
use tranche_application::milestones::MilestoneError;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::MilestoneStatus;

use super::scene::{MILESTONE, PROJECT, Scene, call, reason, transfer};
use super::script::Step;
use super::stage::{Stage, conflict, down, refused};

// M6, M11, M13
#[tokio::test]
async fn approval_without_its_evidence_is_not_committed_and_reported_as_critical() {
    let scene = Scene::at(MilestoneStatus::Submitted);
    let mut stage = Stage::new();
    stage.work([
        Step::Milestone(Some(scene.milestone.clone())),
        Step::Record(down()),
    ]);
    let outcome = stage
        .milestones()
        .approve(MILESTONE, &call("checker"))
        .await;
    assert!(matches!(
        outcome,
        Err(MilestoneError::Store(StoreError::Unavailable(_)))
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
}
