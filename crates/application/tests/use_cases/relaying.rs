//! The relay: events wait in the outbox while the log refuses, and none is forgotten. One that is
//! refused alone holds up nobody. Time is paused, so every pause is exact.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::relay::Relay;
use tranche_application::ports::monitor::Fate;
use tranche_application::ports::store::{Conflict, StoreError};

use super::plant::{Fault, Plant, event};
use super::scene::time;
use super::script::Step;
use super::stage::{Answer, Stage, conflict, down, refused};

/// What one unit of work moves at most.
const BATCH: u64 = 500;

fn moves(stage: &mut Stage, answer: Answer<u64>) {
    let end = answer.is_ok().then_some(Step::Commit(Ok(())));
    stage.work([Step::Relay(answer)].into_iter().chain(end));
}

/// Runs the relay for so long, beside a log that takes nothing but what the script moves.
async fn run_for(stage: &mut Stage, ms: u64) -> Vec<u128> {
    let plant = Plant::on(stage);
    plant.log.state().down = Some(Fault::Refuses);
    run_in(&plant, stage, ms).await
}

/// Runs the relay for so long, then stops it; when its units of work began, in milliseconds.
async fn run_in(plant: &Plant, stage: &Stage, ms: u64) -> Vec<u128> {
    let stop = CancellationToken::new();
    let start = Instant::now();
    let relay = Relay::new(plant.pipeline.clone());
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
#[tokio::test(start_paused = true)]
async fn a_batch_moves_in_one_unit_of_work() {
    let mut stage = Stage::new();
    moves(&mut stage, Ok(7));
    let relay = Relay::new(Plant::on(&mut stage).pipeline);
    assert_eq!(relay.run_once().await.unwrap(), 7);
    assert_eq!(stage.seen.lock().unwrap().relayed, [(500, time(0))]);
}

#[tokio::test]
async fn a_batch_that_is_refused_is_not_committed() {
    let mut stage = Stage::new();
    moves(&mut stage, down());
    stage.work([Step::Relay(Ok(1)), Step::Commit(down())]);
    let relay = Relay::new(Plant::on(&mut stage).pipeline);
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
    Relay::new(Plant::on(&mut stage).pipeline).run(stop).await;
}

/// What a log answers to an event that it does not take.
fn poisoned<T>() -> Answer<T> {
    Err(StoreError::Inconsistent("it is refused".to_owned()))
}

fn fails(stage: &mut Stage) {
    stage.work([Step::Relay(poisoned())]);
}

/// The oldest event is looked at, and not buried yet.
fn suspects(stage: &mut Stage, oldest: u64) {
    fails(stage);
    let oldest = event(oldest).as_ref().clone();
    stage.work([Step::BuryOldest(Ok(Some(oldest)))]);
}

/// The oldest event is buried.
fn buries(stage: &mut Stage, oldest: u64, commit: Answer<()>) {
    fails(stage);
    let oldest = event(oldest).as_ref().clone();
    stage.work([Step::BuryOldest(Ok(Some(oldest))), Step::Commit(commit)]);
}

fn limits(stage: &Stage) -> Vec<u32> {
    let seen = stage.seen.lock().unwrap();
    seen.relayed.iter().map(|(limit, _)| *limit).collect()
}

// P5, M11
#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_alone_becomes_a_dead_letter_and_the_rest_goes_on() {
    let mut stage = Stage::new();
    // The third of five is poison.
    for _ in 0..8 {
        fails(&mut stage);
    }
    moves(&mut stage, Ok(1));
    fails(&mut stage);
    moves(&mut stage, Ok(1));
    fails(&mut stage);
    suspects(&mut stage, 3);
    suspects(&mut stage, 3);
    buries(&mut stage, 3, Ok(()));
    moves(&mut stage, Ok(2));
    let plant = Plant::on(&mut stage);
    let begun = run_in(&plant, &stage, 1_000).await;
    let asked = [500, 250, 125, 62, 31, 15, 7, 3, 1, 2, 1, 2, 1, 1, 1, 500];
    assert_eq!(limits(&stage), asked);
    assert_eq!(begun.last(), Some(&250), "nothing waits but for the tries");
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "audit.relay");
    assert!(incidents[0].critical, "it is evidence");
    assert_eq!(incidents[0].error, "inconsistent row: it is refused");
    assert_eq!(incidents[0].context["event_id"], json!(event(3).id));
    let told = plant.fallbacks();
    assert_eq!(
        (told.len(), told[0].0, &told[0].1),
        (1, Fate::Buried, &vec![3])
    );
    assert_eq!(plant.totals().buried, 1);
    assert_eq!(plant.totals().inserted, 4);
    assert!(plant.pipeline.availability.is_available());
    let seen = stage.seen.lock().unwrap();
    let (letter, why) = seen.buried.last().unwrap();
    assert_eq!(incidents[0].context["letter"], json!(letter));
    assert_eq!(why, "inconsistent row: it is refused");
}

// P5
#[tokio::test(start_paused = true)]
async fn what_another_relay_made_the_oldest_is_not_given_up_for_the_one_before() {
    let mut stage = Stage::new();
    for _ in 0..8 {
        fails(&mut stage);
    }
    suspects(&mut stage, 1);
    suspects(&mut stage, 1);
    // Another relay moved it; what is the oldest now was never refused before.
    suspects(&mut stage, 2);
    moves(&mut stage, Ok(0));
    let plant = Plant::on(&mut stage);
    run_in(&plant, &stage, 500).await;
    assert_eq!(plant.totals().buried, 0);
    assert!(stage.incidents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_another_relay_emptied_holds_nobody_to_blame() {
    let mut stage = Stage::new();
    for _ in 0..9 {
        fails(&mut stage);
    }
    stage.work([Step::BuryOldest(Ok(None))]);
    moves(&mut stage, Ok(0));
    let plant = Plant::on(&mut stage);
    run_in(&plant, &stage, 500).await;
    assert_eq!(limits(&stage)[9], 500);
    assert!(stage.incidents().is_empty());
}

// P5, M11
#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_buried_stays_and_is_told_of_once() {
    let mut stage = Stage::new();
    for _ in 0..8 {
        fails(&mut stage);
    }
    suspects(&mut stage, 1);
    suspects(&mut stage, 1);
    buries(&mut stage, 1, down());
    fails(&mut stage);
    stage.work([Step::BuryOldest(down())]);
    buries(&mut stage, 1, Ok(()));
    moves(&mut stage, Ok(0));
    let plant = Plant::on(&mut stage);
    let begun = run_in(&plant, &stage, 1_000).await;
    assert_eq!(begun.last(), Some(&550), "50, 200, then 100 and 200 ms");
    let incidents = stage.incidents();
    let critical: Vec<bool> = incidents.iter().map(|incident| incident.critical).collect();
    assert_eq!(critical, [false, true]);
    assert_eq!(plant.totals().buried, 1);
}

// F1
#[tokio::test(start_paused = true)]
async fn no_event_is_suspected_while_the_log_takes_none() {
    let mut stage = Stage::new();
    for _ in 0..4 {
        fails(&mut stage);
    }
    assert_eq!(run_for(&mut stage, 800).await, [0, 100, 300, 700]);
    assert_eq!(limits(&stage), [500; 4]);
}

// F1
#[tokio::test(start_paused = true)]
async fn the_relay_tells_all_that_the_log_is_unavailable_and_that_it_is_back() {
    let mut stage = Stage::new();
    moves(&mut stage, down());
    moves(&mut stage, Ok(0));
    moves(&mut stage, Ok(1));
    let plant = Plant::on(&mut stage);
    plant.log.state().down = Some(Fault::Refuses);
    let availability = plant.pipeline.availability.clone();
    let looking = async {
        let mut seen = vec![];
        for _ in 0..3 {
            sleep(Duration::from_millis(50)).await;
            seen.push(availability.is_available());
            sleep(Duration::from_millis(if seen.len() == 1 {
                100
            } else {
                1_000
            }))
            .await;
        }
        seen
    };
    let (_, seen) = tokio::join!(run_in(&plant, &stage, 2_000), looking);
    assert_eq!(seen, [false, false, true], "an empty outbox says nothing");
    assert_eq!(plant.totals().failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_begins_nothing_is_told_of_though_the_log_works() {
    let mut stage = Stage::new();
    stage.begin_refused(refused());
    stage.begin_refused(refused());
    stage.work([
        Step::Relay(Ok(1)),
        Step::Commit(Err(StoreError::OutcomeUnknown("?".into()))),
    ]);
    moves(&mut stage, Ok(0));
    let plant = Plant::on(&mut stage);
    assert_eq!(run_in(&plant, &stage, 1_000).await, [0, 100, 300, 700]);
    assert_eq!(stage.incidents().len(), 1);
    assert_eq!(limits(&stage), [500, 500], "nobody is to blame");
}
