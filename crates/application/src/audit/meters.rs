//! What the pipeline counts in this process, and the report that others read (P6).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::ports::queue::Depth;

/// How long a single count or duration is remembered.
const REMEMBERED: TimeDelta = TimeDelta::minutes(5);
/// How many durations are remembered at most.
const MOST_DURATIONS: usize = 4096;

/// Counts of one minute, and of five.
#[derive(Debug, Default)]
struct Window {
    /// Counts by second.
    seconds: VecDeque<(i64, u64)>,
}

impl Window {
    fn add(&mut self, count: u64, now: DateTime<Utc>) {
        let second = now.timestamp();
        match self.seconds.back_mut() {
            Some((last, sum)) if *last >= second => *sum = sum.saturating_add(count),
            _ => self.seconds.push_back((second, count)),
        }
        while self
            .seconds
            .front()
            .is_some_and(|(at, _)| *at <= second - REMEMBERED.num_seconds())
        {
            self.seconds.pop_front();
        }
    }

    fn sum(&self, now: DateTime<Utc>, over: TimeDelta) -> u64 {
        let from = now.timestamp() - over.num_seconds();
        let recent = self.seconds.iter().filter(|(at, _)| *at > from);
        recent.map(|(_, count)| count).sum()
    }
}

#[derive(Debug, Default)]
struct Recent {
    inserts: Window,
    failures: Window,
    batches: VecDeque<(DateTime<Utc>, Duration)>,
}

/// Counters of one process. All of them only grow, but for the windows.
#[derive(Debug, Default)]
pub struct Meters {
    /// Events put into the log.
    inserted: AtomicU64,
    /// Writes of a batch that failed.
    failed: AtomicU64,
    /// Events written straight into the log because the queue was full (P2).
    overflow: AtomicU64,
    /// Events that went to the disk spool.
    spooled: AtomicU64,
    /// Events that found no place at all.
    dropped: AtomicU64,
    /// Events given up as dead letters.
    buried: AtomicU64,
    /// Webhooks that were disabled because their receivers failed.
    webhooks_disabled: AtomicU64,
    /// Events that wait in memory for a place on the disk, now.
    held: AtomicU64,
    /// For how many seconds the oldest part of the log should have been gone, and one more; nothing
    /// while nobody looked.
    retention_lag: AtomicU64,
    recent: Mutex<Recent>,
}

/// What a process counted until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Events put into the log.
    pub inserted: u64,
    /// Writes of a batch that failed.
    pub failed: u64,
    /// Events written straight into the log because the queue was full.
    pub overflow: u64,
    /// Events that went to the disk spool.
    pub spooled: u64,
    /// Events that found no place at all.
    pub dropped: u64,
    /// Events given up as dead letters.
    pub buried: u64,
    /// Webhooks that were disabled because their receivers failed.
    #[serde(default)]
    pub webhooks_disabled: u64,
}

/// What a process counted of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Events put into the log in the last minute.
    pub inserts_per_minute: u64,
    /// Failed writes in the last minute.
    pub failures_per_minute: u64,
    /// Failed writes in the last five minutes.
    pub failures_in_five_minutes: u64,
    /// How many batches of the last five minutes the durations are of.
    pub batches: u64,
    /// The mean duration of a batch, in microseconds.
    pub batch_mean_us: u64,
    /// The duration that 99 of 100 batches did not exceed, in microseconds.
    pub batch_p99_us: u64,
}

/// How the log's evidence is, from best to worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The newest checkpoint is kept outside of the store, and the store extends it.
    #[default]
    Sound,
    /// The newest checkpoint could not be kept.
    NotKept,
    /// The store contradicts what was kept: nothing is sealed.
    Contradicted,
}

impl Evidence {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::NotKept => "not_kept",
            Self::Contradicted => "contradicted",
        }
    }
}

/// What a process tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Names the process, anew at each start.
    pub process: String,
    /// When it was told.
    pub at: DateTime<Utc>,
    /// How many workers it runs.
    pub workers: u32,
    /// Since its start.
    pub totals: Totals,
    /// Of late.
    pub rates: Rates,
    /// Events in the queue, as it sees it; `None` when the queue does not answer.
    pub queue_length: Option<u64>,
    /// When the oldest event in queue and spool was pushed.
    pub oldest: Option<DateTime<Utc>>,
    /// Events in its own spool.
    pub spool_events: u64,
    /// Bytes in its own spool.
    pub spool_bytes: u64,
    /// Whether the log takes its events.
    pub store_available: bool,
    /// Whether it tells people in a way that reaches them, beyond its own log.
    #[serde(default)]
    pub pages: bool,
    /// How the log's evidence is, where it seals.
    #[serde(default)]
    pub evidence: Evidence,
}

impl Meters {
    /// A batch came into the log.
    pub fn stored(&self, events: u64, took: Duration, now: DateTime<Utc>) {
        self.inserted.fetch_add(events, Ordering::Relaxed);
        let mut recent = self.recent();
        recent.inserts.add(events, now);
        recent.batches.push_back((now, took));
        while recent.batches.len() > MOST_DURATIONS
            || recent
                .batches
                .front()
                .is_some_and(|(at, _)| *at < now - REMEMBERED)
        {
            recent.batches.pop_front();
        }
    }

    /// A write failed.
    pub fn failed(&self, now: DateTime<Utc>) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.recent().failures.add(1, now);
    }

    /// Events went straight into the log because the queue was full.
    pub fn overflowed(&self, events: u64) {
        self.overflow.fetch_add(events, Ordering::Relaxed);
    }

    /// Events went to the disk spool.
    pub fn spooled(&self, events: u64) {
        self.spooled.fetch_add(events, Ordering::Relaxed);
    }

    /// Events found no place at all.
    pub fn dropped(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
    }

    /// Events were given up as dead letters.
    pub fn buried(&self, events: u64) {
        self.buried.fetch_add(events, Ordering::Relaxed);
    }

    /// A webhook was disabled because its receiver failed.
    pub fn webhook_disabled(&self) {
        self.webhooks_disabled.fetch_add(1, Ordering::Relaxed);
    }

    /// So many events wait in memory for a place on the disk now.
    pub fn holds(&self, events: u64) {
        self.held.store(events, Ordering::Relaxed);
    }

    /// How many events wait in memory for a place on the disk.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// For so long the oldest part of the log should have been gone.
    pub fn retention_is_late(&self, lag: TimeDelta) {
        let seconds = u64::try_from(lag.num_seconds()).unwrap_or_default();
        self.retention_lag
            .store(seconds.saturating_add(1), Ordering::Relaxed);
    }

    /// For how long the oldest part of the log should have been gone, in seconds; `None` while this
    /// process has not looked.
    #[must_use]
    pub fn retention_lag(&self) -> Option<u64> {
        self.retention_lag.load(Ordering::Relaxed).checked_sub(1)
    }

    /// What was counted since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            inserted: of(&self.inserted),
            failed: of(&self.failed),
            overflow: of(&self.overflow),
            spooled: of(&self.spooled),
            dropped: of(&self.dropped),
            buried: of(&self.buried),
            webhooks_disabled: of(&self.webhooks_disabled),
        }
    }

    /// What was counted of late.
    #[must_use]
    pub fn rates(&self, now: DateTime<Utc>) -> Rates {
        let recent = self.recent();
        let minute = TimeDelta::minutes(1);
        let mut micros: Vec<u64> = recent
            .batches
            .iter()
            .filter(|(at, _)| *at >= now - REMEMBERED)
            .map(|(_, took)| u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
            .collect();
        micros.sort_unstable();
        let batches = micros.len() as u64;
        let sum: u128 = micros.iter().copied().map(u128::from).sum();
        let rank = (micros.len() * 99).div_ceil(100).saturating_sub(1);
        Rates {
            inserts_per_minute: recent.inserts.sum(now, minute),
            failures_per_minute: recent.failures.sum(now, minute),
            failures_in_five_minutes: recent.failures.sum(now, REMEMBERED),
            batches,
            batch_mean_us: u64::try_from(sum / u128::from(batches.max(1))).unwrap_or(u64::MAX),
            batch_p99_us: micros.get(rank).copied().unwrap_or_default(),
        }
    }

    /// The process's report.
    #[must_use]
    pub fn report(
        &self,
        process: &str,
        workers: u32,
        queue: Option<Depth>,
        spool: Depth,
        store_available: bool,
        now: DateTime<Utc>,
    ) -> Report {
        Report {
            process: process.to_owned(),
            at: now,
            workers,
            totals: self.totals(),
            rates: self.rates(now),
            queue_length: queue.map(|queue| queue.events),
            oldest: [queue.and_then(|queue| queue.oldest), spool.oldest]
                .into_iter()
                .flatten()
                .min(),
            spool_events: spool.events,
            spool_bytes: spool.bytes,
            store_available,
            pages: false,
            evidence: Evidence::Sound,
        }
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
