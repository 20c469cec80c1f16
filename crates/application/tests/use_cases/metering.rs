//! What a process counts (P6): totals that only grow, and windows that forget.

use std::time::Duration;

use tranche_application::audit::meters::{Evidence, Meters, Rates, Totals};
use tranche_application::ports::queue::Depth;

use super::scene::time;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn every_total_counts_its_own() {
    let meters = Meters::default();
    meters.stored(1, ms(1), time(0));
    meters.failed(time(0));
    meters.failed(time(0));
    meters.overflowed(3);
    meters.spooled(4);
    meters.dropped(5);
    meters.buried(6);
    for _ in 0..7 {
        meters.webhook_disabled();
    }
    let totals = Totals {
        inserted: 1,
        failed: 2,
        overflow: 3,
        spooled: 4,
        dropped: 5,
        buried: 6,
        webhooks_disabled: 7,
    };
    assert_eq!(meters.totals(), totals);
    meters.stored(10, ms(1), time(0));
    assert_eq!(meters.totals().inserted, 11);
}

#[test]
fn the_last_minute_forgets_what_is_older() {
    let meters = Meters::default();
    meters.stored(10, ms(1), time(0));
    meters.stored(5, ms(1), time(30));
    meters.failed(time(0));
    let inserts = |at| meters.rates(time(at)).inserts_per_minute;
    assert_eq!(
        (inserts(30), inserts(59), inserts(60), inserts(90)),
        (15, 15, 5, 0)
    );
    let failures = |at| {
        let rates = meters.rates(time(at));
        (rates.failures_per_minute, rates.failures_in_five_minutes)
    };
    assert_eq!(failures(59), (1, 1));
    assert_eq!(failures(60), (0, 1));
    assert_eq!(failures(299), (0, 1));
    assert_eq!(failures(300), (0, 0));
    assert_eq!(meters.totals().inserted, 15, "the totals forget nothing");
}

#[test]
fn durations_are_of_the_last_five_minutes() {
    let meters = Meters::default();
    assert_eq!(
        meters.rates(time(0)),
        Rates::default(),
        "nothing was measured"
    );
    for n in 1..=200 {
        meters.stored(1, ms(n), time(0));
    }
    let rates = meters.rates(time(0));
    assert_eq!(rates.batches, 200);
    assert_eq!(rates.batch_mean_us, 100_500);
    assert_eq!(rates.batch_p99_us, 198_000, "two of 200 took longer");
    let later = meters.rates(time(301));
    assert_eq!((later.batches, later.batch_p99_us), (0, 0));
}

#[test]
fn one_batch_is_its_own_mean_and_highest() {
    let meters = Meters::default();
    meters.stored(100, ms(7), time(0));
    let rates = meters.rates(time(1));
    assert_eq!((rates.batch_mean_us, rates.batch_p99_us), (7_000, 7_000));
}

#[test]
fn what_is_remembered_is_bounded() {
    let meters = Meters::default();
    for _ in 0..10_000 {
        meters.stored(1, ms(1), time(0));
    }
    let rates = meters.rates(time(0));
    assert_eq!(rates.batches, 4_096);
    assert_eq!(rates.inserts_per_minute, 10_000);
}

// A window keeps one count a second, of five minutes.
#[test]
fn a_window_lets_go_of_what_no_answer_counts() {
    let meters = Meters::default();
    for second in 0..1_000 {
        meters.failed(time(second));
    }
    assert_eq!(meters.rates(time(999)).failures_in_five_minutes, 300);
    // Asked as of then, what was let go is not there any more.
    assert_eq!(meters.rates(time(300)).failures_in_five_minutes, 300);
    assert_eq!(meters.totals().failed, 1_000);
}

#[test]
fn what_is_held_is_a_level_and_no_sum() {
    let meters = Meters::default();
    for events in [3, 5, 2] {
        meters.holds(events);
        assert_eq!(meters.held(), events);
    }
}

#[test]
fn the_state_of_the_evidence_has_the_contracts_names() {
    let all = [Evidence::Sound, Evidence::NotKept, Evidence::Contradicted];
    let names = all.map(Evidence::as_str);
    assert_eq!(names, ["sound", "not_kept", "contradicted"]);
    for evidence in all {
        let written = serde_json::to_value(evidence).unwrap();
        assert_eq!(written, evidence.as_str());
    }
}

#[test]
fn a_clock_that_jumps_back_loses_no_count() {
    let meters = Meters::default();
    meters.stored(1, ms(1), time(100));
    meters.stored(2, ms(1), time(50));
    assert_eq!(meters.totals().inserted, 3);
    assert_eq!(meters.rates(time(100)).inserts_per_minute, 3);
}

#[test]
fn a_report_names_its_process_and_tells_the_oldest_of_queue_and_spool() {
    let meters = Meters::default();
    meters.dropped(3);
    let at = |events, oldest| Depth {
        events,
        bytes: events * 400,
        oldest,
    };
    let (queue, spool) = (at(7, Some(time(5))), at(2, Some(time(3))));
    let report = meters.report("p-1", 4, Some(queue), spool, true, time(9));
    assert_eq!(
        (report.process.as_str(), report.workers, report.at),
        ("p-1", 4, time(9))
    );
    assert_eq!(
        (report.queue_length, report.oldest),
        (Some(7), Some(time(3)))
    );
    assert_eq!((report.spool_events, report.spool_bytes), (2, 800));
    assert_eq!(report.totals.dropped, 3);
    assert!(report.store_available);
    let silent = meters.report("p-1", 4, None, at(0, None), false, time(9));
    assert_eq!((silent.queue_length, silent.oldest), (None, None));
    assert!(!silent.store_available);
}
