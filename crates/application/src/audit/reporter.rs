//! Tells the other processes of this one, every two seconds.
//!
//! When the store is down it keeps quiet: whoever writes to the log says so already, and the next
//! report has everything.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::monitoring::Monitoring;

/// How often; several fit into the time for which a report is fresh.
const EVERY: Duration = Duration::from_secs(2);

/// Tells the others of this process.
#[derive(Clone)]
pub struct Reporter {
    monitoring: Monitoring,
}

impl Reporter {
    /// Tells what `monitoring` finds in this process.
    #[must_use]
    pub const fn new(monitoring: Monitoring) -> Self {
        Self { monitoring }
    }

    /// Reports until cancelled, and then once more that no worker is left here.
    pub async fn run(self, stop: CancellationToken) {
        let mut told = true;
        while !stop.is_cancelled() {
            self.tell(false, &mut told).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(EVERY) => {}
            }
        }
        self.tell(true, &mut told).await;
    }

    /// Says in the log when reports stop arriving, and when they arrive again.
    async fn tell(&self, leaving: bool, told: &mut bool) {
        match self.monitoring.publish(leaving).await {
            Ok(()) if !*told => {
                tracing::info!("reports on the pipeline arrive again");
                *told = true;
            }
            Err(error) if *told => {
                tracing::info!(%error, "reports on the pipeline do not arrive");
                *told = false;
            }
            Ok(()) | Err(_) => {}
        }
    }
}
