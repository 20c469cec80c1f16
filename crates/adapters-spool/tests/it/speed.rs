//! How fast it is. Measured, not judged: nothing here can fail on a slow machine.
//!
//! `cargo test --release -p tranche-adapters-spool --test it speed -- --ignored --nocapture`

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tranche_adapters_spool::Settings;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{at, taken_ids};

use crate::scene::{Scene, forgetful, large};

/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(2);
/// Letters of a note, so that an event has some 400 bytes of content.
const LETTERS: usize = 300;

/// One producer: pushes until the time is over; says how many events, and how long each push took.
async fn produce(
    queue: Arc<dyn AuditQueue>,
    together: Arc<[Arc<EventRecord>]>,
) -> (usize, Vec<Duration>) {
    let (mut events, mut took) = (0, Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < SPAN {
        let one = Instant::now();
        events += queue.push(&together, at(1)).await.expect("it answers");
        took.push(one.elapsed());
    }
    (events, took)
}

/// Takes and finishes for ever.
async fn consume(queue: Arc<dyn AuditQueue>) {
    loop {
        if let Some(taken) = queue.take(1_000, SPAN).await.expect("it answers") {
            queue.done(&taken.receipt).await.expect("it answers");
        }
    }
}

async fn measure(batch: u64, producers: usize, consumers: usize) {
    let scene = Scene::new();
    let queue = Arc::new(scene.open(Settings::default()).await);
    let together: Arc<[_]> = (0..batch).map(|n| large(n, LETTERS)).collect();
    let mut consuming = JoinSet::new();
    for _ in 0..consumers {
        consuming.spawn(consume(Arc::clone(&queue) as Arc<dyn AuditQueue>));
    }
    let mut producing = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..producers {
        let queue = Arc::clone(&queue) as Arc<dyn AuditQueue>;
        producing.spawn(produce(queue, Arc::clone(&together)));
    }
    let (mut events, mut took) = (0, Vec::new());
    for (pushed, times) in producing.join_all().await {
        events += pushed;
        took.extend(times);
    }
    let micros = begun.elapsed().as_micros();
    consuming.shutdown().await;
    took.sort_unstable();
    let rank = |percent: usize| {
        took.get(took.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let size = std::fs::metadata(&scene.file).expect("a file").len() >> 20;
    println!(
        "batch {batch:>5}, {producers:>2} producers, {consumers} consumers: {:>7} events/s, p50 {:?}, p99 {:?}, file {size} MiB",
        events as u128 * 1_000_000 / micros,
        rank(50),
        rank(99),
    );
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn pushes_alone() {
    let line = serde_json::to_vec(&*large(1, LETTERS)).expect("JSON");
    println!("an event has {} bytes of JSON", line.len());
    for batch in [1, 100, 1_000] {
        for producers in [1, 4, 16] {
            measure(batch, producers, 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn pushes_beside_takes() {
    for (batch, producers) in [(1, 1), (1, 16), (100, 4), (1_000, 4)] {
        measure(batch, producers, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn takes_from_the_file() {
    const EVENTS: usize = 200_000;
    let scene = Scene::new();
    let queue = scene.open(forgetful()).await;
    let together: Vec<_> = (0..1_000).map(|n| large(n, LETTERS)).collect();
    for _ in 0..EVENTS / 1_000 {
        queue.push(&together, at(1)).await.expect("it answers");
    }
    let begun = Instant::now();
    let mut seen = 0;
    while seen < EVENTS {
        let taken = queue.take(1_000, SPAN).await.expect("it answers");
        let taken = taken.expect("an event");
        seen += taken_ids(&taken).len();
        queue.done(&taken.receipt).await.expect("it answers");
    }
    println!(
        "read back, one worker: {} events/s",
        seen as u128 * 1_000_000 / begun.elapsed().as_micros()
    );
}
