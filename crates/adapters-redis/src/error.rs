//! What can go wrong. No error holds the URL: there may be a password in it.

use std::time::Duration;

use redis::RedisError;
use thiserror::Error;
use tranche_application::ports::queue::QueueError;

/// Why a command has no answer.
#[derive(Debug, Error)]
pub enum Fault {
    /// Redis, or the way to it, is silent.
    #[error("Redis did not answer within {0:?}")]
    Late(Duration),
    /// Redis refused, or cannot be reached.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    /// It answered something else than what was asked for.
    #[error("Redis gave an answer that cannot be: {0}")]
    Answer(String),
    /// An event cannot be written as JSON.
    #[error("an event cannot be written: {0}")]
    Event(#[from] serde_json::Error),
}

impl Fault {
    /// The first word of what Redis said, where it said something.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Redis(error) => error.code(),
            _ => None,
        }
    }

    /// Whether the same connection will do for the next command: Redis spoke, and is not one that
    /// became a replica.
    pub(crate) fn leaves_connection(&self) -> bool {
        self.code().is_some_and(|code| code != "READONLY")
    }
}

impl From<Fault> for QueueError {
    fn from(fault: Fault) -> Self {
        Self(Box::new(fault))
    }
}

/// Why the queue cannot be used.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is no Redis URL.
    #[error(
        "the Redis URL is not valid: expected redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS"
    )]
    Url,
    /// Nobody answers, or not us.
    #[error("{0}")]
    Unavailable(#[from] Fault),
    /// It would lose what it has confirmed.
    #[error("Redis has {setting} {value}, and would lose events that were confirmed: {advice}")]
    Forgetful {
        /// The setting of Redis.
        setting: &'static str,
        /// How it is set.
        value: String,
        /// What to do.
        advice: &'static str,
    },
}
