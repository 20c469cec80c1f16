//! A bounded ring of events in memory: the oldest makes room for the newest.

use std::collections::VecDeque;
use std::sync::Arc;

use super::record::EventRecord;

/// Events that wait for a place on a disk. Those at the front that are being placed stay until they
/// are, so that a task that dies takes none with it; they are not evicted.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<EventRecord>>,
    capacity: usize,
    in_flight: usize,
    /// How many at the front were told of as held.
    told: usize,
    closed: bool,
}

impl Ring {
    /// An empty ring for so many events.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            events: VecDeque::with_capacity(capacity),
            capacity,
            in_flight: 0,
            told: 0,
            closed: false,
        }
    }

    /// Takes an event in; gives the one that has no place any more, if that is so.
    pub(super) fn push(&mut self, event: Arc<EventRecord>) -> Option<Arc<EventRecord>> {
        if self.closed {
            return Some(event);
        }
        self.events.push_back(event);
        if self.events.len() <= self.capacity {
            return None;
        }
        let oldest = self.in_flight.min(self.events.len() - 1);
        if oldest < self.told {
            self.told -= 1;
        }
        self.events.remove(oldest)
    }

    /// The oldest events, which are now in flight.
    pub(super) fn begin(&mut self, limit: usize) -> Vec<Arc<EventRecord>> {
        self.in_flight = limit.min(self.events.len());
        self.events.iter().take(self.in_flight).cloned().collect()
    }

    /// The flight is over: the first so many found a place.
    pub(super) fn landed(&mut self, placed: usize) {
        self.events.drain(..placed.min(self.in_flight));
        self.told = self.told.saturating_sub(placed);
        self.in_flight = 0;
    }

    /// Of those in flight, the ones without a place that were never told of as held; they are now.
    pub(super) fn untold(&mut self, placed: usize) -> Vec<Arc<EventRecord>> {
        let first = self.told.max(placed);
        self.told = self.told.max(self.in_flight);
        let flying = self.events.iter().take(self.in_flight);
        flying.skip(first).cloned().collect()
    }

    /// Takes in nothing more; gives what is left.
    pub(super) fn close(&mut self) -> Vec<Arc<EventRecord>> {
        self.closed = true;
        self.events.drain(..).collect()
    }

    /// How many events wait.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}
