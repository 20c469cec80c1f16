//! Assessment trails: where they are kept, how many, how long.

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use clap::Args;
use serde::Deserialize;
use tranche_application::daily::Daily;
use tranche_application::trails::Backend;

use super::time_of_day::{shown, time_of_day};
use super::{ConfigError, number, value};

/// When a clean-up begins by itself, unless told otherwise.
const AT: &str = "02:00";

/// Settings as they are given.
#[derive(Clone, Default, Args, Deserialize)]
pub struct TrailSettings {
    /// Where assessment trails are kept: `database`, `memory` (of this process), or `dual`, on the way
    /// from one to the other [default: database]
    #[arg(
        long,
        env = "TRANCHE_TRAILS",
        global = true,
        value_name = "database|memory|dual"
    )]
    trails: Option<String>,
    /// For how many days a trail is kept after it was created, 1 to 36500 [default: 7]
    #[arg(
        long,
        env = "TRANCHE_TRAILS_RETENTION_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    trails_retention_days: Option<String>,
    /// The time of day at which older ones are deleted, or `off` [default: 02:00]
    #[arg(
        long,
        env = "TRANCHE_TRAILS_CLEANUP_AT",
        global = true,
        value_name = "HH:MM"
    )]
    trails_cleanup_at: Option<String>,
    /// The time zone of that time, by its name in the IANA database, such as Africa/Lagos
    /// [default: UTC]
    #[arg(
        long,
        env = "TRANCHE_TRAILS_TIME_ZONE",
        global = true,
        value_name = "NAME"
    )]
    trails_time_zone: Option<String>,
    /// How many trails the memory of this process holds, 1 to 1000000; then the oldest goes
    /// [default: 10000]
    #[arg(
        long,
        env = "TRANCHE_TRAILS_MEMORY_COUNT",
        global = true,
        value_name = "COUNT"
    )]
    trails_memory_count: Option<String>,
}

/// Assessment trails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trails {
    /// Where they are kept when the process starts.
    pub backend: Backend,
    /// For how many days.
    pub retention_days: u32,
    /// When a clean-up begins by itself; `None`: never.
    pub cleanup_at: Option<NaiveTime>,
    /// In which time zone.
    pub time_zone: Tz,
    /// How many the memory holds.
    pub memory_count: usize,
}

impl TrailSettings {
    pub(super) fn fill_from(&mut self, file: Self) {
        macro_rules! fill { ($($field:ident)*) => { $(
            if self.$field.is_none() { self.$field = file.$field; }
        )* } }
        fill!(trails trails_retention_days trails_cleanup_at trails_time_zone trails_memory_count);
    }

    pub(super) fn resolve(self) -> Result<Trails, ConfigError> {
        let days = self.trails_retention_days.as_deref();
        let days = number("TRANCHE_TRAILS_RETENTION_DAYS", days, 7, 1..=36_500)?;
        let count = self.trails_memory_count.as_deref();
        let count = number("TRANCHE_TRAILS_MEMORY_COUNT", count, 10_000, 1..=1_000_000)?;
        Ok(Trails {
            backend: backend(self.trails.as_deref().unwrap_or("database"))?,
            retention_days: u32::try_from(days).unwrap_or(u32::MAX),
            cleanup_at: time_of_day(
                "TRANCHE_TRAILS_CLEANUP_AT",
                self.trails_cleanup_at.as_deref(),
                AT,
            )?,
            time_zone: time_zone(self.trails_time_zone.as_deref().unwrap_or("UTC"))?,
            memory_count: usize::try_from(count).unwrap_or(usize::MAX),
        })
    }
}

fn backend(text: &str) -> Result<Backend, ConfigError> {
    Backend::named(text).ok_or_else(|| {
        let why = format!("is \"{text}\" and must be database, memory or dual");
        value("TRANCHE_TRAILS", why)
    })
}

fn time_zone(text: &str) -> Result<Tz, ConfigError> {
    text.parse().map_err(|_| {
        let why = format!("is \"{text}\" and must be a time zone such as Africa/Lagos or UTC");
        value("TRANCHE_TRAILS_TIME_ZONE", why)
    })
}

impl Trails {
    /// For how long a trail is kept.
    #[must_use]
    pub fn retention(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.retention_days))
    }

    /// When a clean-up begins by itself in a process that does such work; never in another.
    #[must_use]
    pub fn cleanup(&self, works: bool) -> Daily<Tz> {
        Daily::new(self.cleanup_at.filter(|_| works), self.time_zone)
    }

    /// Every setting in force, a line each.
    pub(super) fn describe(&self, lines: &mut Vec<String>) {
        lines.extend([
            format!("TRANCHE_TRAILS={}", self.backend),
            format!("TRANCHE_TRAILS_RETENTION_DAYS={}", self.retention_days),
            format!("TRANCHE_TRAILS_CLEANUP_AT={}", shown(self.cleanup_at)),
            format!("TRANCHE_TRAILS_TIME_ZONE={}", self.time_zone),
            format!("TRANCHE_TRAILS_MEMORY_COUNT={}", self.memory_count),
        ]);
    }
}
