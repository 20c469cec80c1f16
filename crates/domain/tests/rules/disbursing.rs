//! From an approved milestone to a burn in flight, and out again exactly once.

use tranche_domain::disbursement::{DisbursementState, PlanError, VerdictError};
use tranche_domain::{
    Amount, BurnPolicy, Disbursement, DisbursementPlan, Fact, MilestoneState, MilestoneStatus,
    Policy, Project, ProjectId,
};

use crate::scene::{
    CHECKER, MAKER, Scene, TREASURER, act, burn, disbursement_id, failure, plan_of, stroops,
    transfer, written,
};

fn plan(
    scene: &Scene,
    amount: Option<Amount>,
) -> Result<DisbursementPlan, tranche_domain::milestone::TransitionError> {
    scene.milestone.plan_disbursement(
        &scene.project,
        disbursement_id(1),
        amount,
        None,
        act(TREASURER, 5),
    )
}

fn code(scene: &Scene, amount: Option<Amount>) -> Option<&'static str> {
    plan(scene, amount).err().map(|error| error.why.code())
}

fn any_amount() -> Policy {
    Policy {
        burn: BurnPolicy::AnyAmount,
        ..Policy::default()
    }
}

// M8
#[test]
fn every_rule_of_a_disbursement_refuses_by_its_own_code() {
    let exact = Scene::at(MilestoneStatus::Approved);
    let free = Scene::draft(any_amount()).forward(MilestoneStatus::Approved);
    assert_eq!(code(&exact, None), None);
    assert_eq!(code(&exact, Some(stroops(500))), None);

    for amount in [stroops(499), stroops(501)] {
        let refused = code(&exact, Some(amount));
        assert_eq!(refused, Some("disbursement.amount_differs_from_transfer"));
        assert_eq!(code(&free, Some(amount)), None);
    }
    for scene in [&exact, &free] {
        let refused = code(scene, Some(Amount::ZERO));
        assert_eq!(refused, Some("disbursement.amount_not_positive"));
    }
    assert_eq!(code(&free, Some(stroops(1_000))), None);
    let refused = code(&free, Some(stroops(1_001)));
    assert_eq!(refused, Some("disbursement.amount_above_nav"));

    let mut reserved = exact.clone();
    reserved.project.nav_reserved = stroops(501);
    assert_eq!(code(&reserved, None), Some("disbursement.amount_above_nav"));
    reserved.project.nav_reserved = stroops(500);
    assert_eq!(code(&reserved, None), None);

    let mut nobody = exact.clone();
    nobody.project.lp_tokens_outstanding = Amount::ZERO;
    assert_eq!(code(&nobody, None), Some("project.no_lp_tokens"));

    let submitted = Scene::at(MilestoneStatus::Submitted);
    let unpaid = submitted
        .clone()
        .after(&submitted.milestone.approve(&act(CHECKER, 3)).unwrap());
    assert_eq!(code(&unpaid, None), Some("milestone.no_bank_transfer"));
}

#[test]
fn a_plan_orders_what_its_event_says() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let plan = plan(&scene, None).unwrap();
    let order = plan.order([9; 32]);
    assert_eq!(order.amount, stroops(500));
    assert_eq!(order.wallet_account_id, "GWALLET");
    assert_eq!(order.memo, [9; 32]);
    let said = &plan.event().metadata;
    assert_eq!(said["amount"], Fact::text(order.amount));
    assert_eq!(
        said["wallet_account_id"],
        Fact::text(&order.wallet_account_id)
    );
    assert_eq!(
        said["sequence_account_id"],
        Fact::text(&order.sequence_account_id)
    );
    let (event, id) = (plan.event().clone(), plan.id());
    let change = plan
        .prepare(scene.milestone.clone(), scene.project.clone(), burn(41))
        .unwrap();
    assert_eq!(
        *change.event(),
        event,
        "the memo is this event's hash: it must not change"
    );
    assert_eq!(
        (event.milestone_id, id),
        (Some(scene.milestone.id), disbursement_id(1))
    );
    let disbursement = written(change.disbursement());
    assert_eq!(disbursement.amount, order.amount);
    assert_eq!(disbursement.milestone_id, scene.milestone.id);
    assert_eq!(disbursement.project_id, scene.project.id);
    assert_eq!(disbursement.state, DisbursementState::Prepared);
    assert_eq!((disbursement.attempts, disbursement.version), (0, 1));
    assert_eq!(disbursement.ordered_by, act(TREASURER, 5).by);
    assert_eq!(disbursement.burn, burn(41));
}

#[test]
fn a_plan_names_the_channel_that_lends_its_sequence_number() {
    let scene = Scene::at(MilestoneStatus::Approved);
    for (channel, expected) in [(None, "GWALLET"), (Some("GCHANNEL"), "GCHANNEL")] {
        let channel = channel.map(ToOwned::to_owned);
        let id = disbursement_id(1);
        let plan = scene
            .milestone
            .plan_disbursement(&scene.project, id, None, channel, act(TREASURER, 5))
            .unwrap();
        let order = plan.order([9; 32]);
        assert_eq!(order.sequence_account_id, expected);
        assert_eq!(order.wallet_account_id, "GWALLET", "whose tokens burn");
        let change = plan
            .prepare(scene.milestone.clone(), scene.project.clone(), burn(41))
            .unwrap();
        let said = &change.event().metadata;
        assert_eq!(said["sequence_account_id"], Fact::from(expected));
        assert_eq!(said["wallet_account_id"], Fact::from("GWALLET"));
        assert_eq!(written(change.disbursement()).wallet_account_id, "GWALLET");
    }
}

#[test]
fn a_plan_is_stale_once_its_milestone_changed() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let made = plan(&scene, None).unwrap();
    let again = scene.milestone.clone();
    // The same amount, so that only the version tells.
    let change = again
        .record_transfer(transfer(500), &act(TREASURER, 6))
        .unwrap();
    let now = scene.after(&change);
    let refused = made.prepare(now.milestone, now.project, burn(41));
    assert_eq!(refused.unwrap_err(), PlanError::Stale);
}

#[test]
fn a_plan_is_stale_once_its_milestone_failed_and_came_back() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let made = plan(&scene, None).unwrap();
    let flying = scene.disbursing(2);
    let open = flying.disbursement.clone().unwrap();
    let (milestone, project) = (flying.milestone.clone(), flying.project.clone());
    let change = open
        .fail(milestone, project, failure(), &act(TREASURER, 7))
        .unwrap();
    let back = flying.after(&change);
    assert_eq!(back.milestone.status(), MilestoneStatus::Approved);
    let refused = made.prepare(back.milestone, back.project, burn(42));
    assert_eq!(refused.unwrap_err(), PlanError::Stale);
}

#[test]
fn a_plan_is_stale_once_the_wallet_is_another() {
    let mut scene = Scene::at(MilestoneStatus::Approved);
    let made = plan(&scene, None).unwrap();
    scene.project.wallet_account_id = "GOTHER".to_owned();
    let refused = made.prepare(scene.milestone, scene.project, burn(41));
    assert_eq!(refused.unwrap_err(), PlanError::Stale);
}

#[test]
fn a_plan_is_for_its_own_milestone() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let made = plan(&scene, None).unwrap();
    let mut other = scene.milestone.clone();
    other.id = plan_of(2).id;
    let refused = made.prepare(other, scene.project, burn(41));
    assert_eq!(refused.unwrap_err(), PlanError::Stale);
}

#[test]
fn a_plan_is_stale_before_it_is_anything_else() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let made = plan(&scene, None).unwrap();
    // Nobody gave an amount: planned again, it is the new transfer's.
    let change = scene
        .milestone
        .clone()
        .record_transfer(transfer(400), &act(TREASURER, 6));
    let now = scene.after(&change.unwrap());
    assert_eq!(code(&now, None), None);
    let refused = made.prepare(now.milestone, now.project, burn(41));
    assert_eq!(refused.unwrap_err(), PlanError::Stale);
}

#[test]
fn no_act_mixes_two_projects() {
    let other = |mut project: Project| {
        project.id = ProjectId(uuid::Uuid::from_u128(0xB001));
        project
    };
    let draft = Scene::at(MilestoneStatus::Draft);
    assert!(
        draft
            .milestone
            .delete(other(draft.project), &act(MAKER, 9))
            .is_err()
    );
    let mut approved = Scene::at(MilestoneStatus::Approved);
    let made = plan(&approved, None).unwrap();
    approved.project = other(approved.project);
    assert_eq!(code(&approved, None), Some("project.books_inconsistent"));
    let prepared = made.prepare(approved.milestone, approved.project, burn(41));
    assert!(prepared.is_err());
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let (open, foreign) = (flying.disbursement.unwrap(), other(flying.project));
    let (milestone, act) = (flying.milestone, act(TREASURER, 9));
    let settled = open
        .clone()
        .settle(milestone.clone(), foreign.clone(), burn(41).id, 110, &act);
    assert!(settled.is_err());
    assert!(open.fail(milestone, foreign, failure(), &act).is_err());
}

#[test]
fn whoever_ordered_it_disbursed_it_whoever_carries_it_out() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let open = flying.disbursement.unwrap();
    let change = open
        .settle(
            flying.milestone,
            flying.project,
            burn(41).id,
            110,
            &act(CHECKER, 9),
        )
        .unwrap();
    let MilestoneState::Disbursed { disbursed, .. } = written(change.milestone()).state else {
        panic!("a settled milestone is disbursed");
    };
    assert_eq!(
        (disbursed.by.as_str(), disbursed.at),
        (TREASURER, act(CHECKER, 9).at)
    );
}

#[test]
fn an_operator_is_called_for_its_own_milestone_and_an_ended_one_is_not_sent() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let open = flying.disbursement.clone().unwrap();
    let elsewhere = Scene::at(MilestoneStatus::Approved).milestone;
    let called = open
        .clone()
        .call_operator(&elsewhere, "lost".to_owned(), &act(MAKER, 9));
    assert!(matches!(called, Err(VerdictError::Milestone(_))));
    let change = open
        .settle(
            flying.milestone,
            flying.project,
            burn(41).id,
            110,
            &act(TREASURER, 9),
        )
        .unwrap();
    let ended = written(change.disbursement());
    assert_eq!(ended.clone().sent(), ended);
}

#[test]
fn the_rules_are_checked_again_when_a_plan_is_prepared() {
    let scene = Scene::at(MilestoneStatus::Approved);
    let prepare = |change: fn(&mut Scene)| {
        let made = plan(&scene, None).unwrap();
        let mut now = scene.clone();
        change(&mut now);
        match made.prepare(now.milestone, now.project, burn(41)) {
            Err(PlanError::Refused(error)) => error.why.code(),
            other => panic!("expected a refusal, got {other:?}"),
        }
    };
    let drained = prepare(|now| now.project.nav = stroops(499));
    assert_eq!(drained, "disbursement.amount_above_nav");
    let reserved = prepare(|now| now.project.nav_reserved = stroops(501));
    assert_eq!(reserved, "disbursement.amount_above_nav");
    let nobody = prepare(|now| now.project.lp_tokens_outstanding = Amount::ZERO);
    assert_eq!(nobody, "project.no_lp_tokens");
}

#[test]
fn an_ended_disbursement_takes_no_further_verdict() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let open = flying.disbursement.clone().unwrap();
    let (milestone, project) = (flying.milestone.clone(), flying.project.clone());
    let settled = open
        .clone()
        .settle(
            milestone.clone(),
            project.clone(),
            burn(41).id,
            110,
            &act(TREASURER, 9),
        )
        .unwrap();
    let failed = open
        .fail(milestone, project, failure(), &act(TREASURER, 9))
        .unwrap();
    for change in [settled, failed] {
        let after = flying.clone().after(&change);
        // Against the milestone as it is now, and against a stale one still in flight.
        for (milestone, project) in [
            (after.milestone.clone(), after.project.clone()),
            (flying.milestone.clone(), flying.project.clone()),
        ] {
            let ended: Disbursement = after.disbursement.clone().unwrap();
            assert!(!ended.state.is_open());
            let act = act(TREASURER, 10);
            let again =
                ended
                    .clone()
                    .settle(milestone.clone(), project.clone(), burn(41).id, 111, &act);
            assert_eq!(again.unwrap_err(), VerdictError::Ended);
            let again = ended
                .clone()
                .fail(milestone.clone(), project, failure(), &act);
            assert_eq!(again.unwrap_err(), VerdictError::Ended);
            let again = ended.call_operator(&milestone, "lost".to_owned(), &act);
            assert_eq!(again.unwrap_err(), VerdictError::Ended);
        }
    }
}

#[test]
fn a_verdict_only_moves_the_milestone_that_carries_the_disbursement() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let other = Scene::at(MilestoneStatus::Approved).disbursing(2);
    let stray = other.disbursement.unwrap();
    let act = act(TREASURER, 9);
    let (milestone, project) = (flying.milestone.clone(), flying.project.clone());
    let settled = stray
        .clone()
        .settle(milestone.clone(), project.clone(), burn(41).id, 110, &act);
    let failed = stray.fail(milestone, project, failure(), &act);
    for refused in [settled, failed] {
        let Err(VerdictError::Milestone(error)) = refused else {
            panic!("a stray disbursement moved a milestone");
        };
        assert_eq!(error.why.code(), "milestone.not_disbursing");
    }
}

#[test]
fn an_operator_is_called_without_moving_anything() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let open = flying.disbursement.clone().unwrap();
    let reason = "the node forgot".to_owned();
    let change = open
        .call_operator(&flying.milestone, reason.clone(), &act("reconciler", 9))
        .unwrap();
    assert!(change.project().is_none() && change.milestone().is_none());
    let waiting = written(change.disbursement());
    assert_eq!(
        waiting.state,
        DisbursementState::NeedsOperator {
            reason,
            proposal: None
        }
    );
    assert!(waiting.state.is_open());
    // The ledger may still have the last word.
    let change = waiting
        .settle(
            flying.milestone,
            flying.project,
            burn(41).id,
            110,
            &act(TREASURER, 10),
        )
        .unwrap();
    let milestone = written(change.milestone());
    assert_eq!(milestone.status(), MilestoneStatus::Disbursed);
}

#[test]
fn sending_counts_and_never_forgets_that_an_operator_was_called() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let prepared = flying.disbursement.unwrap();
    let once = prepared.clone().sent();
    assert_eq!(once.state, DisbursementState::Submitted);
    let twice = once.clone().sent();
    assert_eq!(twice.state, DisbursementState::Submitted);
    assert_eq!((once.attempts, twice.attempts), (1, 2));
    assert_eq!(
        (once.version, twice.version),
        (prepared.version + 1, prepared.version + 2)
    );
    assert_eq!(
        (&twice.burn, twice.amount),
        (&prepared.burn, prepared.amount)
    );
    let called = twice
        .call_operator(&flying.milestone, "lost".to_owned(), &act(MAKER, 9))
        .unwrap();
    let waiting = written(called.disbursement()).sent();
    assert!(matches!(
        waiting.state,
        DisbursementState::NeedsOperator { .. }
    ));
    assert_eq!(waiting.attempts, 3);
}

#[test]
fn a_settled_milestone_knows_its_burn_and_a_failed_one_is_as_before() {
    let approved = Scene::at(MilestoneStatus::Approved);
    let flying = approved.clone().disbursing(1);
    let open = flying.disbursement.clone().unwrap();
    let (milestone, project) = (flying.milestone.clone(), flying.project.clone());
    let failed = open
        .clone()
        .fail(
            milestone.clone(),
            project.clone(),
            failure(),
            &act(TREASURER, 9),
        )
        .unwrap();
    let back = written(failed.milestone());
    assert_eq!(
        back.state, approved.milestone.state,
        "approval and transfer are kept"
    );
    let settled = open
        .settle(milestone, project, burn(41).id, 110, &act(TREASURER, 9))
        .unwrap();
    let MilestoneState::Disbursed {
        approval,
        transfer,
        burned,
        burn: id,
        ..
    } = written(settled.milestone()).state
    else {
        panic!("a settled milestone is disbursed");
    };
    assert_eq!((burned, id), (stroops(500), burn(41).id));
    let transfer = Some(transfer);
    assert_eq!(
        MilestoneState::Approved { approval, transfer },
        approved.milestone.state
    );
    let project = written(settled.project());
    assert_eq!(
        (project.nav, project.nav_reserved),
        (stroops(500), Amount::ZERO)
    );
    assert_eq!(project.completed_milestones, 1);
    assert_eq!(project.last_milestone_date, Some(act(TREASURER, 9).at));
}
