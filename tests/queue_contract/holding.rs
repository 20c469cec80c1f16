//! One worker at a time holds an event, and only that worker's word ends it.

use super::{
    QueueUnderTest, ROOM, Shape, done, gives_nothing, ids, is_empty, push, take, taken_ids,
};

/// Neither the same consumer nor another one is given what somebody holds.
pub async fn what_is_held_is_given_to_nobody_else<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(ROOM)).await;
    let (queue, other) = (subject.queue(), subject.elsewhere().await);
    push(&*queue, [1]).await;
    push(&*queue, [2]).await;
    let first = take(&*queue, 1).await;
    let second = take(&*other, 1).await;
    assert_eq!(taken_ids(&first), ids([1]));
    assert_eq!(taken_ids(&second), ids([2]));
    assert_ne!(first.receipt, second.receipt);
    gives_nothing(&*queue).await;
    gives_nothing(&*other).await;
}

/// What is done does not come back, and takes nothing else along.
pub async fn what_is_done_is_gone<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let subject = fresh(Shape::of(ROOM)).await;
    let queue = subject.queue();
    push(&*queue, [1]).await;
    push(&*queue, [2]).await;
    let first = take(&*queue, 1).await;
    done(&*queue, &first.receipt).await;
    let second = take(&*queue, 1).await;
    assert_eq!(taken_ids(&second), ids([2]));
    queue.give_back(&first.receipt).await.expect("it answers");
    gives_nothing(&*queue).await;
    done(&*queue, &second.receipt).await;
    is_empty(&*queue).await;
}

/// A worker that was not sure says so again.
pub async fn done_twice_is_once<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let subject = fresh(Shape::of(ROOM)).await;
    let queue = subject.queue();
    push(&*queue, [1]).await;
    push(&*queue, [2]).await;
    let first = take(&*queue, 1).await;
    done(&*queue, &first.receipt).await;
    done(&*subject.elsewhere().await, &first.receipt).await;
    let depth = queue.depth().await.expect("the queue answers");
    assert_eq!(depth.events, 1);
    assert_eq!(taken_ids(&take(&*queue, 1).await), ids([2]));
}

/// What a worker cannot do, another may at once, before what came later.
pub async fn what_is_given_back_is_given_at_once<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(ROOM)).await;
    let (queue, other) = (subject.queue(), subject.elsewhere().await);
    push(&*queue, [1]).await;
    push(&*queue, [2]).await;
    let held = take(&*queue, 1).await;
    queue.give_back(&held.receipt).await.expect("it answers");
    queue.give_back(&held.receipt).await.expect("it answers");
    let again = take(&*other, 1).await;
    assert_eq!(taken_ids(&again), ids([1]));
    done(&*other, &again.receipt).await;
    let next = take(&*other, 1).await;
    assert_eq!(taken_ids(&next), ids([2]));
    done(&*other, &next.receipt).await;
    is_empty(&*queue).await;
}

/// A worker that says nothing for too long counts as dead: another one is given what it held, and
/// woken for it.
pub async fn what_a_dead_worker_held_is_given_again<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::impatient()).await;
    let (queue, other) = (subject.queue(), subject.elsewhere().await);
    push(&*queue, [1]).await;
    let dead = take(&*queue, 1).await;
    let again = take(&*other, 1).await;
    assert_eq!(taken_ids(&again), taken_ids(&dead));
    done(&*other, &again.receipt).await;
    done(&*queue, &dead.receipt).await;
    is_empty(&*queue).await;
}
