//! What goes in comes out, in order.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};
use tranche_application::audit::record::EventRecord;

use super::{
    LONG, QueueUnderTest, ROOM, Shape, at, done, drain, event, gives_nothing, ids, is_empty, push,
    take, taken_ids,
};

/// First come, first given, whether pushed together or one after the other.
pub async fn what_was_pushed_is_taken_in_order<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let subject = fresh(Shape::of(ROOM)).await;
    let queue = subject.queue();
    push(&*queue, 1..=3).await;
    push(&*queue, [4]).await;
    push(&*queue, 5..=9).await;
    assert_eq!(drain(&*queue, 9).await, ids(1..=9));
    is_empty(&*queue).await;
}

/// Every field, floats and all, before a crash and after: its proof is computed from it.
pub async fn an_event_comes_out_as_it_went_in<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let mut subject = fresh(Shape::impatient()).await;
    let full = Arc::new(EventRecord {
        severity: "warning".to_owned(),
        project_id: Some(super::id(77)),
        milestone_id: Some(super::id(78)),
        previous_status: Some("draft".to_owned()),
        new_status: Some("submitted".to_owned()),
        changes: json!({ "title": { "from": "a\nb", "to": "ä \u{0} \u{1F600} \"\\" } }),
        metadata: json!([
            1.1,
            0.1,
            5e-324,
            1.797_693_134_862_315_7e308,
            -0.0,
            u64::MAX,
            i64::MIN
        ]),
        details: json!({ "deep": [[[{ "a": null }]]], "near": 8_471.923_076_923_077 }),
        ip_address: Some("2001:db8::1".parse().expect("an address")),
        request_id: Some("r-1".to_owned()),
        ..(*event(1)).clone()
    });
    let queue = subject.queue();
    let pushed = queue.push(std::slice::from_ref(&full), at(1)).await;
    assert_eq!(pushed.expect("the queue answers"), 1);
    let before = take(&*queue, 1).await;
    assert_eq!(before.events, [Arc::clone(&full)]);
    drop(queue);
    subject.crash().await;
    let after = take(&*subject.queue(), 1).await;
    assert_eq!(after.events, [full]);
    assert_eq!(after.unreadable, []);
}

/// The size of a push does not matter.
pub async fn one_event_and_a_thousand_are_pushed_alike<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(ROOM)).await;
    let queue = subject.queue();
    push(&*queue, [0]).await;
    push(&*queue, 1..=1_000).await;
    push(&*queue, 1_001..=4_000).await;
    assert_eq!(drain(&*queue, 4_001).await, ids(0..=4_000));
    is_empty(&*queue).await;
}

/// Nothing pushed is nothing taken.
pub async fn an_empty_push_is_nothing<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let subject = fresh(Shape::of(ROOM)).await;
    let queue = subject.queue();
    push(&*queue, []).await;
    is_empty(&*queue).await;
    gives_nothing(&*queue).await;
}

/// Nothing comes: the answer is that, after the time given, and at once when none is given.
pub async fn a_take_waits_no_longer_than_it_may<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(ROOM)).await;
    let queue = subject.queue();
    let begun = Instant::now();
    let wait = Duration::from_millis(300);
    let taken = timeout(LONG, queue.take(10, wait)).await;
    let taken = taken.expect("it ends").expect("the queue answers");
    assert_eq!(taken, None);
    assert!(begun.elapsed() >= wait, "after {:?}", begun.elapsed());
    let at_once = timeout(LONG, queue.take(10, Duration::ZERO)).await;
    assert_eq!(at_once.expect("it ends").expect("the queue answers"), None);
    push(&*queue, [1]).await;
    let there = queue.take(10, Duration::ZERO).await;
    let there = there.expect("the queue answers").expect("an event");
    assert_eq!(taken_ids(&there), ids([1]));
}

/// Who waits is woken by the push, not by the end of the wait.
pub async fn a_take_returns_when_something_comes<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(ROOM)).await;
    let waiting = subject.elsewhere().await;
    let begun = Instant::now();
    let waiter = tokio::spawn(async move { waiting.take(10, LONG * 4).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    push(&*subject.queue(), [1]).await;
    let taken = waiter.await.expect("no panic").expect("the queue answers");
    let taken = taken.expect("an event");
    assert!(begun.elapsed() < LONG, "after {:?}", begun.elapsed());
    assert_eq!(taken_ids(&taken), ids([1]));
    done(&*subject.queue(), &taken.receipt).await;
    is_empty(&*subject.queue()).await;
}
