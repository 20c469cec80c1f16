//! Redis, or the way to it, is alive and says nothing.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tranche_adapters_redis::{ConnectError, Fault, RedisQueue, Settings};
use tranche_application::ports::queue::{AuditQueue, QueueError};
use tranche_tests::queue_contract::{at, events, ids, push, take, taken_ids};
use tranche_tests::support::redis::Redis;

use crate::scene::{LONG, process_with, settings};

/// Longer than a busy machine takes for an answer, and short enough to be waited for.
const DEADLINE: Duration = Duration::from_secs(2);

fn hurried() -> Settings {
    Settings {
        deadline: DEADLINE,
        ..settings()
    }
}

/// It is an error because nothing was said, and before anybody would give up waiting.
async fn is_late<T: std::fmt::Debug>(asked: impl Future<Output = Result<T, QueueError>>) {
    let error = timeout(LONG, asked).await.expect("it hangs").unwrap_err();
    assert!(
        matches!(error.0.downcast_ref(), Some(Fault::Late(_))),
        "{error}"
    );
}

#[tokio::test]
async fn a_redis_that_hangs_hangs_nobody() {
    let redis = Redis::start().unwrap();
    let queue = process_with(&redis, hurried()).await;
    push(&queue, 1..=2).await;
    let held = take(&queue, 1).await;
    redis.pause().unwrap();
    let batch = events([3]);
    tokio::join!(
        is_late(queue.push(&batch, at(3))),
        is_late(queue.take(1, DEADLINE)),
        is_late(queue.take(1, LONG * 10)),
        is_late(queue.done(&held.receipt)),
        is_late(queue.give_back(&held.receipt)),
        is_late(queue.depth()),
        is_late(queue.peek(1)),
    );
    // So too for those who come when everybody has hung up.
    is_late(queue.push(&batch, at(3))).await;
    is_late(queue.take(1, Duration::ZERO)).await;
    let another = RedisQueue::connect(&redis.url(), "late", hurried()).await;
    assert!(matches!(
        another,
        Err(ConnectError::Unavailable(Fault::Late(_)))
    ));

    redis.resume().unwrap();
    push(&queue, [4]).await;
    // What Redis did of all that when it woke up is not known, but nothing that it had is lost.
    let mut seen = Vec::new();
    while !seen.contains(&ids([4])[0]) || !seen.contains(&ids([2])[0]) {
        seen.extend(taken_ids(&take(&queue, 10).await));
    }
}

/// Passes on everything until it is told to fall silent; then only to those who connect again.
async fn way_to(redis: &Redis, silent: watch::Receiver<bool>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let port = redis.port();
    let passing = tokio::spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut silent = silent.clone();
            let early = !*silent.borrow();
            let until_silent = async move { silent.wait_for(|now| early && *now).await.is_ok() };
            tokio::spawn(async move {
                let mut to = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut from, &mut to) => {}
                    // Nobody hears that the other side is gone.
                    _ = until_silent => std::future::pending().await,
                }
            });
        }
    });
    (url, passing)
}

/// A host that vanished never says so, and the system would wait for it for many minutes.
#[tokio::test]
async fn a_connection_that_fell_silent_is_replaced() {
    let redis = Redis::start().unwrap();
    let (fall_silent, silent) = watch::channel(false);
    let (url, passing) = way_to(&redis, silent).await;
    let queue = RedisQueue::connect(&url, "process", hurried()).await;
    let queue = queue.unwrap();
    push(&queue, [1]).await;
    assert_eq!(taken_ids(&take(&queue, 1).await), ids([1]));

    fall_silent.send(true).unwrap();
    is_late(queue.push(&events([2]), at(2))).await;
    is_late(queue.take(1, Duration::ZERO)).await;
    push(&queue, [3]).await;
    let taken = take(&queue, 10).await;
    assert_eq!(taken_ids(&taken).last(), Some(&ids([3])[0]));
    passing.abort();
}
