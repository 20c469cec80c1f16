//! Monitoring asks every part with a deadline, and tells the truth when they are down. Time is
//! paused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::health::{STORE_UNAVAILABLE, Status};
use tranche_application::audit::meters::Evidence;
use tranche_application::audit::reporter::Reporter;

use super::lookout::{Lookout, Mood, quiet};
use super::memory_tree::{Folder, MemoryTree, Rows, start};
use super::scene::time;
use super::stage::Stage;

// P6: the figures of others, and its own as they are now instead of as they were told.
#[tokio::test(start_paused = true)]
async fn its_own_report_is_the_one_of_this_moment() {
    let lookout = Lookout::new("b");
    let mut stale = quiet("b", time(0));
    stale.totals.dropped = 9;
    {
        let mut board = lookout.board.reports.lock().unwrap();
        board.insert("a".to_owned(), quiet("a", time(0)));
        board.insert("b".to_owned(), stale);
    }
    lookout.queued(12);
    lookout.letters.store(3, Ordering::SeqCst);
    lookout.meters.dropped(2);
    let snapshot = lookout.monitoring.snapshot().await;
    assert_eq!((snapshot.workers, snapshot.processes.len()), (8, 2));
    assert_eq!(snapshot.totals.dropped, 2);
    assert_eq!(snapshot.queue_length, Some(12));
    assert_eq!(snapshot.dead_letters, Some(3));
    assert!(snapshot.store_available);
    let health = lookout.monitoring.health(&snapshot);
    assert_eq!(health.status, Status::Healthy);
}

// P7, F1: the store refuses or hangs: the answer comes in time and says so.
#[tokio::test(start_paused = true)]
async fn without_the_store_it_answers_in_time_for_itself_and_names_it() {
    for mood in [Mood::Refuses, Mood::Hangs] {
        let lookout = Lookout::new("b");
        lookout.board.mood.set(mood);
        lookout.queued(7);
        let began = Instant::now();
        let snapshot = lookout.monitoring.snapshot().await;
        assert!(began.elapsed() <= Duration::from_secs(1), "{mood:?}");
        assert!(!snapshot.store_available, "{mood:?}");
        assert_eq!(snapshot.dead_letters, None, "{mood:?}");
        assert_eq!(snapshot.queue_length, Some(7), "{mood:?}");
        assert_eq!(snapshot.workers, 4, "{mood:?}");
        let health = lookout.monitoring.health(&snapshot);
        assert_eq!(health.status, Status::Critical);
        assert_eq!(health.issues[0].code, STORE_UNAVAILABLE);
    }
}

// P7: the breaker is open though the reports can be read: the log refuses.
#[tokio::test(start_paused = true)]
async fn a_log_that_refuses_is_told_though_the_store_answers() {
    let lookout = Lookout::new("b");
    lookout.availability.failed();
    let snapshot = lookout.monitoring.snapshot().await;
    assert!(!snapshot.store_available);
}

// P6: what a process that is gone left on the disk waits as well.
#[tokio::test(start_paused = true)]
async fn what_others_left_counts_with_the_spool() {
    let lookout = Lookout::new("b");
    lookout.spool.depth.lock().unwrap().events = 5;
    let monitoring = lookout
        .monitoring
        .clone()
        .with_left(vec![Arc::new(lookout.spool.clone())]);
    assert_eq!(monitoring.snapshot().await.spool_events, 10);
}

// P6: what a process that seals tells of the evidence it keeps, to others as well.
#[tokio::test(start_paused = true)]
async fn the_state_of_the_evidence_is_told() {
    let lookout = Lookout::new("b");
    assert!(lookout.monitoring.keeper().is_none());
    assert_eq!(lookout.monitoring.own().await.evidence, Evidence::Sound);
    let mut stage = Stage::new();
    let (database, folder) = (Arc::<MemoryTree>::default(), Arc::<Folder>::default());
    let (sealer, keeper) = start(&mut stage, &database, &folder);
    database.append(3, 1);
    sealer.step(10).await.unwrap();
    keeper.follow().await.unwrap();
    *database.rows() = Rows::default();
    keeper.follow().await.unwrap_err();
    let monitoring = lookout.monitoring.clone().with_keeper(Some(keeper));
    assert!(monitoring.keeper().is_some());
    monitoring.publish(false).await.unwrap();
    let told = lookout.board.reports.lock().unwrap()["b"].evidence;
    assert_eq!(told, Evidence::Contradicted);
    assert!(monitoring.pipeline().availability.is_available());
}

#[tokio::test(start_paused = true)]
async fn a_queue_and_a_spool_that_hang_keep_nobody_waiting() {
    let lookout = Lookout::new("b");
    lookout.spool.depth.lock().unwrap().events = 5;
    lookout.monitoring.own().await;
    lookout.queue.mood.set(Mood::Hangs);
    lookout.spool.mood.set(Mood::Hangs);
    let began = Instant::now();
    let snapshot = lookout.monitoring.snapshot().await;
    assert_eq!(began.elapsed(), Duration::from_secs(1), "both at once");
    assert_eq!(snapshot.queue_length, None);
    assert_eq!(snapshot.spool_events, 5, "what it said last");
    let health = lookout.monitoring.health(&snapshot);
    assert_eq!(health.status, Status::Warning);
}

// P6: reports every two seconds; they go on when the store is back; the last one says goodbye.
#[tokio::test(start_paused = true)]
async fn a_process_tells_of_itself_while_it_lives_and_leaves_no_worker_behind() {
    let lookout = Lookout::new("b");
    let stop = CancellationToken::new();
    let reporter = Reporter::new(lookout.monitoring.clone());
    let task = tokio::spawn(reporter.run(stop.clone()));
    let told = || lookout.board.reports.lock().unwrap().get("b").cloned();
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(told().unwrap().at, time(2));
    lookout.board.mood.set(Mood::Hangs);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(told().unwrap().at, time(2));
    lookout.board.mood.set(Mood::Answers);
    sleep(Duration::from_secs(4)).await;
    let report = told().unwrap();
    assert!(report.at > time(21), "{report:?}");
    assert_eq!(report.workers, 4);
    stop.cancel();
    task.await.unwrap();
    let last = told().unwrap();
    assert_eq!((last.workers, last.pages), (0, false));
}
