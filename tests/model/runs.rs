//! How many schedules a test plays, from which seed, and how one is told.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher as _;
use std::str::FromStr;

use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::check::Violation;
use crate::play::play;
use crate::replica::Habit;
use crate::schedule::Schedule;

/// How many schedules each test plays, unless `TRANCHE_MODEL_SCHEDULES` says otherwise.
pub const SCHEDULES: u32 = 20_000;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} is not such a number");
    value
}

/// How many schedules to play.
pub fn schedules() -> u32 {
    setting("TRANCHE_MODEL_SCHEDULES").unwrap_or(SCHEDULES)
}

/// A runner of that many schedules. Prints how to play them again.
pub fn runner() -> TestRunner {
    let seed = setting("TRANCHE_MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let cases = schedules();
    println!("TRANCHE_MODEL_SEED={seed} TRANCHE_MODEL_SCHEDULES={cases}");
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    })
}

/// A broken schedule without its idle events: as a value, to be kept as a test, and as a numbered
/// list of what happens in it.
pub fn told(mut schedule: Schedule, habit: Habit, matters: fn(&Violation) -> bool) -> String {
    leave_out_idle(&mut schedule, |less| {
        play(less, habit, matters, false).violation.is_some()
    });
    let events = std::mem::take(&mut schedule.events);
    let mut told = format!("{schedule:?}\n");
    for event in &events {
        writeln!(told, "{event:?},").expect("memory takes it");
    }
    schedule.events = events;
    let story = play(&schedule, habit, matters, true).story;
    for (number, line) in (1..).zip(story) {
        writeln!(told, "{number:4}. {line}").expect("memory takes it");
    }
    told
}

/// Shrinking makes events simpler, and so some of them idle, after it tried to leave them out.
fn leave_out_idle(schedule: &mut Schedule, is_broken: impl Fn(&Schedule) -> bool) {
    let mut at = schedule.events.len();
    while at > 0 {
        at -= 1;
        let event = schedule.events.remove(at);
        if is_broken(schedule) {
            at = schedule.events.len();
        } else {
            schedule.events.insert(at, event);
        }
    }
}
