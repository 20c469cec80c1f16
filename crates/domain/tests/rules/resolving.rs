//! What people decide when the ledger's answers prove nothing: one proposes, another confirms, and
//! the books follow as after a verdict.

use tranche_domain::audit::Resource;
use tranche_domain::disbursement::operator::DECIDED_BY_OPERATORS;
use tranche_domain::disbursement::{
    Disbursement, DisbursementState, Judgement, Proposal, ResolutionError, VerdictError,
};
use tranche_domain::{Action, Amount, BurnId, Change, Fact, MilestoneState, MilestoneStatus};

use crate::scene::{MAKER, Scene, TREASURER, act, burn, failure, reason, stroops, written};

const FIRST: &str = "first operator";
const SECOND: &str = "second operator";

fn burned() -> Judgement {
    Judgement::Burned {
        burn: burn(41).id,
        ledger: 105,
    }
}

/// A disbursement for which a person was called.
fn called() -> Scene {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let open = scene.disbursement.clone().unwrap().sent();
    let change = open
        .call_operator(&scene.milestone, "lost".to_owned(), &act(MAKER, 7))
        .unwrap();
    scene.after(&change)
}

fn open(scene: &Scene) -> Disbursement {
    scene.disbursement.clone().unwrap()
}

fn propose(scene: &Scene, judgement: Judgement) -> Result<Change, ResolutionError> {
    open(scene).propose(&scene.milestone, judgement, reason(), &act(FIRST, 8))
}

fn proposed(judgement: Judgement) -> Scene {
    let scene = called();
    let change = propose(&scene, judgement).unwrap();
    scene.after(&change)
}

fn confirm(scene: &Scene, who: &str) -> Result<Change, ResolutionError> {
    let (milestone, project) = (scene.milestone.clone(), scene.project.clone());
    open(scene).confirm(milestone, project, &act(who, 9))
}

/// Every state but the one that asks for people.
fn unasked() -> [(Scene, &'static str); 4] {
    let prepared = Scene::at(MilestoneStatus::Disbursing);
    let mut submitted = prepared.clone();
    submitted.disbursement = Some(open(&prepared).sent());
    let (milestone, project) = (prepared.milestone.clone(), prepared.project.clone());
    let failed = open(&prepared).fail(milestone, project, failure(), &act(MAKER, 7));
    let failed = prepared.clone().after(&failed.unwrap());
    [
        (prepared, "prepared"),
        (submitted, "submitted"),
        (Scene::at(MilestoneStatus::Disbursed), "settled"),
        (failed, "failed"),
    ]
}

#[test]
fn a_proposal_is_written_down_and_moves_nothing() {
    for (judgement, name) in [(burned(), "burned"), (Judgement::Failed, "failed")] {
        let scene = called();
        let change = propose(&scene, judgement.clone()).unwrap();
        assert!(change.project().is_none() && change.milestone().is_none());
        let now = written(change.disbursement());
        let proposal = Proposal {
            judgement,
            why: reason(),
            by: FIRST.to_owned(),
            at: act(FIRST, 8).at,
        };
        assert_eq!(
            now.state,
            DisbursementState::NeedsOperator {
                reason: "lost".to_owned(),
                proposal: Some(proposal),
            }
        );
        assert_eq!(now.version, open(&scene).version + 1);
        let event = change.event();
        assert_eq!(event.action, Action::DisbursementResolutionProposed);
        assert_eq!(event.resource, Resource::Disbursement);
        assert_eq!(event.actor.id, FIRST);
        assert_eq!(event.previous_status, Some(MilestoneStatus::Disbursing));
        assert_eq!(event.new_status, Some(MilestoneStatus::Disbursing));
        assert_eq!(event.metadata["judgement"], Fact::from(name));
        assert_eq!(event.metadata["why"], Fact::from(reason().as_str()));
        let named = event.metadata.get("burned_tx_hash").cloned();
        let ledger = event.metadata.get("ledger").cloned();
        let is_burn = name == "burned";
        assert_eq!(named, is_burn.then(|| Fact::text(burn(41).id)));
        assert_eq!(ledger, is_burn.then_some(Fact::Count(105)));
    }
}

#[test]
fn people_are_heard_only_when_they_were_asked() {
    for (scene, state) in unasked() {
        for judgement in [burned(), Judgement::Failed] {
            let refused = propose(&scene, judgement).unwrap_err();
            assert_eq!(refused, ResolutionError::NotAsked(state));
        }
        let refused = confirm(&scene, SECOND).unwrap_err();
        assert_eq!(refused, ResolutionError::NotAsked(state));
    }
    let refused = confirm(&called(), SECOND).unwrap_err();
    assert_eq!(refused, ResolutionError::NoProposal);
}

#[test]
fn a_transaction_of_another_disbursement_is_not_this_ones_burn() {
    let stranger = BurnId("stranger".to_owned());
    let judgement = Judgement::Burned {
        burn: stranger.clone(),
        ledger: 105,
    };
    let refused = propose(&called(), judgement).unwrap_err();
    assert_eq!(refused, ResolutionError::OtherBurn(stranger));
}

#[test]
fn a_proposal_is_for_the_milestone_that_carries_the_disbursement() {
    let scene = called();
    let elsewhere = Scene::at(MilestoneStatus::Approved).disbursing(2);
    let refused = open(&scene).propose(
        &elsewhere.milestone,
        Judgement::Failed,
        reason(),
        &act(FIRST, 8),
    );
    assert!(matches!(
        refused,
        Err(ResolutionError::Verdict(VerdictError::Milestone(_)))
    ));
}

#[test]
fn whoever_proposed_does_not_confirm() {
    for judgement in [burned(), Judgement::Failed] {
        let scene = proposed(judgement);
        let refused = confirm(&scene, FIRST).unwrap_err();
        assert_eq!(refused, ResolutionError::SamePerson);
        assert!(confirm(&scene, SECOND).is_ok());
    }
}

#[test]
fn a_second_proposal_takes_the_place_of_the_first_and_its_proposer() {
    let scene = proposed(burned());
    let change = open(&scene)
        .propose(
            &scene.milestone,
            Judgement::Failed,
            reason(),
            &act(SECOND, 9),
        )
        .unwrap();
    let scene = scene.after(&change);
    assert_eq!(
        confirm(&scene, SECOND).unwrap_err(),
        ResolutionError::SamePerson
    );
    let change = confirm(&scene, FIRST).unwrap();
    assert_eq!(change.event().action, Action::DisbursementFailed);
}

// M8
#[test]
fn a_confirmed_burn_settles_the_books_and_names_both_people() {
    let change = confirm(&proposed(burned()), SECOND).unwrap();
    let (at, burn) = (act(SECOND, 9).at, burn(41).id);
    let project = written(change.project());
    assert_eq!(project.nav, stroops(500));
    assert_eq!(project.nav_reserved, Amount::ZERO);
    assert_eq!(project.completed_milestones, 1);
    let MilestoneState::Disbursed { burn: kept, .. } = written(change.milestone()).state else {
        panic!("a settled milestone is disbursed");
    };
    assert_eq!(kept, burn);
    let ledger = 105;
    assert_eq!(
        written(change.disbursement()).state,
        DisbursementState::Settled { at, burn, ledger }
    );
    let event = change.event();
    assert_eq!(event.action, Action::MilestoneDisbursed);
    assert_eq!(event.actor.id, SECOND);
    assert_eq!(event.metadata["proposed_by"], Fact::from(FIRST));
    assert_eq!(event.metadata["confirmed_by"], Fact::from(SECOND));
    assert_eq!(event.metadata["why"], Fact::from(reason().as_str()));
    assert_eq!(event.metadata["ledger"], Fact::Count(105));
}

// M8
#[test]
fn a_confirmed_failure_releases_the_amount_and_keeps_its_place_taken() {
    let scene = proposed(Judgement::Failed);
    let change = confirm(&scene, SECOND).unwrap();
    let project = written(change.project());
    assert_eq!(project.nav, stroops(1_000));
    assert_eq!(project.nav_reserved, Amount::ZERO);
    assert_eq!(
        written(change.milestone()).status(),
        MilestoneStatus::Approved
    );
    let ended = written(change.disbursement());
    let DisbursementState::Failed { at, failure } = &ended.state else {
        panic!("it failed");
    };
    assert_eq!(*at, act(SECOND, 9).at);
    // The store frees the slot of a failure by expiry only.
    assert_eq!(failure.code, DECIDED_BY_OPERATORS);
    assert_eq!(failure.code, "decided_by_operators");
    assert_eq!(failure.detail, reason().as_str());
    assert_eq!(ended.burn.slot, open(&scene).burn.slot);
    let event = change.event();
    assert_eq!(event.action, Action::DisbursementFailed);
    assert_eq!(event.metadata["code"], Fact::from("decided_by_operators"));
    assert_eq!(event.metadata["proposed_by"], Fact::from(FIRST));
    assert_eq!(event.metadata["confirmed_by"], Fact::from(SECOND));
    assert_eq!(event.metadata["why"], Fact::from(reason().as_str()));
}

#[test]
fn the_ledgers_late_word_stands_above_a_proposal() {
    let scene = proposed(Judgement::Failed);
    let (milestone, project) = (scene.milestone.clone(), scene.project.clone());
    let settled = open(&scene).settle(milestone, project, burn(41).id, 110, &act(TREASURER, 9));
    let scene = scene.after(&settled.unwrap());
    let refused = confirm(&scene, SECOND).unwrap_err();
    assert_eq!(refused, ResolutionError::NotAsked("settled"));
}
