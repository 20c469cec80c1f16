//! The sealer: at once while there is much, now and then while there is little.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::ports::store::Conflict;
use uuid::Uuid;

use super::memory_tree::{Folder, MemoryTree, start};
use super::scene::time;
use super::stage::{Answer, Stage, conflict, down};

/// Runs the sealer for so long over this database: when it took turns, and for how many leaves it
/// asked in each.
async fn run_for(stage: &mut Stage, ms: u64, database: MemoryTree) -> Vec<(u128, Option<u32>)> {
    let (began, database) = (Instant::now(), Arc::new(database));
    let (sealer, _) = start(stage, &database, &Arc::new(Folder::default()));
    let stop = CancellationToken::new();
    let task = tokio::spawn(sealer.run(stop.clone()));
    sleep(Duration::from_millis(ms)).await;
    stop.cancel();
    task.await.unwrap();
    let ended = began.elapsed().as_millis();
    assert_eq!(ended, u128::from(ms), "it stops at once");
    let turns = database.turns.lock().unwrap();
    let turn = |(at, asked): &(Instant, Option<u32>)| ((*at - began).as_millis(), *asked);
    turns.iter().map(turn).collect()
}

fn answering(answers: impl IntoIterator<Item = Answer<Option<()>>>) -> MemoryTree {
    let database = MemoryTree::default();
    database.answers.lock().unwrap().extend(answers);
    database
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_followed_at_once_and_a_smaller_one_after_a_pause() {
    let database = MemoryTree::default();
    database.append(20_007, 1);
    let turns = run_for(&mut Stage::new(), 250, database).await;
    assert_eq!(turns, [0, 0, 0].map(|at| (at, Some(10_000))), "then none");
}

#[tokio::test(start_paused = true)]
async fn while_another_process_seals_it_waits_for_a_moment() {
    let database = answering([Ok(None), Ok(None)]);
    database.append(1, 1);
    let turns = run_for(&mut Stage::new(), 250, database).await;
    assert_eq!(turns, [(0, None), (20, None), (40, Some(10_000))]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_less_and_less_and_told_of_once() {
    let mut stage = Stage::new();
    let database = answering([down(), down(), down(), Ok(Some(())), down()]);
    database.append(1_251, 1);
    let turns = run_for(&mut stage, 850, database).await;
    let halved = [
        (0, None),
        (100, None),
        (300, None),
        (700, Some(1_250)),
        (700, None),
        (800, Some(1_250)),
    ];
    assert_eq!(turns, halved, "a batch may be too much for its time");
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 2, "one for each outage");
    assert_eq!(incidents[0].operation, "audit.seal");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_untold() {
    let mut stage = Stage::new();
    let database = answering([conflict(Conflict::Retry), down(), Ok(None)]);
    let turns = run_for(&mut stage, 310, database).await;
    assert_eq!(turns, [(0, None), (100, None), (300, None)]);
    assert_eq!(stage.incidents().len(), 1, "a conflict hides no outage");
}

/// Only to be asked to try again is no news: whatever else is in the way is told.
#[tokio::test(start_paused = true)]
async fn any_other_conflict_is_told() {
    let mut stage = Stage::new();
    let database = answering([conflict(Conflict::Stale), Ok(None)]);
    let turns = run_for(&mut stage, 110, database).await;
    assert_eq!(turns, [(0, None), (100, None)]);
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "audit.seal");
    assert!(incidents[0].error.contains("changed by someone else"));
}

#[tokio::test(start_paused = true)]
async fn sealing_that_hangs_is_given_up_after_a_minute() {
    let mut stage = Stage::new();
    let stop = CancellationToken::new();
    let database = Arc::new(MemoryTree {
        hangs: true,
        ..MemoryTree::default()
    });
    let (sealer, _) = start(&mut stage, &database, &Arc::new(Folder::default()));
    let task = tokio::spawn(sealer.run(stop.clone()));
    sleep(Duration::from_secs(61)).await;
    assert_eq!(stage.incidents().len(), 1);
    stop.cancel();
    sleep(Duration::from_mins(2)).await;
    assert!(task.is_finished());
}

/// While looking at everything is dear, what is new is seen at once, and what comes late under an older
/// id within a second.
#[tokio::test(start_paused = true)]
async fn late_ids_are_swept_up_each_second_while_that_is_dear() {
    let mut stage = Stage::new();
    let database = Arc::new(MemoryTree::default());
    let (sealer, _) = start(&mut stage, &database, &Arc::new(Folder::default()));
    let wait = |millis: i64| {
        let made = time(0).timestamp_millis() + millis;
        let id = Uuid::from_u128(u128::try_from(made).unwrap() << 80);
        database.append_under(id, 1, 1);
    };
    let step = async || sealer.step(100).await.unwrap();
    let pass = async |ms| sleep(Duration::from_millis(ms)).await;
    wait(0);
    assert_eq!(step().await, 1);
    wait(-60_000);
    assert_eq!(step().await, 1, "it costs nothing to look");

    *database.turn.lock().unwrap() = Duration::from_millis(60);
    assert_eq!(step().await, 0);
    wait(-60_000);
    assert_eq!(step().await, 1, "nor does it to wait for a connection");
    *database.turn.lock().unwrap() = Duration::ZERO;

    *database.look.lock().unwrap() = Duration::from_millis(6);
    wait(1);
    assert_eq!(step().await, 1);
    wait(-1_900);
    assert_eq!(step().await, 1, "it may have been on its way");
    wait(-2_100);
    wait(-60_000);
    assert_eq!(step().await, 0);
    wait(5);
    assert_eq!(step().await, 1);
    pass(900).await;
    assert_eq!(step().await, 0);
    pass(100).await;
    assert_eq!(step().await, 2);
    // An id of tomorrow says nothing of the others.
    wait(86_400_000);
    assert_eq!(step().await, 1);
    wait(10);
    assert_eq!(step().await, 1);
    // More than a turn takes is taken by the next ones.
    pass(1_000).await;
    for _ in 0..150 {
        wait(-60_000);
    }
    assert_eq!(step().await, 100);
    assert_eq!(step().await, 50);

    *database.look.lock().unwrap() = Duration::ZERO;
    pass(1_000).await;
    assert_eq!(step().await, 0);
    wait(-60_000);
    assert_eq!(step().await, 1, "it costs nothing any more");
}
