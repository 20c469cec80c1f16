//! Reading within a scope: what is outside it does not exist, and is not even asked for where the
//! project is known.

use std::sync::Arc;

use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::mocks::MockQueries;
use tranche_application::ports::queries::{DisbursementFilter, MilestoneStats, Page, Timeline};
use tranche_application::reading::Reading;
use tranche_application::{Call, Caller};
use tranche_domain::{MilestoneStatus, ProjectId};

use super::scene::{DISBURSEMENT, ELSEWHERE, MILESTONE, PROJECT, Scene, caller, scoped};

const PAGE: Page = Page {
    after: None,
    limit: 10,
};

const BY_NUMBER: Page<i32> = Page {
    after: Some(3),
    limit: 10,
};

fn within(project: ProjectId) -> Caller {
    let Call { caller, .. } = scoped("reader", project);
    caller
}

/// Whoever may see the project: all, or it alone.
fn insiders() -> [Caller; 2] {
    [caller("reader"), within(PROJECT)]
}

fn reading(set: impl FnOnce(&mut MockQueries)) -> Reading {
    let mut queries = MockQueries::new();
    set(&mut queries);
    Reading::new(Arc::new(queries))
}

fn project(queries: &mut MockQueries) {
    let project = Scene::at(MilestoneStatus::Disbursing).project;
    queries
        .expect_project()
        .returning(move |_| Ok(Some(project.clone())));
}

fn logged(project: Option<ProjectId>) -> LoggedEvent {
    let scene = Scene::at(MilestoneStatus::Draft);
    let change = scene.milestone.submit(&tranche_domain::Occasion {
        by: caller("maker").actor,
        origin: caller("maker").origin,
        at: super::scene::time(0),
        event_id: tranche_domain::EventId(MILESTONE.0),
        salt: [0; 16],
    });
    let mut event = EventRecord::from(change.unwrap().event());
    event.project_id = project.map(|id| id.0);
    LoggedEvent {
        event,
        recorded_at: None,
        leaf_index: None,
    }
}

#[tokio::test]
async fn a_project_is_read_by_who_may_see_it_and_not_asked_for_by_others() {
    let reading = reading(project);
    for insider in insiders() {
        let found = reading.project(PROJECT, &insider).await.unwrap();
        assert_eq!(found.unwrap().id, PROJECT);
    }
    let outside = self::reading(|_| {});
    let caller = within(ELSEWHERE);
    assert_eq!(outside.project(PROJECT, &caller).await.unwrap(), None);
    let milestones = outside.milestones(PROJECT, BY_NUMBER, &caller).await;
    assert_eq!(milestones.unwrap(), None);
    let stats = outside.milestone_stats(PROJECT, &caller).await;
    assert_eq!(stats.unwrap(), None);
    let of = Timeline::Project(PROJECT);
    assert_eq!(outside.timeline(of, PAGE, &caller).await.unwrap(), None);
}

#[tokio::test]
async fn the_list_of_projects_is_asked_for_within_the_scope() {
    for (caller, only) in [
        (caller("reader"), None),
        (within(ELSEWHERE), Some(ELSEWHERE)),
    ] {
        let reading = reading(|queries| {
            queries
                .expect_projects()
                .times(1)
                .withf(move |asked, page| *asked == only && *page == PAGE)
                .return_once(|_, _| Ok(Vec::new()));
        });
        reading.projects(PAGE, &caller).await.unwrap();
    }
}

#[tokio::test]
async fn a_milestone_and_a_disbursement_of_another_project_do_not_exist() {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let (milestone, disbursement) = (scene.milestone.clone(), scene.disbursement());
    let reading = reading(move |queries| {
        queries
            .expect_milestone()
            .returning(move |_| Ok(Some(milestone.clone())));
        queries
            .expect_disbursement()
            .returning(move |_| Ok(Some(disbursement.clone())));
    });
    for insider in insiders() {
        let milestone = reading.milestone(MILESTONE, &insider).await.unwrap();
        assert_eq!(milestone.unwrap(), scene.milestone);
        let disbursement = reading.disbursement(DISBURSEMENT, &insider).await;
        assert_eq!(disbursement.unwrap().unwrap(), scene.disbursement());
    }
    let outsider = within(ELSEWHERE);
    assert_eq!(reading.milestone(MILESTONE, &outsider).await.unwrap(), None);
    let disbursement = reading.disbursement(DISBURSEMENT, &outsider).await;
    assert_eq!(disbursement.unwrap(), None);
}

#[tokio::test]
async fn milestones_and_figures_of_a_project_that_is_not_there_are_none() {
    let reading = reading(|queries| {
        queries.expect_project().returning(|_| Ok(None));
    });
    let caller = caller("reader");
    let milestones = reading.milestones(PROJECT, BY_NUMBER, &caller).await;
    assert_eq!(milestones.unwrap(), None);
    let stats = reading.milestone_stats(PROJECT, &caller).await;
    assert_eq!(stats.unwrap(), None);
    let of = Timeline::Project(PROJECT);
    assert_eq!(reading.timeline(of, PAGE, &caller).await.unwrap(), None);
}

#[tokio::test]
async fn milestones_and_figures_are_read_by_who_may_see_the_project() {
    let reading = reading(|queries| {
        project(queries);
        let milestone = Scene::at(MilestoneStatus::Draft).milestone;
        queries
            .expect_milestones()
            .withf(|_, page| *page == BY_NUMBER)
            .returning(move |_, _| Ok(vec![milestone.clone()]));
        queries.expect_milestone_stats().returning(|_| {
            Ok(MilestoneStats {
                mean_submit_to_approve_ms: Some(7),
                ..MilestoneStats::default()
            })
        });
    });
    for insider in insiders() {
        let milestones = reading.milestones(PROJECT, BY_NUMBER, &insider).await;
        assert_eq!(milestones.unwrap().unwrap().len(), 1);
        let stats = reading.milestone_stats(PROJECT, &insider).await;
        assert_eq!(stats.unwrap().unwrap().mean_submit_to_approve_ms, Some(7));
    }
}

#[tokio::test]
async fn disbursements_are_listed_within_the_scope() {
    for (caller, wanted, asked) in [
        (caller("reader"), None, Some(None)),
        (caller("reader"), Some(PROJECT), Some(Some(PROJECT))),
        (within(PROJECT), None, Some(Some(PROJECT))),
        (within(PROJECT), Some(PROJECT), Some(Some(PROJECT))),
        (within(ELSEWHERE), Some(PROJECT), None),
    ] {
        let reading = reading(move |queries| {
            if let Some(project_id) = asked {
                let state = Some("settled".to_owned());
                let filter = DisbursementFilter { state, project_id };
                queries
                    .expect_disbursements()
                    .times(1)
                    .withf(move |asked, _| *asked == filter)
                    .return_once(|_, _| Ok(Vec::new()));
            }
        });
        let filter = DisbursementFilter {
            state: Some("settled".to_owned()),
            project_id: wanted,
        };
        let listed = reading.disbursements(filter, PAGE, &caller).await;
        assert_eq!(listed.unwrap(), []);
    }
}

#[tokio::test]
async fn the_timeline_of_a_milestone_is_its_projects_even_after_it_was_deleted() {
    let reading = reading(|queries| {
        let events = vec![logged(Some(PROJECT))];
        queries
            .expect_timeline()
            .returning(move |_, _, _| Ok(events.clone()));
    });
    let of = Timeline::Milestone(MILESTONE);
    for insider in insiders() {
        let events = reading.timeline(of, PAGE, &insider).await.unwrap();
        assert_eq!(events.unwrap(), [logged(Some(PROJECT))]);
    }
    let outsider = within(ELSEWHERE);
    assert_eq!(reading.timeline(of, PAGE, &outsider).await.unwrap(), None);
}

#[tokio::test]
async fn an_empty_timeline_is_that_of_a_milestone_that_is_there() {
    for there in [true, false] {
        let reading = reading(move |queries| {
            queries
                .expect_timeline()
                .returning(|_, _, _| Ok(Vec::new()));
            let milestone = there.then(|| Scene::at(MilestoneStatus::Draft).milestone);
            queries
                .expect_milestone()
                .returning(move |_| Ok(milestone.clone()));
        });
        let of = Timeline::Milestone(MILESTONE);
        let events = reading.timeline(of, PAGE, &caller("reader")).await.unwrap();
        assert_eq!(events, there.then(Vec::new));
        let events = reading.timeline(of, PAGE, &within(ELSEWHERE)).await;
        assert_eq!(events.unwrap(), None);
    }
}
