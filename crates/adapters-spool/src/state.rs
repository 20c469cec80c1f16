//! What the process knows of the file, in bounded memory.
//!
//! ```text
//! sequence  ──────────────────────────────────────────────────────►
//!           │ held, or ready (some with their events) │ on disk only │
//!                                                  known           last
//! ```
//!
//! Frames up to `known` are in one of the two maps. Those after it are only counted, and found in
//! the file when what is ready has been taken. A fresh frame becomes ready with its events as long
//! as nothing before it is on the disk only, and as long as there is room for it in memory.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tranche_application::ports::queue::Depth;

use crate::frame::Content;

/// What a frame in memory takes besides its events.
const FRAME_COST: u64 = 512;

/// Events and bytes, of a frame or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, other: Self) {
        self.events = self.events.saturating_add(other.events);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn subtract(&mut self, other: Self) {
        self.events = self.events.saturating_sub(other.events);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// How much a queue may hold, what is taken and not done included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many events; `None` is no limit.
    pub events: Option<u64>,
    /// How many bytes they take as JSON lines; `None` is no limit.
    pub bytes: Option<u64>,
}

/// A row of the file, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) sequence: i64,
    pub(crate) amount: Amount,
    pub(crate) pushed_at: DateTime<Utc>,
}

#[derive(Debug)]
struct Ready {
    frame: Frame,
    content: Option<Content>,
}

#[derive(Debug)]
struct Held {
    frame: Frame,
    /// Tells this holding from an earlier one of the same frame.
    holding: u64,
    until: Instant,
}

/// A frame that a worker holds from now on.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) sequence: i64,
    pub(crate) holding: u64,
    pub(crate) events: u64,
    /// What is in it, where that is in memory.
    pub(crate) content: Option<Content>,
}

/// What the file holds, as it says itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Census {
    pub(crate) amount: Amount,
    pub(crate) last: i64,
}

#[derive(Debug)]
pub(crate) struct State {
    limits: Limits,
    /// How many bytes of fresh events are kept in memory.
    memory: u64,
    /// In the file.
    stored: Amount,
    /// On its way into the file.
    reserved: Amount,
    ready: BTreeMap<i64, Ready>,
    held: BTreeMap<i64, Held>,
    holdings: u64,
    known: i64,
    last: i64,
    /// Bytes of the fresh events that are ready.
    fresh: u64,
    /// Whether the committer is gone.
    pub(crate) closed: bool,
}

impl State {
    pub(crate) fn new(limits: Limits, memory: u64, census: Census) -> Self {
        Self {
            limits,
            memory,
            stored: census.amount,
            reserved: Amount::default(),
            ready: BTreeMap::new(),
            held: BTreeMap::new(),
            holdings: 0,
            known: 0,
            last: census.last,
            fresh: 0,
            closed: false,
        }
    }

    /// How much more may come.
    pub(crate) fn room(&self) -> Amount {
        let left = |limit: Option<u64>, stored: u64, reserved: u64| {
            limit.map_or(u64::MAX, |limit| {
                limit.saturating_sub(stored).saturating_sub(reserved)
            })
        };
        let (stored, reserved) = (self.stored, self.reserved);
        Amount {
            events: left(self.limits.events, stored.events, reserved.events),
            bytes: left(self.limits.bytes, stored.bytes, reserved.bytes),
        }
    }

    pub(crate) fn reserve(&mut self, amount: Amount) {
        self.reserved.add(amount);
    }

    pub(crate) fn release(&mut self, amount: Amount) {
        self.reserved.subtract(amount);
    }

    /// The frame is in the file.
    pub(crate) fn stored(&mut self, frame: Frame, content: Content) {
        self.stored.add(frame.amount);
        // A taker may have found it in the file already.
        if frame.sequence > self.known {
            let cost = frame.amount.bytes.saturating_add(FRAME_COST);
            if self.known == self.last && self.fresh.saturating_add(cost) <= self.memory {
                self.fresh = self.fresh.saturating_add(cost);
                let content = Some(content);
                self.ready.insert(frame.sequence, Ready { frame, content });
                self.known = frame.sequence;
            }
        }
        self.last = self.last.max(frame.sequence);
    }

    /// The frames on the disk only, if there are any: after the first number, up to the second.
    pub(crate) fn behind(&self) -> Option<(i64, i64)> {
        (self.known < self.last).then_some((self.known, self.last))
    }

    /// The first frames of those [`behind`](Self::behind).
    pub(crate) fn found(&mut self, (after, to): (i64, i64), frames: Vec<Frame>) {
        if self.known != after {
            return;
        }
        if frames.is_empty() {
            // What was counted is not there: a damaged file.
            self.known = to;
        }
        for frame in frames {
            self.known = frame.sequence;
            let content = None;
            self.ready.insert(frame.sequence, Ready { frame, content });
        }
    }

    /// About `limit` of the oldest events that nobody holds, held by the caller from now on.
    pub(crate) fn claim(&mut self, limit: usize, now: Instant, hold: Duration) -> Vec<Claim> {
        let mut claims = Vec::new();
        let mut left = limit as u64;
        while let Some(next) = self.ready.first_entry() {
            let events = next.get().frame.amount.events;
            if !claims.is_empty() && events > left {
                break;
            }
            left = left.saturating_sub(events);
            let (sequence, Ready { frame, content }) = next.remove_entry();
            if content.is_some() {
                self.forget(frame);
            }
            self.holdings += 1;
            let holding = self.holdings;
            // Too far ahead for the clock is as good as for ever.
            let until = now.checked_add(hold).unwrap_or(now + FOR_EVER);
            self.held.insert(
                sequence,
                Held {
                    frame,
                    holding,
                    until,
                },
            );
            claims.push(Claim {
                sequence,
                holding,
                events,
                content,
            });
            if left == 0 {
                break;
            }
        }
        claims
    }

    /// Takes from dead workers what they held; says when the next one will count as dead.
    pub(crate) fn bury(&mut self, now: Instant) -> Option<Instant> {
        let (ready, mut next) = (&mut self.ready, None::<Instant>);
        self.held.retain(|sequence, held| {
            if held.until <= now {
                let (frame, content) = (held.frame, None);
                ready.insert(*sequence, Ready { frame, content });
                return false;
            }
            next = Some(next.map_or(held.until, |next| next.min(held.until)));
            true
        });
        next
    }

    /// Gives back what the caller holds; what it holds no longer stays where it is.
    pub(crate) fn give_back(&mut self, sequence: i64, holding: u64) {
        let is_held = |held: &Held| held.holding == holding;
        if self.held.get(&sequence).is_some_and(is_held)
            && let Some(Held { frame, .. }) = self.held.remove(&sequence)
        {
            let content = None;
            self.ready.insert(sequence, Ready { frame, content });
        }
    }

    /// Whether the frame is in one of the maps.
    pub(crate) fn knows(&self, sequence: i64) -> bool {
        self.held.contains_key(&sequence) || self.ready.contains_key(&sequence)
    }

    /// The frame is in the file no more.
    pub(crate) fn removed(&mut self, sequence: i64) {
        if let Some(Held { frame, .. }) = self.held.remove(&sequence) {
            self.stored.subtract(frame.amount);
        } else if let Some(Ready { frame, content }) = self.ready.remove(&sequence) {
            self.stored.subtract(frame.amount);
            if content.is_some() {
                self.forget(frame);
            }
        }
    }

    /// Nobody knows what the file did with the last writes: this is what it holds. `known` are the
    /// sequence numbers that it has up to [`State::known`].
    pub(crate) fn recount(&mut self, census: Census, known: &[i64]) {
        let gone = |sequence: &i64| known.binary_search(sequence).is_err();
        let lost: Vec<i64> = self.held.keys().chain(self.ready.keys()).copied().collect();
        for sequence in lost.into_iter().filter(gone) {
            self.removed(sequence);
        }
        self.stored = census.amount;
        self.last = self.last.max(census.last);
    }

    /// Up to which frame all are in one of the maps.
    pub(crate) fn known(&self) -> i64 {
        self.known
    }

    /// Whether the file holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty() && self.known == self.last
    }

    /// How much waits. The oldest moment is of what is in memory; [`State::behind`] says whether
    /// the file must be asked when there is none.
    pub(crate) fn depth(&self) -> Depth {
        let held = self.held.first_key_value();
        let ready = self.ready.first_key_value();
        let held = held.map(|(sequence, held)| (*sequence, held.frame.pushed_at));
        let ready = ready.map(|(sequence, ready)| (*sequence, ready.frame.pushed_at));
        let oldest = [held, ready].into_iter().flatten().min();
        Depth {
            events: self.stored.events,
            bytes: self.stored.bytes,
            oldest: oldest.map(|(_, pushed_at)| pushed_at),
        }
    }

    fn forget(&mut self, frame: Frame) {
        let cost = frame.amount.bytes.saturating_add(FRAME_COST);
        self.fresh = self.fresh.saturating_sub(cost);
    }
}

/// As long as nobody waits.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);
