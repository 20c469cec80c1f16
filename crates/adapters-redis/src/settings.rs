//! What an operator may set.

use std::time::Duration;

/// How the queue behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The key of the stream.
    pub key: String,
    /// How many events wait at most, what is taken and not done included.
    pub limit: u64,
    /// How long somebody may hold an event before others take him for dead. Longer than a batch takes
    /// with its retries, else its events are written twice, which costs time and nothing else.
    pub claim_after: Duration,
    /// How long Redis may take for one command, connecting included. A push of many events is several
    /// commands.
    pub deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            key: "tranche:audit".to_owned(),
            limit: 10_000,
            claim_after: Duration::from_mins(1),
            deadline: Duration::from_secs(2),
        }
    }
}
