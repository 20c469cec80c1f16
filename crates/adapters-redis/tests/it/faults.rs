//! Redis is killed, stopped or emptied.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tranche_adapters_redis::{RedisQueue, Settings};
use tranche_application::ports::queue::{AuditQueue, Receipt};
use tranche_tests::queue_contract::{at, done, events, ids, is_empty, push, take, taken_ids};
use tranche_tests::support::redis::Redis;
use uuid::Uuid;

use crate::scene::{DEADLINE, LONG, process, process_with, settings, until};

const PRODUCERS: u64 = 4;
const WORKERS: usize = 4;
const KILLS: usize = 5;
const TOGETHER: u64 = 20;

/// Pushes until told to stop, and says what Redis confirmed.
async fn produce(
    queue: Arc<RedisQueue>,
    numbers: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Vec<Uuid> {
    let mut confirmed = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let first = numbers.fetch_add(TOGETHER, Ordering::SeqCst);
        let together = events(first..first + TOGETHER);
        match queue.push(&together, at(first)).await {
            Ok(pushed) => confirmed.extend(together[..pushed].iter().map(|event| event.id)),
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
    confirmed
}

/// Takes and finishes until nothing is left after the producers' end, and says what it was given. A
/// word that Redis did not confirm may have arrived: what it ended does not come again.
async fn work(queue: Arc<RedisQueue>, stop: Arc<AtomicBool>) -> Vec<Uuid> {
    let mut given = Vec::new();
    loop {
        let over = stop.load(Ordering::SeqCst);
        match queue.take(100, Duration::from_millis(100)).await {
            Ok(Some(taken)) => {
                given.extend(taken_ids(&taken));
                let _ = queue.done(&taken.receipt).await;
            }
            Ok(None) if over && queue.depth().await.is_ok_and(|depth| depth.events == 0) => {
                return given;
            }
            Ok(None) => {}
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Everything that was confirmed is given to somebody, though Redis dies again and again under
/// pushes, takes and confirmations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_redis_is_killed_under_load() {
    let redis = Redis::start().unwrap();
    let impatient = Settings {
        claim_after: Duration::from_secs(2),
        ..settings()
    };
    let queue = Arc::new(process_with(&redis, impatient).await);
    let (numbers, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let (mut producing, mut working) = (JoinSet::new(), JoinSet::new());
    for _ in 0..PRODUCERS {
        let (queue, stop) = (Arc::clone(&queue), Arc::clone(&stop));
        producing.spawn(produce(queue, Arc::clone(&numbers), stop));
    }
    for _ in 0..WORKERS {
        working.spawn(work(Arc::clone(&queue), Arc::clone(&stop)));
    }
    for _ in 0..KILLS {
        sleep(Duration::from_millis(150)).await;
        redis.kill().unwrap();
        redis.restart().unwrap();
    }
    sleep(Duration::from_millis(150)).await;
    stop.store(true, Ordering::SeqCst);
    let confirmed = producing.join_all().await.into_iter().flatten();
    let confirmed: BTreeSet<Uuid> = confirmed.collect();
    let given = timeout(LONG, working.join_all()).await.unwrap();
    let given: BTreeSet<Uuid> = given.into_iter().flatten().collect();
    let lost = confirmed.difference(&given).count();
    assert_eq!(lost, 0, "of {} confirmed", confirmed.len());
    assert!(confirmed.len() > 100, "{}", confirmed.len());
}

/// Nobody waits for it to come back, and nobody has to be told when it is back.
#[tokio::test]
async fn redis_gone_is_an_error_soon_and_back_is_all_well() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    push(&*queue, 1..=2).await;
    let held = take(&*queue, 1).await;
    let waiting = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.take(1, LONG).await })
    };
    assert_eq!(
        taken_ids(&waiting.await.unwrap().unwrap().unwrap()),
        ids([2])
    );
    let waiting = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.take(1, LONG).await })
    };
    until(async || {
        let clients = redis.run(&["INFO", "clients"]).unwrap();
        clients.contains("blocked_clients:1")
    })
    .await;

    redis.stop().unwrap();
    // The way to nobody is refused at once; the deadline is for nobody at all.
    let all = timeout(DEADLINE, async {
        waiting.await.unwrap().unwrap_err();
        queue.push(&events([3]), at(3)).await.unwrap_err();
        queue.take(1, LONG).await.unwrap_err();
        queue.done(&held.receipt).await.unwrap_err();
        queue.give_back(&held.receipt).await.unwrap_err();
        queue.depth().await.unwrap_err();
        queue.peek(1).await.unwrap_err();
    });
    all.await.expect("somebody waits for Redis to come back");

    redis.restart().unwrap();
    push(&*queue, [4]).await;
    assert_eq!(taken_ids(&take(&*queue, 1).await), ids([4]));
    queue.give_back(&held.receipt).await.unwrap();
    assert_eq!(taken_ids(&take(&*queue, 1).await), ids([1]));
    assert_eq!(queue.depth().await.unwrap().events, 3);
}

/// Somebody empties Redis: what was in it is gone, and what comes later finds its way.
#[tokio::test]
async fn an_emptied_redis_is_made_ready_again() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    push(&*queue, 1..=2).await;
    let held = take(&*queue, 1).await;
    redis.run(&["FLUSHALL"]).unwrap();
    is_empty(&*queue).await;
    done(&*queue, &held.receipt).await;
    queue.give_back(&held.receipt).await.unwrap();
    push(&*queue, [3]).await;
    assert_eq!(taken_ids(&take(&*queue, 10).await), ids([3]));

    // So too under somebody who waits.
    let waiting = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { take(&*queue, 1).await })
    };
    until(async || {
        let clients = redis.run(&["INFO", "clients"]).unwrap();
        clients.contains("blocked_clients:1")
    })
    .await;
    redis.run(&["FLUSHALL"]).unwrap();
    push(&*queue, [4]).await;
    assert_eq!(taken_ids(&waiting.await.unwrap()), ids([4]));
}

/// Without its group, the stream is given out from its beginning.
#[tokio::test]
async fn a_stream_without_its_group_is_given_out_anew() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    push(&*queue, 1..=2).await;
    take(&*queue, 1).await;
    let destroy = ["XGROUP", "DESTROY", &crate::scene::key(), "workers"];
    redis.run(&destroy).unwrap();
    queue
        .give_back(&Receipt(vec!["1-1".to_owned()]))
        .await
        .unwrap();
    assert_eq!(taken_ids(&take(&*queue, 10).await), ids(1..=2));
}

/// A full Redis takes nothing more and keeps what it has.
#[tokio::test]
async fn a_full_redis_refuses_and_keeps() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    push(&*queue, [1]).await;
    redis.run(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let full = queue.push(&events([2]), at(2)).await.unwrap_err();
    assert!(full.to_string().contains("OOM"), "{full}");
    redis.run(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    push(&*queue, [3]).await;
    assert_eq!(taken_ids(&take(&*queue, 10).await), ids([1, 3]));
}
