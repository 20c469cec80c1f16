//! Moves events from the outbox into the log.
//!
//! An event in the outbox was committed with what it tells of: it can be late, not lost. While the
//! log refuses, the relay waits longer and longer, reports once, and starts again where it was.

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ports::store::StoreError;
use crate::services::Services;

/// How many events move in one unit of work.
const BATCH: u32 = 500;
/// The longest that an event waits when the bell was not heard, as from another process.
const QUIET: Duration = Duration::from_secs(1);
/// The longest that one unit of work may take; a peer that died without a word would hold it for ever.
const LONGEST_STEP: Duration = Duration::from_mins(1);
/// The longest pause while the log refuses.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The relay from outbox to log.
#[derive(Clone)]
pub struct Relay {
    services: Services,
}

impl Relay {
    /// A relay over these services.
    #[must_use]
    pub const fn new(services: Services) -> Self {
        Self { services }
    }

    /// Moves one batch; says how many.
    ///
    /// # Errors
    /// [`StoreError`]; everything is still in the outbox.
    pub async fn run_once(&self) -> Result<u64, StoreError> {
        let mut work = self.services.store.begin().await?;
        let moved = work.audit().relay(BATCH, self.services.clock.now()).await?;
        work.commit().await?;
        Ok(moved)
    }

    /// Moves events until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        let mut reported = false;
        while !stop.is_cancelled() {
            let moving = timeout(LONGEST_STEP, self.run_once()).await;
            match moving.unwrap_or_else(|_| Err(StoreError::timeout())) {
                Ok(moved) => {
                    (pause, reported) = (Duration::ZERO, false);
                    if moved >= u64::from(BATCH) {
                        continue;
                    }
                }
                Err(error) => {
                    // A conflict is no outage, and is not reported.
                    if !reported && !matches!(error, StoreError::Conflict(_)) {
                        let context = json!({ "retrying": true });
                        self.services
                            .report_store("audit.relay", false, &error, context);
                        reported = true;
                    }
                    pause = (pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE);
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(if pause.is_zero() { QUIET } else { pause }) => {}
                () = self.services.outbox.notified(), if pause.is_zero() => {}
            }
        }
    }
}
