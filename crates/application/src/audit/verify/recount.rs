//! Counts the events anew, to hold the roll-ups against.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::finding::{Finding, Kind};
use crate::audit::record::EventRecord;
use crate::ports::audit_search::Bucket;
use crate::ports::verification::StoredRollUp;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Between the parts of a kind's name: no text of the log holds it.
const BETWEEN: char = '\0';

/// How many events there are of each kind in each hour. It is as large as the roll-ups, not as the
/// log.
#[derive(Debug, Default)]
pub(super) struct Recount {
    kinds: HashMap<String, u32>,
    /// By kind and by the hour's beginning, in seconds.
    hours: HashMap<(u32, i64), i64>,
    name: String,
}

/// The beginning of an hour or a day, in seconds.
const fn beginning(at: DateTime<Utc>, length: i64) -> i64 {
    at.timestamp().div_euclid(length) * length
}

impl Recount {
    pub(super) fn count(&mut self, event: &EventRecord) {
        let hour = beginning(event.occurred_at, HOUR);
        let kind = self.kind(&event.severity, &event.action, &event.resource_type);
        *self.hours.entry((kind, hour)).or_default() += 1;
    }

    fn kind(&mut self, severity: &str, action: &str, resource_type: &str) -> u32 {
        self.name.clear();
        for part in [severity, action, resource_type] {
            self.name.push_str(part);
            self.name.push(BETWEEN);
        }
        if let Some(kind) = self.kinds.get(&self.name) {
            return *kind;
        }
        let next = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        self.kinds.insert(self.name.clone(), next);
        next
    }

    /// Adds what another has counted.
    pub(super) fn add(&mut self, other: Self) {
        let names: HashMap<u32, String> = other
            .kinds
            .into_iter()
            .map(|(name, kind)| (kind, name))
            .collect();
        let mut ours = HashMap::with_capacity(names.len());
        for (kind, name) in names {
            let next = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
            ours.insert(kind, *self.kinds.entry(name).or_insert(next));
        }
        for ((kind, hour), events) in other.hours {
            if let Some(kind) = ours.get(&kind) {
                *self.hours.entry((*kind, hour)).or_default() += events;
            }
        }
    }

    /// What the roll-ups should be.
    pub(super) fn expected(self) -> Expected {
        let mut buckets = HashMap::with_capacity(self.hours.len() * 2);
        for ((kind, hour), events) in self.hours {
            buckets.insert((kind, Bucket::Hour, hour), events);
            let day = hour.div_euclid(DAY) * DAY;
            *buckets.entry((kind, Bucket::Day, day)).or_default() += events;
        }
        Expected {
            kinds: Self {
                kinds: self.kinds,
                ..Self::default()
            },
            buckets,
        }
    }
}

/// What the roll-ups should be, less those that were found right.
#[derive(Debug)]
pub(super) struct Expected {
    kinds: Recount,
    buckets: HashMap<(u32, Bucket, i64), i64>,
}

impl Expected {
    /// Whether a roll-up is what was counted.
    pub(super) fn compare(&mut self, kept: &StoredRollUp) -> Option<Finding> {
        let kind = self
            .kinds
            .kind(&kept.severity, &kept.action, &kept.resource_type);
        let key = (kind, kept.bucket, kept.starts_at.timestamp());
        let is_whole = kept.starts_at.timestamp_subsec_nanos() == 0;
        let counted = if is_whole {
            self.buckets.remove(&key).unwrap_or_default()
        } else {
            0
        };
        (counted != kept.events).then(|| {
            differs(
                kept.bucket,
                kept.starts_at,
                &[&kept.severity, &kept.action, &kept.resource_type],
                (kept.events, counted),
            )
        })
    }

    /// What was counted and has no roll-up.
    pub(super) fn missing(self) -> impl Iterator<Item = Finding> {
        let names: HashMap<u32, String> = self
            .kinds
            .kinds
            .into_iter()
            .map(|(name, kind)| (kind, name))
            .collect();
        self.buckets
            .into_iter()
            .map(move |((kind, bucket, starts_at), events)| {
                let name = names.get(&kind).map(String::as_str).unwrap_or_default();
                let parts: Vec<&str> = name.split_terminator(BETWEEN).collect();
                let starts_at = DateTime::from_timestamp(starts_at, 0).unwrap_or_default();
                differs(bucket, starts_at, &parts, (0, events))
            })
    }
}

fn differs(
    bucket: Bucket,
    starts_at: DateTime<Utc>,
    kind: &[&str],
    (kept, counted): (i64, i64),
) -> Finding {
    let width = match bucket {
        Bucket::Hour => "hour",
        Bucket::Day => "day",
    };
    let (kind, from) = (kind.join(" "), starts_at.format("%Y-%m-%dT%H:%M:%SZ"));
    Finding::new(
        Kind::RollUpDiffers,
        format!("{kind} in the {width} from {from}: {kept} in the roll-up, {counted} counted"),
    )
}
