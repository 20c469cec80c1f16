//! The follower: each event once and in order, however somebody joins, lags or comes back.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::follower::{Follower, Stretch, Subscription};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::Scope;
use tranche_domain::ProjectId;
use uuid::Uuid;

use super::log::{Log, event};
use super::stage::Stage;

/// A follower that runs until the guard is dropped.
fn follow(stage: &mut Stage, log: &Log) -> (Follower, DropGuard) {
    let follower = Follower::new(
        stage.services(),
        std::sync::Arc::new(log.clone()),
        std::sync::Arc::new(log.clone()),
    );
    let stop = CancellationToken::new();
    tokio::spawn(follower.clone().run(stop.clone()));
    (follower, stop.drop_guard())
}

fn all(follower: &Follower, from: i64) -> Subscription {
    follower.subscribe(from, EventFilter::default(), Scope::All)
}

fn places(range: std::ops::Range<i64>) -> Vec<i64> {
    range.collect()
}

/// The leaf indices that come until the subscription stands at `to`.
async fn until(subscription: &mut Subscription, to: i64) -> Vec<i64> {
    let mut seen = Vec::new();
    while subscription.position() < to {
        let stretch = timeout(Duration::from_mins(5), subscription.next()).await;
        let stretch = stretch.expect("something comes");
        seen.extend(stretch.events.iter().filter_map(|event| event.leaf_index));
    }
    seen
}

async fn silent(subscription: &mut Subscription) {
    let more = timeout(Duration::from_secs(30), subscription.next()).await;
    assert!(more.is_err(), "nothing more comes: {more:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_there_comes_first_and_then_what_comes() {
    let (mut stage, log) = (Stage::new(), Log::of(700));
    let (follower, _runs) = follow(&mut stage, &log);
    let (mut old, mut new) = (all(&follower, 0), all(&follower, 700));
    assert_eq!(until(&mut old, 700).await, places(0..700));
    for from in [700, 1_000] {
        log.grow(300);
        let expected = places(from..from + 300);
        assert_eq!(until(&mut old, from + 300).await, expected);
        assert_eq!(until(&mut new, from + 300).await, expected);
    }
    silent(&mut old).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_lags_misses_nothing_and_holds_up_nobody() {
    let (mut stage, log) = (Stage::new(), Log::default());
    let (follower, _runs) = follow(&mut stage, &log);
    let (mut quick, mut slow) = (all(&follower, 0), all(&follower, 0));
    silent(&mut quick).await;
    silent(&mut slow).await;
    for round in 1..=60 {
        log.grow(500);
        let seen = until(&mut quick, round * 500).await;
        assert_eq!(seen, places((round - 1) * 500..round * 500));
    }
    assert_eq!(until(&mut slow, 30_000).await, places(0..30_000));
    assert_eq!((quick.lagged(), slow.lagged()), (0, 1));
    log.grow(5);
    assert_eq!(until(&mut slow, 30_005).await, places(30_000..30_005));
}

#[tokio::test(start_paused = true)]
async fn everybody_gets_what_they_asked_for_alone() {
    let (mut stage, log) = (Stage::new(), Log::default());
    let (follower, _runs) = follow(&mut stage, &log);
    let (ours, theirs) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let filter = EventFilter {
        actions: vec!["invoice.paid".to_owned()],
        ..EventFilter::default()
    };
    let scope = Scope::Project(ProjectId(ours));
    let add = || {
        for project in [None, Some(ours), Some(theirs)] {
            log.add(event("invoice.sent", project));
            log.add(event("invoice.paid", project));
        }
    };
    add();
    let mut paid = follower.subscribe(0, filter.clone(), Scope::All);
    let mut of_ours = follower.subscribe(0, EventFilter::default(), scope);
    let mut both = follower.subscribe(0, filter, scope);
    for round in 0..2 {
        let (first, end) = (round * 6, round * 6 + 6);
        assert_eq!(until(&mut paid, end).await, [1, 3, 5].map(|at| at + first));
        assert_eq!(until(&mut of_ours, end).await, [2, 3].map(|at| at + first));
        assert_eq!(until(&mut both, end).await, [3 + first]);
        // From the log itself at first, from what is broadcast then.
        for subscription in [&mut paid, &mut of_ours, &mut both] {
            silent(subscription).await;
        }
        add();
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_is_read_once_for_everybody_and_not_at_all_for_nobody() {
    let (mut stage, log) = (Stage::new(), Log::default());
    let (follower, _runs) = follow(&mut stage, &log);
    sleep(Duration::from_mins(10)).await;
    assert_eq!(log.reads(), 0, "nobody is there");
    let mut readers = (0..20).map(|_| all(&follower, 0)).collect::<Vec<_>>();
    for reader in &mut readers {
        silent(reader).await;
    }
    let before = log.reads();
    log.grow(1);
    for reader in &mut readers {
        assert_eq!(until(reader, 1).await, [0]);
    }
    let took = log.reads() - before;
    assert!(took <= 2, "{took} reads for one event");
    drop(readers);
    sleep(Duration::from_secs(5)).await;
    let before = log.reads();
    sleep(Duration::from_mins(10)).await;
    assert_eq!(log.reads(), before, "everybody has gone");
    log.grow(3);
    assert_eq!(until(&mut all(&follower, 1), 4).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_delays_and_loses_nothing() {
    let (mut stage, log) = (Stage::new(), Log::of(3));
    let (follower, _runs) = follow(&mut stage, &log);
    let mut reader = all(&follower, 0);
    assert_eq!(until(&mut reader, 3).await, [0, 1, 2]);
    silent(&mut reader).await;
    log.away(true);
    log.grow(2);
    let mut late = all(&follower, 0);
    silent(&mut reader).await;
    silent(&mut late).await;
    log.away(false);
    let began = Instant::now();
    assert_eq!(until(&mut reader, 5).await, [3, 4]);
    assert_eq!(until(&mut late, 5).await, [0, 1, 2, 3, 4]);
    assert!(
        began.elapsed() < Duration::from_secs(11),
        "{:?}",
        began.elapsed()
    );
    let told = stage.incidents();
    assert!((1..=2).contains(&told.len()), "each told once: {told:?}");
    assert!(
        told.iter()
            .all(|incident| incident.operation == "audit.follow")
    );
}

#[tokio::test(start_paused = true)]
async fn without_word_of_growth_it_looks_by_itself() {
    let (mut stage, log) = (Stage::new(), Log::default());
    log.mute();
    let (follower, _runs) = follow(&mut stage, &log);
    let mut reader = all(&follower, 0);
    silent(&mut reader).await;
    let began = Instant::now();
    log.grow(1);
    assert_eq!(until(&mut reader, 1).await, [0]);
    assert!(
        began.elapsed() <= Duration::from_millis(50),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_may_be_given_up_at_any_moment() {
    let (mut stage, log) = (Stage::new(), Log::default());
    let (follower, _runs) = follow(&mut stage, &log);
    let (mut reader, mut seen) = (all(&follower, 0), Vec::new());
    for round in 0..400 {
        if round % 3 == 0 {
            log.grow(7);
        }
        let patience = Duration::from_millis(round % 5);
        if let Ok(stretch) = timeout(patience, reader.next()).await {
            seen.extend(stretch.events.iter().filter_map(|event| event.leaf_index));
        }
    }
    seen.extend(until(&mut reader, 134 * 7).await);
    assert_eq!(seen, places(0..134 * 7));
}

// What came between a reader's own look at the log and the follower's first is broadcast to nobody.
#[tokio::test(start_paused = true)]
async fn what_came_before_the_follower_looked_is_read() {
    let (mut stage, log) = (Stage::new(), Log::of(3));
    let port = std::sync::Arc::new(log.clone());
    let follower = Follower::new(stage.services(), port.clone(), port);
    let mut reader = all(&follower, 0);
    assert_eq!(until(&mut reader, 3).await, [0, 1, 2]);
    silent(&mut reader).await;
    log.grow(2);
    let stop = CancellationToken::new();
    let _runs = stop.clone().drop_guard();
    tokio::spawn(follower.run(stop));
    assert_eq!(until(&mut reader, 5).await, [3, 4]);
    silent(&mut reader).await;
}

// A part of which a reader has seen the beginning in the log itself.
#[tokio::test(start_paused = true)]
async fn what_was_read_does_not_come_again_with_what_is_broadcast() {
    let (mut stage, log) = (Stage::new(), Log::of(3));
    log.mute();
    let (follower, _runs) = follow(&mut stage, &log);
    let mut first = all(&follower, 3);
    silent(&mut first).await;
    // Between two looks of the follower, which has no word of it and looks every 50 ms.
    sleep(Duration::from_millis(10)).await;
    log.grow(2);
    let mut second = all(&follower, 3);
    assert_eq!(until(&mut second, 5).await, [3, 4]);
    let nothing = timeout(Duration::from_millis(1), second.next()).await;
    assert!(nothing.is_err(), "that is all: {nothing:?}");
    log.grow(2);
    assert_eq!(until(&mut second, 7).await, [5, 6]);
    assert_eq!(until(&mut first, 7).await, [3, 4, 5, 6]);
}

/// An event that takes this many bytes, about.
fn large(bytes: usize) -> EventRecord {
    EventRecord {
        details: serde_json::json!({ "note": "n".repeat(bytes) }),
        ..event("invoice.sent", None)
    }
}

/// The bytes of the notes of a stretch.
fn bytes(stretch: &Stretch) -> usize {
    let notes = stretch.events.iter();
    notes
        .filter_map(|logged| logged.event.details["note"].as_str())
        .map(str::len)
        .sum()
}

/// What a subscriber holds is bounded in bytes too, whether it comes from the log or the broadcast.
#[tokio::test(start_paused = true)]
async fn large_events_travel_a_few_at_a_time() {
    let (mut stage, log) = (Stage::new(), Log::default());
    let sizes = [60_000, 60_000, 60_000, 60_000, 400_000, 10, 400_000, 60_000];
    for _ in 0..100 {
        for size in sizes {
            log.add(large(size));
        }
    }
    let (follower, _runs) = follow(&mut stage, &log);
    let mut reader = all(&follower, 0);
    let mut seen = Vec::new();
    let mut take = |stretch: Stretch, most: usize| {
        let held = bytes(&stretch);
        assert!(held <= most || stretch.events.len() == 1, "{held} bytes");
        seen.extend(stretch.events.iter().filter_map(|event| event.leaf_index));
    };
    while reader.position() < 800 {
        take(reader.next().await, 256 * 1024);
    }
    silent(&mut reader).await;
    for _ in 0..100 {
        for size in sizes {
            log.add(large(size));
        }
        while let Ok(stretch) = timeout(Duration::from_secs(2), reader.next()).await {
            take(stretch, 64 * 1024);
        }
    }
    assert_eq!(seen, places(0..1_600));
}

/// Small events come in whole pages, however large those before them were.
#[tokio::test(start_paused = true)]
async fn pages_grow_again_after_large_events() {
    let (mut stage, log) = (Stage::new(), Log::default());
    for _ in 0..10 {
        log.add(large(200_000));
    }
    log.grow(2_000);
    let (follower, _runs) = follow(&mut stage, &log);
    let mut reader = all(&follower, 0);
    assert_eq!(until(&mut reader, 2_010).await, places(0..2_010));
    assert!(log.reads() < 40, "{} reads", log.reads());
}
