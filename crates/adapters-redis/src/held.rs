//! What this process was given and has not finished, and when the dead are looked for next.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::entry::Entry;

/// The ids of what workers of this process hold, and since when.
#[derive(Default)]
pub(crate) struct Held(Mutex<HashMap<String, Instant>>);

impl Held {
    pub(crate) fn begin(&self, entries: &[Entry]) {
        let now = Instant::now();
        let ids = entries.iter().map(|entry| (entry.id.clone(), now));
        self.lock().extend(ids);
    }

    pub(crate) fn end(&self, ids: &[String]) {
        let mut held = self.lock();
        for id in ids {
            held.remove(id);
        }
    }

    /// Keeps those that nobody here holds.
    pub(crate) fn retain_free(&self, entries: &mut Vec<Entry>) {
        let held = self.lock();
        entries.retain(|entry| !held.contains_key(&entry.id));
    }

    /// Forgets what was held for so long that anybody may have claimed and finished it.
    pub(crate) fn forget_older(&self, age: Duration) {
        self.lock().retain(|_, since| since.elapsed() <= age);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sweep through everything that is held, for what is held too long: a piece at each take while
/// one is under way, and nothing between two sweeps.
pub(crate) struct Sweep {
    every: Duration,
    next: Mutex<Next>,
}

struct Next {
    due: Instant,
    cursor: String,
}

/// Where a sweep begins, and what Redis says when it has come to the end.
const ENDS: &str = "0-0";

impl Sweep {
    /// One that finds what is held too long soon enough, beginning now.
    pub(crate) fn for_claims_after(claim_after: Duration) -> Self {
        Self {
            every: claim_after / 2,
            next: Mutex::new(Next {
                due: Instant::now(),
                cursor: ENDS.to_owned(),
            }),
        }
    }

    /// How much time is between two of them.
    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// Where to go on, if a piece is due. Nobody else is told so until the next sweep, or until
    /// [`Sweep::came_to`].
    pub(crate) fn piece(&self) -> Option<String> {
        let mut next = self.lock();
        let now = Instant::now();
        (now >= next.due).then(|| {
            next.due = now + self.every;
            next.cursor.clone()
        })
    }

    /// Where a piece ended.
    pub(crate) fn came_to(&self, cursor: String) {
        let mut next = self.lock();
        if cursor != ENDS {
            next.due = Instant::now();
        }
        next.cursor = cursor;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
