//! Where the sums over a time range come from.

use chrono::{DateTime, TimeDelta, Utc};

use super::sums::TimeRange;

/// From a moment, before another; empty where both are the same.
pub type Period = (DateTime<Utc>, DateTime<Utc>);

/// A range in parts that have no moment in common and are the whole of it. Days and hours are those of
/// UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeParts {
    /// Whole days.
    pub days: Period,
    /// Whole hours before and after them.
    pub hours: [Period; 2],
    /// What is left of an hour at both ends.
    pub rest: [Period; 2],
}

impl TimeRange {
    /// The range in whole days, whole hours beside them, and what is left at both ends.
    #[must_use]
    pub fn parts(&self) -> RangeParts {
        let (from, to) = (self.from(), self.to());
        let nothing = (to, to);
        let Some((first, end)) = self.whole_hours() else {
            return RangeParts {
                days: nothing,
                hours: [nothing; 2],
                rest: [(from, to), nothing],
            };
        };
        let (day, last) = (first_day(first), day_of(end));
        let (days, hours) = if day < last {
            ((day, last), [(first, day), (last, end)])
        } else {
            (nothing, [(first, end), nothing])
        };
        RangeParts {
            days,
            hours,
            rest: [(from, first), (end, to)],
        }
    }
}

/// The first moment of a day.
#[must_use]
pub fn day_of(moment: DateTime<Utc>) -> DateTime<Utc> {
    let day = moment.date_naive().and_hms_opt(0, 0, 0);
    day.map_or(moment, |day| day.and_utc())
}

/// The first day that begins at a moment or later.
fn first_day(moment: DateTime<Utc>) -> DateTime<Utc> {
    match day_of(moment) {
        day if day == moment => day,
        day => day + TimeDelta::days(1),
    }
}
