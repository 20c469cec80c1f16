//! The rules of the queue, as functions that run on any adapter of
//! [`AuditQueue`](tranche_application::ports::queue::AuditQueue).
//!
//! An adapter hands in a [`QueueUnderTest`], an empty queue of the given [`Shape`], and expands
//! [`queue_contract!`](crate::queue_contract):
//!
//! ```ignore
//! async fn fresh(shape: Shape) -> impl tranche_tests::queue_contract::QueueUnderTest { … }
//! tranche_tests::queue_contract!(fresh);
//! ```
//!
//! What the rules come to: what was pushed is given out, in order, to one worker at a time, until
//! one says that it is done; a crash, a dead worker and an entry that cannot be read lose nothing
//! else and block nobody; and the queue never holds more than it may.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "test support: a rule that does not hold fails its test"
)]

pub mod crashes;
pub mod crowd;
pub mod holding;
pub mod order;
pub mod room;
pub mod unreadable;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tranche_application::audit::record::{EventRecord, RecordedActor};
use tranche_application::ports::queue::{AuditQueue, Receipt, Taken};
use uuid::Uuid;

/// What the rule at hand needs of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many events it holds at most.
    pub events: u64,
    /// How long a worker may hold what it took. Later it counts as dead.
    pub hold: Duration,
}

impl Shape {
    /// A queue for so many events, whose workers count as alive for longer than any rule runs.
    pub const fn of(events: u64) -> Self {
        Self {
            events,
            hold: Duration::from_hours(1),
        }
    }

    /// A queue with room, whose workers count as dead soon.
    pub const fn impatient() -> Self {
        Self {
            events: ROOM,
            hold: SOON,
        }
    }
}

/// More room than a rule needs.
pub const ROOM: u64 = 100_000;
/// How soon an impatient queue holds a worker for dead.
pub const SOON: Duration = Duration::from_millis(500);
/// Longer than an answer takes, however slow the machine.
pub const LONG: Duration = Duration::from_secs(30);
/// Long enough to see that nothing comes.
pub const BRIEF: Duration = Duration::from_millis(200);

/// A queue, with the hooks that let a rule go past it.
#[async_trait]
pub trait QueueUnderTest: Send + Sync {
    /// The queue as the process that runs now has it.
    fn queue(&self) -> Arc<dyn AuditQueue>;

    /// The same queue as another process has it. Where one process alone may use it, the same.
    async fn elsewhere(&self) -> Arc<dyn AuditQueue>;

    /// Ends the process that runs now without a goodbye, and starts another one. The rules hold no
    /// handle of the old one.
    async fn crash(&mut self);

    /// Makes the oldest entry unreadable, past the adapter. May start another process.
    async fn corrupt_oldest(&mut self);
}

/// Event number `n`.
pub fn event(n: u64) -> Arc<EventRecord> {
    Arc::new(EventRecord {
        id: id(n),
        severity: "info".to_owned(),
        occurred_at: at(n),
        action: "report.viewed".to_owned(),
        actor: RecordedActor {
            id: "reader-1".to_owned(),
            role: None,
        },
        project_id: None,
        milestone_id: None,
        resource_type: "report".to_owned(),
        resource_id: Some(format!("report-{n}")),
        previous_status: None,
        new_status: None,
        changes: json!({}),
        metadata: json!({ "page": n }),
        details: json!({ "note": "the figures of the third quarter" }),
        ip_address: None,
        user_agent: Some("reader/2.1".to_owned()),
        request_id: None,
        salt: [7; 16],
    })
}

/// Events of these numbers.
pub fn events(numbers: impl IntoIterator<Item = u64>) -> Vec<Arc<EventRecord>> {
    numbers.into_iter().map(event).collect()
}

/// The id of event number `n`.
pub fn id(n: u64) -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
}

/// The ids of events of these numbers.
pub fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<Uuid> {
    numbers.into_iter().map(id).collect()
}

/// The ids of what was taken.
pub fn taken_ids(taken: &Taken) -> Vec<Uuid> {
    taken.events.iter().map(|event| event.id).collect()
}

/// So many seconds after a moment.
pub fn at(seconds: u64) -> DateTime<Utc> {
    let seconds = i64::try_from(seconds).expect("a small number");
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

/// Pushes events of these numbers together, at the moment of the first. All find room.
pub async fn push(queue: &dyn AuditQueue, numbers: impl IntoIterator<Item = u64>) {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let when = at(numbers.first().copied().unwrap_or_default());
    let pushed = queue.push(&events(numbers.iter().copied()), when).await;
    assert_eq!(pushed.expect("the queue answers"), numbers.len());
}

/// Something is there: takes about `limit`.
pub async fn take(queue: &dyn AuditQueue, limit: usize) -> Taken {
    let taken = queue.take(limit, LONG).await.expect("the queue answers");
    taken.expect("something to take")
}

/// Nobody is given anything.
pub async fn gives_nothing(queue: &dyn AuditQueue) {
    let taken = queue.take(10, BRIEF).await.expect("the queue answers");
    assert_eq!(taken, None);
}

/// Says that it is done.
pub async fn done(queue: &dyn AuditQueue, receipt: &Receipt) {
    queue.done(receipt).await.expect("the queue answers");
}

/// Takes and finishes until so many different events were seen, in the order of the takings.
pub async fn drain(queue: &dyn AuditQueue, different: usize) -> Vec<Uuid> {
    let mut seen = Vec::new();
    let mut known = BTreeSet::new();
    while known.len() < different {
        let taken = take(queue, 500).await;
        seen.extend(taken_ids(&taken));
        known.extend(taken_ids(&taken));
        done(queue, &taken.receipt).await;
    }
    seen
}

/// Nothing is left, held or not.
pub async fn is_empty(queue: &dyn AuditQueue) {
    let depth = queue.depth().await.expect("the queue answers");
    assert_eq!((depth.events, depth.oldest), (0, None));
}

/// One `#[tokio::test]` for each rule of the queue. `$factory` names an
/// `async fn(Shape) -> impl QueueUnderTest` in scope.
#[macro_export]
macro_rules! queue_contract {
    ($factory:ident) => {
        $crate::queue_contract! { @each $factory;
            order: [
                what_was_pushed_is_taken_in_order,
                an_event_comes_out_as_it_went_in,
                one_event_and_a_thousand_are_pushed_alike,
                an_empty_push_is_nothing,
                a_take_waits_no_longer_than_it_may,
                a_take_returns_when_something_comes,
            ];
            room: [
                a_push_takes_the_first_that_there_is_room_for,
                what_is_held_takes_room,
                those_who_push_at_once_share_the_room,
                depth_counts_what_waits_and_what_is_held,
            ];
            holding: [
                what_is_held_is_given_to_nobody_else,
                what_is_done_is_gone,
                done_twice_is_once,
                what_is_given_back_is_given_at_once,
                what_a_dead_worker_held_is_given_again,
            ];
            crashes: [
                what_was_not_done_is_given_again_after_a_crash,
                what_was_done_is_not_given_again_after_a_crash,
                depth_is_known_after_a_crash,
                order_outlives_a_crash,
            ];
            unreadable: [
                an_unreadable_entry_blocks_nobody,
                an_unreadable_entry_is_done_like_any_other,
            ];
            crowd: [
                nothing_is_lost_or_doubled_in_a_crowd,
                nothing_is_lost_when_a_crowd_dies,
            ];
        }
    };
    (@each $factory:ident; $($topic:ident: [$($rule:ident,)*];)*) => {
        $(mod $topic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                $crate::queue_contract::$topic::$rule(super::$factory).await;
            })*
        })*
    };
}
