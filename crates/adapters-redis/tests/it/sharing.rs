//! Several processes on one queue, and those that disappear.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tranche_adapters_redis::Settings;
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{at, done, events, ids, is_empty, push, take, taken_ids};
use tranche_tests::support::redis::Redis;

use crate::scene::{LONG, key, process, process_called, process_with, settings, until};

/// Soon, for a process that is to be taken for dead.
const SOON: Duration = Duration::from_millis(500);

fn impatient() -> Settings {
    Settings {
        claim_after: SOON,
        ..settings()
    }
}

/// The names of the group's consumers.
fn consumers(redis: &Redis) -> BTreeSet<String> {
    let said = redis.run(&["XINFO", "CONSUMERS", &key(), "workers"]);
    let said = said.unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let names = lines.windows(2).filter(|pair| pair[0] == "name");
    names.map(|pair| pair[1].to_owned()).collect()
}

#[tokio::test]
async fn two_processes_share_what_there_is() {
    let redis = Redis::start().unwrap();
    let (first, second) = (process(&redis).await, process(&redis).await);
    push(&*first, 0..10).await;
    let mut seen = taken_ids(&take(&*first, 5).await);
    seen.extend(taken_ids(&take(&*second, 10).await));
    assert_eq!(seen, ids(0..10));
}

/// It held some when it was ended. Its name goes with what it held.
#[tokio::test]
async fn a_dead_process_is_inherited_and_forgotten() {
    let redis = Redis::start().unwrap();
    let dead = process_called(&redis, "dead", impatient()).await;
    push(&dead, 0..3).await;
    assert_eq!(taken_ids(&take(&dead, 2).await), ids(0..2));
    assert!(consumers(&redis).contains("dead:1"));
    drop(dead);

    let heir = process_called(&redis, "heir", impatient()).await;
    let (mut seen, mut receipts) = (BTreeSet::new(), Vec::new());
    while seen.len() < 3 {
        let taken = take(&heir, 10).await;
        seen.extend(taken_ids(&taken));
        receipts.push(taken.receipt);
    }
    assert_eq!(seen, ids(0..3).into_iter().collect());
    for receipt in receipts {
        done(&heir, &receipt).await;
    }
    until(async || {
        let nothing = heir.take(1, SOON).await.unwrap();
        assert_eq!(nothing, None);
        !consumers(&redis).contains("dead:1")
    })
    .await;
    is_empty(&heir).await;
}

/// What is held by somebody who disappeared is swept up in pieces, while others go on.
#[tokio::test]
async fn a_dead_process_may_have_held_a_great_many() {
    let redis = Redis::start().unwrap();
    let dead = process_with(&redis, impatient()).await;
    push(&dead, 0..2_500).await;
    assert_eq!(take(&dead, 2_500).await.events.len(), 2_500);
    drop(dead);

    let heir = process_with(&redis, impatient()).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 2_500 {
        let taken = take(&heir, 700).await;
        assert!(taken.events.len() <= 700);
        seen.extend(taken_ids(&taken));
        done(&heir, &taken.receipt).await;
    }
    is_empty(&heir).await;
}

/// A worker that panicked said nothing; its process lives on.
#[tokio::test]
async fn what_a_worker_forgot_comes_again_in_its_own_process() {
    let redis = Redis::start().unwrap();
    let queue = process_with(&redis, impatient()).await;
    push(&queue, [1]).await;
    let forgotten = take(&queue, 1).await;
    assert_eq!(taken_ids(&take(&queue, 1).await), taken_ids(&forgotten));
}

/// What a process was given and did not live to do may be gone when its namesake asks for it.
#[tokio::test]
async fn what_is_gone_when_its_namesake_asks_is_finished() {
    let redis = Redis::start().unwrap();
    let before = process_called(&redis, "name", settings()).await;
    push(&before, 0..2).await;
    let held = take(&before, 2).await;
    drop(before);
    redis.run(&["XDEL", &key(), &held.receipt.0[0]]).unwrap();
    let after = process_called(&redis, "name", settings()).await;
    let again = take(&after, 10).await;
    assert_eq!(taken_ids(&again), ids([1]));
    assert_eq!(again.receipt, held.receipt);
    done(&after, &again.receipt).await;
    let pending = redis.run(&["XPENDING", &key(), "workers"]).unwrap();
    assert_eq!(pending.lines().next(), Some("0"));
}

/// A process of the same name was here before, and was given something that it did not live to do.
#[tokio::test]
async fn a_process_goes_on_where_its_namesake_ended() {
    let redis = Redis::start().unwrap();
    let before = process_called(&redis, "name", settings()).await;
    push(&before, 0..3).await;
    assert_eq!(taken_ids(&take(&before, 2).await), ids(0..2));
    drop(before);
    let after = process_called(&redis, "name", settings()).await;
    assert_eq!(taken_ids(&take(&after, 10).await), ids(0..2));
    assert_eq!(taken_ids(&take(&after, 10).await), ids([2]));
}

/// Somebody who stopped waiting may have been given something all the same.
#[tokio::test]
async fn what_an_interrupted_take_was_given_comes_again() {
    let redis = Redis::start().unwrap();
    let queue = process_called(&redis, "process", settings()).await;
    push(&queue, 0..2).await;
    let held = take(&queue, 1).await;
    assert_eq!(taken_ids(&take(&queue, 1).await), ids([1]));
    let interrupted = tokio::time::timeout(SOON, queue.take(1, LONG)).await;
    assert!(interrupted.is_err());

    push(&queue, [2]).await;
    let command = "XREADGROUP GROUP workers process:1 STREAMS";
    let mut command: Vec<&str> = command.split(' ').collect();
    let key = key();
    command.extend([key.as_str(), ">"]);
    redis.run(&command).unwrap();

    // What workers hold does not come with it.
    assert_eq!(taken_ids(&take(&queue, 10).await), ids([2]));
    assert_eq!(queue.take(10, SOON).await.unwrap(), None);
    queue.give_back(&held.receipt).await.unwrap();
    assert_eq!(taken_ids(&take(&queue, 10).await), ids([0]));
}

/// Each waits on a connection of its own, so that a push waits for none of them.
#[tokio::test]
async fn those_who_wait_hold_up_nobody() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let queue = std::sync::Arc::clone(&queue);
        waiting.spawn(async move { queue.take(1, LONG).await.unwrap() });
    }
    until(async || {
        let clients = redis.run(&["INFO", "clients"]).unwrap();
        clients.contains("blocked_clients:4")
    })
    .await;
    for n in 0..4 {
        assert_eq!(queue.push(&events([n]), at(n)).await.unwrap(), 1);
    }
    let taken = waiting.join_all().await;
    let mut seen: Vec<_> = taken.iter().flatten().flat_map(taken_ids).collect();
    seen.sort_unstable();
    assert_eq!(seen, ids(0..4));
}
