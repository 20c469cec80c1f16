//! A time of day at which something begins by itself.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Offset, TimeZone, Utc};

/// A time of day in a time zone; `None`: never.
///
/// It comes once on every day of that zone: the first of two on a day on which clocks are turned back
/// over it, and as much later as clocks are turned forward on a day that skips it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daily<Z = Utc> {
    at: Option<NaiveTime>,
    zone: Z,
}

impl Daily {
    /// A time of day in UTC.
    #[must_use]
    pub const fn in_utc(at: Option<NaiveTime>) -> Self {
        Self { at, zone: Utc }
    }
}

impl<Z: TimeZone> Daily<Z> {
    /// A time of day in a zone.
    #[must_use]
    pub const fn new(at: Option<NaiveTime>, zone: Z) -> Self {
        Self { at, zone }
    }

    /// When it was that time last, this moment included.
    #[must_use]
    pub fn last(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let days = self.day(now).iter_days().rev().take(3);
        days.filter_map(|day| self.on(day))
            .find(|moment| *moment <= now)
    }

    /// When it will be that time next.
    #[must_use]
    pub fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let days = self.day(now).iter_days().take(3);
        days.filter_map(|day| self.on(day))
            .find(|moment| *moment > now)
    }

    fn day(&self, now: DateTime<Utc>) -> NaiveDate {
        now.with_timezone(&self.zone).date_naive()
    }

    fn on(&self, day: NaiveDate) -> Option<DateTime<Utc>> {
        let local = day.and_time(self.at?);
        let found = self.zone.from_local_datetime(&local).earliest();
        if let Some(moment) = found {
            return Some(moment.with_timezone(&Utc));
        }
        // By the clock of the day before, as if it had not been turned.
        let before = local.checked_sub_days(Days::new(1))?;
        let offset = self.zone.offset_from_local_datetime(&before).earliest()?;
        let utc = local.checked_sub_offset(offset.fix())?;
        Some(utc.and_utc())
    }
}
