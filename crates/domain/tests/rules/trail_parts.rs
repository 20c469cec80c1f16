//! A range in days, hours and the rest: whatever it is, nothing is counted twice or not at all.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use proptest::prelude::*;
use tranche_domain::trail::parts::{Period, day_of};
use tranche_domain::trail::sums::TimeRange;

fn at(minutes: i64, micros: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes) + TimeDelta::microseconds(micros)
}

fn is_on_the_hour(moment: DateTime<Utc>) -> bool {
    (moment.minute(), moment.second(), moment.nanosecond()) == (0, 0, 0)
}

proptest! {
    #[test]
    fn parts_are_the_whole_range_and_nothing_twice(
        // Before 1970 as well.
        first in -50_000_i64..50_000,
        length in 0_i64..6_000,
        micros in prop_oneof![Just(0), 0_i64..60_000_000],
    ) {
        let (from, to) = (at(first, micros), at(first + length, 0).max(at(first, micros)));
        let parts = TimeRange::try_new(from, to).unwrap().parts();
        let (hours, rest) = (parts.hours, parts.rest);
        let mut all: Vec<Period> = [parts.days].into_iter().chain(hours).chain(rest).collect();
        all.retain(|(from, to)| from != to);
        all.sort_unstable();
        let mut reached = from;
        for (begins, ends) in all {
            prop_assert_eq!(begins, reached);
            prop_assert!(begins < ends);
            reached = ends;
        }
        prop_assert_eq!(reached, to);
        let (begins, ends) = parts.days;
        if begins != ends {
            prop_assert_eq!((day_of(begins), day_of(ends)), (begins, ends));
        }
        for (begins, ends) in hours {
            prop_assert!(begins == ends || is_on_the_hour(begins) && is_on_the_hour(ends));
            prop_assert!(ends - begins < TimeDelta::days(2));
        }
        for (begins, ends) in rest {
            prop_assert!(ends - begins < TimeDelta::hours(2));
        }
    }
}
