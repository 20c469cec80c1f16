//! Moves events from the outbox into the log.
//!
//! An event in the outbox was committed with what it tells of: it can be late, not lost. While the
//! log refuses, the relay waits longer and longer, reports once, and starts again where it was. An
//! event that the log refuses although it takes others does not hold up those behind it: batches
//! become smaller until it stands alone, and then it becomes a dead letter.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backoff::Backoff;
use super::pipeline::Pipeline;
use super::record::EventRecord;
use super::storing::PAUSES;
use crate::ports::monitor::{Fallback, Fate, Incident};
use crate::ports::store::StoreError;
use crate::services::{may_retry, why_refused, with_causes};

/// Names the relay's work in reports.
const OPERATION: &str = "audit.relay";
/// How many events move in one unit of work.
const BATCH: u32 = 500;
/// The longest that an event waits when the bell was not heard, as from another process.
const QUIET: Duration = Duration::from_secs(1);
/// The longest that one unit of work may take; a peer that died without a word would hold it for ever.
const LONGEST_STEP: Duration = Duration::from_mins(1);
/// How often the oldest event must be refused, alone, before it is given up.
const REFUSALS: usize = 3;

/// The relay from outbox to log.
#[derive(Clone)]
pub struct Relay {
    pipeline: Pipeline,
}

/// Why a batch did not move.
enum Trouble {
    /// Before any event was touched, or nobody knows where.
    Elsewhere(StoreError),
    /// With these events.
    Events(StoreError),
}

/// How many events move at once, and which one is suspected.
struct Narrowing {
    limit: u32,
    /// The oldest event, and how often it was refused alone.
    suspect: Option<(Uuid, usize)>,
}

impl Default for Narrowing {
    fn default() -> Self {
        Self {
            limit: BATCH,
            suspect: None,
        }
    }
}

impl Relay {
    /// A relay in this pipeline.
    #[must_use]
    pub const fn new(pipeline: Pipeline) -> Self {
        Self { pipeline }
    }

    /// Moves one batch; says how many.
    ///
    /// # Errors
    /// [`StoreError`]; everything is still in the outbox.
    pub async fn run_once(&self) -> Result<u64, StoreError> {
        let moved = self.step(BATCH).await;
        moved.map_err(|(Trouble::Elsewhere(error) | Trouble::Events(error))| error)
    }

    /// Moves events until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let services = &self.pipeline.services;
        let (mut narrowing, mut backoff) = (Narrowing::default(), Backoff::default());
        while !stop.is_cancelled() {
            let moving = timeout(LONGEST_STEP, self.step(narrowing.limit)).await;
            let pause =
                match moving.unwrap_or_else(|_| Err(Trouble::Elsewhere(StoreError::timeout()))) {
                    Ok(moved) => {
                        backoff.succeeded();
                        let full = moved >= u64::from(narrowing.limit);
                        narrowing.moved(full);
                        if full {
                            continue;
                        }
                        Duration::ZERO
                    }
                    Err(trouble) => match self.judge(trouble, &mut narrowing, &mut backoff).await {
                        Some(pause) => pause,
                        None => continue,
                    },
                };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(if pause.is_zero() { QUIET } else { pause }) => {}
                () = services.outbox.notified(), if pause.is_zero() => {}
            }
        }
    }

    async fn step(&self, limit: u32) -> Result<u64, Trouble> {
        let Pipeline {
            services,
            availability,
            meters,
            ..
        } = &self.pipeline;
        let begun = Instant::now();
        let mut work = services.store.begin().await.map_err(Trouble::Elsewhere)?;
        let moved = work.audit().relay(limit, services.clock.now()).await;
        let moved = moved.map_err(Trouble::Events)?;
        work.commit().await.map_err(Trouble::Events)?;
        if moved > 0 {
            availability.succeeded();
            meters.stored(moved, begun.elapsed(), services.clock.now());
        }
        Ok(moved)
    }

    /// Finds who is to blame; how long to wait before the next try, or `None` for not at all.
    async fn judge(
        &self,
        trouble: Trouble,
        narrowing: &mut Narrowing,
        backoff: &mut Backoff,
    ) -> Option<Duration> {
        let (Trouble::Elsewhere(error) | Trouble::Events(error)) = &trouble;
        // That is no failure, and is not reported.
        if may_retry(error) {
            return Some(backoff.failed());
        }
        self.pipeline
            .meters
            .failed(self.pipeline.services.clock.now());
        if !self.pipeline.works_otherwise(OPERATION, false).await {
            return Some(backoff.failed());
        }
        let error = match trouble {
            Trouble::Elsewhere(error) | Trouble::Events(error @ StoreError::OutcomeUnknown(_)) => {
                error
            }
            Trouble::Events(_) if narrowing.limit > 1 => {
                narrowing.limit /= 2;
                return None;
            }
            Trouble::Events(error) => match self.refuse(error, narrowing).await {
                Ok(pause) => return pause,
                Err(error) => error,
            },
        };
        if backoff.tells() {
            self.report(false, &error, json!({ "retrying": true }));
        }
        Some(backoff.failed())
    }

    /// The oldest event was refused, alone, by a log that takes others: once too often, it becomes a
    /// dead letter. Another relay may have moved what was the oldest, so that it is looked at each
    /// time, by a unit of work that is dropped.
    async fn refuse(
        &self,
        refusal: StoreError,
        narrowing: &mut Narrowing,
    ) -> Result<Option<Duration>, StoreError> {
        let services = &self.pipeline.services;
        let (letter, error) = (services.entropy.id(), why_refused(&refusal));
        let mut work = services.store.begin().await?;
        let now = services.clock.now();
        let Some(event) = work.audit().bury_oldest(letter, &error, now).await? else {
            *narrowing = Narrowing::default();
            return Ok(None);
        };
        let refusals = narrowing.refused(event.id);
        if refusals < REFUSALS {
            return Ok(PAUSES.get(refusals - 1).copied());
        }
        work.commit().await?;
        *narrowing = Narrowing::default();
        self.tell_of(event, letter, &refusal);
        Ok(None)
    }

    fn tell_of(&self, event: EventRecord, letter: Uuid, refusal: &StoreError) {
        self.pipeline.meters.buried(1);
        let context = json!({ "event_id": event.id, "action": event.action, "letter": letter });
        self.report(true, refusal, context);
        self.pipeline.services.monitor.fallback(Fallback {
            fate: Fate::Buried,
            events: vec![event.into()],
            error: why_refused(refusal),
        });
    }

    fn report(&self, critical: bool, error: &StoreError, context: serde_json::Value) {
        self.pipeline.services.monitor.report(Incident {
            operation: OPERATION,
            critical,
            error: with_causes(error),
            context,
        });
    }
}

impl Narrowing {
    /// A batch moved: larger ones may, too.
    fn moved(&mut self, full: bool) {
        let limit = if full { self.limit * 2 } else { BATCH };
        *self = Self {
            limit: limit.min(BATCH),
            suspect: None,
        };
    }

    /// The oldest event was refused, alone; how often it was by now.
    fn refused(&mut self, id: Uuid) -> usize {
        let before = self.suspect.filter(|(suspect, _)| *suspect == id);
        let refusals = before.map_or(0, |(_, refusals)| refusals) + 1;
        self.suspect = Some((id, refusals));
        refusals
    }
}
