//! How late retention is, told while the store answers and while it does not (S7). Time is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tranche_application::audit::meters::Meters;
use tranche_application::audit::retention::Retention;
use tranche_application::audit::retention::daily::DailyRuns;
use tranche_application::daily::Daily;
use tranche_application::mocks::{MockQueries, MockRetentionStore};
use tranche_application::ports::retention::Part;
use tranche_domain::{RetentionPolicies, Severity};
use uuid::Uuid;

use super::plant::Plant;
use super::scene::time;
use super::stage::down;

const HOUR: Duration = Duration::from_hours(1);

/// Lateness is measured over a store that has these parts and tells of them until it is `away`.
fn measured(away: &Arc<AtomicBool>, parts: Vec<Part>) -> (Arc<Meters>, CancellationToken) {
    let (meters, stop) = (Arc::<Meters>::default(), CancellationToken::new());
    let mut store = MockRetentionStore::new();
    let away = away.clone();
    store.expect_parts().returning(move || {
        if away.load(Ordering::SeqCst) {
            down()
        } else {
            Ok(parts.clone())
        }
    });
    store.expect_holds().returning(|_, _| Ok(Vec::new()));
    store.expect_runs().returning(|_| Ok(Vec::new()));
    store.expect_expired().returning(|_| Ok(Vec::new()));
    let retention = Retention::new(
        Plant::new().pipeline.services,
        Arc::new(store),
        Arc::new(MockQueries::new()),
        RetentionPolicies::default(),
    );
    let runs = DailyRuns::new(retention, meters.clone(), Daily::in_utc(None));
    tokio::spawn(runs.run(stop.clone()));
    (meters, stop)
}

// P8: who watches sees that nobody knows, and is told when that lasts.
#[tokio::test(start_paused = true)]
async fn lateness_grows_while_the_store_does_not_say() {
    let away = Arc::new(AtomicBool::new(false));
    let (meters, stop) = measured(&away, Vec::new());
    assert_eq!(meters.retention_lag(), None, "nobody has looked");
    sleep(HOUR).await;
    assert_eq!(meters.retention_lag(), Some(0));
    away.store(true, Ordering::SeqCst);
    sleep(HOUR * 49).await;
    let lag = meters.retention_lag().unwrap();
    assert!((48 * 3_600..=49 * 3_600 + 300).contains(&lag), "{lag} s");
    away.store(false, Ordering::SeqCst);
    sleep(HOUR).await;
    assert_eq!(meters.retention_lag(), Some(0));
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_never_there_is_late_too() {
    let away = Arc::new(AtomicBool::new(true));
    let (meters, stop) = measured(&away, Vec::new());
    sleep(HOUR * 49).await;
    assert!(meters.retention_lag().unwrap() > 48 * 3_600);
    stop.cancel();
}

/// A part of the archive.
fn part(month: &str, held_by: &[Uuid]) -> Part {
    Part {
        name: format!("info of {month}"),
        severity: Severity::Info,
        month: month.parse().unwrap(),
        archived: true,
        events: 1,
        bytes: None,
        held_by: held_by.to_vec(),
    }
}

// S7: the oldest part counts, by when its policy would have had it gone. What is held is not late.
#[tokio::test(start_paused = true)]
async fn the_oldest_part_that_nobody_holds_says_how_late_it_is() {
    let held = [Uuid::from_u128(7)];
    let parts = vec![
        part("2026-03", &[]),
        part("2025-12", &[]),
        part("2024-01", &held),
    ];
    let (meters, stop) = measured(&Arc::default(), parts);
    sleep(Duration::from_secs(1)).await;
    // Info is kept for 365 days after its month.
    let gone_by: DateTime<Utc> = "2027-01-01T00:00:00Z".parse().unwrap();
    let late = (time(0) - gone_by).num_seconds().unsigned_abs();
    assert!(late > 14 * 24 * 3_600, "the clock is ahead of it: {late} s");
    assert_eq!(meters.retention_lag(), Some(late));
    stop.cancel();
}
