//! The queue never holds more than it may, and says how much it holds.

use std::sync::Arc;

use super::{QueueUnderTest, ROOM, Shape, at, done, drain, events, ids, is_empty, push, take};

/// A push that finds no room for all leaves the rest with its caller.
pub async fn a_push_takes_the_first_that_there_is_room_for<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(10)).await;
    let queue = subject.queue();
    push(&*queue, 1..=7).await;
    let pushed = queue.push(&events(8..=12), at(8)).await;
    assert_eq!(pushed.expect("the queue answers"), 3);
    let pushed = queue.push(&events([13]), at(13)).await;
    assert_eq!(pushed.expect("the queue answers"), 0);
    assert_eq!(drain(&*queue, 10).await, ids(1..=10));
    push(&*queue, 14..=23).await;
    assert_eq!(drain(&*queue, 10).await, ids(14..=23));
}

/// Taken is not done: the room comes free with the second.
pub async fn what_is_held_takes_room<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let subject = fresh(Shape::of(4)).await;
    let queue = subject.queue();
    push(&*queue, 1..=4).await;
    let held = take(&*queue, 4).await;
    let pushed = queue.push(&events([5]), at(5)).await;
    assert_eq!(pushed.expect("the queue answers"), 0);
    done(&*queue, &held.receipt).await;
    push(&*queue, 6..=9).await;
}

/// However many push at once, together they get in what there is room for.
pub async fn those_who_push_at_once_share_the_room<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    const LIMIT: u64 = 100;
    let subject = fresh(Shape::of(LIMIT)).await;
    let mut pushing = Vec::new();
    for producer in 0..20_u64 {
        let queue = if producer % 2 == 0 {
            subject.queue()
        } else {
            subject.elsewhere().await
        };
        pushing.push(tokio::spawn(async move {
            let first = producer * 20;
            queue.push(&events(first..first + 20), at(1)).await
        }));
    }
    let mut expected = Vec::new();
    for (producer, push) in (0_u64..).zip(pushing) {
        let pushed = push.await.expect("no panic").expect("the queue answers");
        let pushed = u64::try_from(pushed).expect("a small number");
        expected.extend(ids(producer * 20..producer * 20 + pushed));
    }
    assert_eq!(expected.len(), 100);
    let mut seen = drain(&*subject.queue(), 100).await;
    seen.sort_unstable();
    assert_eq!(seen, expected);
    is_empty(&*subject.queue()).await;
}

/// Events, bytes and the oldest moment, held or not.
pub async fn depth_counts_what_waits_and_what_is_held<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(ROOM)).await;
    let queue = subject.queue();
    is_empty(&*queue).await;
    push(&*queue, [1]).await;
    let one = queue.depth().await.expect("the queue answers");
    assert_eq!((one.events, one.oldest), (1, Some(at(1))));
    let content = serde_json::to_vec(&*super::event(1)).expect("JSON").len();
    let content = u64::try_from(content).expect("a small number");
    assert!(one.bytes >= content, "{} of {content}", one.bytes);
    push(&*queue, 2..=9).await;
    let held = take(&*queue, 1).await;
    let other = Arc::clone(&subject.elsewhere().await);
    let all = other.depth().await.expect("the queue answers");
    assert_eq!((all.events, all.oldest), (9, Some(at(1))));
    assert!(all.bytes >= 9 * content, "{} of 9 * {content}", all.bytes);
    done(&*queue, &held.receipt).await;
    let rest = queue.depth().await.expect("the queue answers");
    let gone = u64::try_from(held.events.len()).expect("a small number");
    assert_eq!(rest.events, 9 - gone);
    assert_eq!(rest.oldest, (gone < 9).then(|| at(2)));
    assert!(rest.bytes < all.bytes);
}
