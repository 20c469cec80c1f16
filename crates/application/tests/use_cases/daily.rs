//! A time of day comes once on every day, whatever is done to the clocks.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::{Africa, America, Pacific, Tz};
use tranche_application::daily::Daily;

fn at(hour: u32, minute: u32) -> Option<NaiveTime> {
    NaiveTime::from_hms_opt(hour, minute, 0)
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Everything that came within so many days, looked at every ten minutes.
fn runs(daily: Daily<Tz>, from: &str, days: i64) -> Vec<String> {
    let from = time(from);
    let mut runs: Vec<DateTime<Utc>> = (0..days * 24 * 6)
        .filter_map(|tens| daily.last(from + TimeDelta::minutes(10 * tens)))
        .filter(|run| *run >= from)
        .collect();
    runs.dedup();
    runs.iter()
        .map(|run| run.format("%dT%H:%M").to_string())
        .collect()
}

// T5: the time is that of the zone.
#[test]
fn a_time_of_day_is_that_of_its_zone() {
    let daily = Daily::new(at(2, 0), Africa::Lagos);
    let now = time("2026-11-21T00:59:59Z");
    assert_eq!(daily.last(now), Some(time("2026-11-20T01:00:00Z")));
    assert_eq!(daily.next(now), Some(time("2026-11-21T01:00:00Z")));
    let then = time("2026-11-21T01:00:00Z");
    assert_eq!(daily.last(then), Some(then), "this moment included");
    assert_eq!(daily.next(then), Some(time("2026-11-22T01:00:00Z")));
    assert_eq!(Daily::in_utc(None).last(now), None);
    assert_eq!(Daily::in_utc(None).next(now), None);
}

// T5: on the day that skips it, and on the day that has it twice, it comes once.
#[test]
fn a_time_of_day_comes_once_whatever_is_done_to_the_clocks() {
    let skipped = Daily::new(at(2, 30), America::New_York);
    let found = runs(skipped, "2026-03-07T00:00:00Z", 3);
    assert_eq!(found, ["07T07:30", "08T07:30", "09T06:30"]);
    let twice = Daily::new(at(1, 30), America::New_York);
    let found = runs(twice, "2026-10-31T00:00:00Z", 3);
    assert_eq!(found, ["31T05:30", "01T05:30", "02T06:30"]);
    // A whole day that there was not.
    let samoa = Daily::new(at(2, 0), Pacific::Apia);
    let found = runs(samoa, "2011-12-29T00:00:00Z", 3);
    assert_eq!(found, ["29T12:00", "30T12:00", "31T12:00"]);
}

// T5: what comes next is what will have come last.
#[test]
fn the_next_time_is_the_last_one_then() {
    for (zone, from) in [
        (America::New_York, "2026-03-07T00:00:00Z"),
        (America::New_York, "2026-10-31T00:00:00Z"),
        (Pacific::Apia, "2011-12-29T00:00:00Z"),
    ] {
        let daily = Daily::new(at(2, 0), zone);
        for tens in 0..4 * 24 * 6 {
            let now = time(from) + TimeDelta::minutes(10 * tens);
            let (last, next) = (daily.last(now).unwrap(), daily.next(now).unwrap());
            assert!(last <= now && now < next, "{last} {now} {next}");
            assert_eq!(daily.last(next), Some(next));
        }
    }
}
