//! Many push and many take.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tranche_application::ports::queue::AuditQueue;
use uuid::Uuid;

use super::{
    BRIEF, QueueUnderTest, ROOM, Shape, at, done, drain, events, ids, is_empty, taken_ids,
};

const PRODUCERS: u64 = 8;
const PUSHES: u64 = 25;
const TOGETHER: u64 = 10;
const EVENTS: u64 = PRODUCERS * PUSHES * TOGETHER;
const CONSUMERS: usize = 4;

/// Every producer pushes its own numbers, some together.
async fn produce(subject: &impl QueueUnderTest, into: &mut JoinSet<()>) {
    for producer in 0..PRODUCERS {
        let queue = if producer % 2 == 0 {
            subject.queue()
        } else {
            subject.elsewhere().await
        };
        into.spawn(async move {
            for push in 0..PUSHES {
                let first = (producer * PUSHES + push) * TOGETHER;
                let together = events(first..first + TOGETHER);
                let pushed = queue.push(&together, at(first)).await;
                assert_eq!(pushed.expect("the queue answers"), together.len());
            }
        });
    }
}

/// Takes and finishes until all consumers together have seen as many as there are.
async fn consume(queue: Arc<dyn AuditQueue>, seen: Arc<AtomicUsize>) -> Vec<Uuid> {
    let mut mine = Vec::new();
    while seen.load(Ordering::SeqCst) < usize::try_from(EVENTS).expect("a small number") {
        if let Some(taken) = queue.take(40, BRIEF).await.expect("the queue answers") {
            done(&*queue, &taken.receipt).await;
            seen.fetch_add(taken.events.len(), Ordering::SeqCst);
            mine.extend(taken_ids(&taken));
        }
    }
    mine
}

/// Without a crash every event is given out exactly once.
pub async fn nothing_is_lost_or_doubled_in_a_crowd<Q: QueueUnderTest>(
    fresh: impl AsyncFn(Shape) -> Q,
) {
    let subject = fresh(Shape::of(ROOM)).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let mut producing = JoinSet::new();
    let mut consuming = JoinSet::new();
    for consumer in 0..CONSUMERS {
        let queue = if consumer % 2 == 0 {
            subject.queue()
        } else {
            subject.elsewhere().await
        };
        consuming.spawn(consume(queue, Arc::clone(&seen)));
    }
    produce(&subject, &mut producing).await;
    producing.join_all().await;
    let mut all: Vec<Uuid> = consuming.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, ids(0..EVENTS));
    is_empty(&*subject.queue()).await;
}

/// Consumers that take and die leave everything to those after them.
pub async fn nothing_is_lost_when_a_crowd_dies<Q: QueueUnderTest>(fresh: impl AsyncFn(Shape) -> Q) {
    let mut subject = fresh(Shape::impatient()).await;
    let mut producing = JoinSet::new();
    produce(&subject, &mut producing).await;
    producing.join_all().await;
    let mut finished = BTreeSet::new();
    for consumer in 0..CONSUMERS {
        let taken = super::take(&*subject.queue(), 50).await;
        if consumer % 2 == 0 {
            finished.extend(taken_ids(&taken));
            done(&*subject.queue(), &taken.receipt).await;
        }
    }
    subject.crash().await;
    let left = usize::try_from(EVENTS).expect("a small number") - finished.len();
    let seen: BTreeSet<Uuid> = drain(&*subject.queue(), left).await.into_iter().collect();
    assert!(seen.is_disjoint(&finished), "what was done came again");
    let all: Vec<Uuid> = seen.union(&finished).copied().collect();
    assert_eq!(all, ids(0..EVENTS));
    is_empty(&*subject.queue()).await;
}
