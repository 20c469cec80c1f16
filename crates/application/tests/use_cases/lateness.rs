//! How late retention is, told while the store answers and while it does not (S7). Time is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tranche_application::audit::meters::Meters;
use tranche_application::audit::retention::Retention;
use tranche_application::audit::retention::daily::DailyRuns;
use tranche_application::daily::Daily;
use tranche_application::mocks::{MockQueries, MockRetentionStore};
use tranche_domain::RetentionPolicies;

use super::plant::Plant;
use super::stage::down;

const HOUR: Duration = Duration::from_hours(1);

/// Lateness is measured over a store that answers until it is `away`.
fn measured(away: &Arc<AtomicBool>) -> (Arc<Meters>, CancellationToken) {
    let (meters, stop) = (Arc::<Meters>::default(), CancellationToken::new());
    let mut store = MockRetentionStore::new();
    let away = away.clone();
    store.expect_parts().returning(move || {
        if away.load(Ordering::SeqCst) {
            down()
        } else {
            Ok(Vec::new())
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
    let (meters, stop) = measured(&away);
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
    let (meters, stop) = measured(&away);
    sleep(HOUR * 49).await;
    assert!(meters.retention_lag().unwrap() > 48 * 3_600);
    stop.cancel();
}
