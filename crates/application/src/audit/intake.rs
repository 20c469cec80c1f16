//! The way in for other services' events (P2, S3): critical ones into the log before the answer, the
//! rest into the queue, and what finds no room there to where there is some.
//!
//! Whatever was accepted is on a disk: in the log, the queue or the spool. No sink is waited for
//! longer than its share, so a hanging one never stops the others, or the request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use tranche_domain::Severity;

use super::availability::{Availability, Probe};
use super::bounded::bounded;
use super::pipeline::Pipeline;
use super::record::EventRecord;
use super::sensitive::Sensitive;
use crate::ports::monitor::{Fallback, Fate, Incident};
use crate::ports::queue::AuditQueue;
use crate::ports::store::{Conflict, StoreError};
use crate::services::{TRIES, may_retry, with_causes};

/// The longest that critical events wait for the log; with the probe after it, 5 seconds.
const LONGEST_WRITE: Duration = Duration::from_secs(3);
/// The longest that any other step takes: there are three of them at most, one after another.
const LONGEST_STEP: Duration = Duration::from_millis(1500);

/// Its name where failures are reported.
const OPERATION: &str = "audit.intake";

/// Events on their way in.
type Events = [Arc<EventRecord>];

/// Nothing of the request was accepted: the log does not take critical events now.
#[derive(Debug, Error)]
#[error("the audit log does not take events now: {0}")]
pub struct IntakeError(String);

/// Why one event was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Queue and spool are full or gone, and it is no event that the log takes at once.
    NoRoom,
    /// The log takes others, but not this one.
    Unfit,
    /// Its id is the id of another event.
    IdTaken,
    /// What is sensitive in it cannot be sealed now.
    Unsealed,
}

/// What became of the events of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// How many are in the log.
    pub stored: usize,
    /// How many are on a disk, and will be in the log.
    pub queued: usize,
    /// Those that were not accepted, by their place in the request, in its order.
    pub refused: Vec<(usize, Refusal)>,
}

/// How a write into the log failed.
enum Failed {
    /// The log fails, whatever the event.
    Log(String),
    /// The log takes other events, so it is for the sake of one of these.
    Event(Refusal, String),
}

/// Takes in events.
#[derive(Clone)]
pub struct Intake {
    pipeline: Pipeline,
    /// Whether the queue answers: one that hangs is not waited for by every request.
    queue: Arc<Availability>,
    /// Seals what is sensitive before anything is kept.
    sensitive: Option<Sensitive>,
}

impl Intake {
    /// The way into this pipeline.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        Self {
            pipeline,
            queue: Arc::default(),
            sensitive: None,
        }
    }

    /// Seals what is sensitive in the events.
    #[must_use]
    pub fn sealing(mut self, sensitive: Sensitive) -> Self {
        self.sensitive = Some(sensitive);
        self
    }

    /// Takes in the events of a request, and goes on when nobody waits for the answer any more.
    ///
    /// # Errors
    /// [`IntakeError`] when a critical event cannot be stored because of the log. The sender may
    /// repeat the whole request: what has an id of the sender's is stored once.
    pub async fn take(&self, events: Vec<Arc<EventRecord>>) -> Result<Accepted, IntakeError> {
        let intake = self.clone();
        let work = async move { intake.seal_and_route(events).await };
        match tokio::spawn(work.in_current_span()).await {
            Ok(taken) => taken,
            Err(error) => Err(IntakeError(error.to_string())),
        }
    }

    /// What cannot be sealed is kept nowhere, in clear least of all.
    async fn seal_and_route(
        &self,
        mut events: Vec<Arc<EventRecord>>,
    ) -> Result<Accepted, IntakeError> {
        let unsealed = match &self.sensitive {
            Some(sensitive) => sensitive.seal(&mut events).await,
            None => Vec::new(),
        };
        self.route(&events, unsealed).await
    }

    async fn route(&self, events: &Events, unsealed: Vec<usize>) -> Result<Accepted, IntakeError> {
        let (critical, rest): (Vec<_>, Vec<_>) = (0..events.len())
            .filter(|place| !unsealed.contains(place))
            .partition(|place| events[*place].severity == Severity::Critical.as_str());
        let refused = unsealed.into_iter();
        let mut accepted = Accepted {
            refused: refused.map(|place| (place, Refusal::Unsealed)).collect(),
            ..Accepted::default()
        };
        self.take_critical(events, critical, &mut accepted).await?;
        self.take_rest(events, rest, &mut accepted).await;
        accepted.refused.sort_unstable_by_key(|(place, _)| *place);
        Ok(accepted)
    }

    /// Straight into the log; what it does not take is told apart from the rest by halves.
    async fn take_critical(
        &self,
        events: &Events,
        places: Vec<usize>,
        accepted: &mut Accepted,
    ) -> Result<(), IntakeError> {
        let end = Instant::now() + LONGEST_WRITE;
        let mut parts = vec![places];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.write(&pick(events, &part), end).await {
                Ok(()) => accepted.stored += part.len(),
                Err(Failed::Log(why)) => return Err(IntakeError(why)),
                Err(Failed::Event(refusal, error)) => match part.as_slice() {
                    [place] => {
                        self.report_unfit(&events[*place], refusal, error);
                        accepted.refused.push((*place, refusal));
                    }
                    several => {
                        let (first, second) = several.split_at(several.len() / 2);
                        parts.extend([second.to_vec(), first.to_vec()]);
                    }
                },
            }
        }
        Ok(())
    }

    /// An event that was found good and cannot be stored is a fault of ours.
    fn report_unfit(&self, event: &EventRecord, refusal: Refusal, error: String) {
        if refusal == Refusal::Unfit {
            self.pipeline.services.monitor.report(Incident {
                operation: OPERATION,
                critical: true,
                error,
                context: json!({ "event_id": event.id, "action": event.action }),
            });
        }
    }

    /// Into the queue; what finds no room there into the log, if it is a warning, or into the spool.
    async fn take_rest(&self, events: &Events, places: Vec<usize>, accepted: &mut Accepted) {
        if places.is_empty() {
            return;
        }
        let taken = match self.enqueue(&pick(events, &places)).await {
            Ok(taken) => taken,
            Err(why) => return self.spool(events, &places, Some(why), accepted).await,
        };
        accepted.queued += taken;
        let left = &places[taken..];
        let (warnings, infos): (Vec<_>, Vec<_>) = left
            .iter()
            .partition(|place| events[**place].severity == Severity::Warning.as_str());
        match self.overflow(&pick(events, &warnings)).await {
            Ok(()) => {
                accepted.stored += warnings.len();
                self.spool(events, &infos, None, accepted).await;
            }
            Err(why) => self.spool(events, left, Some(why), accepted).await,
        }
    }

    /// Pushes into the queue, unless it failed a moment ago.
    async fn enqueue(&self, events: &Events) -> Result<usize, String> {
        let attempt = Attempt::at(&self.queue).ok_or("the queue did not answer a moment ago")?;
        let pushed = self.push(self.pipeline.queue.as_ref(), events).await;
        if pushed.is_ok() {
            attempt.went_well();
        }
        pushed
    }

    /// Writes warnings straight into the log.
    async fn overflow(&self, warnings: &Events) -> Result<(), String> {
        if warnings.is_empty() {
            return Ok(());
        }
        self.write(warnings, Instant::now() + LONGEST_STEP)
            .await
            .map_err(|(Failed::Log(why) | Failed::Event(_, why))| why)?;
        self.pipeline.meters.overflowed(count(warnings.len()));
        Ok(())
    }

    /// Pushes into the spool. `reason` is why they are here, if something failed.
    async fn spool(
        &self,
        events: &Events,
        places: &[usize],
        reason: Option<String>,
        accepted: &mut Accepted,
    ) {
        if places.is_empty() {
            return;
        }
        let picked = pick(events, places);
        let pushed = self.push(self.pipeline.spool.as_ref(), &picked).await;
        let (kept, why) = match pushed {
            Ok(kept) => (kept, "the spool is full".to_owned()),
            Err(why) => (0, format!("the spool: {why}")),
        };
        accepted.queued += kept;
        let (kept, lost) = picked.split_at(kept);
        if !kept.is_empty() {
            self.pipeline.meters.spooled(count(kept.len()));
            if let Some(error) = reason.clone() {
                self.tell_fallback(Fate::Spooled, kept, error);
            }
        }
        if !lost.is_empty() {
            let places = &places[kept.len()..];
            let refused = places.iter().map(|place| (*place, Refusal::NoRoom));
            accepted.refused.extend(refused);
            self.pipeline.meters.dropped(count(lost.len()));
            let reason = reason.as_deref().unwrap_or("the queue is full");
            self.tell_fallback(Fate::Lost, lost, format!("{reason}; {why}"));
        }
    }

    /// Pushes; says how many went in.
    async fn push(&self, sink: &dyn AuditQueue, events: &Events) -> Result<usize, String> {
        let at = self.pipeline.services.clock.now();
        match timeout(LONGEST_STEP, sink.push(events, at)).await {
            Ok(Ok(taken)) => Ok(taken.min(events.len())),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    fn tell_fallback(&self, fate: Fate, events: &Events, error: String) {
        self.pipeline.services.monitor.fallback(Fallback {
            fate,
            events: events.to_vec(),
            error,
        });
    }

    /// Writes into the log, all or none; refused at once while it is known not to take any.
    async fn write(&self, events: &Events, end: Instant) -> Result<(), Failed> {
        if !self.pipeline.availability.is_available() {
            let why = "the log did not take one a moment ago";
            return Err(Failed::Log(why.to_owned()));
        }
        // An event that failed alone is tried once more: the way to the log may have been cut.
        let mut again = events.len() == 1;
        loop {
            let error = match self.append_once(events, end).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let why = with_causes(&error);
            if matches!(error, StoreError::Conflict(Conflict::Stale)) {
                return Err(Failed::Event(Refusal::IdTaken, why));
            }
            let clock = &self.pipeline.services.clock;
            self.pipeline.meters.failed(clock.now());
            let critical = events
                .iter()
                .any(|event| event.severity == Severity::Critical.as_str());
            // When it only asks to try again, it answers, and has too much to do.
            if may_retry(&error)
                || !self.pipeline.works_otherwise(OPERATION, critical).await
                || Instant::now() >= end
            {
                return Err(Failed::Log(why));
            }
            if !again {
                return Err(match error {
                    StoreError::OutcomeUnknown(_) if events.len() == 1 => Failed::Log(why),
                    _ => Failed::Event(Refusal::Unfit, why),
                });
            }
            again = false;
        }
    }

    /// Appends, and counts what is new.
    async fn append_once(&self, events: &Events, end: Instant) -> Result<(), StoreError> {
        let begun = Instant::now();
        let new = self.append(events, end).await?;
        let Pipeline {
            meters, services, ..
        } = &self.pipeline;
        meters.stored(new, begun.elapsed(), services.clock.now());
        Ok(())
    }

    /// Appends, again and again while the database only asks to try again.
    async fn append(&self, events: &Events, end: Instant) -> Result<u64, StoreError> {
        let mut left = TRIES;
        loop {
            let now = self.pipeline.services.clock.now();
            let (log, batch) = (self.pipeline.log.clone(), events.to_vec());
            let limit = end.saturating_duration_since(Instant::now());
            left -= 1;
            match bounded(limit, async move { log.append(&batch, now).await }).await {
                Err(error) if may_retry(&error) && left > 0 => {}
                done => return done,
            }
        }
    }
}

/// The events at these places.
fn pick(events: &Events, places: &[usize]) -> Vec<Arc<EventRecord>> {
    places.iter().map(|place| events[*place].clone()).collect()
}

fn count(events: usize) -> u64 {
    u64::try_from(events).unwrap_or(u64::MAX)
}

/// A try of the queue, which failed unless it is said that it went well: whatever happens to it,
/// others learn of it.
struct Attempt<'a> {
    at: &'a Availability,
    probe: Option<Probe<'a>>,
    failed: bool,
}

impl<'a> Attempt<'a> {
    /// Nothing while the queue is known to fail and it is nobody's turn to try.
    fn at(at: &'a Availability) -> Option<Self> {
        let probe = at.begin_probe();
        // Made only when it is tried: one that is dropped has failed.
        (probe.is_some() || at.is_available()).then(|| Self {
            at,
            probe,
            failed: true,
        })
    }

    fn went_well(mut self) {
        self.failed = false;
        if let Some(probe) = self.probe.take() {
            probe.succeeded();
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // A probe that was not told how it went says so itself.
        if self.failed && self.probe.is_none() {
            self.at.failed();
        }
    }
}
