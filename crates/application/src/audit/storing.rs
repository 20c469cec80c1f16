//! How a batch comes into the log although an event in it may be one that the log refuses.
//!
//! A write that fails is followed by a probe. When that fails too, the log is to blame: the batch is
//! left alone until the log takes events again. When it does not, the batch is to blame: it is tried
//! again a few times, then cut in halves until the events that are refused stand alone; the others
//! are stored at once. What still fails alone, while the log takes a probe, is refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bounded::bounded;
use super::pipeline::Pipeline;
use super::record::EventRecord;
use crate::ports::dead_letters::DeadLetter;
use crate::ports::store::{Conflict, StoreError};
use crate::services::may_retry;

/// The pauses between the tries.
pub(super) const PAUSES: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(800),
];
/// The longest that one write may take.
const LONGEST_WRITE: Duration = Duration::from_secs(10);

/// Why something is not in the log.
#[derive(Debug)]
pub(super) enum Unstored {
    /// The log takes nothing now.
    Unavailable,
    /// The log takes other events, not this.
    Refused(StoreError),
}

/// Whether it says nothing about the event: somebody was in its way, or the answer was lost.
const fn is_passing(error: &StoreError) -> bool {
    may_retry(error) || matches!(error, StoreError::OutcomeUnknown(_))
}

/// Whether the log has judged the events: an id is another event's for ever. Asking again changes
/// nothing, and anybody can send a thousand of them.
const fn is_verdict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(Conflict::Stale))
}

/// An event that the log refuses, and why.
pub(super) struct Refused {
    /// The event.
    pub event: Arc<EventRecord>,
    /// Why.
    pub error: StoreError,
}

/// The event is refused for good, unless what failed is no event's fault.
fn guilty(event: Arc<EventRecord>, error: StoreError) -> Result<Refused, Unstored> {
    if is_passing(&error) {
        Err(Unstored::Refused(error))
    } else {
        Ok(Refused { event, error })
    }
}

/// The later half below the earlier one.
fn halves(events: &[Arc<EventRecord>]) -> Vec<&[Arc<EventRecord>]> {
    let (earlier, later) = events.split_at(events.len() / 2);
    vec![later, earlier]
}

/// Puts events into the log and letters to the dead ones, for one part of the pipeline.
pub(super) struct Storing<'a> {
    /// What it stands on.
    pub pipeline: &'a Pipeline,
    /// In whose name an outage is told.
    pub operation: &'static str,
}

impl Storing<'_> {
    /// Stores all that can be stored; what the log refuses is left over.
    ///
    /// # Errors
    /// [`Unstored::Unavailable`]: the log takes nothing; some events may be in it. Also
    /// [`Unstored::Refused`], when it fails for a reason that is no event's.
    pub(super) async fn store(
        &self,
        events: &[Arc<EventRecord>],
    ) -> Result<Vec<Refused>, Unstored> {
        match self.insist(events, |error| !is_verdict(error)).await {
            Ok(()) => Ok(vec![]),
            Err(Unstored::Refused(error)) => match events {
                [event] => Ok(vec![guilty(event.clone(), error)?]),
                many => self.sift(many).await,
            },
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Buries letters, all or none.
    ///
    /// # Errors
    /// [`Unstored`].
    pub(super) async fn bury(&self, letters: &[DeadLetter]) -> Result<(), Unstored> {
        let mut pauses = PAUSES.into_iter();
        loop {
            self.unless_unavailable()?;
            let (dead, kept) = (self.pipeline.letters.clone(), letters.to_vec());
            let burial = bounded(LONGEST_WRITE, async move { dead.bury(&kept).await }).await;
            let Err(error) = burial else {
                return Ok(());
            };
            match (self.blame(error).await, pauses.next()) {
                (Unstored::Refused(_), Some(pause)) => sleep(pause).await,
                (error, _) => return Err(error),
            }
        }
    }

    /// Stores the events in halves, of halves, the earlier ones first, until those that are refused
    /// stand alone.
    async fn sift(&self, events: &[Arc<EventRecord>]) -> Result<Vec<Refused>, Unstored> {
        let mut parts = halves(events);
        let mut suspects = vec![];
        while let Some(part) = parts.pop() {
            match (self.insist(part, is_passing).await, part) {
                (Ok(()), _) => {}
                (Err(Unstored::Refused(error)), [event]) => suspects.push(Refused {
                    event: event.clone(),
                    error,
                }),
                (Err(Unstored::Refused(_)), many) => parts.extend(halves(many)),
                (Err(unavailable), _) => return Err(unavailable),
            }
        }
        self.try_alone(suspects).await
    }

    /// Tries each suspect again, alone, now that the others are stored.
    async fn try_alone(&self, suspects: Vec<Refused>) -> Result<Vec<Refused>, Unstored> {
        let judged = |suspect: &Refused| is_verdict(&suspect.error);
        let (mut refused, mut suspects): (Vec<_>, Vec<_>) = suspects.into_iter().partition(judged);
        for pause in PAUSES {
            if suspects.is_empty() {
                return Ok(refused);
            }
            sleep(pause).await;
            let mut left = vec![];
            for Refused { event, .. } in suspects {
                match self.write(std::slice::from_ref(&event)).await {
                    Ok(()) => {}
                    Err(Unstored::Refused(error)) => left.push(Refused { event, error }),
                    Err(unavailable) => return Err(unavailable),
                }
            }
            suspects = left;
        }
        for Refused { event, error } in suspects {
            refused.push(guilty(event, error)?);
        }
        Ok(refused)
    }

    /// Stores the events together, again after each pause while it fails like this.
    async fn insist(
        &self,
        events: &[Arc<EventRecord>],
        again: impl Fn(&StoreError) -> bool + Send,
    ) -> Result<(), Unstored> {
        let mut pauses = PAUSES.into_iter();
        loop {
            match (self.write(events).await, pauses.next()) {
                (Err(Unstored::Refused(error)), Some(pause)) if again(&error) => sleep(pause).await,
                (written, _) => return written,
            }
        }
    }

    /// Stores the events together, once.
    async fn write(&self, events: &[Arc<EventRecord>]) -> Result<(), Unstored> {
        if events.is_empty() {
            return Ok(());
        }
        self.unless_unavailable()?;
        let Pipeline {
            services, meters, ..
        } = self.pipeline;
        let (begun, now) = (Instant::now(), services.clock.now());
        let (log, batch) = (self.pipeline.log.clone(), events.to_vec());
        let stored = bounded(LONGEST_WRITE, async move { log.append(&batch, now).await }).await;
        match stored {
            Ok(new) => {
                self.pipeline.availability.succeeded();
                meters.stored(new, begun.elapsed(), services.clock.now());
                Ok(())
            }
            Err(error) => {
                if is_verdict(&error) {
                    // The log answers, and nothing failed.
                    return Err(Unstored::Refused(error));
                }
                meters.failed(services.clock.now());
                Err(self.blame(error).await)
            }
        }
    }

    /// While the log is known to take nothing, nobody tries.
    fn unless_unavailable(&self) -> Result<(), Unstored> {
        if self.pipeline.availability.is_available() {
            Ok(())
        } else {
            Err(Unstored::Unavailable)
        }
    }

    async fn blame(&self, error: StoreError) -> Unstored {
        if self.pipeline.works_otherwise(self.operation, false).await {
            Unstored::Refused(error)
        } else {
            Unstored::Unavailable
        }
    }
}
