//! Further envelopes: in the same place on the ledger, kept before they are sent, and never once it
//! has ended.

use tranche_domain::audit::Resource;
use tranche_domain::disbursement::{DisbursementState, PreparedBurn, Replacement, VerdictError};
use tranche_domain::{Action, BurnId, Fact, MilestoneStatus, Write};

use crate::scene::{Scene, TREASURER, act, burn, failure, time, written};

fn further(id: &str, byte: u8, valid_until: i64) -> Replacement {
    Replacement {
        id: BurnId(id.to_owned()),
        envelope: vec![byte],
        valid_until: time(valid_until),
    }
}

fn with(replacements: Vec<Replacement>) -> PreparedBurn {
    PreparedBurn {
        replacements,
        ..burn(41)
    }
}

fn ids(burn: &PreparedBurn) -> Vec<&str> {
    burn.ids().map(|id| id.0.as_str()).collect()
}

#[test]
fn every_name_is_said_once_and_the_first_one_first() {
    let own = burn(41).id.0;
    assert_eq!(ids(&burn(41)), [&own]);
    let bumped = with(vec![further(&own, 4, 200)]);
    assert_eq!(ids(&bumped), [&own], "a higher fee keeps the name");
    let anew = with(vec![
        further("b", 4, 300),
        further("b", 5, 300),
        further(&own, 6, 200),
        further("a", 7, 300),
    ]);
    assert_eq!(ids(&anew), [&own, "b", "a"]);
}

#[test]
fn it_lasts_as_long_as_its_longest_envelope() {
    assert_eq!(burn(41).lasts_until(), time(200));
    let longer = with(vec![further("b", 4, 300), further("c", 5, 250)]);
    assert_eq!(longer.lasts_until(), time(300));
    let shorter = with(vec![further("b", 4, 100)]);
    assert_eq!(shorter.lasts_until(), time(200));
}

#[test]
fn the_newest_envelope_is_sent() {
    assert_eq!(burn(41).newest_envelope(), [1, 2, 3]);
    let twice = with(vec![further("b", 4, 300), further("c", 5, 250)]);
    assert_eq!(twice.newest_envelope(), [5]);
}

// M8
#[test]
fn a_further_envelope_changes_nothing_but_the_burn() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let sent = flying.disbursement.clone().unwrap().sent();
    let (first, second) = (further("b", 4, 300), further("c", 5, 400));
    let change = sent
        .clone()
        .replace(&flying.milestone, first.clone(), &act(TREASURER, 9))
        .unwrap();
    assert!(change.project().is_none() && change.milestone().is_none());
    assert!(matches!(change.disbursement(), Some(Write::Update(_))));
    let once = written(change.disbursement());
    assert_eq!(once.state, DisbursementState::Submitted);
    assert_eq!(once.version, sent.version + 1);
    assert_eq!(once.attempts, sent.attempts, "kept is not sent");
    assert_eq!(once.burn, with(vec![first.clone()]));
    let event = change.event();
    assert_eq!(event.action, Action::DisbursementReplaced);
    assert_eq!(event.resource, Resource::Disbursement);
    assert_eq!(event.previous_status, Some(MilestoneStatus::Disbursing));
    assert_eq!(event.new_status, Some(MilestoneStatus::Disbursing));
    assert_eq!(event.metadata["tx_hash"], Fact::text(burn(41).id));
    assert_eq!(event.metadata["replacement_tx_hash"], Fact::from("b"));
    let until = Fact::text(time(300).to_rfc3339());
    assert_eq!(event.metadata["valid_until"], until);
    let change = once
        .replace(&flying.milestone, second.clone(), &act(TREASURER, 10))
        .unwrap();
    let twice = written(change.disbursement());
    assert_eq!(twice.burn, with(vec![first, second]), "oldest first");
    assert_eq!(twice.burn.slot, burn(41).slot, "the same place");
}

// M8
#[test]
fn what_has_ended_gets_no_further_envelope() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let open = flying.disbursement.clone().unwrap();
    let (milestone, project) = (flying.milestone.clone(), flying.project.clone());
    let act = act(TREASURER, 9);
    let name = burn(41).id;
    let settled = open
        .clone()
        .settle(milestone.clone(), project.clone(), name, 110, &act);
    let failed = open.fail(milestone, project, failure(), &act);
    for change in [settled, failed] {
        let ended = written(change.unwrap().disbursement());
        let refused = ended.replace(&flying.milestone, further("b", 4, 300), &act);
        assert_eq!(refused.unwrap_err(), VerdictError::Ended);
    }
}

// M8
#[test]
fn a_milestone_that_does_not_carry_it_gets_no_further_envelope() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let stray = Scene::at(MilestoneStatus::Approved).disbursing(2);
    let refused = stray.disbursement.unwrap().replace(
        &flying.milestone,
        further("b", 4, 300),
        &act(TREASURER, 9),
    );
    assert!(matches!(refused, Err(VerdictError::Milestone(_))));
}

// M8
#[test]
fn a_burn_settles_under_the_name_that_the_ledger_holds() {
    let flying = Scene::at(MilestoneStatus::Disbursing);
    let open = flying.disbursement.clone().unwrap();
    let change = open
        .replace(&flying.milestone, further("b", 4, 300), &act(TREASURER, 9))
        .unwrap();
    let flying = flying.after(&change);
    let second = BurnId("b".to_owned());
    let change = flying
        .disbursement
        .clone()
        .unwrap()
        .settle(
            flying.milestone,
            flying.project,
            second.clone(),
            110,
            &act(TREASURER, 10),
        )
        .unwrap();
    assert_eq!(change.event().metadata["tx_hash"], Fact::text(&second));
    let at = act(TREASURER, 10).at;
    let burn = second;
    assert_eq!(
        written(change.disbursement()).state,
        DisbursementState::Settled {
            at,
            burn,
            ledger: 110
        }
    );
}
