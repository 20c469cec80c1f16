//! What goes in, and what can be seen without taking it.

use std::sync::Arc;

use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{at, done, event, events, ids, push, take, taken_ids};
use tranche_tests::support::redis::Redis;

use crate::scene::{key, process, process_with, settings};

#[tokio::test]
async fn looking_takes_nothing() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    push(&*queue, 1..=3).await;
    let held = take(&*queue, 1).await;
    let key = key();
    redis.run(&["XADD", &key, "*", "event", "{}"]).unwrap();

    let seen = queue.peek(10).await.unwrap();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].event, Ok(event(1)));
    assert_eq!((seen[0].at, seen[3].at), (Some(at(1)), None));
    let unreadable = seen[3].event.as_ref().unwrap_err();
    assert_eq!(unreadable.content, "{}");
    assert!(unreadable.error.contains("missing field"));
    assert_eq!(queue.peek(2).await.unwrap(), seen[..2]);
    assert_eq!(queue.peek(0).await.unwrap(), []);

    done(&*queue, &held.receipt).await;
    let rest = take(&*queue, 10).await;
    assert_eq!(taken_ids(&rest), ids(2..=3));
    assert_eq!(rest.unreadable, std::slice::from_ref(unreadable));
}

/// Somebody wrote into the stream past us.
#[tokio::test]
async fn an_entry_without_an_event_is_shown_whole() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    redis.run(&["XADD", &key(), "*", "a", "b"]).unwrap();
    let taken = take(&*queue, 10).await;
    assert_eq!(taken.unreadable[0].content, "a b");
    assert!(taken.unreadable[0].error.contains("no field `event`"));
}

/// Somebody deleted an entry while a worker held it.
#[tokio::test]
async fn an_entry_deleted_behind_our_back_is_finished_with_the_rest() {
    let redis = Redis::start().unwrap();
    let before = process_with(&redis, settings()).await;
    push(&before, 0..2).await;
    let held = take(&before, 2).await;
    redis.run(&["XDEL", &key(), &held.receipt.0[0]]).unwrap();
    before.give_back(&held.receipt).await.unwrap();
    let again = take(&before, 10).await;
    assert_eq!(taken_ids(&again), ids([1]));
    done(&before, &again.receipt).await;
    done(&before, &held.receipt).await;
    let pending = redis.run(&["XPENDING", &key(), "workers"]).unwrap();
    assert_eq!(pending.lines().next(), Some("0"));
}

/// More than one command carries: in number, and in bytes.
#[tokio::test]
async fn a_great_push_goes_in_whole_and_in_order() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    let mut great = events(0..2_300);
    for event in great.iter_mut().step_by(100) {
        let note = "x".repeat(60_000);
        Arc::make_mut(event).details = serde_json::json!({ "note": note });
    }
    assert_eq!(queue.push(&great, at(0)).await.unwrap(), great.len());
    let taken = take(&*queue, 10_000).await;
    assert_eq!(taken.events, great);
    done(&*queue, &taken.receipt).await;
    assert_eq!(queue.depth().await.unwrap().events, 0);
}

/// How many scripts Redis ran.
fn scripts(redis: &Redis) -> u64 {
    let statistics = redis.run(&["INFO", "commandstats"]).unwrap();
    let of = statistics.split("cmdstat_evalsha:calls=").nth(1).unwrap();
    of.split(',').next().unwrap().parse().unwrap()
}

/// What more there is than room for is what comes last: the piece that finds no room is the last.
#[tokio::test]
async fn a_great_push_stops_where_the_room_ends() {
    let redis = Redis::start().unwrap();
    let narrow = tranche_adapters_redis::Settings {
        limit: 1_500,
        ..settings()
    };
    let queue = process_with(&redis, narrow).await;
    assert_eq!(queue.push(&events([0]), at(0)).await.unwrap(), 1);
    let before = scripts(&redis);
    let pushed = queue.push(&events(1..4_300), at(0)).await.unwrap();
    assert_eq!(pushed, 1_499);
    assert_eq!(scripts(&redis) - before, 2);
    assert_eq!(taken_ids(&take(&queue, 10_000).await), ids(0..1_500));
}

#[tokio::test]
async fn nobody_is_given_nothing() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    push(&*queue, [1]).await;
    let none = queue.take(0, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(none, None);
    // Without waiting, what is there is given all the same.
    let taken = queue.take(1, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(taken_ids(&taken.unwrap()), ids([1]));
}
