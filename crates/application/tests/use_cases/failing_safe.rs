//! The failsafe: whoever records never waits, and an event is lost only when memory, queue and
//! spool are all full or gone (F2, F3).

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::failsafe::{Failsafe, RING};
use tranche_application::ports::monitor::Fate;

use super::plant::{Fault, Plant, event};

/// The longest that the failsafe drains.
const DRAIN: Duration = Duration::from_secs(10);

struct Safe {
    plant: Plant,
    failsafe: Failsafe,
    stop: CancellationToken,
}

fn safe(ring: usize) -> Safe {
    let plant = Plant::new();
    let failsafe = Failsafe::new(plant.pipeline.clone(), ring);
    Safe {
        plant,
        failsafe,
        stop: CancellationToken::new(),
    }
}

impl Safe {
    fn start(&self) -> JoinHandle<()> {
        tokio::spawn(self.failsafe.clone().run(self.stop.clone(), DRAIN))
    }

    fn record(&self, names: impl IntoIterator<Item = u64>) {
        for name in names {
            self.failsafe.record(event(name).as_ref().clone());
        }
    }

    /// Queue and spool take nothing.
    fn shut(&self, fault: Fault) {
        self.plant.queue.state().gone = Some(fault);
        self.plant.spool.state().gone = Some(fault);
    }

    fn fates(&self) -> Vec<(Fate, Vec<u64>)> {
        let told = self.plant.fallbacks().into_iter();
        told.map(|(fate, events, _)| (fate, events)).collect()
    }
}

fn all(events: u64) -> Vec<u64> {
    (0..events).collect()
}

async fn ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_is_in_the_queue_at_once() {
    let safe = safe(RING);
    let task = safe.start();
    safe.record(0..250);
    assert_eq!(safe.failsafe.held(), 250);
    ms(1).await;
    assert_eq!(safe.plant.queue.waiting(), all(250));
    assert_eq!(safe.plant.queue.state().pushes, 3, "a hundred at a time");
    assert_eq!(safe.failsafe.held(), 0);
    ms(1_000).await;
    safe.record([250]);
    ms(1).await;
    assert_eq!(safe.plant.queue.waiting(), all(251));
    assert!(safe.fates().is_empty(), "there is nothing to tell");
    safe.stop.cancel();
    task.await.unwrap();
}

// F2, F3
#[tokio::test(start_paused = true)]
async fn what_the_queue_has_no_room_for_goes_to_the_spool() {
    let safe = safe(RING);
    safe.plant.queue.state().room = 3;
    safe.start();
    safe.record(0..10);
    ms(1).await;
    assert_eq!(safe.plant.queue.waiting(), all(3));
    assert_eq!(safe.plant.spool.waiting(), (3..10).collect::<Vec<_>>());
    let told = (
        Fate::Spooled,
        (3..10).collect(),
        "the queue is full".to_owned(),
    );
    assert_eq!(safe.plant.fallbacks(), [told], "one line a batch");
    assert_eq!(safe.plant.totals().spooled, 7);
    assert_eq!(safe.plant.totals().dropped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_gone_is_left_alone_for_a_while() {
    let safe = safe(RING);
    safe.plant.queue.state().gone = Some(Fault::Refuses);
    safe.start();
    for n in 0..50 {
        safe.record([n]);
        ms(10).await;
    }
    assert_eq!(safe.plant.spool.waiting(), all(50));
    assert!(safe.plant.queue.state().pushes <= 4, "at 0, 100, 300 ms");
    let (_, _, why) = &safe.plant.fallbacks()[0];
    assert_eq!(
        why,
        "the queue is unavailable: the store is unavailable: the disk is full"
    );
    safe.plant.queue.state().gone = None;
    ms(1_000).await;
    safe.record([50]);
    ms(1).await;
    assert_eq!(safe.plant.queue.waiting(), [50], "it is used again");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_hangs_delays_the_first_only() {
    let safe = safe(RING);
    safe.plant.queue.state().gone = Some(Fault::Hangs);
    safe.start();
    let start = Instant::now();
    safe.record([0]);
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "whoever records does not wait"
    );
    ms(2_010).await;
    assert_eq!(safe.plant.spool.waiting(), [0]);
    safe.record([1]);
    ms(10).await;
    assert_eq!(safe.plant.spool.waiting(), [0, 1]);
}

// F2
#[tokio::test(start_paused = true)]
async fn what_neither_takes_is_held_in_memory_until_one_does() {
    let safe = safe(RING);
    safe.shut(Fault::Refuses);
    safe.start();
    safe.record(0..150);
    ms(60_000).await;
    assert_eq!(safe.failsafe.held(), 150);
    assert_eq!(
        safe.fates(),
        [(Fate::Held, (0..100).collect())],
        "each is told of once"
    );
    assert_eq!(safe.plant.totals().dropped, 0);
    safe.plant.spool.state().gone = None;
    ms(5_001).await;
    assert_eq!(safe.plant.spool.waiting(), all(150), "in order");
    assert_eq!(safe.failsafe.held(), 0);
    assert_eq!(safe.plant.totals().spooled, 150);
}

// F2
#[tokio::test(start_paused = true)]
async fn a_full_spool_holds_the_rest_and_tells_of_it_once() {
    let safe = safe(RING);
    safe.plant.queue.state().room = 1;
    safe.plant.spool.state().room = 2;
    safe.start();
    safe.record(0..5);
    ms(10_000).await;
    let told = safe.plant.fallbacks();
    let held = "the queue is full; the spool is full".to_owned();
    assert_eq!(
        told[0],
        (Fate::Spooled, vec![1, 2], "the queue is full".to_owned())
    );
    assert_eq!(told[1], (Fate::Held, vec![3, 4], held));
    assert_eq!(told.len(), 2);
    safe.plant.queue.state().room = 10;
    ms(5_001).await;
    assert_eq!(safe.plant.queue.waiting(), [0, 3, 4]);
}

// F2
#[tokio::test(start_paused = true)]
async fn the_oldest_is_lost_when_all_is_full_and_its_content_is_told() {
    let safe = safe(3);
    safe.shut(Fault::Refuses);
    safe.record(0..5);
    assert_eq!(safe.failsafe.held(), 3);
    assert_eq!(safe.failsafe.evicted(), 2);
    assert_eq!(safe.plant.totals().dropped, 2);
    assert_eq!(safe.fates(), [(Fate::Lost, vec![0]), (Fate::Lost, vec![1])]);
    let whole = safe.plant.seen.lock().unwrap().fallbacks[0].events[0].clone();
    assert_eq!(whole, event(0), "with its full content");
    safe.plant.queue.state().gone = None;
    safe.start();
    ms(1).await;
    assert_eq!(safe.plant.queue.waiting(), [2, 3, 4]);
}

// F2
#[tokio::test(start_paused = true)]
async fn events_on_their_way_to_the_disk_are_not_lost_for_newer_ones() {
    let safe = safe(100);
    safe.shut(Fault::Hangs);
    safe.start();
    safe.record(0..2);
    ms(1).await;
    safe.record(2..103);
    assert_eq!(
        safe.fates(),
        [
            (Fate::Lost, vec![2]),
            (Fate::Lost, vec![3]),
            (Fate::Lost, vec![4])
        ]
    );
    safe.plant.queue.state().gone = None;
    safe.plant.spool.state().gone = None;
    ms(20_000).await;
    let mut placed = safe.plant.queue.waiting();
    placed.extend(safe.plant.spool.waiting());
    assert_eq!(
        placed.len(),
        100,
        "each that was not told as lost has a place"
    );
    assert_eq!(safe.failsafe.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ring_that_is_all_on_its_way_takes_nothing_new() {
    let safe = safe(2);
    safe.shut(Fault::Hangs);
    safe.start();
    safe.record(0..2);
    ms(1).await;
    safe.record([2]);
    assert_eq!(safe.fates(), [(Fate::Lost, vec![2])]);
    assert_eq!(safe.failsafe.held(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_eviction_from_among_those_held_is_told_with_the_right_names() {
    let safe = safe(3);
    safe.shut(Fault::Refuses);
    safe.start();
    safe.record(0..3);
    ms(10).await;
    safe.record(3..5);
    ms(60_000).await;
    let held: Vec<u64> = safe
        .fates()
        .into_iter()
        .filter(|(fate, _)| *fate == Fate::Held)
        .flat_map(|(_, events)| events)
        .collect();
    assert_eq!(held, all(5), "each that was held is told of once");
    let lost: Vec<u64> = safe
        .fates()
        .into_iter()
        .filter(|(fate, _)| *fate == Fate::Lost)
        .flat_map(|(_, events)| events)
        .collect();
    assert_eq!(lost, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_failsafe_that_panics_loses_nothing_and_starts_again() {
    let safe = safe(RING);
    safe.plant.queue.state().gone = Some(Fault::Panics);
    let task = safe.start();
    safe.record(0..10);
    assert!(task.await.is_err());
    assert_eq!(safe.failsafe.held(), 10);
    safe.plant.queue.state().gone = None;
    safe.start();
    ms(1).await;
    assert_eq!(safe.plant.queue.waiting(), all(10));
}

// P9
#[tokio::test(start_paused = true)]
async fn at_the_end_the_ring_is_emptied() {
    let safe = safe(RING);
    let task = safe.start();
    safe.record(0..500);
    safe.stop.cancel();
    task.await.unwrap();
    assert_eq!(safe.plant.queue.waiting(), all(500));
    assert!(safe.fates().is_empty());
}

// P9, F2
#[tokio::test(start_paused = true)]
async fn what_has_no_place_at_the_end_is_lost_and_told_and_so_is_what_comes_later() {
    let safe = safe(RING);
    safe.shut(Fault::Refuses);
    let (task, start) = (safe.start(), Instant::now());
    safe.record(0..5);
    ms(10).await;
    safe.stop.cancel();
    task.await.unwrap();
    assert_eq!(
        start.elapsed(),
        DRAIN + Duration::from_millis(10),
        "it tried as long as it could"
    );
    assert_eq!(safe.fates(), [(Fate::Held, all(5)), (Fate::Lost, all(5))]);
    safe.record([5]);
    assert_eq!(safe.fates()[2], (Fate::Lost, vec![5]));
    assert_eq!(safe.plant.totals().dropped, 6);
    assert_eq!(safe.failsafe.held(), 0);
}

// P9
#[tokio::test(start_paused = true)]
async fn a_disk_that_comes_back_while_draining_takes_all() {
    let safe = safe(RING);
    safe.shut(Fault::Refuses);
    let task = safe.start();
    safe.record(0..5);
    ms(10).await;
    safe.stop.cancel();
    ms(2_000).await;
    safe.plant.spool.state().gone = None;
    task.await.unwrap();
    assert_eq!(safe.plant.spool.waiting(), all(5));
    assert_eq!(safe.plant.totals().dropped, 0);
}
