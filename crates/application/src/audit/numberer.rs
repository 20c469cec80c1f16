//! Has the events in the log numbered, again and again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::bounded::bounded;
use crate::ports::numbering::Numbering;
use crate::ports::store::StoreError;
use crate::services::Services;

/// How many events are numbered in one transaction.
const BATCH: u32 = 10_000;
/// As many when it keeps failing.
const LEAST: u32 = 100;
/// The pause while there are fewer, or another process numbers.
const QUIET: Duration = Duration::from_millis(100);
/// The longest that one transaction may take.
const LONGEST_STEP: Duration = Duration::from_mins(1);

/// Numbers events. Several processes may try: one at a time does it.
#[derive(Clone)]
pub struct Numberer {
    services: Services,
    numbering: Arc<dyn Numbering>,
}

impl Numberer {
    /// A numberer through this port.
    #[must_use]
    pub fn new(services: Services, numbering: Arc<dyn Numbering>) -> Self {
        Self {
            services,
            numbering,
        }
    }

    /// Numbers until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let (mut backoff, mut batch) = (Backoff::default(), BATCH);
        while !stop.is_cancelled() {
            let pause = match self.step(batch).await {
                Ok(numbered) => {
                    backoff.succeeded();
                    let was_full = numbered >= u64::from(batch);
                    batch = (batch * 2).min(BATCH);
                    if was_full {
                        continue;
                    }
                    QUIET
                }
                Err(error) => {
                    // A conflict is no outage, and is not reported.
                    if !matches!(error, StoreError::Conflict(_)) {
                        // It may be too much for the time that the store gives it.
                        batch = (batch / 2).max(LEAST);
                        if backoff.tells() {
                            let context = json!({ "retrying": true });
                            self.services
                                .report_store("audit.number", false, &error, context);
                        }
                    }
                    backoff.failed()
                }
            };
            let _ = timeout(pause, stop.cancelled()).await;
        }
    }

    async fn step(&self, batch: u32) -> Result<u64, StoreError> {
        let numbering = self.numbering.clone();
        let numbered = bounded(LONGEST_STEP, async move { numbering.number(batch).await });
        Ok(numbered.await?.unwrap_or_default())
    }
}
