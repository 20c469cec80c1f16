//! Figures of several processes put together, and the verdict on them.

use chrono::TimeDelta;
use tranche_application::audit::health::{
    DROPPED, FAILURES, Health, Known, Limits, NO_WORKERS, QUEUE_DEEP, QUEUE_UNAVAILABLE, Reach,
    STORE_UNAVAILABLE, Snapshot, Status,
};
use tranche_application::audit::meters::Report;

use super::lookout::quiet;
use super::scene::time;

/// When the verdict is asked for, in seconds.
const NOW: i64 = 100_000;

fn known(reports: Vec<Report>) -> Known {
    Known {
        reports,
        dead_letters: Some(0),
        retention_lag: None,
        store_answers: true,
    }
}

fn snapshot(reports: Vec<Report>) -> Snapshot {
    Snapshot::of(known(reports), Reach::Shared, time(NOW))
}

fn verdict(change: impl FnOnce(&mut Report)) -> (Status, Vec<&'static str>) {
    let mut report = quiet("a", time(NOW));
    change(&mut report);
    told(&snapshot(vec![report]))
}

fn told(snapshot: &Snapshot) -> (Status, Vec<&'static str>) {
    let health = Health::of(snapshot, Limits::default());
    let codes = health.issues.iter().map(|issue| issue.code).collect();
    (health.status, codes)
}

// P7: the thresholds, each at its edge.
#[test]
fn each_threshold_has_its_status_and_nothing_is_wrong_at_the_limit() {
    let healthy = (Status::Healthy, vec![]);
    assert_eq!(verdict(|_| {}), healthy);
    assert_eq!(verdict(|r| r.queue_length = Some(5_000)), healthy);
    assert_eq!(
        verdict(|r| r.queue_length = Some(5_001)),
        (Status::Degraded, vec![QUEUE_DEEP])
    );
    assert_eq!(verdict(|r| r.totals.dropped = 1_000), healthy);
    assert_eq!(
        verdict(|r| r.totals.dropped = 1_001),
        (Status::Warning, vec![DROPPED])
    );
    assert_eq!(verdict(|r| r.rates.failures_per_minute = 100), healthy);
    assert_eq!(
        verdict(|r| r.rates.failures_per_minute = 101),
        (Status::Critical, vec![FAILURES])
    );
    assert_eq!(
        verdict(|r| r.store_available = false),
        (Status::Critical, vec![STORE_UNAVAILABLE])
    );
    assert_eq!(
        verdict(|r| r.workers = 0),
        (Status::NoData, vec![NO_WORKERS])
    );
    assert_eq!(
        verdict(|r| r.queue_length = None),
        (Status::Warning, vec![QUEUE_UNAVAILABLE])
    );
}

// P7: the worst wins, and every issue is told.
#[test]
fn the_worst_wins_and_everything_is_named() {
    let (status, issues) = verdict(|report| {
        report.queue_length = Some(9_000);
        report.totals.dropped = 2_000;
    });
    assert_eq!(
        (status, issues),
        (Status::Warning, vec![DROPPED, QUEUE_DEEP])
    );
    let (status, issues) = verdict(|report| {
        report.queue_length = Some(9_000);
        report.workers = 0;
        report.totals.dropped = 2_000;
    });
    assert_eq!(status, Status::NoData);
    assert_eq!(issues, [NO_WORKERS, DROPPED, QUEUE_DEEP]);
    let (status, issues) = verdict(|report| {
        report.workers = 0;
        report.rates.failures_per_minute = 500;
    });
    assert_eq!(
        (status, issues),
        (Status::Critical, vec![FAILURES, NO_WORKERS])
    );
}

// P6: sums, the freshest queue, the weighted mean, the worst p99.
#[test]
fn figures_of_several_processes_add_up() {
    let mut a = quiet("a", time(NOW - 4));
    let mut b = quiet("b", time(NOW - 1));
    (a.queue_length, b.queue_length) = (Some(70), Some(40));
    for (report, batches, mean, p99) in [(&mut a, 1, 10_000, 90_000), (&mut b, 3, 2_000, 8_000)] {
        report.rates.batches = batches;
        report.rates.batch_mean_us = mean;
        report.rates.batch_p99_us = p99;
        report.rates.inserts_per_minute = 600;
        report.rates.failures_per_minute = 2;
        report.rates.failures_in_five_minutes = 5;
        (report.spool_events, report.spool_bytes) = (3, 300);
        report.totals.overflow = 7;
        report.totals.spooled = 9;
    }
    a.oldest = Some(time(NOW - 30));
    let both = snapshot(vec![b.clone(), a.clone()]);
    assert_eq!(both.queue_length, Some(40), "the freshest");
    assert_eq!(both.rates.inserts_per_minute, 1_200);
    assert_eq!(both.rates.failures_per_minute, 4);
    assert_eq!(both.rates.failures_in_five_minutes, 10);
    assert_eq!(both.rates.batch_mean_us, 4_000, "weighted by batches");
    assert_eq!(both.rates.batch_p99_us, 90_000, "the worst");
    assert_eq!((both.spool_events, both.spool_bytes), (6, 600));
    assert_eq!((both.totals.overflow, both.totals.spooled), (14, 18));
    assert_eq!(both.workers, 8);
    assert_eq!(both.lag, TimeDelta::seconds(30));
    let names: Vec<_> = both.processes.iter().map(|r| r.process.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let apart = Snapshot::of(known(vec![a, b]), Reach::Own, time(NOW));
    assert_eq!(apart.queue_length, Some(110), "queues of their own add up");
}

// P7: a process that stopped telling does no work, but what it lost stays lost.
#[test]
fn what_a_dead_process_lost_still_counts_and_its_workers_do_not() {
    let mut dead = quiet("a", time(NOW - 15));
    dead.totals.dropped = 1_500;
    dead.rates.inserts_per_minute = 100;
    dead.store_available = false;
    let alive = quiet("b", time(NOW - 14));
    let both = snapshot(vec![dead.clone(), alive]);
    assert_eq!((both.workers, both.rates.inserts_per_minute), (4, 0));
    assert!(both.store_available, "what the dead one saw is over");
    assert_eq!(told(&both), (Status::Warning, vec![DROPPED]));
    let alone = snapshot(vec![dead]);
    assert_eq!(alone.queue_length, None);
    assert_eq!(told(&alone).0, Status::NoData);
}

// A clock that was set must neither hide a dead process nor make the lag negative.
#[test]
fn a_report_from_the_future_is_not_fresh() {
    let ahead = quiet("a", time(NOW + 3_600));
    assert_eq!(snapshot(vec![ahead]).workers, 0);
    let mut a_little = quiet("b", time(NOW + 5));
    a_little.oldest = Some(time(NOW + 4));
    let now = snapshot(vec![a_little]);
    assert_eq!((now.workers, now.lag), (4, TimeDelta::zero()));
}

#[test]
fn a_store_that_does_not_answer_is_unavailable_whatever_reports_say() {
    let silent = Known {
        store_answers: false,
        ..known(vec![quiet("a", time(NOW))])
    };
    let now = Snapshot::of(silent, Reach::Shared, time(NOW));
    assert_eq!(told(&now), (Status::Critical, vec![STORE_UNAVAILABLE]));
}

#[test]
fn statuses_have_the_contracts_names() {
    let all = [
        Status::Healthy,
        Status::Degraded,
        Status::Warning,
        Status::NoData,
        Status::Critical,
    ];
    let names = all.map(Status::as_str);
    assert_eq!(
        names,
        ["healthy", "degraded", "warning", "no_data", "critical"]
    );
    assert!(all.is_sorted());
}
