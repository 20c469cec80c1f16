//! Workers: what is in the queue comes into the log, once, and none of it is lost, whatever fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::prober::Prober;
use tranche_application::audit::worker::Worker;
use tranche_application::mocks::MockAuditQueue;
use tranche_application::ports::queue::{Receipt, Taken};
use tranche_application::ports::store::{Conflict, StoreError};

use super::plant::{Fault, Plant, event, until};
use super::scene::time;
use super::stage::refused;

/// The longest that a worker drains.
const DRAIN: Duration = Duration::from_secs(10);

/// A plant at work, with its prober.
struct Shift {
    plant: Plant,
    stop: CancellationToken,
    workers: Vec<JoinHandle<()>>,
}

fn at_work(plant: Plant, workers: usize) -> Shift {
    let stop = CancellationToken::new();
    tokio::spawn(Prober::new(plant.pipeline.clone()).run(CancellationToken::new()));
    let worker = Worker::new(plant.pipeline.clone(), plant.queue.clone(), "queue");
    let workers = (0..workers)
        .map(|_| tokio::spawn(worker.clone().run(stop.clone(), DRAIN)))
        .collect();
    Shift {
        plant,
        stop,
        workers,
    }
}

impl Shift {
    /// Stops the workers; how long they took to end.
    async fn end(self) -> (Plant, Duration) {
        let start = Instant::now();
        self.stop.cancel();
        for worker in self.workers {
            worker.await.unwrap();
        }
        (self.plant, start.elapsed())
    }
}

fn all(events: u64) -> Vec<u64> {
    (0..events).collect()
}

async fn ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

// P3
#[tokio::test(start_paused = true)]
async fn an_event_in_a_quiet_queue_is_in_the_log_within_fifty_milliseconds() {
    let shift = at_work(Plant::new(), 1);
    ms(730).await;
    shift.plant.queue.fill([7]);
    ms(50).await;
    assert_eq!(shift.plant.log.stored(), [7]);
    assert!(shift.plant.queue.is_empty());
    let (plant, _) = shift.end().await;
    assert_eq!(
        plant.log.state().recorded_at,
        [time(0) + Duration::from_millis(730)]
    );
    assert_eq!(plant.totals().inserted, 1);
    assert_eq!(plant.pipeline.meters.rates(time(1)).batches, 1);
}

// P3
#[tokio::test(start_paused = true)]
async fn a_batch_grows_with_the_queue_and_shrinks_again() {
    let plant = Plant::new();
    // Each write takes long enough for the depth to be asked for again.
    plant.log.state().takes = Duration::from_millis(150);
    plant.queue.fill(0..7_000);
    let shift = at_work(plant, 1);
    until(|| shift.plant.queue.is_empty()).await;
    let (plant, _) = shift.end().await;
    let limits = plant.queue.state().limits.clone();
    assert_eq!(
        limits[..4],
        [100, 1_000, 1_000, 300],
        "6,900, 5,900, 4,900 were left"
    );
    assert_eq!(limits.last(), Some(&100));
    assert!(
        limits.is_sorted_by(|a, b| *a == 100 || a >= b),
        "{limits:?}"
    );
    assert_eq!(plant.log.stored(), all(7_000));
}

// P3
#[tokio::test(start_paused = true)]
async fn a_queue_that_fills_no_batch_is_not_asked_for_its_depth() {
    let shift = at_work(Plant::new(), 1);
    for n in 0..20 {
        shift.plant.queue.fill([n]);
        ms(20).await;
    }
    assert_eq!(shift.plant.queue.state().depths, 0);
    shift.plant.queue.fill(100..1_100);
    ms(20).await;
    assert_eq!(
        shift.plant.queue.state().depths,
        1,
        "ten batches in no time ask once"
    );
}

// P4
#[tokio::test(start_paused = true)]
async fn several_workers_share_a_queue() {
    let plant = Plant::new();
    plant.log.state().takes = Duration::from_millis(30);
    plant.queue.fill(0..400);
    let (shift, start) = (at_work(plant, 4), Instant::now());
    until(|| shift.plant.queue.is_empty()).await;
    assert!(
        start.elapsed() < Duration::from_millis(60),
        "one after the other takes 120"
    );
    let (plant, _) = shift.end().await;
    let mut stored = plant.log.stored();
    stored.sort_unstable();
    assert_eq!(stored, all(400));
}

// F1, F5
#[tokio::test(start_paused = true)]
async fn while_the_log_is_down_nobody_tries_and_all_is_stored_in_order_when_it_is_back() {
    let plant = Plant::new();
    plant.log.state().down = Some(Fault::Refuses);
    plant.queue.fill(0..10);
    let shift = at_work(plant, 4);
    for n in 10..50 {
        ms(1_500).await;
        shift.plant.queue.fill([n]);
    }
    let asked = shift.plant.log.state().asked.len();
    assert_eq!(asked, 1, "one write found it");
    assert!(!shift.plant.pipeline.availability.is_available());
    assert_eq!(
        shift.plant.queue.waiting(),
        all(50),
        "nobody holds anything"
    );
    shift.plant.log.state().down = None;
    ms(5_100).await;
    let (plant, _) = shift.end().await;
    assert_eq!(plant.log.stored(), all(50));
    assert!(plant.queue.is_empty());
    let incidents = plant.incidents();
    assert_eq!(incidents.len(), 1, "an outage is told once");
    assert_eq!(incidents[0].operation, "audit.worker");
    assert_eq!(
        incidents[0].error,
        "the store is unavailable: the disk is full"
    );
    assert!(plant.letters.buried().is_empty());
    assert_eq!(plant.totals().failed, 1);
}

// F1
#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_is_a_log_that_is_down() {
    let plant = Plant::new();
    plant.log.state().down = Some(Fault::Hangs);
    plant.queue.fill(0..10);
    let shift = at_work(plant, 1);
    ms(13_000).await;
    assert!(!shift.plant.pipeline.availability.is_available());
    assert_eq!(shift.plant.queue.waiting(), all(10));
    shift.plant.log.state().down = None;
    ms(10_000).await;
    assert_eq!(shift.end().await.0.log.stored(), all(10));
}

// P5
#[tokio::test(start_paused = true)]
async fn a_write_that_stumbles_is_tried_again() {
    for stumble in [
        StoreError::Conflict(Conflict::Retry),
        StoreError::OutcomeUnknown("the connection is lost".into()),
        refused(),
    ] {
        let plant = Plant::new();
        plant.log.state().stumbles.push_back(stumble);
        plant.queue.fill(0..10);
        let shift = at_work(plant, 1);
        ms(100).await;
        let (plant, _) = shift.end().await;
        assert_eq!(plant.log.stored(), all(10));
        let asked: Vec<usize> = plant.log.state().asked.iter().map(|(_, n)| *n).collect();
        assert_eq!(asked, [10, 10], "the batch stays whole");
        assert!(plant.incidents().is_empty());
    }
}

// F5
#[tokio::test(start_paused = true)]
async fn events_that_are_given_out_again_are_stored_once() {
    let plant = Plant::new();
    plant.queue.fill([1, 2, 3]);
    plant.queue.fill([2, 3, 4]);
    let shift = at_work(plant, 1);
    ms(100).await;
    let (plant, _) = shift.end().await;
    assert_eq!(plant.log.stored(), [1, 2, 3, 4]);
    assert_eq!(
        plant.totals().inserted,
        4,
        "what is there already is not counted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_gone_is_told_of_once_and_worked_off_when_it_is_back() {
    for fault in [Fault::Refuses, Fault::Hangs] {
        let plant = Plant::new();
        plant.queue.fill(0..10);
        plant.queue.state().gone = Some(fault);
        let shift = at_work(plant, 1);
        ms(60_000).await;
        shift.plant.queue.state().gone = None;
        ms(11_000).await;
        let (plant, _) = shift.end().await;
        assert_eq!(plant.log.stored(), all(10));
        let incidents = plant.incidents();
        assert_eq!(incidents.len(), 1, "{fault:?}");
        assert!(incidents[0].error.starts_with("the queue is unavailable"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_end_the_queue_does_not_hear_is_said_again_and_else_given_back() {
    let plant = Plant::new();
    plant.queue.fill(0..10);
    plant.queue.state().done_fails = 3;
    let shift = at_work(plant, 1);
    ms(1_100).await;
    assert!(shift.plant.queue.is_empty(), "the fourth time it heard");
    assert_eq!(shift.plant.queue.state().given_back, 0);
    shift.plant.queue.state().done_fails = 5;
    shift.plant.queue.fill(10..20);
    ms(3_000).await;
    let (plant, _) = shift.end().await;
    assert_eq!(plant.queue.state().given_back, 1);
    assert!(plant.queue.is_empty());
    assert_eq!(plant.log.stored(), all(20), "each is there once");
}

// P9
#[tokio::test(start_paused = true)]
async fn at_the_end_the_queue_is_emptied() {
    let plant = Plant::new();
    plant.log.state().takes = Duration::from_millis(30);
    let shift = at_work(plant, 2);
    ms(10).await;
    shift.plant.queue.fill(0..3_000);
    let (plant, took) = shift.end().await;
    assert!(plant.queue.is_empty());
    assert_eq!(plant.log.stored().len(), 3_000);
    assert!(took < DRAIN);
}

// P9
#[tokio::test(start_paused = true)]
async fn the_end_waits_no_longer_than_its_deadline() {
    let plant = Plant::new();
    plant.log.state().takes = Duration::from_secs(4);
    plant.queue.fill(0..1_000);
    let shift = at_work(plant, 1);
    ms(100).await;
    let (plant, took) = shift.end().await;
    assert_eq!(took, DRAIN);
    assert!(
        plant.queue.state().held.is_empty(),
        "what was held is given back"
    );
    let (mut everywhere, waiting) = (plant.log.stored(), plant.queue.waiting());
    assert!(!everywhere.is_empty() && !waiting.is_empty());
    everywhere.extend(waiting);
    assert_eq!(everywhere, all(1_000), "in the log or in the queue");
}

// P9
#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_log_that_is_down() {
    let plant = Plant::new();
    plant.log.state().down = Some(Fault::Refuses);
    plant.queue.fill(0..10);
    let shift = at_work(plant, 3);
    ms(1_000).await;
    let (plant, took) = shift.end().await;
    assert_eq!(took, Duration::ZERO);
    assert_eq!(plant.queue.waiting(), all(10));
    assert!(plant.queue.state().held.is_empty());
}

// P9
#[tokio::test(start_paused = true)]
async fn a_log_that_goes_down_while_draining_ends_it() {
    let plant = Plant::new();
    plant.queue.fill(0..1_000);
    plant.log.state().takes = Duration::from_millis(100);
    let shift = at_work(plant, 1);
    ms(150).await;
    shift.plant.log.state().down = Some(Fault::Refuses);
    let (plant, took) = shift.end().await;
    assert!(took < Duration::from_secs(1));
    assert_eq!(
        plant.log.stored().len() + plant.queue.waiting().len(),
        1_000
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_queue_that_is_gone() {
    let plant = Plant::new();
    plant.queue.state().gone = Some(Fault::Refuses);
    let shift = at_work(plant, 1);
    ms(10_000).await;
    let (_, took) = shift.end().await;
    assert_eq!(took, Duration::ZERO);
}

// P9
#[tokio::test(start_paused = true)]
async fn what_a_worker_that_is_killed_held_is_given_back_at_once() {
    let plant = Plant::new();
    plant.queue.fill(0..10);
    plant.log.state().takes = Duration::from_secs(5);
    let shift = at_work(plant, 1);
    ms(1_000).await;
    assert!(shift.plant.queue.waiting().is_empty(), "it is held");
    shift.workers[0].abort();
    ms(1).await;
    assert_eq!(shift.plant.queue.waiting(), all(10));
    ms(60_000).await;
    assert!(shift.plant.log.stored().is_empty(), "nobody writes for it");
}

// P9
#[tokio::test(start_paused = true)]
async fn what_a_worker_that_panics_held_is_given_back_at_once() {
    let (plant, mut queue) = (Plant::new(), MockAuditQueue::new());
    let receipt = Receipt(vec!["7".to_owned()]);
    let taken = Taken {
        receipt: receipt.clone(),
        events: vec![event(1)],
        unreadable: vec![],
    };
    queue.expect_take().return_once(|_, _| Ok(Some(taken)));
    queue
        .expect_done()
        .returning(|_| panic!("a queue that panics"));
    let given_back = Arc::new(Mutex::new(vec![]));
    let seen = given_back.clone();
    queue.expect_give_back().returning(move |receipt| {
        seen.lock().unwrap().push(receipt.clone());
        Ok(())
    });
    let worker = Worker::new(plant.pipeline.clone(), Arc::new(queue), "queue");
    let task = tokio::spawn(worker.run(CancellationToken::new(), DRAIN));
    assert!(task.await.is_err());
    ms(1).await;
    assert_eq!(*given_back.lock().unwrap(), [receipt]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_takes_nothing_back_is_told_of() {
    let plant = Plant::new();
    plant.queue.fill(0..10);
    plant.log.state().takes = Duration::from_secs(5);
    let shift = at_work(plant, 1);
    ms(100).await;
    shift.plant.queue.state().gone = Some(Fault::Hangs);
    shift.workers[0].abort();
    ms(10_000).await;
    let incidents = shift.plant.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "audit.give_back");
    assert_eq!(
        shift.plant.queue.state().held.len(),
        1,
        "it gives it out again by itself"
    );
}
