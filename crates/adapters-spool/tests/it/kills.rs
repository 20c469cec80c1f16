//! `kill -9`, under load, on one file again and again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tranche_adapters_spool::Settings;
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{LONG, at, drain, events, ids, taken_ids};
use uuid::Uuid;

use crate::process;
use crate::scene::{Scene, forgetful, open};

const ROUNDS: u64 = 8;
const PRODUCERS: u64 = 4;
const TOGETHER: u64 = 3;
/// How many numbers a round has, and a producer in it.
const ROUND: u64 = 10_000_000;
const PRODUCER: u64 = 1_000_000;

/// What a child said before it died.
#[derive(Default)]
struct Said {
    pushed: BTreeSet<Uuid>,
    finishing: BTreeSet<Uuid>,
    done: BTreeSet<Uuid>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let set = match words.next() {
            Some("pushed") => &mut self.pushed,
            Some("finishing") => &mut self.finishing,
            Some("done") => &mut self.done,
            _ => return,
        };
        // The last line ends with a stop: a torn one is none.
        let all: Vec<&str> = words.collect();
        if let Some((&".", all)) = all.split_last() {
            set.extend(all.iter().filter_map(|id| id.parse::<Uuid>().ok()));
        }
    }
}

fn say(what: &str, ids: &[Uuid]) {
    let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    println!("{what} {} .", ids.join(" "));
}

/// Pushes and takes until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a process for `nothing_acknowledged_is_lost_by_a_kill`"]
async fn works_until_it_is_killed() {
    let Some(file) = process::file() else { return };
    let round: u64 = std::env::var("SPOOL_TEST_ROUND")
        .expect("a round")
        .parse()
        .expect("a number");
    println!();
    let queue = Arc::new(open(&file, Settings::default()).await);
    for producer in 0..PRODUCERS {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            let mut next = round * ROUND + producer * PRODUCER;
            loop {
                let together = events(next..next + TOGETHER);
                let pushed = queue.push(&together, at(1)).await.expect("it answers");
                assert_eq!(pushed, together.len());
                say("pushed", &ids(next..next + TOGETHER));
                next += TOGETHER;
            }
        });
    }
    loop {
        let taken = queue.take(10, LONG).await.expect("it answers");
        let taken = taken.expect("an event");
        assert_eq!(taken.unreadable, []);
        say("finishing", &taken_ids(&taken));
        queue.done(&taken.receipt).await.expect("it answers");
        say("done", &taken_ids(&taken));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets a child work until it has pushed so often, and kills it.
fn kill_one(file: &Path, round: u64, pushes: usize) -> Said {
    let mut child = process::child("kills::works_until_it_is_killed", file)
        .env("SPOOL_TEST_ROUND", round.to_string())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it starts");
    let output = child.stdout.take().expect("a pipe");
    let mut said = Said::default();
    let mut left = pushes;
    for line in BufReader::new(output).lines() {
        let line = line.expect("text");
        said.hear(&line);
        left = left.saturating_sub(usize::from(line.starts_with("pushed")));
        if left == 0 {
            // What it said before it heard of it is still in the pipe.
            child.kill().expect("it is killed");
        }
    }
    child.wait().expect("it is gone");
    assert_eq!(left, 0, "it ended by itself");
    said
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let scene = Scene::new();
    let mut all = Said::default();
    for round in 0..ROUNDS {
        let pushes = 20 + usize::try_from(round * 37 % 60).expect("a small number");
        let said = kill_one(&scene.file, round, pushes);
        all.pushed.extend(said.pushed);
        all.finishing.extend(said.finishing);
        all.done.extend(said.done);
    }
    let queue = scene.open(forgetful()).await;
    let waiting = queue.depth().await.expect("it answers").events;
    let waiting = usize::try_from(waiting).expect("a small number");
    let seen = drain(&queue, waiting).await;
    let different: BTreeSet<Uuid> = seen.iter().copied().collect();
    assert_eq!(different.len(), seen.len(), "nothing is there twice");
    assert!(different.is_disjoint(&all.done), "what was done came again");
    let kept: BTreeSet<Uuid> = different.union(&all.finishing).copied().collect();
    let lost: Vec<_> = all.pushed.difference(&kept).collect();
    assert!(lost.is_empty(), "{} are lost: {lost:?}", lost.len());
    assert!(!all.done.is_empty() && !different.is_empty());
}
