//! The checker checked: two replicas that make a known mistake, and the money they lose.
//!
//! Each mistake is found by chance, among as many schedules as the sound protocol has to stand, and
//! once more in a shrunk schedule that is kept here.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestError;

use crate::check::Violation;
use crate::ledger::Closing;
use crate::play::play;
use crate::replica::Habit;
use crate::runs;
use crate::schedule::{Event, Fate, Luck, Schedule, any_schedule};

/// Only the loss itself counts: the mistakes break smaller promises long before.
const fn double_burn(violation: &Violation) -> bool {
    matches!(violation, Violation::DoubleBurn(_))
}

fn is_found_by_chance(habit: Habit) {
    let (played, found) = (Cell::new(0), Cell::new(None));
    let held = runs::runner().run(&any_schedule(0..=3), |schedule| {
        played.set(played.get() + 1);
        let violation = play(&schedule, habit, double_burn, false).violation;
        if violation.is_some() && found.get().is_none() {
            found.set(Some(played.get()));
        }
        prop_assert!(violation.is_none());
        Ok(())
    });
    let Err(TestError::Fail(_, schedule)) = held else {
        panic!(
            "{habit:?} burned nothing twice in {} schedules",
            played.get()
        );
    };
    println!(
        "{habit:?}: found in schedule {}, shrunk in {} more",
        found.get().unwrap_or(0),
        played.get() - found.get().unwrap_or(0)
    );
    println!("{}", runs::told(schedule, habit, double_burn));
}

fn is_in(schedule: &Schedule, habit: Habit) {
    let played = play(schedule, habit, double_burn, true);
    let told = played.story.join("\n");
    assert!(played.violation.is_some(), "{habit:?}:\n{told}");
    let sound = play(schedule, Habit::Sound, |_| true, true);
    assert_eq!(sound.violation, None, "{}", sound.story.join("\n"));
}

/// One milestone, a wallet without channels, and fifteen seconds for a burn.
fn small(events: Vec<Event>) -> Schedule {
    Schedule {
        milestones: 1,
        channels: 0,
        ttl: 15,
        slow: 0,
        events,
    }
}

/// The first replica is asked for the milestone, and its request takes so many steps.
fn request(steps: u8, luck: Luck) -> [Event; 2] {
    let (replica, milestone) = (0, 0);
    [
        Event::Request { replica, milestone },
        Event::Step {
            replica,
            reconciles: false,
            steps,
            luck,
        },
    ]
}

/// From the plan to the sending.
const UNTIL_SENT: u8 = 7;

const LUCKY: Luck = Luck {
    node: 0,
    fate: Fate::Answered,
    meanwhile: 0,
};

#[test]
fn unlocking_on_a_timeout_is_found_to_burn_twice() {
    is_found_by_chance(Habit::UnlockOnTimeout);
}

#[test]
fn taking_not_found_as_proof_is_found_to_burn_twice() {
    is_found_by_chance(Habit::NotFoundIsProof);
}

/// The sending times out and arrives later: the milestone was free by then, and is burned again.
#[test]
fn a_sending_that_times_out_and_arrives_later() {
    let late = Luck {
        fate: Fate::Late,
        ..LUCKY
    };
    let schedule = small(request(UNTIL_SENT, late).to_vec());
    is_in(&schedule, Habit::UnlockOnTimeout);
}

/// Two ledgers come in while a node answers: it has not found the burn, which is in the first of
/// them, and shows the time of the second, when the burn's time is up.
#[test]
fn ledgers_that_come_in_between_two_readings_of_one_answer() {
    let closing = |gap, includes| {
        Event::Close(Closing {
            gap,
            includes,
            refuses: false,
            foreign: None,
            followed: 0,
        })
    };
    let mut events = request(UNTIL_SENT, LUCKY).to_vec();
    events.extend([closing(5, 1), closing(15, 0)]);
    events.push(Event::Step {
        replica: 0,
        reconciles: false,
        steps: 1,
        luck: Luck {
            meanwhile: 2,
            ..LUCKY
        },
    });
    is_in(&small(events), Habit::NotFoundIsProof);
}
