//! How long events are kept: months, policies, and legal holds.
//!
//! Events leave by whole months, so a policy counts from the *end* of a month: no event leaves
//! before its time, and the last of a month's events leave with the first.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use thiserror::Error;

use crate::audit::Severity;

/// The longest that events may be kept, in days: a hundred years.
pub const MOST_DAYS: u32 = 36_500;

/// A month of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(NaiveDate);

/// What is no month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a month such as 2026-01")]
pub struct NoMonth;

impl Month {
    /// The month of a moment.
    #[must_use]
    pub fn of(moment: DateTime<Utc>) -> Self {
        let day = moment.date_naive();
        Self(day.with_day(1).unwrap_or(day))
    }

    /// Its first moment.
    #[must_use]
    pub fn starts_at(self) -> DateTime<Utc> {
        self.0.and_time(NaiveTime::MIN).and_utc()
    }

    /// The first moment after it.
    #[must_use]
    pub fn ends_at(self) -> DateTime<Utc> {
        self.next().starts_at()
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add_months(Months::new(1)).unwrap_or(self.0))
    }

    /// Its first day.
    #[must_use]
    pub const fn first_day(self) -> NaiveDate {
        self.0
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let digits = text.bytes().enumerate().all(|(place, byte)| match place {
            4 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        if text.len() != 7 || !digits {
            return Err(NoMonth);
        }
        let (year, month) = text.split_once('-').ok_or(NoMonth)?;
        let (year, month) = (year.parse(), month.parse());
        let (Ok(year), Ok(month)) = (year, month) else {
            return Err(NoMonth);
        };
        NaiveDate::from_ymd_opt(year, month, 1)
            .map(Self)
            .ok_or(NoMonth)
    }
}

/// Why a policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// A time that is none, or beyond all bounds.
    #[error("must be 1 to {MOST_DAYS} days")]
    OutOfRange,
    /// Events would be gone before they are archived.
    #[error("events would expire before they are archived: keep them for at least as long")]
    ArchivedLate,
}

/// How long events of one severity stay where they are, and how long they are kept at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    archive_after: u32,
    keep: u32,
}

impl RetentionPolicy {
    /// Archived after `archive_after` days, gone after `keep` days.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn try_new(archive_after: u32, keep: u32) -> Result<Self, PolicyError> {
        let possible = 1..=MOST_DAYS;
        if !possible.contains(&archive_after) || !possible.contains(&keep) {
            return Err(PolicyError::OutOfRange);
        }
        if archive_after > keep {
            return Err(PolicyError::ArchivedLate);
        }
        Ok(Self {
            archive_after,
            keep,
        })
    }

    /// Days until they go to the archive.
    #[must_use]
    pub const fn archive_after(self) -> u32 {
        self.archive_after
    }

    /// Days until they are gone.
    #[must_use]
    pub const fn keep(self) -> u32 {
        self.keep
    }

    /// When a month's events go to the archive.
    #[must_use]
    pub fn archives_at(self, month: Month) -> DateTime<Utc> {
        later(month.ends_at(), self.archive_after)
    }

    /// When a month's events are gone.
    #[must_use]
    pub fn expires_at(self, month: Month) -> DateTime<Utc> {
        later(month.ends_at(), self.keep)
    }
}

fn later(moment: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    let then = moment.checked_add_signed(TimeDelta::days(i64::from(days)));
    then.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The policy of each severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPolicies {
    /// Of ordinary work.
    pub info: RetentionPolicy,
    /// Of what is worth a second look.
    pub warning: RetentionPolicy,
    /// Of money and duty.
    pub critical: RetentionPolicy,
}

impl RetentionPolicies {
    /// The policy of a severity.
    #[must_use]
    pub const fn of(&self, severity: Severity) -> RetentionPolicy {
        match severity {
            Severity::Info => self.info,
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }
}

impl Default for RetentionPolicies {
    fn default() -> Self {
        let policy = |archive_after, keep| RetentionPolicy {
            archive_after,
            keep,
        };
        Self {
            info: policy(90, 365),
            warning: policy(180, 1_095),
            critical: policy(365, 2_555),
        }
    }
}
