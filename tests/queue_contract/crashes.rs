//! A process that ends without a goodbye costs nothing that was acknowledged.

use super::{QueueUnderTest, SOON, Shape, at, done, drain, ids, is_empty, push, take, taken_ids};

/// Pushed, waiting or held: it is given again.
pub async fn what_was_not_done_is_given_again_after_a_crash<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let mut subject = fresh(Shape::impatient()).await;
    push(&*subject.queue(), 1..=3).await;
    let held = take(&*subject.queue(), 3).await;
    assert_eq!(held.events.len(), 3);
    push(&*subject.queue(), 4..=6).await;
    subject.crash().await;
    let mut seen = drain(&*subject.queue(), 6).await;
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ids(1..=6));
    is_empty(&*subject.queue()).await;
}

/// The word of a worker is on the disk too.
pub async fn what_was_done_is_not_given_again_after_a_crash<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let mut subject = fresh(Shape::impatient()).await;
    push(&*subject.queue(), [1]).await;
    push(&*subject.queue(), [2]).await;
    let first = take(&*subject.queue(), 1).await;
    assert_eq!(taken_ids(&first), ids([1]));
    done(&*subject.queue(), &first.receipt).await;
    subject.crash().await;
    let queue = subject.queue();
    assert_eq!(taken_ids(&take(&*queue, 1).await), ids([2]));
    // Whatever comes again in this time is the second, that nobody finishes.
    while let Some(taken) = queue.take(10, SOON * 3).await.expect("it answers") {
        assert_eq!(taken_ids(&taken), ids([2]));
        done(&*queue, &taken.receipt).await;
    }
    is_empty(&*queue).await;
}

/// What waits is counted anew, and bounds what may come.
pub async fn depth_is_known_after_a_crash<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let mut subject = fresh(Shape::of(10)).await;
    push(&*subject.queue(), [1]).await;
    push(&*subject.queue(), 2..=8).await;
    let before = subject.queue().depth().await.expect("it answers");
    subject.crash().await;
    let queue = subject.queue();
    let after = queue.depth().await.expect("it answers");
    assert_eq!(after, before);
    assert_eq!((after.events, after.oldest), (8, Some(at(1))));
    let pushed = queue.push(&super::events(9..=20), at(9)).await;
    assert_eq!(pushed.expect("the queue answers"), 2);
}

/// What came before the crash is given before what came after it.
pub async fn order_outlives_a_crash<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let mut subject = fresh(Shape::of(super::ROOM)).await;
    push(&*subject.queue(), 1..=2).await;
    push(&*subject.queue(), [3]).await;
    subject.crash().await;
    push(&*subject.queue(), [4]).await;
    subject.crash().await;
    push(&*subject.queue(), [5]).await;
    assert_eq!(drain(&*subject.queue(), 5).await, ids(1..=5));
    is_empty(&*subject.queue()).await;
}
