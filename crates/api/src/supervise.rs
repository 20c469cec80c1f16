//! Background work that must not end: whoever panics is reported and started again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tranche_application::ports::monitor::{Incident, Monitor};

/// The pause before a fresh start.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs `work` until told to stop, starting it again whenever it ends by itself.
pub fn supervise<F: Future<Output = ()> + Send + 'static>(
    tasks: &TaskTracker,
    stop: CancellationToken,
    monitor: Arc<dyn Monitor>,
    operation: &'static str,
    work: impl Fn() -> F + Send + 'static,
) {
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            let ended = tokio::spawn(work()).await;
            if stop.is_cancelled() {
                return;
            }
            monitor.report(Incident {
                operation,
                critical: true,
                error: ended.map_or_else(|error| error.to_string(), |()| "it ended".to_owned()),
                context: json!({ "started_again": true }),
            });
            tokio::time::sleep(PAUSE).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;
    use tranche_application::ports::monitor::{Fallback, Incident, Monitor};

    use super::supervise;

    #[derive(Default)]
    struct Reports(Mutex<Vec<Incident>>);

    impl Monitor for Reports {
        fn report(&self, incident: Incident) {
            self.0.lock().unwrap().push(incident);
        }

        fn fallback(&self, _: Fallback) {}
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_is_reported_and_started_again() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (reports, starts) = (Arc::new(Reports::default()), Arc::new(AtomicUsize::new(0)));
        let (seen, until) = (starts.clone(), stop.clone());
        supervise(
            &tasks,
            stop.clone(),
            reports.clone(),
            "test.work",
            move || {
                let (start, until) = (seen.fetch_add(1, Ordering::SeqCst), until.clone());
                async move {
                    assert!(start > 0, "the first start panics");
                    until.cancelled().await;
                }
            },
        );
        tokio::time::sleep(super::PAUSE * 2).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        assert_eq!(starts.load(Ordering::SeqCst), 2);
        let reports = reports.0.lock().unwrap();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].operation, "test.work");
    }
}
