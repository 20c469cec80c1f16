//! Workers: they take events from a queue, put them into the log, and say that they are done.
//!
//! A worker never drops an event. It says that a batch is done when each of its events is in the log
//! or a dead letter; whatever stops it before that (an outage, a panic, the end of the process), the
//! batch is given out again, and the log passes over what it has already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::hands::Hands;
use super::pipeline::Pipeline;
use super::record::EventRecord;
use super::storing::{Refused, Storing, Unstored};
use crate::ports::dead_letters::DeadLetter;
use crate::ports::monitor::{Fallback, Fate, Incident};
use crate::ports::queue::{AuditQueue, QueueError, Taken, Unreadable};
use crate::services::{why_refused, with_causes};

/// Names the worker's work in reports.
const OPERATION: &str = "audit.worker";
/// How long a worker waits for the first event before it looks whether it is to stop.
const WAIT: Duration = Duration::from_millis(250);
/// The longest that a queue may take to answer, beyond that.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// Moves events from one queue into the log. Several may work side by side on the same queue.
#[derive(Clone)]
pub struct Worker {
    pipeline: Pipeline,
    source: Arc<dyn AuditQueue>,
    name: &'static str,
}

/// Why a batch is neither in the log nor buried.
enum Trouble {
    /// The log takes nothing now.
    Unavailable,
    /// The log works, and yet it cannot be done now.
    Failing(String),
}

impl From<Unstored> for Trouble {
    fn from(unstored: Unstored) -> Self {
        match unstored {
            Unstored::Unavailable => Self::Unavailable,
            Unstored::Refused(error) => Self::Failing(with_causes(&error)),
        }
    }
}

impl From<QueueError> for Trouble {
    fn from(error: QueueError) -> Self {
        Self::Failing(with_causes(&error))
    }
}

impl Worker {
    /// A worker on this source, which dead letters call `name`: `queue` or `spool`.
    #[must_use]
    pub fn new(pipeline: Pipeline, source: Arc<dyn AuditQueue>, name: &'static str) -> Self {
        Self {
            pipeline,
            source,
            name,
        }
    }

    /// Works until cancelled; then until the source is empty, the log is unavailable, or `drain` is
    /// over. What it then holds is given back.
    pub async fn run(self, stop: CancellationToken, drain: Duration) {
        let monitor = self.pipeline.services.monitor.clone();
        let mut hands = Hands::new(self.source.clone(), monitor);
        let over = async {
            stop.cancelled().await;
            sleep(drain).await;
        };
        tokio::select! {
            () = self.work(&stop, &mut hands) => {}
            () = over => {}
        }
        hands.give_back().await;
    }

    async fn work(&self, stop: &CancellationToken, hands: &mut Hands) {
        let (mut pace, mut backoff) = (Pace::default(), Backoff::default());
        while self.log_is_available(stop).await {
            let stopping = stop.is_cancelled();
            let wait = if stopping { Duration::ZERO } else { WAIT };
            let turn = self.turn(wait, hands, &mut pace).await;
            hands.give_back().await;
            match turn {
                Ok(false) | Err(Trouble::Failing(_)) if stopping => return,
                Ok(_) => backoff.succeeded(),
                Err(Trouble::Unavailable) => {}
                Err(Trouble::Failing(error)) => {
                    if backoff.tells() {
                        self.report(
                            false,
                            error,
                            json!({ "source": self.name, "retrying": true }),
                        );
                    }
                    let _ = timeout(backoff.failed(), stop.cancelled()).await;
                }
            }
        }
    }

    /// Waits until the log takes events: while it does not, nobody tries. `false` when told to stop
    /// before it does.
    async fn log_is_available(&self, stop: &CancellationToken) -> bool {
        let availability = &self.pipeline.availability;
        availability.is_available() || {
            let available = stop.run_until_cancelled(availability.available()).await;
            available.is_some()
        }
    }

    /// Takes one batch and works it off; `false` when there was none.
    async fn turn(
        &self,
        wait: Duration,
        hands: &mut Hands,
        pace: &mut Pace,
    ) -> Result<bool, Trouble> {
        let taking = self.source.take(pace.limit, wait);
        let taken = timeout(wait + LONGEST_ANSWER, taking).await;
        let Some(taken) = taken.unwrap_or_else(|_| Err(QueueError::timeout()))? else {
            *pace = Pace::default();
            return Ok(false);
        };
        hands.hold(taken.receipt.clone());
        self.work_off(&taken).await?;
        hands.done().await?;
        pace.follow(&taken, self.source.as_ref()).await;
        Ok(true)
    }

    /// Stores what can be stored and buries the rest.
    async fn work_off(&self, taken: &Taken) -> Result<(), Trouble> {
        let storing = Storing {
            pipeline: &self.pipeline,
            operation: OPERATION,
        };
        let refused = storing.store(&taken.events).await?;
        let of_refused = refused.iter().map(|refused| self.letter_of(refused));
        let of_unreadable = taken.unreadable.iter().map(|entry| self.remains_of(entry));
        let letters: Vec<DeadLetter> = of_refused.chain(of_unreadable).collect();
        if letters.is_empty() {
            return Ok(());
        }
        storing.bury(&letters).await?;
        self.pipeline.meters.buried(letters.len() as u64);
        self.tell_of(refused);
        if let Some(first) = taken.unreadable.first() {
            let context = json!({ "source": self.name, "unreadable": taken.unreadable.len() });
            self.report(true, first.error.clone(), context);
        }
        Ok(())
    }

    fn letter_of(&self, refused: &Refused) -> DeadLetter {
        let event = refused.event.as_ref();
        self.letter(
            Some(event.id),
            serde_json::to_string(event).unwrap_or_else(|error| error.to_string()),
            why_refused(&refused.error),
        )
    }

    fn remains_of(&self, entry: &Unreadable) -> DeadLetter {
        // A database's text holds no zero byte.
        let content = entry.content.replace('\0', "\u{fffd}");
        self.letter(None, content, entry.error.clone())
    }

    fn letter(&self, event_id: Option<uuid::Uuid>, content: String, error: String) -> DeadLetter {
        let services = &self.pipeline.services;
        DeadLetter {
            id: services.entropy.id(),
            event_id,
            content,
            error,
            source: self.name.to_owned(),
            buried_at: services.clock.now(),
        }
    }

    /// Tells of the buried events, once for each reason.
    fn tell_of(&self, refused: Vec<Refused>) {
        let mut by_reason: BTreeMap<String, Vec<Arc<EventRecord>>> = BTreeMap::new();
        for Refused { event, error } in refused {
            by_reason
                .entry(why_refused(&error))
                .or_default()
                .push(event);
        }
        for (error, events) in by_reason {
            self.pipeline.services.monitor.fallback(Fallback {
                fate: Fate::Buried,
                events,
                error,
            });
        }
    }

    fn report(&self, critical: bool, error: String, context: serde_json::Value) {
        self.pipeline.services.monitor.report(Incident {
            operation: OPERATION,
            critical,
            error,
            context,
        });
    }
}

/// The batch of a quiet queue.
const SMALL: usize = 100;
/// From this depth on, the batch below.
const BUSY: u64 = 1_000;
/// The batch of a busy queue.
const MEDIUM: usize = 300;
/// From this depth on, the batch below.
const CROWDED: u64 = 5_000;
/// The batch of a crowded queue. Of what COPY puts into the same table, batches of 100, 300 and
/// 1,000 reach 0.82, 0.88 and 0.94; larger ones gain nothing more, and hold their locks longer.
const LARGE: usize = 1_000;
/// How often the queue is asked for its depth at most.
const BETWEEN_DEPTHS: Duration = Duration::from_millis(100);

/// How many events are taken at a time (P3): whatever is there while the queue is quiet, more as it
/// grows.
struct Pace {
    limit: usize,
    asked: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limit: SMALL,
            asked: None,
        }
    }
}

impl Pace {
    /// After a batch: the depth is asked for only when there was enough to fill it. Those pushed
    /// together stay together, so that a batch may be filled and yet be smaller than its limit.
    async fn follow(&mut self, taken: &Taken, source: &dyn AuditQueue) {
        if taken.events.len() < self.limit / 2 {
            *self = Self::default();
            return;
        }
        if self
            .asked
            .is_some_and(|asked| asked.elapsed() < BETWEEN_DEPTHS)
        {
            return;
        }
        let depth = timeout(LONGEST_ANSWER, source.depth()).await;
        self.asked = Some(Instant::now());
        // A queue that does not answer is told of by the next take.
        self.limit = match depth {
            Ok(Ok(depth)) if depth.events > CROWDED => LARGE,
            Ok(Ok(depth)) if depth.events > BUSY => MEDIUM,
            _ => SMALL,
        };
    }
}
