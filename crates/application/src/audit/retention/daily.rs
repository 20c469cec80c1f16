//! Runs retention by itself, once a day, whichever process comes first.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Retention, RunError};
use crate::audit::meters::Meters;
use crate::audit::own;
use crate::daily::Daily;
use crate::ports::store::{Conflict, StoreError};

/// How often the time of day is looked at.
const EVERY: Duration = Duration::from_mins(1);
/// The pause after a run that failed: each leaves its line among the runs.
const FAILED: Duration = Duration::from_mins(15);
/// How often it is seen how late the oldest part is.
const MEASURED: u32 = 5;

/// Runs retention daily.
#[derive(Clone)]
pub struct DailyRuns {
    retention: Retention,
    meters: Arc<Meters>,
    at: Daily,
}

impl DailyRuns {
    /// Runs at this time of day, and tells how late the oldest part is.
    #[must_use]
    pub const fn new(retention: Retention, meters: Arc<Meters>, at: Daily) -> Self {
        Self {
            retention,
            meters,
            at,
        }
    }

    /// Runs daily until cancelled. A run that is cut off is finished by the next.
    pub async fn run(self, stop: CancellationToken) {
        let (mut told, mut rounds) = (false, 0_u32);
        let mut known = (TimeDelta::zero(), self.retention.services.clock.now());
        loop {
            let looked = async {
                let looked = self.look().await;
                if rounds.is_multiple_of(MEASURED) || matches!(looked, Ok(true)) {
                    self.measure(&mut known).await;
                }
                looked
            };
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = looked => looked,
            };
            rounds = rounds.wrapping_add(1);
            let pause = match looked {
                Ok(_) => {
                    told = false;
                    EVERY
                }
                Err(error) => {
                    if !told {
                        let context = json!({ "retrying": true });
                        let services = &self.retention.services;
                        services.report_store("retention.run", false, &error, context);
                    }
                    told = true;
                    FAILED
                }
            };
            let _ = timeout(pause, stop.cancelled()).await;
        }
    }

    /// Runs if it is time to and nobody did; one that was missed is made up for. Says whether it ran.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(&self) -> Result<bool, StoreError> {
        let now = self.retention.services.clock.now();
        let Some(due_at) = self.at.last(now) else {
            return Ok(false);
        };
        if self.is_done(due_at).await? {
            return Ok(false);
        }
        let caller = own::caller();
        match self.retention.run(&caller, Some(due_at)).await {
            Ok(_) => Ok(true),
            // Another process was faster.
            Err(RunError::UnderWay | RunError::Store(StoreError::Conflict(Conflict::Stale))) => {
                Ok(false)
            }
            Err(RunError::Store(error)) => Err(error),
        }
    }

    /// Whether the run of this time has ended. One that did not end was killed, or goes on.
    async fn is_done(&self, due_at: DateTime<Utc>) -> Result<bool, StoreError> {
        let runs = self.retention.store.runs(10).await?;
        Ok(runs
            .iter()
            .any(|run| run.due_at == Some(due_at) && run.ended_at.is_some()))
    }

    /// Tells how late the oldest part is. While the store does not say, it grows later by the hour than it
    /// was when that was known, so that whoever watches it sees that nothing goes on.
    async fn measure(&self, (lag, at): &mut (TimeDelta, DateTime<Utc>)) {
        let now = self.retention.services.clock.now();
        if let Ok(overview) = self.retention.overview().await {
            (*lag, *at) = (overview.lag(), now);
        }
        let since = (now - *at).max(TimeDelta::zero());
        self.meters.retention_is_late(*lag + since);
    }
}
