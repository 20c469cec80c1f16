//! A log of a few hundred events over four months that differ in everything that can be asked for.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::{EventRecord, RecordedActor};
use uuid::{Builder, Uuid};

use super::StoreUnderTest;

pub const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];
pub const ACTIONS: [&str; 5] = [
    "loan.assessed",
    "loan.paid_out",
    "user.login",
    "100% sure",
    "Ọ̀nà",
];
pub const ACTORS: [&str; 5] = ["ada", "bola%", "chi_di", "o'neill \"o\"", "ADA"];
pub const RESOURCE_TYPES: [&str; 3] = ["loan", "user", "back\\slash"];
pub const RESOURCES: [&str; 4] = ["loan-1", "loan-2", "7", "ünïcode"];

/// Numbers that only look random: the same in every run.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    pub fn of<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.roll(some.len())].clone()
    }

    /// One in `sides` gets nothing.
    pub fn maybe<T: Clone>(&mut self, sides: usize, some: &[T]) -> Option<T> {
        let none = self.roll(sides) == 0;
        let one = self.of(some);
        (!none).then_some(one)
    }
}

pub fn start() -> DateTime<Utc> {
    let start = DateTime::parse_from_rfc3339("2026-08-30T00:00:00Z");
    start.expect("a time").to_utc()
}

pub fn project(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n)
}

pub fn milestone(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + n)
}

/// What details may be.
pub fn documents() -> Vec<Value> {
    vec![
        Value::Null,
        json!({}),
        json!({ "a": 1 }),
        json!({ "a": 1.0, "b": null }),
        json!({ "a": "1", "tags": ["x", "y", ["z"]] }),
        json!({ "tags": [] }),
        json!({ "list": [{ "k": 1, "l": 2 }, { "k": 2 }], "deep": { "er": { "est": "Loan 7" } } }),
        json!({ "x": 0.1, "zero": -0.0, "big": 9_007_199_254_740_991_i64, "small": 1e-7 }),
        json!({ "quote": "say \"a\": 1", "tab": "a\tb", "back": "a\\b", "newline": "one\ntwo" }),
        json!({ "say \"key\"": true, "100%": false, "under_score": "Ünïcode ß İ" }),
        json!({ "reference": 150_032, "share": 0.25, "list": [1, 1.5, "1.5"] }),
    ]
}

/// `count` events, oldest id first; each occurred up to a week before its id was made.
pub fn events(count: usize) -> Vec<Arc<EventRecord>> {
    let mut dice = Dice::new(7);
    let documents = documents();
    let mut events: Vec<_> = (0..count)
        .map(|n| {
            let step = i64::try_from(n).expect("few") * 100 * 86_400_000
                / i64::try_from(count).expect("few");
            let made = start() + TimeDelta::milliseconds(step);
            let late = [0, 0, 0, 3_600, 90_000, 604_000][dice.roll(6)];
            let micros = i64::try_from(dice.roll(1_000_000)).expect("few");
            let before = TimeDelta::seconds(late) + TimeDelta::microseconds(micros);
            let millis = u64::try_from(made.timestamp_millis()).expect("after 1970");
            let mut tail = [0; 10];
            tail[2..].copy_from_slice(&(n as u64 ^ 0xa5a5).to_be_bytes());
            Arc::new(EventRecord {
                id: Builder::from_unix_timestamp_millis(millis, &tail).into_uuid(),
                severity: dice.of(&SEVERITIES).to_owned(),
                occurred_at: made - before,
                action: dice.of(&ACTIONS).to_owned(),
                actor: RecordedActor {
                    id: dice.of(&ACTORS).to_owned(),
                    role: dice.maybe(2, &["service".to_owned()]),
                },
                project_id: dice.maybe(3, &[project(1), project(2), project(3)]),
                milestone_id: dice.maybe(2, &[milestone(1), milestone(2)]),
                resource_type: dice.of(&RESOURCE_TYPES).to_owned(),
                resource_id: dice.maybe(4, &RESOURCES).map(str::to_owned),
                previous_status: None,
                new_status: dice.maybe(2, &["approved".to_owned()]),
                changes: json!({ "nav": { "from": n, "to": "Next" } }),
                metadata: dice.of(&documents),
                details: dice.of(&documents),
                ip_address: None,
                user_agent: dice.maybe(2, &["Mozilla/5.0 (loan)".to_owned(), "curl".to_owned()]),
                request_id: dice.maybe(2, &["req-7".to_owned()]),
                salt: [u8::try_from(n % 256).expect("a byte"); 16],
            })
        })
        .collect();
    events.sort_by_key(|event| event.id);
    events
}

/// The events, in the log.
pub async fn filled(subject: &dyn StoreUnderTest, count: usize) -> Vec<Arc<EventRecord>> {
    let events = events(count);
    let new = subject.audit_store().append(&events, start()).await;
    assert_eq!(new.expect("it is appended"), events.len() as u64);
    events
}

/// The ids of the events that the filter matches, newest first.
pub fn expected(events: &[Arc<EventRecord>], filter: &EventFilter) -> Vec<Uuid> {
    let matching = events.iter().rev().filter(|event| filter.matches(event));
    matching.map(|event| event.id).collect()
}

fn some(dice: &mut Dice, values: &[&str]) -> Vec<String> {
    let count = 1 + dice.roll(2);
    (0..count).map(|_| dice.of(values).to_owned()).collect()
}

/// Texts that are searched for.
pub const TEXTS: [&str; 24] = [
    "loan",
    "LOAN",
    "%",
    "_",
    "\\",
    "\"",
    "ọ̀nà",
    "Ọ̀NÀ",
    "\": 1",
    "150032",
    "0.25",
    ": ",
    "{",
    "null",
    "true",
    "ünïcode",
    "ÜNÏCODE",
    "\t",
    "a\\b",
    "one\ntwo",
    "nav",
    "next",
    "req-",
    "say \"a",
];

/// A filter with each condition now and then.
pub fn any_filter(dice: &mut Dice) -> EventFilter {
    let mut filter = EventFilter::default();
    if dice.roll(3) == 0 {
        filter.severities = some(dice, &SEVERITIES);
    }
    if dice.roll(3) == 0 {
        filter.actions = some(dice, &ACTIONS);
    }
    if dice.roll(3) == 0 {
        filter.actors = some(dice, &ACTORS);
    }
    if dice.roll(3) == 0 {
        filter.resource_types = some(dice, &RESOURCE_TYPES);
    }
    if dice.roll(6) == 0 {
        filter.resource_id = Some(dice.of(&RESOURCES).to_owned());
    }
    if dice.roll(4) == 0 {
        filter.project_id = Some(project(dice.roll(4) as u128));
    }
    if dice.roll(5) == 0 {
        filter.milestone_id = Some(milestone(1));
    }
    if dice.roll(3) == 0 {
        filter.from =
            Some(start() + TimeDelta::hours(i64::try_from(dice.roll(2_500)).expect("few")));
    }
    if dice.roll(3) == 0 {
        filter.to =
            Some(start() + TimeDelta::minutes(i64::try_from(dice.roll(150_000)).expect("few")));
    }
    if dice.roll(6) == 0 {
        filter.text = Some(dice.of(&TEXTS).to_owned());
    }
    if dice.roll(6) == 0 {
        filter.details = Some(dice.of(&documents()[1..]));
    }
    filter
}
