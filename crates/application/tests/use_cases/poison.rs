//! Events that the log refuses although it takes others: each costs one dead letter and delays
//! nobody (P5).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::record::EventRecord;
use tranche_application::audit::worker::Worker;
use tranche_application::ports::monitor::Fate;
use tranche_application::ports::queue::Unreadable;
use tranche_application::ports::store::{Conflict, StoreError};

use super::plant::{Fault, Plant, event, until};

/// A plant with so many events in its queue, some of them poison.
fn poisoned(events: u64, poison: impl IntoIterator<Item = u64>) -> Plant {
    let plant = Plant::new();
    plant.queue.fill(0..events);
    let poison = poison.into_iter().map(|event| (event, Fault::Refuses));
    plant.log.state().poison = poison.collect();
    plant
}

/// Starts a worker, which ends with the test.
fn start(plant: &Plant) {
    let worker = Worker::new(plant.pipeline.clone(), plant.queue.clone(), "queue");
    tokio::spawn(worker.run(CancellationToken::new(), Duration::ZERO));
}

/// Works off the queue; how long it took.
async fn work_off(plant: &Plant) -> Duration {
    let begun = Instant::now();
    start(plant);
    until(|| plant.queue.is_empty()).await;
    begun.elapsed()
}

async fn ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

fn all_but(events: u64, poison: &[u64]) -> Vec<u64> {
    (0..events)
        .filter(|event| !poison.contains(event))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn one_event_costs_one_letter_wherever_it_is_in_the_batch() {
    for poison in [0, 1, 49, 50, 73, 98, 99] {
        let plant = poisoned(100, [poison]);
        let took = work_off(&plant).await;
        assert!(took < Duration::from_secs(3), "{poison}: {took:?}");
        assert_eq!(plant.log.stored(), all_but(100, &[poison]), "in order");
        assert_eq!(plant.letters.buried(), [poison]);
        assert_eq!(plant.totals().buried, 1);
        assert_eq!(plant.totals().inserted, 99);
        let told = (Fate::Buried, vec![poison], "the disk is full".to_owned());
        assert_eq!(plant.fallbacks(), [told]);
        assert!(plant.incidents().is_empty(), "the log works");
        assert!(plant.pipeline.availability.is_available());
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_holds_the_event_and_why_and_where_it_waited() {
    let plant = poisoned(1, [0]);
    plant.log.state().poison = BTreeMap::new();
    let refusal = || StoreError::Inconsistent("no such severity".to_owned());
    plant
        .log
        .state()
        .stumbles
        .extend([refusal(), refusal(), refusal(), refusal()]);
    let worker = Worker::new(plant.pipeline.clone(), plant.queue.clone(), "spool");
    tokio::spawn(worker.run(CancellationToken::new(), Duration::ZERO));
    until(|| plant.queue.is_empty()).await;
    let letter = plant.letters.state().letters[0].clone();
    assert_eq!(letter.event_id, Some(event(0).id));
    let kept: EventRecord = serde_json::from_str(&letter.content).unwrap();
    assert_eq!(kept, *event(0));
    assert_eq!(letter.error, "inconsistent row: no such severity");
    assert_eq!(letter.source, "spool");
}

/// Nothing but what nobody can read: no write, a letter.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_needs_no_write() {
    let plant = Plant::new();
    plant.queue.state().unreadable = vec![Unreadable {
        content: "{".to_owned(),
        error: "the line is not whole".to_owned(),
    }];
    work_off(&plant).await;
    assert!(plant.log.state().asked.is_empty());
    let letter = plant.letters.state().letters[0].clone();
    assert_eq!((letter.event_id, letter.content.as_str()), (None, "{"));
}

/// The log goes away while the culprit is looked for: nobody is condemned, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn a_log_that_goes_away_meanwhile_condemns_nobody() {
    let plant = poisoned(8, [5]);
    plant.log.state().takes = Duration::from_millis(10);
    start(&plant);
    // The whole batch was tried four times, and the earlier half is in the log.
    until(|| plant.log.stored().len() == 4).await;
    plant.log.state().down = Some(Fault::Refuses);
    until(|| !plant.pipeline.availability.is_available()).await;
    until(|| plant.queue.state().given_back == 1).await;
    assert_eq!(plant.letters.buried(), [] as [u64; 0]);
    plant.log.state().down = None;
    plant.pipeline.availability.succeeded();
    until(|| plant.queue.is_empty()).await;
    assert_eq!(plant.letters.buried(), [5]);
    let mut stored = plant.log.stored();
    stored.sort_unstable();
    assert_eq!(stored, all_but(8, &[5]));
}

#[tokio::test(start_paused = true)]
async fn several_events_cost_a_letter_each_in_one_burial() {
    for poison in [vec![0, 1], vec![0, 99], vec![98, 99], vec![20, 50, 51, 70]] {
        let plant = poisoned(100, poison.clone());
        let took = work_off(&plant).await;
        assert!(took < Duration::from_secs(3), "{poison:?}: {took:?}");
        assert_eq!(plant.log.stored(), all_but(100, &poison));
        assert_eq!(plant.letters.buried(), poison);
        assert_eq!(plant.letters.state().burials, 1);
        assert_eq!(plant.fallbacks().len(), 1, "told together");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_but_poison_is_buried_whole() {
    let plant = poisoned(100, 0..100);
    work_off(&plant).await;
    assert!(plant.log.stored().is_empty());
    assert_eq!(plant.letters.buried(), all_but(100, &[]));
    assert_eq!(plant.totals().buried, 100);
    plant.queue.fill(200..210);
    until(|| plant.queue.is_empty()).await;
    assert_eq!(plant.log.stored().len(), 10, "the worker goes on");
}

#[tokio::test(start_paused = true)]
async fn ids_that_are_taken_are_asked_about_once_each() {
    let plant = Plant::new();
    plant.queue.fill(0..100);
    plant.log.state().poison = (1..100).map(|event| (event, Fault::Taken)).collect();
    let took = work_off(&plant).await;
    assert_eq!(plant.log.stored(), [0]);
    assert_eq!(plant.letters.buried().len(), 99);
    assert!(took < Duration::from_millis(50), "no pauses: {took:?}");
    assert!(
        plant.log.state().asked.len() < 200,
        "each once, and the cuts"
    );
    assert!(plant.log.state().probes.is_empty(), "the log has answered");
}

#[tokio::test(start_paused = true)]
async fn the_others_are_stored_before_the_suspect_is_tried_again() {
    let plant = poisoned(100, [42]);
    start(&plant);
    ms(1_060).await;
    assert_eq!(plant.log.stored(), all_but(100, &[42]));
    assert!(plant.letters.buried().is_empty());
    ms(1_100).await;
    assert_eq!(plant.letters.buried(), [42]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_only_for_a_while_is_stored() {
    for healed_after in [500, 1_040, 1_200, 1_900] {
        let plant = poisoned(100, [42]);
        start(&plant);
        ms(healed_after).await;
        plant.log.state().poison.clear();
        ms(3_000).await;
        let mut stored = plant.log.stored();
        stored.sort_unstable();
        assert_eq!(stored, all_but(100, &[]), "{healed_after}");
        assert!(plant.letters.buried().is_empty());
        assert!(plant.queue.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_the_store_panic_or_hang_costs_one_letter_too() {
    for fault in [Fault::Panics, Fault::Hangs] {
        let plant = poisoned(100, []);
        plant.log.state().poison.insert(42, fault);
        start(&plant);
        ms(200_000).await;
        assert_eq!(plant.log.stored(), all_but(100, &[42]), "{fault:?}");
        assert_eq!(plant.letters.buried(), [42]);
        assert!(plant.queue.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_behind_a_lock_is_never_given_up() {
    for events in [1, 10] {
        let plant = poisoned(events, []);
        plant.log.state().poison.insert(0, Fault::Locked);
        start(&plant);
        ms(60_000).await;
        assert!(plant.letters.buried().is_empty());
        assert_eq!(
            plant.log.stored(),
            all_but(events, &[0]),
            "the others do not wait"
        );
        assert_eq!(plant.incidents().len(), 1, "told once");
        plant.log.state().poison.clear();
        ms(10_000).await;
        assert_eq!(plant.log.stored().len() as u64, events);
        assert!(plant.queue.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_the_suspects_are_tried_buries_nobody() {
    for begins_at in [30, 600, 1_200, 1_500] {
        let plant = poisoned(100, [42]);
        start(&plant);
        ms(begins_at).await;
        plant.log.state().down = Some(Fault::Refuses);
        ms(5_000).await;
        assert!(plant.letters.buried().is_empty(), "{begins_at}");
        assert_eq!(plant.letters.state().burials, 0);
        assert!(!plant.pipeline.availability.is_available());
        assert_eq!(plant.queue.waiting().len(), 100, "nothing is done");
        plant.log.state().down = None;
        plant.pipeline.availability.succeeded();
        until(|| plant.queue.is_empty()).await;
        assert_eq!(plant.letters.buried(), [42]);
        assert_eq!(
            plant.log.stored(),
            all_but(100, &[42]),
            "each once, in order"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_buried_stays_in_the_queue() {
    let plant = poisoned(10, [4]);
    plant.letters.state().fails = 10;
    start(&plant);
    ms(4_000).await;
    assert_eq!(plant.log.stored(), all_but(10, &[4]));
    assert!(plant.queue.state().given_back > 0);
    assert!(!plant.queue.is_empty());
    assert_eq!(plant.totals().buried, 0);
    assert!(plant.fallbacks().is_empty(), "it is not buried yet");
    plant.queue.fill(50..60);
    until(|| plant.queue.is_empty()).await;
    assert_eq!(plant.letters.buried(), [4]);
    assert_eq!(plant.log.stored().len(), 19);
    assert_eq!(plant.incidents().len(), 1, "told once");
}

#[tokio::test(start_paused = true)]
async fn a_drawer_that_panics_takes_no_worker_with_it() {
    let plant = poisoned(10, [4]);
    plant.letters.state().panics = 2;
    work_off(&plant).await;
    assert_eq!(plant.letters.buried(), [4]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_during_the_burial_is_waited_out() {
    let plant = poisoned(1, [0]);
    plant.letters.state().fails = 1;
    start(&plant);
    ms(1_051).await;
    plant.log.state().down = Some(Fault::Refuses);
    plant.letters.state().fails = 1;
    ms(5_000).await;
    assert!(!plant.pipeline.availability.is_available());
    assert_eq!(plant.queue.waiting(), [0]);
    plant.log.state().down = None;
    plant.pipeline.availability.succeeded();
    until(|| plant.queue.is_empty()).await;
    assert_eq!(plant.letters.buried(), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_any_more_is_buried_as_it_is() {
    let plant = poisoned(3, [1]);
    let entry = |content: &str| Unreadable {
        content: content.to_owned(),
        error: "its checksum is wrong".to_owned(),
    };
    plant.queue.state().unreadable = vec![entry("{\"id\":"), entry("\0")];
    work_off(&plant).await;
    assert_eq!(plant.log.stored(), [0, 2]);
    let letters = plant.letters.state().letters.clone();
    let told: Vec<_> = letters
        .iter()
        .map(|letter| (letter.event_id, letter.content.as_str()))
        .collect();
    assert_eq!(told[0].0, Some(event(1).id));
    assert_eq!(told[1..], [(None, "{\"id\":"), (None, "\u{fffd}")]);
    assert_eq!(letters[1].error, "its checksum is wrong");
    assert_eq!(plant.totals().buried, 3);
    let incidents = plant.incidents();
    assert_eq!((incidents.len(), incidents[0].critical), (1, true));
    assert_eq!(incidents[0].context["unreadable"], 2);
}

#[tokio::test(start_paused = true)]
async fn each_reason_is_told_once() {
    let plant = poisoned(2, [0]);
    plant.log.state().poison.insert(1, Fault::Panics);
    work_off(&plant).await;
    let told = plant.fallbacks();
    assert_eq!(told.len(), 2);
    let mut events: Vec<_> = told.iter().flat_map(|(_, events, _)| events).collect();
    events.sort_unstable();
    assert_eq!(events, [&0, &1]);
    assert!(
        told.iter().any(|(_, _, why)| why.contains("panicked")),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_does_not_cut_a_batch_into_pieces() {
    let plant = poisoned(100, [99]);
    let stumbles = [50, 51].map(|_| StoreError::Conflict(Conflict::Retry));
    plant.log.state().stumbles.extend(stumbles);
    work_off(&plant).await;
    assert_eq!(plant.letters.buried(), [99]);
}
