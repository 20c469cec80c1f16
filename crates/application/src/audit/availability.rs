//! Whether the log takes events: one small state machine that all who write to it share (F1).
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | closed | it takes events | a failed write: open |
//! | open | it does not; nobody tries | the pause is over: probing |
//! | probing | one write is being tried | it went well: closed; else open, for twice as long |
//!
//! The names are a circuit's: closed conducts. A write that began before the outage was known and
//! fails late changes nothing; one that goes well closes the circuit in any state, because the log
//! has just taken something.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The first pause before a probe.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between probes.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The state of the way into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The log takes events.
    Closed,
    /// It does not, and nobody tries before this moment.
    Open {
        /// When the next probe may be made.
        until: Instant,
        /// How long the pause is.
        pause: Duration,
    },
    /// One probe is on its way.
    Probing {
        /// How long the pause before it was.
        pause: Duration,
    },
}

impl State {
    fn open(pause: Duration) -> Self {
        Self::Open {
            until: Instant::now() + pause,
            pause,
        }
    }
}

/// Shared by all who write to the log.
#[derive(Debug)]
pub struct Availability {
    state: watch::Sender<State>,
}

impl Default for Availability {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::Closed),
        }
    }
}

impl Availability {
    /// Whether the log took the last event that it was offered.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.state() == State::Closed
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// A write failed because of the log, not because of the event.
    pub fn failed(&self) {
        self.outage_begins();
    }

    /// As [`Availability::failed`]; says whether this is how the outage came to be known. Whoever is
    /// told so reports it.
    pub(super) fn outage_begins(&self) -> bool {
        self.state.send_if_modified(|state| {
            let known = *state != State::Closed;
            if !known {
                *state = State::open(FIRST_PAUSE);
            }
            !known
        })
    }

    /// A write went well.
    pub fn succeeded(&self) {
        self.state.send_if_modified(|state| {
            let opened = *state != State::Closed;
            *state = State::Closed;
            opened
        });
    }

    /// The one probe that may be made now, if it is time for one.
    #[must_use]
    pub fn begin_probe(&self) -> Option<Probe<'_>> {
        let begun = self.state.send_if_modified(|state| match *state {
            State::Open { until, pause } if Instant::now() >= until => {
                *state = State::Probing { pause };
                true
            }
            _ => false,
        });
        // Not before it is known to have begun: a probe that is dropped has failed.
        begun.then(|| Probe {
            of: self,
            went_well: false,
        })
    }

    /// Waits until it is time for a probe.
    pub async fn next_probe(&self) -> Probe<'_> {
        let mut watched = self.state.subscribe();
        loop {
            if let Some(probe) = self.begin_probe() {
                return probe;
            }
            let state = *watched.borrow_and_update();
            // The sender lives as long as this does, so that a change always comes or none is due.
            if let State::Open { until, .. } = state {
                tokio::select! {
                    _ = watched.changed() => {}
                    () = sleep_until(until) => {}
                }
            } else {
                let _ = watched.changed().await;
            }
        }
    }

    /// Waits until the log takes events.
    pub async fn available(&self) {
        let mut watched = self.state.subscribe();
        // The sender lives as long as this does.
        let _ = watched.wait_for(|state| *state == State::Closed).await;
    }

    /// A probe is over. Nothing changes when a write that went well was faster.
    fn probed(&self, went_well: bool) {
        self.state.send_if_modified(|state| match *state {
            State::Probing { pause } => {
                *state = if went_well {
                    State::Closed
                } else {
                    State::open((pause * 2).min(LONGEST_PAUSE))
                };
                true
            }
            State::Closed | State::Open { .. } => false,
        });
    }
}

/// One probe. Dropped without a verdict, because who made it was stopped or panicked, it has failed.
#[derive(Debug)]
#[must_use]
pub struct Probe<'a> {
    of: &'a Availability,
    went_well: bool,
}

impl Probe<'_> {
    /// The log took it.
    pub fn succeeded(mut self) {
        self.went_well = true;
    }

    /// The log did not take it.
    pub fn failed(self) {
        drop(self);
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.of.probed(self.went_well);
    }
}
