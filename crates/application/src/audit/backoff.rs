//! Pauses that double while something fails, so that trying costs little for as long as it lasts.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// The pause after the next failure, and whether people were told of the first.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    pause: Duration,
    told: bool,
}

impl Backoff {
    /// It failed: the pause until the next try.
    pub(crate) fn failed(&mut self) -> Duration {
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
        self.pause
    }

    /// It went well: the next failure is the first of its kind.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Whether this failure is the first to be told since it last went well.
    pub(crate) fn tells(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}
