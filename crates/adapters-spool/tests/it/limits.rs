//! Bounds: of bytes, of the disk, of the file's size.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::{Connection, SqliteConnection};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tranche_adapters_spool::{Limits, Settings};
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{
    LONG, at, done, drain, event, events, ids, is_empty, push, take, taken_ids,
};

use crate::process;
use crate::scene::{self, Scene, bytes, large, log_of, open};

/// The bytes that an event takes.
fn size(n: u64) -> u64 {
    let json = serde_json::to_vec(&*event(n)).expect("JSON").len();
    u64::try_from(json).expect("a small number") + 10
}

#[tokio::test]
async fn a_push_takes_the_first_that_there_are_bytes_for() {
    let room = size(1) + size(2) + size(3);
    let scene = Scene::new();
    let queue = scene.open(bytes(room)).await;
    let pushed = queue.push(&events(1..=5), at(1)).await;
    assert_eq!(pushed.expect("it answers"), 3);
    let depth = queue.depth().await.expect("it answers");
    assert_eq!((depth.events, depth.bytes), (3, room));
    assert_eq!(
        queue.push(&events([6]), at(6)).await.expect("it answers"),
        0
    );
    assert_eq!(drain(&queue, 3).await, ids(1..=3));
    push(&queue, [7]).await;
    queue.close().await;
    let queue = open(&scene.file, bytes(size(7) + size(8) - 1)).await;
    assert_eq!(
        queue.push(&events([8]), at(8)).await.expect("it answers"),
        0
    );
    queue.close().await;
    let queue = open(&scene.file, bytes(size(7) + size(8))).await;
    push(&queue, [8]).await;
}

// A disk that says nothing for a while, and senders that do not wait: what they sent is in memory.
#[tokio::test]
async fn pushes_that_nobody_waits_for_are_bounded_too() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [0]).await;
    let mut other = SqliteConnection::connect(scene.file.to_str().expect("a plain path"))
        .await
        .expect("it opens");
    let mut lock = other.begin_with("BEGIN IMMEDIATE").await.expect("it locks");
    sqlx::query("DELETE FROM frames")
        .execute(&mut *lock)
        .await
        .expect("it is done");
    let queue = Arc::new(queue);
    let mut senders = JoinSet::new();
    for n in 1..=300 {
        let queue = Arc::clone(&queue);
        senders.spawn(async move {
            let events = events([n]);
            let waited = timeout(Duration::from_millis(200), queue.push(&events, at(n))).await;
            assert!(waited.is_err(), "the file is locked");
        });
    }
    senders.join_all().await;
    lock.rollback().await.expect("it ends");
    push(queue.as_ref(), [1_000]).await;
    let depth = queue.depth().await.expect("it answers");
    assert!(depth.events <= 2 + 64, "{depth:?}");
}

#[tokio::test]
async fn the_narrower_of_both_limits_holds() {
    let both = |events, bytes| Settings {
        limits: Limits {
            events: Some(events),
            bytes: Some(bytes),
        },
        ..Settings::default()
    };
    for (settings, room) in [
        (both(2, u64::MAX), 2),
        (both(u64::MAX, size(1) * 3), 3),
        (both(0, u64::MAX), 0),
        (both(9, 0), 0),
    ] {
        let scene = Scene::new();
        let queue = scene.open(settings).await;
        let pushed = queue.push(&events(1..=5), at(1)).await;
        assert_eq!(pushed.expect("it answers"), room, "{settings:?}");
        assert_eq!(
            queue.push(&events([6]), at(6)).await.expect("it answers"),
            0
        );
    }
}

/// One that is larger than all there is stops those behind it: a push takes the first ones.
#[tokio::test]
async fn an_event_beyond_the_limit_is_not_taken() {
    let scene = Scene::new();
    let queue = scene.open(bytes(10_000)).await;
    let together = [event(1), large(2, 20_000), event(3)];
    let pushed = queue.push(&together, at(1)).await;
    assert_eq!(pushed.expect("it answers"), 1);
}

/// Megabytes in one event and thousands of events in one push come out whole and in order.
#[tokio::test]
async fn large_pushes_are_cut_into_frames() {
    let scene = Scene::new();
    let queue = scene.open(scene::forgetful()).await;
    let together: Vec<_> = (0..40).map(|n| large(n, 100_000)).collect();
    let pushed = queue.push(&together, at(1)).await;
    assert_eq!(pushed.expect("it answers"), 40);
    let huge = [large(40, 3_000_000), event(41)];
    let pushed = queue.push(&huge, at(2)).await;
    assert_eq!(pushed.expect("it answers"), 2);
    let first = take(&queue, 40).await;
    assert!(first.receipt.0.len() > 1, "{:?}", first.receipt);
    queue.give_back(&first.receipt).await.expect("it answers");
    assert_eq!(drain(&queue, 42).await, ids(0..42));
}

/// How large the file and its log are, in MiB.
fn on_disk(scene: &Scene) -> u64 {
    let of = |file| fs::metadata(file).map_or(0, |metadata| metadata.len());
    (of(scene.file.clone()) + of(log_of(&scene.file))) >> 20
}

#[tokio::test]
async fn the_file_is_small_again_when_it_is_empty() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    let together: Vec<_> = (0..60).map(|n| large(n, 1_000_000)).collect();
    queue.push(&together, at(1)).await.expect("it answers");
    assert!(on_disk(&scene) >= 60, "{}", on_disk(&scene));
    drain(&queue, 60).await;
    is_empty(&queue).await;
    // It shrinks after the answer.
    push(&queue, [100]).await;
    assert!(on_disk(&scene) < 4, "{}", on_disk(&scene));
}

#[tokio::test]
async fn space_that_comes_free_is_used_again() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    // One that stays, so that it is never empty.
    push(&queue, [0]).await;
    let stays = take(&queue, 1).await;
    for n in 1..=60 {
        let together: Vec<_> = (0..2).map(|k| large(n * 2 + k, 500_000)).collect();
        queue.push(&together, at(n)).await.expect("it answers");
        drain(&queue, 2).await;
    }
    assert!(on_disk(&scene) < 45, "{} MiB", on_disk(&scene));
    done(&queue, &stays.receipt).await;
    is_empty(&queue).await;
}

/// No file of this process may grow beyond so many bytes.
fn disk_has(bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        ..getrlimit(Resource::Fsize)
    };
    setrlimit(Resource::Fsize, limit).expect("a limit");
}

/// Pushes until the disk is full, and goes on when it is not any more.
#[tokio::test]
#[ignore = "a process for `a_full_disk_refuses_whole_pushes`"]
async fn fills_its_disk() {
    const TOGETHER: u64 = 3;
    let Some(file) = process::file() else { return };
    let queue = open(&file, scene::forgetful()).await;
    disk_has(Some(2 << 20));
    let (mut kept, mut refused, mut n) = (BTreeSet::new(), 0, 0);
    while refused < 5 {
        let together: Vec<_> = (n..n + TOGETHER).map(|n| large(n, 5_000)).collect();
        match queue.push(&together, at(n)).await {
            Ok(pushed) => {
                assert_eq!(pushed, together.len());
                kept.extend(together.iter().map(|event| event.id));
            }
            Err(_) => refused += 1,
        }
        n += TOGETHER;
        assert!(n < 10_000, "the disk was never full");
    }
    assert!(kept.len() > 30, "{}", kept.len());
    disk_has(None);
    push(&queue, 20_001..=20_100).await;
    kept.extend(ids(20_001..=20_100));
    let mut seen = Vec::new();
    while let Some(taken) = queue.take(50, Duration::ZERO).await.expect("it answers") {
        assert_eq!(taken.unreadable, []);
        seen.extend(taken_ids(&taken));
        done(&queue, &taken.receipt).await;
    }
    is_empty(&queue).await;
    let all: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(all.len(), seen.len(), "one came twice");
    let lost: Vec<_> = kept.difference(&all).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // What was refused may be there, but then all of it.
    let extra = all.difference(&kept).count();
    assert_eq!(extra % usize::try_from(TOGETHER).expect("small"), 0);
    timeout(LONG, queue.close()).await.expect("it closes");
}

/// There is no room for a large push, but enough to say that something is done.
#[tokio::test]
#[ignore = "a process for `what_is_done_is_done_beside_a_push_without_room`"]
async fn has_little_room() {
    let Some(file) = process::file() else { return };
    let queue = open(&file, Settings::default()).await;
    push(&queue, [1]).await;
    push(&queue, [2]).await;
    let held = take(&queue, 1).await;
    let log = fs::metadata(log_of(&file)).expect("a log").len();
    disk_has(Some(log + 100_000));
    let huge = [large(3, 1_000_000)];
    let both = tokio::join!(queue.push(&huge, at(3)), queue.done(&held.receipt));
    assert!(both.0.is_err(), "{both:?}");
    assert!(both.1.is_ok(), "{both:?}");
    push(&queue, [4]).await;
    assert_eq!(drain(&queue, 2).await, ids([2, 4]));
    is_empty(&queue).await;
}

#[test]
fn what_is_done_is_done_beside_a_push_without_room() {
    let scene = Scene::new();
    process::run("limits::has_little_room", &scene.file);
}

#[test]
fn a_full_disk_refuses_whole_pushes() {
    let scene = Scene::new();
    process::run("limits::fills_its_disk", &scene.file);
}
