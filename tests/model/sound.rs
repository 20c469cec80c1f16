//! The protocol as it is, whatever happens.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::test_runner::TestError;

use crate::play::play;
use crate::replica::Habit;
use crate::runs;
use crate::schedule::any_schedule;

/// What enough schedules must have come across, or the model has become too tame.
const SIGHTS: [&str; 22] = [
    "settled",
    "failed: expired",
    "failed: refused",
    "failed: sequence taken",
    "needs operator",
    "refused by the rules",
    "stale plan",
    "slot taken",
    "commit unheard",
    "overtaken in sending",
    "fee bumped",
    "signed anew",
    "outbid by another",
    "judged too few envelopes",
    "ended by another",
    "burned and NOT_FOUND",
    "burned and NOT_FOUND, its time up",
    "PENDING",
    "DUPLICATE",
    "TRY_AGAIN_LATER",
    "txTOO_LATE",
    "txINSUFFICIENT_FEE",
];

fn holds(channels: RangeInclusive<usize>) {
    let tally: RefCell<BTreeMap<&'static str, u64>> = RefCell::default();
    let held = runs::runner().run(&any_schedule(channels), |schedule| {
        let played = play(&schedule, Habit::Sound, |_| true, false);
        for (what, often) in played.tally {
            *tally.borrow_mut().entry(what).or_default() += often;
        }
        prop_assert!(played.violation.is_none(), "{:?}", played.violation);
        Ok(())
    });
    match held {
        Ok(()) => {}
        Err(TestError::Fail(why, schedule)) => {
            panic!("{why}\n{}", runs::told(schedule, Habit::Sound, |_| true))
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let tally = tally.into_inner();
    println!("{tally:#?}");
    if runs::schedules() >= runs::SCHEDULES {
        let unseen = |sight: &&&str| !tally.contains_key(**sight);
        let unseen: Vec<_> = SIGHTS.iter().filter(unseen).collect();
        assert!(unseen.is_empty(), "never seen: {unseen:?}");
    }
}

#[test]
fn a_wallet_alone_burns_at_most_once_a_milestone_and_everything_ends() {
    holds(0..=0);
}

#[test]
fn with_channel_accounts_it_burns_at_most_once_a_milestone_and_everything_ends() {
    holds(1..=3);
}
