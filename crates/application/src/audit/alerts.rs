//! Tells people when the pipeline stops being right, and when it is right again (P8).
//!
//! ```text
//! every 5 s: snapshot ─► conditions ─► book (once, reminder, recovery) ─► a courier for each sink
//! ```
//!
//! Every process evaluates, so that each knows what was told when another one is gone. Of those that
//! live and page, the longest-running one pages; the log of each process has its own line. While the
//! store is down the processes do not see one another, and each of them pages: rather twice than not
//! at all.

mod book;
mod conditions;
mod courier;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use book::{Book, CALM, REMINDER};
pub use conditions::{Breach, Conditions};
pub use courier::{Courier, DELIVERY};

use super::health::Snapshot;
use super::monitoring::Monitoring;
use crate::ports::alerts::AlertSink;

/// How often the pipeline is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Looks at the pipeline and tells people.
#[derive(Clone)]
pub struct Alerts {
    monitoring: Monitoring,
    log: Arc<dyn AlertSink>,
    pagers: Vec<Arc<dyn AlertSink>>,
}

impl Alerts {
    /// `log` is told in every process, `pagers` in one of them.
    #[must_use]
    pub fn new(
        monitoring: Monitoring,
        log: Arc<dyn AlertSink>,
        pagers: Vec<Arc<dyn AlertSink>>,
    ) -> Self {
        Self {
            monitoring,
            log,
            pagers,
        }
    }

    /// Looks until cancelled. A sink that hangs keeps neither this nor another sink waiting; what
    /// it has not taken when this ends is dropped.
    pub async fn run(self, stop: CancellationToken) {
        let couriers = TaskTracker::new();
        let ended = stop.child_token();
        let _end_couriers = ended.clone().drop_guard();
        let send = |sink: &Arc<dyn AlertSink>| {
            let courier = Courier::default();
            couriers.spawn(courier.clone().run(sink.clone(), ended.clone()));
            courier
        };
        let log = send(&self.log);
        let pagers: Vec<Courier> = self.pagers.iter().map(send).collect();
        let (mut conditions, mut book) = (Conditions::default(), Book::default());
        while !stop.is_cancelled() {
            let snapshot = self.monitoring.snapshot().await;
            let health = self.monitoring.health(&snapshot);
            let now = Instant::now();
            let breaches = conditions.of(&snapshot, &health, now);
            let paging = self.pages(&snapshot);
            for alert in book.update(&breaches, snapshot.at, now) {
                for pager in pagers.iter().filter(|_| paging) {
                    pager.send(alert.clone());
                }
                log.send(alert);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(EVERY) => {}
            }
        }
        ended.cancel();
        couriers.close();
        couriers.wait().await;
    }

    /// Whether this process is the one of those that live that pages.
    fn pages(&self, snapshot: &Snapshot) -> bool {
        let first = snapshot.processes.iter().find(|report| report.pages);
        first.is_none_or(|report| report.process == self.monitoring.part().process)
    }
}
