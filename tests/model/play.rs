//! Plays a schedule; then the faults stop, and everything must come to its end.

use std::collections::BTreeMap;

use tranche_domain::MilestoneStatus;

use crate::check::{Violation, all_paid, can_pay, quiet, safety};
use crate::ledger::Closing;
use crate::replica::{Habit, Who};
use crate::schedule::{Schedule, fair};
use crate::world::World;

/// In how many rounds everything must have ended: the longest time to live, in ledgers, and some.
const ROUNDS: usize = 12;
/// More steps than a task has to take in one round.
const STEPS: usize = 80;

/// What came of a schedule.
pub struct Played {
    pub violation: Option<Violation>,
    pub story: Vec<String>,
    pub tally: BTreeMap<&'static str, u64>,
}

/// Plays a schedule until a violation that matters, with its story in words if it is wanted.
pub fn play(
    schedule: &Schedule,
    habit: Habit,
    matters: fn(&Violation) -> bool,
    told: bool,
) -> Played {
    let mut world = World::open(schedule, habit, told);
    let violation = through(&mut world, schedule, matters).err();
    let mut story = world.story.unwrap_or_default();
    story.extend(violation.iter().map(ToString::to_string));
    Played {
        violation,
        story,
        tally: world.tally,
    }
}

fn through(
    world: &mut World,
    schedule: &Schedule,
    matters: fn(&Violation) -> bool,
) -> Result<(), Violation> {
    let mut check = |world: &mut World| {
        if std::mem::take(&mut world.changed) {
            safety(world, matters)?;
        }
        Ok(())
    };
    for event in &schedule.events {
        world.happen(*event, &mut check)?;
    }
    stop_faults(world);
    check(world)?;
    let filter = |found: Result<(), Violation>| match found {
        Err(broken) if matters(&broken) => Err(broken),
        _ => Ok(()),
    };
    let mut rounds = 0;
    settle_down(world, &mut rounds, &mut check)?;
    filter(quiet(world))?;
    for _ in 0..=world.store.milestones.len() {
        ask_again(world);
        settle_down(world, &mut rounds, &mut check)?;
    }
    filter(quiet(world))?;
    if can_pay(world) {
        filter(all_paid(world))?;
    }
    Ok(())
}

/// What is under way arrives, fees fall, and from now on nodes follow at once.
fn stop_faults(world: &mut World) {
    world.tell(|| "the faults stop".to_owned());
    while !world.late.is_empty() {
        world.arrive();
    }
    world.slow = 0;
    for node in &mut world.nodes {
        node.fee = 0;
    }
}

/// Somebody asks again for every milestone that is not disbursed.
fn ask_again(world: &mut World) {
    let milestones = world.store.milestones.values().enumerate();
    let waiting: Vec<_> = milestones
        .filter(|(_, milestone)| milestone.status() == MilestoneStatus::Approved)
        .map(|(number, _)| number)
        .collect();
    for (turn, number) in waiting.into_iter().enumerate() {
        world.request(turn % 2, number);
    }
}

/// Rounds in which a ledger closes and everyone does what there is to do, until all has ended, or
/// for as long as it may take.
fn settle_down(
    world: &mut World,
    round: &mut usize,
    check: &mut impl FnMut(&mut World) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let least = *round + 1;
    let most = *round + ROUNDS;
    while *round < most {
        everyone(world, *round % 2, check)?;
        world.close(&Closing {
            gap: 5,
            includes: u8::MAX,
            refuses: false,
            foreign: None,
            followed: 3,
        });
        world.ledger.forget_old();
        check(world)?;
        *round += 1;
        let mut open = world.store.open_disbursements();
        if *round > least && open.next().is_none() {
            break;
        }
    }
    Ok(())
}

fn everyone(
    world: &mut World,
    node: usize,
    check: &mut impl FnMut(&mut World) -> Result<(), Violation>,
) -> Result<(), Violation> {
    for replica in 0..2 {
        for reconciles in [false, true] {
            let who = Who {
                replica,
                reconciles,
            };
            let mut steps = 0;
            while steps < STEPS && world.step(who, fair(node)) {
                check(world)?;
                steps += 1;
            }
        }
    }
    Ok(())
}
