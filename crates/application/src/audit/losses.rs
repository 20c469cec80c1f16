//! Losses are events themselves: how many, when and where, in the log as soon as it takes events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::bounded::bounded;
use super::own::{self, Loss};
use super::pipeline::Pipeline;
use super::record::EventRecord;
use crate::ports::monitor::Incident;
use crate::ports::store::StoreError;
use crate::services::with_causes;

/// Names the work in reports.
const OPERATION: &str = "audit.losses";
/// How often the count is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A loss that goes on is told after this time all the same.
const LONGEST_PERIOD: TimeDelta = TimeDelta::minutes(1);
/// The longest that writing the event may take.
const LONGEST_WRITE: Duration = Duration::from_secs(10);

/// Watches the count of dropped events and puts one event into the log for each time of losses.
/// Clones share what is told already.
#[derive(Clone)]
pub struct Losses {
    pipeline: Pipeline,
    process: Arc<str>,
    account: Arc<Mutex<Account>>,
}

/// What was counted, and what the log knows of it.
struct Account {
    /// When the count was last looked at.
    looked: DateTime<Utc>,
    /// What the count was.
    counted: u64,
    /// How many of those an event tells of.
    told: u64,
    /// A time of losses that no event tells of yet.
    period: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// An event that is not in the log for certain: the same one until it is.
    unsent: Option<Arc<EventRecord>>,
}

impl Losses {
    /// Watches this pipeline's count in the process of this name.
    #[must_use]
    pub fn new(pipeline: Pipeline, process: &str) -> Self {
        let account = Account {
            looked: pipeline.services.clock.now(),
            counted: 0,
            told: 0,
            period: None,
            unsent: None,
        };
        Self {
            pipeline,
            process: process.into(),
            account: Arc::new(Mutex::new(account)),
        }
    }

    /// Watches until cancelled, and then tells of what is not told yet, once.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let last = stop.is_cancelled();
            match self.look(last).await {
                Ok(()) => backoff.succeeded(),
                Err(error) => {
                    if backoff.tells() {
                        self.pipeline.services.monitor.report(Incident {
                            operation: OPERATION,
                            critical: true,
                            error: with_causes(&error),
                            context: json!({ "retrying": !last }),
                        });
                    }
                    backoff.failed();
                }
            }
            if last {
                return;
            }
            let _ = timeout(EVERY, stop.cancelled()).await;
        }
    }

    /// Looks at the count, and tells of what was lost if it is time to and the log takes it.
    async fn look(&self, last: bool) -> Result<(), StoreError> {
        let available = self.pipeline.availability.is_available();
        let Some(event) = self.account().due(self, available, last) else {
            return Ok(());
        };
        let (log, now) = (
            self.pipeline.log.clone(),
            self.pipeline.services.clock.now(),
        );
        let batch = [event];
        match bounded(LONGEST_WRITE, async move { log.append(&batch, now).await }).await {
            Ok(_) => {
                self.account().unsent = None;
                Ok(())
            }
            Err(error) if self.pipeline.works_otherwise(OPERATION, false).await => Err(error),
            // The outage is told of.
            Err(_) => Ok(()),
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// The event to be written now, if there is one and the log takes it.
    fn due(&mut self, of: &Losses, available: bool, last: bool) -> Option<Arc<EventRecord>> {
        let services = &of.pipeline.services;
        let (dropped, now) = (of.pipeline.meters.totals().dropped, services.clock.now());
        let grew = dropped > self.counted;
        if grew {
            let from = self.period.map_or(self.looked, |(from, _)| from);
            self.period = Some((from, now));
            self.counted = dropped;
        }
        self.looked = now;
        if !available {
            return None;
        }
        if self.unsent.is_none()
            && let Some((from, to)) = self.period
            && (!grew || last || now - from >= LONGEST_PERIOD)
        {
            let loss = Loss {
                count: self.counted - self.told,
                from,
                to,
                process: &of.process,
            };
            self.unsent = Some(Arc::new(own::lost(services, loss)));
            (self.told, self.period) = (self.counted, None);
        }
        self.unsent.clone()
    }
}
