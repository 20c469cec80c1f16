//! The way in: critical events into the log, the rest into the queue, and where each goes when log,
//! queue and spool are full, fail or hang. Time is paused, so every deadline is exact.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tranche_application::audit::intake::{Accepted, Intake, Refusal};
use tranche_application::audit::prober::Prober;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::monitor::Fate;
use tranche_application::ports::store::{Conflict, StoreError};

use super::sinks::{ALL, FAILS, Hanging, NONE, Sinks, TWO, events};
use super::stage::{conflict, down};

fn unknown() -> Result<u64, StoreError> {
    Err(StoreError::OutcomeUnknown("the connection is gone".into()))
}

fn accepted(stored: usize, queued: usize) -> Accepted {
    Accepted {
        stored,
        queued,
        refused: vec![],
    }
}

// S3
#[tokio::test]
async fn critical_events_are_in_the_log_before_the_others_are_in_the_queue() {
    let mut sinks = Sinks::default();
    sinks.log_takes(1);
    sinks.queue(&[ALL]);
    let taken = sinks.intake().take(events("icwci")).await.unwrap();
    assert_eq!(taken, accepted(2, 3));
    assert_eq!(
        sinks.given(),
        [("log", vec![1, 3]), ("queue", vec![0, 2, 4])]
    );
    assert_eq!(sinks.totals().inserted, 2);
    assert_eq!(sinks.told(), []);
}

#[tokio::test]
async fn a_sink_that_nothing_goes_to_is_not_asked() {
    let mut sinks = Sinks::default();
    sinks.log(1, |_| Ok(0));
    let intake = sinks.intake();
    assert_eq!(intake.take(events("")).await.unwrap(), accepted(0, 0));
    assert_eq!(intake.take(events("c")).await.unwrap(), accepted(1, 0));
    assert_eq!(sinks.totals().inserted, 0, "it was in the log already");
}

// S3, F1, P2
#[tokio::test]
async fn nothing_is_taken_when_the_log_does_not_take_a_critical_event() {
    let mut sinks = Sinks::default();
    sinks.log(1, |_| down());
    sinks.probes(1, down);
    assert!(sinks.intake().take(events("icw")).await.is_err());
    assert!(!sinks.availability.is_available());
    assert_eq!(sinks.totals().failed, 1);
    assert_eq!(sinks.incidents(), [true], "the outage");
}

// F1
#[tokio::test(start_paused = true)]
async fn a_log_that_is_known_to_be_away_is_not_asked_until_its_pause_is_over() {
    let mut sinks = Sinks::default();
    sinks.availability.failed();
    sinks.log_takes(1);
    sinks.probes(1, || Ok(()));
    let pipeline = sinks.pipeline();
    let intake = Intake::new(pipeline.clone());
    tokio::spawn(Prober::new(pipeline).run(CancellationToken::new()));
    assert!(intake.take(events("c")).await.is_err());
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert!(sinks.availability.is_available(), "the prober tried");
    assert!(intake.take(events("c")).await.is_ok());
}

// S3, F1
#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_holds_a_request_up_for_5_seconds() {
    let mut sinks = Sinks::default();
    let mut pipeline = sinks.pipeline();
    pipeline.log = Arc::new(Hanging);
    let (intake, began) = (Intake::new(pipeline), Instant::now());
    assert!(intake.take(events("ic")).await.is_err());
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert!(!sinks.availability.is_available());
    assert!(intake.take(events("c")).await.is_err());
    assert_eq!(began.elapsed(), Duration::from_secs(5), "the next at once");
}

#[tokio::test]
async fn a_database_that_asks_to_try_again_is_asked_again() {
    let mut sinks = Sinks::default();
    let mut asked = 0;
    sinks.log.expect_append().times(5).returning(move |_, _| {
        asked += 1;
        if asked < 5 {
            conflict(Conflict::Retry)
        } else {
            Ok(1)
        }
    });
    assert_eq!(
        sinks.intake().take(events("c")).await.unwrap(),
        accepted(1, 0)
    );
    assert_eq!(sinks.totals().failed, 0);
}

#[tokio::test]
async fn a_database_that_asks_to_try_again_for_ever_is_not_away() {
    let mut sinks = Sinks::default();
    sinks.log(5, |_| conflict(Conflict::Retry));
    assert!(sinks.intake().take(events("c")).await.is_err());
    assert!(sinks.availability.is_available());
}

// S2: the log takes a probe, so the event is to blame.
#[tokio::test]
async fn a_critical_event_that_the_log_does_not_take_is_refused_alone() {
    let mut sinks = Sinks::default();
    sinks.log(6, |numbers| match numbers {
        some if some.contains(&3) => down(),
        some => Ok(some.len() as u64),
    });
    sinks.probes(4, || Ok(()));
    sinks.queue(&[ALL]);
    let taken = sinks.intake().take(events("cccci")).await.unwrap();
    assert_eq!((taken.stored, taken.queued), (3, 1));
    assert_eq!(taken.refused, [(3, Refusal::Unfit)]);
    assert!(sinks.availability.is_available());
    assert_eq!(sinks.incidents(), [true]);
}

#[tokio::test]
async fn the_id_of_another_event_is_refused_as_that() {
    let mut sinks = Sinks::default();
    sinks.log(1, |_| conflict(Conflict::Stale));
    let taken = sinks.intake().take(events("c")).await.unwrap();
    assert_eq!(taken.refused, [(0, Refusal::IdTaken)]);
    assert!(sinks.incidents().is_empty(), "it is the sender's affair");
}

// A connection that broke, a server that was restarted: no fault of the event.
#[tokio::test]
async fn a_critical_event_that_failed_once_is_tried_again() {
    for failure in [down, unknown] {
        let mut sinks = Sinks::default();
        let mut asked = 0;
        sinks.log.expect_append().times(2).returning(move |_, _| {
            asked += 1;
            if asked == 1 { failure() } else { Ok(1) }
        });
        sinks.probes(1, || Ok(()));
        let taken = sinks.intake().take(events("c")).await.unwrap();
        assert_eq!(taken, accepted(1, 0));
        assert!(sinks.incidents().is_empty());
    }
}

// It may be in the log, so nobody says that it cannot be stored.
#[tokio::test]
async fn a_critical_event_of_which_nobody_knows_whether_it_is_stored_is_not_refused() {
    let mut sinks = Sinks::default();
    sinks.log(2, |_| unknown());
    sinks.probes(2, || Ok(()));
    assert!(sinks.intake().take(events("c")).await.is_err());
    assert!(sinks.availability.is_available());
}

/// A log that takes probes, and no time to wait for it.
struct Slow;

#[async_trait]
impl AuditStore for Slow {
    async fn append(&self, _: &[Arc<EventRecord>], _: DateTime<Utc>) -> Result<u64, StoreError> {
        std::future::pending().await
    }

    async fn probe(&self, _: &EventRecord, _: DateTime<Utc>) -> Result<(), StoreError> {
        Ok(())
    }
}

// A partition that somebody holds a lock on: the events are good.
#[tokio::test(start_paused = true)]
async fn critical_events_that_ran_out_of_time_are_not_called_unfit() {
    let mut sinks = Sinks::default();
    let mut pipeline = sinks.pipeline();
    pipeline.log = Arc::new(Slow);
    for severities in ["c", "cccc"] {
        let taken = Intake::new(pipeline.clone()).take(events(severities)).await;
        assert!(taken.is_err(), "{taken:?}");
    }
    assert!(sinks.incidents().is_empty());
}

// P2: the order of the sinks, by severity.
#[tokio::test]
async fn past_the_queue_warnings_go_into_the_log_and_infos_to_the_spool() {
    let mut sinks = Sinks::default();
    sinks.queue(&[TWO]);
    sinks.log_takes(1);
    sinks.spool(&[ALL]);
    let taken = sinks.intake().take(events("iwwiiw")).await.unwrap();
    assert_eq!(taken, accepted(2, 4));
    let way = [
        ("queue", vec![0, 1, 2, 3, 4, 5]),
        ("log", vec![2, 5]),
        ("spool", vec![3, 4]),
    ];
    assert_eq!(sinks.given(), way);
    let totals = sinks.totals();
    assert_eq!((totals.overflow, totals.spooled, totals.dropped), (2, 2, 0));
    assert_eq!(sinks.told(), [], "overflow is no failure");
}

// P2, F3
#[tokio::test]
async fn warnings_that_the_log_does_not_take_either_go_to_the_spool() {
    let mut sinks = Sinks::default();
    sinks.queue(&[NONE]);
    sinks.log(1, |_| down());
    sinks.probes(1, down);
    sinks.spool(&[ALL]);
    let taken = sinks.intake().take(events("wi")).await.unwrap();
    assert_eq!(taken, accepted(0, 2));
    assert_eq!(sinks.given().last(), Some(&("spool", vec![0, 1])));
    let totals = sinks.totals();
    assert_eq!((totals.overflow, totals.spooled, totals.failed), (0, 2, 1));
    assert!(!sinks.availability.is_available());
    let told = sinks.told();
    assert_eq!(
        (told.len(), told[0].0, &told[0].1),
        (1, Fate::Spooled, &vec![0, 1])
    );
    assert!(told[0].2.contains("the disk is full"), "{told:?}");
    assert_eq!(sinks.incidents(), [false]);
}

// F2, F3
#[tokio::test]
async fn everything_goes_to_the_spool_when_the_queue_fails() {
    let mut sinks = Sinks::default();
    sinks.queue(&[FAILS]);
    sinks.spool(&[ALL]);
    let taken = sinks.intake().take(events("iwi")).await.unwrap();
    assert_eq!(taken, accepted(0, 3));
    assert_eq!(sinks.totals().spooled, 3);
    let told = sinks.told();
    assert_eq!(
        (told.len(), told[0].0, &told[0].1),
        (1, Fate::Spooled, &vec![0, 1, 2])
    );
    assert!(told[0].2.contains("the connection is gone"), "{told:?}");
}

// F2: only what finds no place anywhere is lost, and whoever sent it is told.
#[tokio::test]
async fn what_the_spool_does_not_take_is_refused_counted_and_told_whole() {
    let mut sinks = Sinks::default();
    sinks.log_takes(1);
    sinks.queue(&[TWO]);
    sinks.spool(&[TWO]);
    let taken = sinks.intake().take(events("iicciiii")).await.unwrap();
    assert_eq!((taken.stored, taken.queued), (2, 4));
    assert_eq!(taken.refused, [(6, Refusal::NoRoom), (7, Refusal::NoRoom)]);
    let totals = sinks.totals();
    assert_eq!((totals.spooled, totals.dropped), (2, 2));
    let lost = (
        Fate::Lost,
        vec![6, 7],
        "the queue is full; the spool is full".to_owned(),
    );
    assert_eq!(sinks.told(), [lost]);
}

#[tokio::test]
async fn a_spool_that_fails_too_keeps_nothing() {
    let mut sinks = Sinks::default();
    sinks.queue(&[FAILS]);
    sinks.spool(&[FAILS]);
    let taken = sinks.intake().take(events("iw")).await.unwrap();
    assert_eq!((taken.stored, taken.queued), (0, 0));
    assert_eq!(taken.refused, [(0, Refusal::NoRoom), (1, Refusal::NoRoom)]);
    assert_eq!(sinks.totals().dropped, 2);
    let told = sinks.told();
    assert_eq!((told.len(), told[0].0), (1, Fate::Lost));
    let why = "the queue is unavailable: the connection is gone; \
               the spool: the queue is unavailable: the connection is gone";
    assert_eq!(told[0].2, why);
}

// F1: the whole request within 5 seconds, whatever hangs.
#[tokio::test(start_paused = true)]
async fn a_queue_that_hangs_is_given_up_and_not_waited_for_by_the_next() {
    let mut sinks = Sinks::default();
    sinks.spool(&[ALL, ALL]);
    let mut pipeline = sinks.pipeline();
    pipeline.queue = Arc::new(Hanging);
    let (intake, began) = (Intake::new(pipeline), Instant::now());
    assert_eq!(intake.take(events("i")).await.unwrap(), accepted(0, 1));
    let first = began.elapsed();
    assert!(
        first > Duration::ZERO && first <= Duration::from_secs(5),
        "{first:?}"
    );
    assert_eq!(intake.take(events("w")).await.unwrap(), accepted(0, 1));
    assert_eq!(began.elapsed(), first, "the next goes to the spool at once");
    assert_eq!(sinks.told().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_answers_again_is_used_again() {
    let mut sinks = Sinks::default();
    sinks.queue(&[FAILS, ALL, ALL]);
    sinks.spool(&[ALL, ALL]);
    let intake = sinks.intake();
    for _ in 0..2 {
        intake.take(events("i")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..2 {
        intake.take(events("i")).await.unwrap();
    }
    let given = sinks.given();
    let way: Vec<&str> = given.iter().map(|(sink, _)| *sink).collect();
    assert_eq!(way, ["queue", "spool", "spool", "queue", "queue"]);
}

#[tokio::test(start_paused = true)]
async fn sinks_that_all_hang_cost_a_request_5_seconds() {
    let mut sinks = Sinks::default();
    let mut pipeline = sinks.pipeline();
    pipeline.queue = Arc::new(Hanging);
    pipeline.spool = Arc::new(Hanging);
    let (intake, began) = (Intake::new(pipeline), Instant::now());
    let taken = intake.take(events("iw")).await.unwrap();
    assert_eq!(taken.refused.len(), 2);
    assert!(
        began.elapsed() <= Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );

    let mut sinks = Sinks::default();
    sinks.queue(&[NONE]);
    let mut pipeline = sinks.pipeline();
    pipeline.log = Arc::new(Hanging);
    pipeline.spool = Arc::new(Hanging);
    let (intake, began) = (Intake::new(pipeline), Instant::now());
    let taken = intake.take(events("w")).await.unwrap();
    assert_eq!(taken.refused.len(), 1);
    assert!(
        began.elapsed() <= Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

/// A log that panics.
struct Panicking;

#[async_trait]
impl AuditStore for Panicking {
    async fn append(&self, _: &[Arc<EventRecord>], _: DateTime<Utc>) -> Result<u64, StoreError> {
        panic!("a fault of ours")
    }

    async fn probe(&self, _: &EventRecord, _: DateTime<Utc>) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_is_a_failure_like_any_other() {
    let mut sinks = Sinks::default();
    sinks.log_takes(1);
    let mut pipeline = sinks.pipeline();
    let good = std::mem::replace(&mut pipeline.log, Arc::new(Panicking));
    let taken = Intake::new(pipeline.clone()).take(events("c")).await;
    assert_eq!(taken.unwrap().refused, [(0, Refusal::Unfit)]);
    assert!(sinks.availability.is_available());
    pipeline.log = good;
    assert!(Intake::new(pipeline).take(events("c")).await.is_ok());
}

// A sender that goes away has no say in what becomes of its events.
#[tokio::test(start_paused = true)]
async fn what_was_begun_goes_on_when_nobody_waits() {
    let mut sinks = Sinks::default();
    sinks.spool(&[ALL]);
    let mut pipeline = sinks.pipeline();
    pipeline.queue = Arc::new(Hanging);
    let intake = Intake::new(pipeline);
    let waiting = intake.take(events("i"));
    let waited = tokio::time::timeout(Duration::from_millis(1), waiting).await;
    assert!(waited.is_err(), "the sender is gone");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(sinks.given(), [("spool", vec![0])]);
}
