//! A project's books at their edges.

use tranche_domain::project::{BooksError, HadMilestones};
use tranche_domain::{Action, Amount, BurnPolicy, Fact, Milestone, MilestoneStatus, Policy, Write};

use crate::scene::{
    MAKER, Scene, TREASURER, act, burn, failure, plan_of, project, stroops, written,
};

#[test]
fn a_project_opens_with_clean_books_and_strict_rules() {
    let project = project(1_000, 100, Policy::default());
    assert_eq!(
        (project.nav, project.nav_reserved),
        (stroops(1_000), Amount::ZERO)
    );
    assert_eq!(
        (project.total_milestones, project.completed_milestones),
        (0, 0)
    );
    assert_eq!(project.last_milestone_date, None);
    assert_eq!(project.version, 1);
    assert_eq!(project.policy.burn, BurnPolicy::ExactTransfer);
    assert_eq!(project.nav_available(), stroops(1_000));
    assert_eq!(project.lp_token_price().unwrap().to_string(), "10.0000000");
}

#[test]
fn without_lp_tokens_there_is_no_price() {
    assert_eq!(project(1_000, 0, Policy::default()).lp_token_price(), None);
}

#[test]
fn a_counter_at_its_end_refuses_another_milestone() {
    let mut full = project(1_000, 100, Policy::default());
    full.total_milestones = i64::MAX;
    let refused = Milestone::draft(plan_of(1), full, &act(MAKER, 1));
    assert_eq!(refused.unwrap_err(), BooksError::CounterOutOfRange);
}

#[test]
fn a_burn_in_flight_reserves_and_a_failed_one_releases() {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    assert_eq!(scene.project.nav, stroops(1_000));
    assert_eq!(scene.project.nav_reserved, stroops(500));
    assert_eq!(scene.project.nav_available(), stroops(500));
    let open = scene.disbursement.clone().unwrap();
    let change = open
        .fail(
            scene.milestone,
            scene.project,
            failure(),
            &act(TREASURER, 9),
        )
        .unwrap();
    let project = written(change.project());
    assert_eq!(
        (project.nav, project.nav_reserved),
        (stroops(1_000), Amount::ZERO)
    );
    assert_eq!(project.completed_milestones, 0);
    assert_eq!(project.last_milestone_date, None);
}

#[test]
fn books_that_contradict_themselves_are_refused_and_not_repaired() {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let open = scene.disbursement.clone().unwrap();

    let mut unreserved = scene.project.clone();
    unreserved.nav_reserved = stroops(499);
    let (milestone, act) = (scene.milestone.clone(), act(TREASURER, 9));
    let settled = open.clone().settle(
        milestone.clone(),
        unreserved.clone(),
        burn(41).id,
        110,
        &act,
    );
    assert!(settled.is_err());
    assert!(
        open.clone()
            .fail(milestone.clone(), unreserved, failure(), &act)
            .is_err()
    );

    let mut drained = scene.project.clone();
    drained.nav = stroops(499);
    assert!(
        open.clone()
            .settle(milestone.clone(), drained, burn(41).id, 110, &act)
            .is_err()
    );

    let mut counted = scene.project;
    counted.completed_milestones = counted.total_milestones;
    assert!(
        open.settle(milestone, counted, burn(41).id, 110, &act)
            .is_err()
    );

    let draft = Scene::at(MilestoneStatus::Draft);
    let mut counted = draft.project.clone();
    counted.completed_milestones = counted.total_milestones;
    let error = draft.milestone.delete(counted, &act).unwrap_err();
    assert_eq!(error.why.code(), "project.books_inconsistent");
}

#[test]
fn a_project_goes_only_while_no_milestone_ever_was() {
    let opened = project(1_000, 100, Policy::default());
    let deleted = opened.clone().delete(&act("admin", 5)).unwrap();
    let event = deleted.event();
    assert_eq!(event.action, Action::ProjectDeleted);
    assert_eq!(event.project_id, Some(opened.id));
    let told = |name: &str| event.metadata.get(name).cloned();
    assert_eq!(told("wallet_account_id"), Some(Fact::from("GWALLET")));
    let Some(Write::Delete(gone)) = deleted.project() else {
        panic!("it goes: {deleted:?}");
    };
    assert_eq!(gone.version, 2);

    let drafted = Milestone::draft(plan_of(1), opened, &act(MAKER, 1)).unwrap();
    let (project, milestone) = (written(drafted.project()), written(drafted.milestone()));
    let refused = project.clone().delete(&act("admin", 5));
    assert_eq!(refused.unwrap_err(), HadMilestones);
    // Nor when it is deleted again: its evidence stays.
    let undone = milestone.delete(project, &act(MAKER, 2)).unwrap();
    let empty = written(undone.project());
    assert_eq!(empty.total_milestones, 0);
    let refused = empty.delete(&act("admin", 5));
    assert_eq!(refused.unwrap_err(), HadMilestones);
}
