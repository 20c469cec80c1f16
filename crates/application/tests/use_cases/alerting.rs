//! Alerts: once while it lasts, a reminder, a recovery; several processes; sinks that hang. Time is
//! paused.

use chrono::TimeDelta;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::alerts::{Alerts, Book, Breach, CALM, Courier, REMINDER};
use tranche_application::ports::alerts::{Alert, Urgency};

use super::lookout::{Lookout, Mood, Notes, quiet};
use super::scene::time;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A process that looks out, and what its sinks were told.
struct Watch {
    log: Notes,
    pager: Notes,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn over(lookout: &Lookout) -> Self {
        let (log, pager) = (Notes::default(), Notes::default());
        let stop = CancellationToken::new();
        let alerts = Alerts::new(
            lookout.monitoring.clone(),
            Arc::new(log.clone()),
            vec![Arc::new(pager.clone())],
        );
        let task = tokio::spawn(alerts.run(stop.clone()));
        Self {
            log,
            pager,
            stop,
            task,
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

// P8: one alert while it lasts, one notice when it has been over for half a minute.
#[tokio::test(start_paused = true)]
async fn a_deep_queue_is_told_once_and_its_end_once() {
    let lookout = Lookout::new("a");
    lookout.queued(5_001);
    let watch = Watch::over(&lookout);
    sleep(seconds(61)).await;
    assert_eq!(watch.pager.keys(), ["audit.queue_deep!"]);
    lookout.queued(10);
    sleep(seconds(20)).await;
    lookout.queued(6_000);
    sleep(seconds(10)).await;
    lookout.queued(10);
    sleep(seconds(29)).await;
    assert_eq!(
        watch.pager.keys(),
        ["audit.queue_deep!"],
        "it came back once"
    );
    sleep(seconds(10)).await;
    assert_eq!(
        watch.pager.keys(),
        ["audit.queue_deep!", "audit.queue_deep."]
    );
    let told = watch.pager.told.lock().unwrap().clone();
    assert_eq!(told[0].since, time(0));
    assert!(told[0].summary.contains("5001"), "{:?}", told[0]);
    assert!(told[1].resolved_at.is_some_and(|at| at > time(90)));
    assert_eq!(watch.log.keys(), watch.pager.keys());
    watch.end().await;
}

// P8: what lasts is recalled each hour.
#[tokio::test(start_paused = true)]
async fn what_lasts_is_recalled_each_hour() {
    let lookout = Lookout::new("a");
    lookout.queued(9_000);
    let watch = Watch::over(&lookout);
    sleep(REMINDER * 2 + seconds(30)).await;
    assert_eq!(watch.pager.keys(), vec!["audit.queue_deep!"; 3]);
    watch.end().await;
}

// P8: each condition by its own key and urgency.
#[tokio::test(start_paused = true)]
async fn every_condition_has_its_alert() {
    let lookout = Lookout::new("a");
    let watch = Watch::over(&lookout);
    sleep(seconds(6)).await;
    assert_eq!(watch.pager.keys(), [] as [&str; 0]);
    lookout.letters.store(2, Ordering::SeqCst);
    lookout.meters.dropped(1_001);
    lookout.meters.webhook_disabled();
    lookout.meters.retention_is_late(TimeDelta::hours(49));
    for _ in 0..101 {
        lookout.meters.failed(lookout.clock.now());
    }
    lookout.availability.failed();
    lookout.queue.mood.set(Mood::Refuses);
    sleep(seconds(10)).await;
    let told = watch.pager.told.lock().unwrap().clone();
    let mut found: Vec<_> = told.iter().map(|a| (a.key, a.urgency)).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("audit.dead_letters", Urgency::Warning),
            ("audit.dropped", Urgency::Warning),
            ("audit.events_lost", Urgency::Critical),
            ("audit.failures", Urgency::Critical),
            ("audit.queue_unavailable", Urgency::Warning),
            ("audit.retention_late", Urgency::Warning),
            ("audit.store_unavailable", Urgency::Critical),
            ("audit.write_failures", Urgency::Warning),
            ("webhook.disabled", Urgency::Warning),
        ]
    );
    watch.end().await;
}

// S7, P8: two runs may fail before anybody is told that what should have expired has not.
#[tokio::test(start_paused = true)]
async fn retention_that_is_late_by_more_than_two_days_is_told() {
    let lookout = Lookout::new("a");
    let watch = Watch::over(&lookout);
    lookout.meters.retention_is_late(TimeDelta::hours(48));
    sleep(seconds(6)).await;
    assert_eq!(watch.pager.keys(), [] as [&str; 0]);
    lookout
        .meters
        .retention_is_late(TimeDelta::seconds(48 * 3_600 + 1));
    sleep(seconds(6)).await;
    assert_eq!(watch.pager.keys(), ["audit.retention_late!"]);
    watch.end().await;
}

// P8: more than ten failed writes in five minutes; ten are none.
#[tokio::test(start_paused = true)]
async fn the_eleventh_failed_write_in_five_minutes_is_told() {
    let lookout = Lookout::new("a");
    let watch = Watch::over(&lookout);
    for _ in 0..10 {
        sleep(seconds(20)).await;
        lookout.meters.failed(lookout.clock.now());
    }
    sleep(seconds(6)).await;
    assert_eq!(watch.pager.keys(), [] as [&str; 0]);
    lookout.meters.failed(lookout.clock.now());
    sleep(seconds(6)).await;
    assert_eq!(watch.pager.keys(), ["audit.write_failures!"]);
    watch.end().await;
}

// A restart of the workers takes a moment and wakes nobody.
#[tokio::test(start_paused = true)]
async fn missing_workers_are_told_after_half_a_minute() {
    let none = Lookout::on(super::lookout::Board::default(), "a", 0);
    let watch = Watch::over(&none);
    sleep(seconds(28)).await;
    assert_eq!(watch.pager.keys(), [] as [&str; 0]);
    sleep(seconds(10)).await;
    assert_eq!(watch.pager.keys(), ["audit.no_workers!"]);
    watch.end().await;
}

// P8: of several processes one pages; when it is gone, another one does, and tells nothing twice.
#[tokio::test(start_paused = true)]
async fn of_several_processes_the_longest_running_one_pages() {
    let younger = Lookout::new("b");
    let elder = quiet("a", time(0));
    let board = younger.board.reports.clone();
    board.lock().unwrap().insert("a".to_owned(), elder);
    younger.queued(9_000);
    let watch = Watch::over(&younger);
    sleep(seconds(12)).await;
    assert_eq!(watch.pager.keys(), [] as [&str; 0], "the elder pages");
    assert_eq!(
        watch.log.keys(),
        ["audit.queue_deep!"],
        "the log is its own"
    );
    sleep(seconds(20)).await;
    assert_eq!(watch.pager.keys(), [] as [&str; 0], "it was told already");
    younger.queued(0);
    sleep(seconds(40)).await;
    assert_eq!(
        watch.pager.keys(),
        ["audit.queue_deep."],
        "the elder is gone"
    );
    watch.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_reaches_nobody_is_passed_over() {
    let younger = Lookout::new("b");
    let mut elder = quiet("a", time(0));
    elder.pages = false;
    let board = younger.board.reports.clone();
    board.lock().unwrap().insert("a".to_owned(), elder);
    younger.queued(9_000);
    let watch = Watch::over(&younger);
    sleep(seconds(2)).await;
    assert_eq!(watch.pager.keys(), ["audit.queue_deep!"]);
    watch.end().await;
}

// A sink that never answers stops no other sink and not the end, and holds one word a condition.
#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_stops_nobody() {
    let lookout = Lookout::new("a");
    let watch = Watch::over(&lookout);
    watch.pager.mood.set(Mood::Hangs);
    lookout.queued(9_000);
    sleep(seconds(7)).await;
    assert_eq!(watch.log.keys(), ["audit.queue_deep!"]);
    assert_eq!(watch.pager.tries.lock().unwrap().len(), 1);
    let began = Instant::now();
    watch.end().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

// A delivery that takes too long has failed: what waited meanwhile is brought when the sink answers again.
#[tokio::test(start_paused = true)]
async fn a_delivery_without_an_answer_is_tried_again() {
    let (courier, notes, stop) = (
        Courier::default(),
        Notes::default(),
        CancellationToken::new(),
    );
    notes.mood.set(Mood::Hangs);
    let began = Instant::now();
    let task = tokio::spawn(courier.clone().run(Arc::new(notes.clone()), stop.clone()));
    courier.send(word("a", "first"));
    sleep(seconds(12)).await;
    let tries = notes.tries.lock().unwrap().clone();
    let tries: Vec<u64> = tries.iter().map(|at| (*at - began).as_secs()).collect();
    assert_eq!(tries, [0, 11]);
    notes.mood.set(Mood::Answers);
    sleep(seconds(15)).await;
    assert_eq!(notes.keys(), ["a!"]);
    stop.cancel();
    task.await.unwrap();
}

fn word(key: &'static str, summary: &str) -> Alert {
    Alert {
        key,
        urgency: Urgency::Warning,
        summary: summary.to_owned(),
        since: time(0),
        resolved_at: None,
    }
}

// P8: tried again with longer and longer pauses, until it is taken; the newest word alone.
#[tokio::test(start_paused = true)]
async fn a_refused_alert_is_tried_again_and_only_the_newest_word_waits() {
    let (courier, notes, stop) = (
        Courier::default(),
        Notes::default(),
        CancellationToken::new(),
    );
    notes.mood.set(Mood::Refuses);
    let began = Instant::now();
    let sink = Arc::new(notes.clone());
    let task = tokio::spawn(courier.clone().run(sink, stop.clone()));
    courier.send(word("a", "first"));
    sleep(seconds(20)).await;
    let tries: Vec<u64> = notes
        .tries
        .lock()
        .unwrap()
        .iter()
        .map(|at| (*at - began).as_secs())
        .collect();
    assert_eq!(tries, [0, 1, 3, 7, 15]);
    for summary in ["second", "third", "newest"] {
        courier.send(word("a", summary));
    }
    courier.send(word("b", "other"));
    assert_eq!(courier.waiting_count(), 2);
    notes.mood.set(Mood::Answers);
    sleep(seconds(60)).await;
    let told: Vec<_> = notes
        .told
        .lock()
        .unwrap()
        .iter()
        .map(|a| a.summary.clone())
        .collect();
    assert_eq!(told, ["newest", "other"]);
    assert_eq!(courier.waiting_count(), 0);
    stop.cancel();
    task.await.unwrap();
}

// What nobody was told of does not end either.
#[tokio::test(start_paused = true)]
async fn what_passes_before_anybody_is_told_is_not_told() {
    let mut book = Book::default();
    let breach = Breach {
        key: "k",
        urgency: Urgency::Critical,
        summary: "wrong".to_owned(),
        patience: seconds(30),
    };
    let now = Instant::now();
    let wrong = [breach];
    assert_eq!(book.update(&wrong, time(0), now), []);
    assert_eq!(book.update(&[], time(10), now + seconds(10)), []);
    assert_eq!(book.update(&[], time(90), now + seconds(10) + CALM * 2), []);
    assert_eq!(book.update(&wrong, time(100), now + seconds(100)), []);
    let told = book.update(&wrong, time(130), now + seconds(130));
    assert_eq!(told[0].since, time(100));
}
