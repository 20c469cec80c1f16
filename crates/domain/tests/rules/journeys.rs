//! Random people do random things to a project, and its promises hold after every one of them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tranche_domain::milestone::{Edited, MilestoneEdit};
use tranche_domain::{Amount, BurnPolicy, Policy};

use crate::scene::{act, cases, title, written};
use crate::world::{Said, Step, World};

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..4_usize;
    let who = || 0..3_usize;
    let said = || {
        prop::sample::select(vec![
            Said::Burned,
            Said::Burned,
            Said::Failed,
            Said::Nothing,
            Said::NotYet,
        ])
    };
    prop_oneof![
        2 => Just(Step::Draft),
        1 => (one(), 0..3_i64).prop_map(|(m, amount)| Step::Edit(m, amount)),
        1 => one().prop_map(Step::Delete),
        4 => (one(), who()).prop_map(|(m, by)| Step::Submit(m, by)),
        1 => (one(), who()).prop_map(|(m, by)| Step::Reject(m, by)),
        1 => one().prop_map(Step::Revise),
        5 => (one(), who()).prop_map(|(m, by)| Step::Approve(m, by)),
        4 => (one(), 0..60_i64, any::<bool>())
            .prop_map(|(m, amount, notes)| Step::RecordTransfer(m, amount, notes)),
        6 => (one(), who(), option::weighted(0.3, 0..140_i64))
            .prop_map(|(m, by, amount)| Step::Plan(m, by, amount)),
        6 => any::<usize>().prop_map(Step::Prepare),
        5 => (any::<usize>(), said()).prop_map(|(d, said)| Step::Hear(d, said)),
        2 => (any::<usize>(), one(), said()).prop_map(|(d, m, said)| Step::HearOfAnother(d, m, said)),
    ]
}

// M1–M8, M12
#[test]
fn no_sequence_of_commands_breaks_a_promise() {
    let policy = (any::<bool>(), any::<bool>()).prop_map(|(maker_checker, any)| Policy {
        maker_checker,
        burn: if any {
            BurnPolicy::AnyAmount
        } else {
            BurnPolicy::ExactTransfer
        },
    });
    let tokens = prop_oneof![9 => 1..1_000_i64, 1 => Just(0)];
    let steps = prop::collection::vec(step(), 1..=120);
    let tally: RefCell<BTreeMap<&str, u32>> = RefCell::default();
    let inputs = (0..200_i64, tokens, policy, steps);
    let outcome = TestRunner::new(cases(1_500)).run(&inputs, |(nav, tokens, policy, steps)| {
        let mut world = World::open(nav, tokens, policy);
        for step in &steps {
            *tally.borrow_mut().entry(world.try_step(step)).or_default() += 1;
            world.check();
        }
        Ok(())
    });
    outcome.unwrap();
    let tally = tally.borrow();
    for reached in [
        "milestone.updated",
        "milestone.deleted",
        "milestone.rejected",
        "milestone.revised",
        "milestone.disbursed",
        "disbursement.failed",
        "disbursement.needs_operator",
        "prepared",
        "stale",
        "refused",
    ] {
        assert!(
            tally.get(reached).is_some_and(|times| *times >= 50),
            "{reached}: {tally:?}"
        );
    }
}

#[test]
fn many_milestones_share_one_nav_to_the_last_stroop() {
    let mut world = World::open(150, 7, Policy::default());
    for number in 0..3 {
        for step in [
            Step::Draft,
            Step::Edit(number, 1),
            Step::Submit(number, 0),
            Step::Approve(number, 1),
            Step::RecordTransfer(number, 50, true),
            Step::Plan(number, 2, None),
            Step::Prepare(0),
        ] {
            assert_ne!(world.try_step(&step), "refused", "{step:?}");
            world.check();
        }
    }
    assert_eq!(world.project.nav_available(), Amount::ZERO);
    for index in 0..3 {
        assert_eq!(
            world.try_step(&Step::Hear(index, Said::Burned)),
            "milestone.disbursed"
        );
        world.check();
    }
    assert_eq!(
        (world.project.nav, world.project.completed_milestones),
        (Amount::ZERO, 3)
    );
    let price = world.project.lp_token_price().unwrap();
    assert_eq!(price.to_string(), "0.0000000");
}

#[test]
fn a_title_edit_is_the_only_thing_that_moves() {
    let mut world = World::open(100, 10, Policy::default());
    world.try_step(&Step::Draft);
    let draft = world.pick(0).unwrap();
    let edit = MilestoneEdit {
        title: Some(title("Pumps")),
        ..MilestoneEdit::default()
    };
    let Ok(Edited::Changed(change)) = draft.clone().edit(edit, &act("ada", 9)) else {
        panic!("the title is another");
    };
    assert!(change.project().is_none() && change.disbursement().is_none());
    assert_eq!(written(change.milestone()).state, draft.state);
}
