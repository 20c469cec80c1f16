//! Asks the log whether it takes events: to find who is to blame for a failure, and to end an
//! outage.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tranche_domain::Severity;

use super::bounded::bounded;
use super::own;
use super::pipeline::Pipeline;
use crate::ports::monitor::Incident;
use crate::ports::store::StoreError;
use crate::services::with_causes;

/// The longest that a probe may take: a log that hangs takes nothing.
const LONGEST_PROBE: Duration = Duration::from_secs(2);

/// Tries the log while it is unavailable, so that nobody else need. One in a process.
#[derive(Clone)]
pub struct Prober {
    pipeline: Pipeline,
}

impl Prober {
    /// A prober of this pipeline's log.
    #[must_use]
    pub const fn new(pipeline: Pipeline) -> Self {
        Self { pipeline }
    }

    /// Probes whenever it is time to, until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(&self) {
        loop {
            let probe = self.pipeline.availability.next_probe().await;
            match self.pipeline.probe().await {
                Ok(()) => {
                    probe.succeeded();
                    info!("the audit log takes events again");
                }
                Err(_) => probe.failed(),
            }
        }
    }
}

impl Pipeline {
    /// Whether the log takes events now, of every severity: each has a table of its own, and the log
    /// is away when one of them is.
    async fn probe(&self) -> Result<(), StoreError> {
        let now = self.services.clock.now();
        let events = Severity::ALL.map(|severity| own::probe(&self.services, severity));
        let log = self.log.clone();
        bounded(LONGEST_PROBE, async move {
            for event in &events {
                log.probe(event, now).await?;
            }
            Ok(())
        })
        .await
    }

    /// Whether the log takes events although it has just failed one: then the event is to blame.
    /// Else the outage is known from now on, and this is how `operation` tells of it.
    /// `critical`: money or duty waits for the log.
    pub(super) async fn works_otherwise(&self, operation: &'static str, critical: bool) -> bool {
        if !self.availability.is_available() {
            return false;
        }
        let Err(error) = self.probe().await else {
            return true;
        };
        if self.availability.outage_begins() {
            self.services.monitor.report(Incident {
                operation,
                critical,
                error: with_causes(&error),
                context: json!({ "retrying": !critical }),
            });
        }
        false
    }
}
