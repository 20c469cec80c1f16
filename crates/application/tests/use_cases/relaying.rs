//! The relay: events wait in the outbox while the log refuses, and none is forgotten. Time is
//! paused, so every pause is exact.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::relay::Relay;
use tranche_application::ports::store::{Conflict, StoreError};

use super::scene::time;
use super::script::Step;
use super::stage::{Answer, Stage, conflict, down, refused};

/// What one unit of work moves at most.
const BATCH: u64 = 500;

fn moves(stage: &mut Stage, answer: Answer<u64>) {
    let end = answer.is_ok().then_some(Step::Commit(Ok(())));
    stage.work([Step::Relay(answer)].into_iter().chain(end));
}

/// Runs the relay for so long, then stops it; when its units of work began, in milliseconds.
async fn run_for(stage: &mut Stage, ms: u64) -> Vec<u128> {
    let stop = CancellationToken::new();
    let start = Instant::now();
    let relay = Relay::new(stage.services());
    let task = tokio::spawn(relay.run(stop.clone()));
    sleep(Duration::from_millis(ms)).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(
        start.elapsed(),
        Duration::from_millis(ms),
        "it stops at once"
    );
    let seen = stage.seen.lock().unwrap();
    let since = |begun: &Instant| (*begun - start).as_millis();
    seen.begun.iter().map(since).collect()
}

// P2
#[tokio::test]
async fn a_batch_moves_in_one_unit_of_work() {
    let mut stage = Stage::new();
    moves(&mut stage, Ok(7));
    let relay = Relay::new(stage.services());
    assert_eq!(relay.run_once().await.unwrap(), 7);
    assert_eq!(stage.seen.lock().unwrap().relayed, [(500, time(0))]);
}

#[tokio::test]
async fn a_batch_that_is_refused_is_not_committed() {
    let mut stage = Stage::new();
    moves(&mut stage, down());
    stage.work([Step::Relay(Ok(1)), Step::Commit(down())]);
    let relay = Relay::new(stage.services());
    assert!(relay.run_once().await.is_err());
    assert!(relay.run_once().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_backlog_moves_batch_after_batch_without_a_pause() {
    let mut stage = Stage::new();
    for moved in [BATCH, BATCH, 3, 0] {
        moves(&mut stage, Ok(moved));
    }
    assert_eq!(run_for(&mut stage, 1_500).await, [0, 0, 0, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn the_bell_wakes_it() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        moves(&mut stage, Ok(0));
    }
    let bell = stage.outbox.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(300)).await;
        bell.notify_one();
    });
    assert_eq!(run_for(&mut stage, 1_400).await, [0, 300, 1_300]);
}

// M11, M13
#[tokio::test(start_paused = true)]
async fn it_waits_longer_and_longer_while_the_log_refuses_and_tells_once() {
    let mut stage = Stage::new();
    for _ in 0..4 {
        stage.begin_refused(refused());
        moves(&mut stage, down());
    }
    let begun = run_for(&mut stage, 16_200).await;
    let pauses = [0, 100, 300, 700, 1_500, 3_100, 6_300, 11_300];
    assert_eq!(begun, pauses, "100 ms doubled, 5 s at most");
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "audit.relay");
    assert!(!incidents[0].critical);
    assert_eq!(
        incidents[0].error,
        "the store is unavailable: the disk is full"
    );
    assert_eq!(incidents[0].context, json!({ "retrying": true }));
}

#[tokio::test(start_paused = true)]
async fn the_bell_does_not_hurry_it_while_the_log_refuses() {
    let mut stage = Stage::new();
    moves(&mut stage, down());
    moves(&mut stage, Ok(0));
    stage.outbox.notify_one();
    let bell = stage.outbox.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(50)).await;
        bell.notify_one();
    });
    // What rang meanwhile is heard afterwards.
    moves(&mut stage, Ok(0));
    assert_eq!(run_for(&mut stage, 500).await, [0, 100, 100]);
}

// M11, M13
#[tokio::test(start_paused = true)]
async fn it_resumes_and_tells_of_the_next_outage_though_the_backlog_is_not_empty() {
    let mut stage = Stage::new();
    moves(&mut stage, down());
    moves(&mut stage, Ok(BATCH));
    moves(&mut stage, down());
    moves(&mut stage, Ok(1));
    moves(&mut stage, down());
    moves(&mut stage, Ok(0));
    let begun = run_for(&mut stage, 2_000).await;
    assert_eq!(begun, [0, 100, 100, 200, 1_200, 1_300]);
    assert_eq!(stage.incidents().len(), 3);
}

// M11
#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_untold_and_hides_no_outage() {
    let mut stage = Stage::new();
    moves(&mut stage, conflict(Conflict::Retry));
    stage.begin_refused(StoreError::Conflict(Conflict::Retry));
    moves(&mut stage, down());
    moves(&mut stage, Ok(0));
    assert_eq!(run_for(&mut stage, 1_000).await, [0, 100, 300, 700]);
    assert_eq!(stage.incidents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_does_not_start_when_it_was_cancelled_before() {
    let mut stage = Stage::new();
    let stop = CancellationToken::new();
    stop.cancel();
    Relay::new(stage.services()).run(stop).await;
}
