//! Brings alerts to one sink, which may be slow, hang or refuse.
//!
//! What waits is the newest word on each condition: an older one is of no use any more. So it is
//! bounded by the number of conditions, however long the sink is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ports::alerts::{Alert, AlertSink};
use crate::services::with_causes;

/// The longest that one delivery may take.
pub const DELIVERY: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Brings alerts to one sink; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Courier {
    waiting: Arc<Mutex<Vec<Alert>>>,
    bell: Arc<Notify>,
}

impl Courier {
    /// Takes an alert along, in place of an older one of the same condition. Never waits.
    pub fn send(&self, alert: Alert) {
        let mut waiting = self.waiting();
        waiting.retain(|older| older.key != alert.key);
        waiting.push(alert);
        self.bell.notify_one();
    }

    /// How many conditions have a word waiting.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.waiting().len()
    }

    /// Delivers until cancelled, in the order in which alerts came, each until it is taken.
    pub async fn run(self, sink: Arc<dyn AlertSink>, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        while !stop.is_cancelled() {
            let next = self.waiting().first().cloned();
            let Some(alert) = next else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.bell.notified() => continue,
                }
            };
            let delivery = tokio::select! {
                () = stop.cancelled() => return,
                delivery = timeout(DELIVERY, sink.deliver(&alert)) => delivery,
            };
            let failed = match delivery {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(with_causes(&error)),
                Err(_) => Some("no answer in time".to_owned()),
            };
            let Some(error) = failed else {
                // A newer word on it may have come meanwhile; it stays.
                self.waiting().retain(|waiting| *waiting != alert);
                pause = Duration::ZERO;
                continue;
            };
            if pause.is_zero() {
                let (sink, key) = (sink.name(), alert.key);
                tracing::warn!(sink, key, error, "an alert was not delivered; tried again");
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Alert>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
