//! A queue that holds much does not need much memory.

use std::fs;

use tranche_adapters_spool::{Limits, Settings};
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{at, done, ids, take, taken_ids};

use crate::process;
use crate::scene::{Scene, large, open};

/// MiB in the queue: `PUSHES` times `TOGETHER` events of `LETTERS`.
const HELD: u64 = 64;
const PUSHES: u64 = 64;
const TOGETHER: u64 = 16;
const LETTERS: usize = (1 << 20) / 16;
/// MiB that the process may need at most, what it had before included.
const MOST: u64 = 48;

/// The most memory that this process ever had, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.expect("a figure").parse::<u64>().expect("a number") >> 10
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process for `memory_does_not_grow_with_what_is_held`"]
async fn holds_much() {
    let Some(file) = process::file() else { return };
    let settings = Settings {
        limits: Limits::default(),
        memory: 4 << 20,
        ..Settings::default()
    };
    let queue = open(&file, settings).await;
    for push in 0..PUSHES {
        let first = push * TOGETHER;
        let together: Vec<_> = (first..first + TOGETHER)
            .map(|n| large(n, LETTERS))
            .collect();
        let pushed = queue.push(&together, at(first)).await;
        assert_eq!(pushed.expect("it answers"), together.len());
    }
    let depth = queue.depth().await.expect("it answers");
    assert!(depth.bytes >> 20 >= HELD, "{depth:?}");
    let filled = peak();
    let mut seen = Vec::new();
    while seen.len() < depth.events.try_into().expect("a small number") {
        let taken = take(&queue, 16).await;
        seen.extend(taken_ids(&taken));
        done(&queue, &taken.receipt).await;
    }
    assert_eq!(seen, ids(0..PUSHES * TOGETHER));
    queue.close().await;
    let drained = peak();
    println!("peak {filled} MiB filled, {drained} MiB drained");
    assert!(drained < MOST, "{drained} MiB for {HELD} MiB");
}

#[test]
fn memory_does_not_grow_with_what_is_held() {
    let scene = Scene::new();
    process::run("memory::holds_much", &scene.file);
}
