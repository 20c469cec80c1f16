//! An entry that is no event any more is shown as such, and is in nobody's way.

use super::{QueueUnderTest, ROOM, Shape, done, gives_nothing, ids, is_empty, push};
use tranche_application::ports::queue::{AuditQueue, Taken, Unreadable};
use uuid::Uuid;

/// Takes, without finishing, all that there is.
async fn take_all(queue: &dyn AuditQueue) -> (Vec<Uuid>, Vec<Unreadable>, Vec<Taken>) {
    let (mut events, mut unreadable, mut takings) = (Vec::new(), Vec::new(), Vec::new());
    while events.len() < 2 || unreadable.is_empty() {
        let taken = super::take(queue, 10).await;
        events.extend(super::taken_ids(&taken));
        unreadable.extend(taken.unreadable.iter().cloned());
        takings.push(taken);
    }
    (events, unreadable, takings)
}

/// What stands behind it is given out, and it says what is wrong.
pub async fn an_unreadable_entry_blocks_nobody<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let mut subject = fresh(Shape::of(ROOM)).await;
    for n in 1..=3 {
        push(&*subject.queue(), [n]).await;
    }
    subject.corrupt_oldest().await;
    let (events, unreadable, _) = take_all(&*subject.queue()).await;
    assert_eq!(events, ids([2, 3]));
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
    assert!(!unreadable.iter().any(|entry| entry.error.is_empty()));
    let depth = subject.queue().depth().await.expect("it answers");
    assert_eq!(depth.events, 3);
}

/// It takes room until somebody buried it, and then it is gone.
pub async fn an_unreadable_entry_is_done_like_any_other<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let mut subject = fresh(Shape::impatient()).await;
    for n in 1..=3 {
        push(&*subject.queue(), [n]).await;
    }
    subject.corrupt_oldest().await;
    let (_, _, takings) = take_all(&*subject.queue()).await;
    for taken in takings {
        done(&*subject.queue(), &taken.receipt).await;
    }
    is_empty(&*subject.queue()).await;
    subject.crash().await;
    gives_nothing(&*subject.queue()).await;
    push(&*subject.queue(), [4]).await;
    assert_eq!(super::drain(&*subject.queue(), 1).await, ids([4]));
}
