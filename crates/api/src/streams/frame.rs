//! What a stream says, as server-sent events have it.

use axum::body::Bytes;
use serde_json::json;
use tranche_application::audit::record::LoggedEvent;

use crate::views::EventView;

/// How long a reader waits before it comes back, in milliseconds.
const RETRY: u32 = 2_000;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process stops.
    Shutdown,
    /// The credential is no longer in force, or no longer allows it.
    Denied,
    /// The reader took nothing for too long.
    SlowReader,
    /// The reader went away.
    ReaderLeft,
}

impl End {
    /// Its name in metrics, logs and the stream itself.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Denied => "denied",
            Self::SlowReader => "slow_reader",
            Self::ReaderLeft => "reader_left",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::Shutdown => "this process stops; come back with Last-Event-ID",
            Self::Denied => "the credential is no longer in force, or no longer allows this",
            Self::SlowReader => "events were not taken in time; come back with Last-Event-ID",
            Self::ReaderLeft => "the reader went away",
        }
    }
}

/// The beginning: when to come back, and from where.
#[must_use]
pub fn hello(position: i64) -> Bytes {
    Bytes::from(format!("retry: {RETRY}\nid: {}\n\n", position - 1))
}

/// An event, in the words of the list; nothing where it cannot be written.
#[must_use]
pub fn event(logged: &LoggedEvent) -> Option<Bytes> {
    let index = logged.leaf_index?;
    // JSON has its line breaks escaped, so it is one line.
    let data = serde_json::to_string(&EventView::from(logged)).ok()?;
    let frame = format!("id: {index}\nevent: audit\ndata: {data}\n\n");
    Some(Bytes::from(frame))
}

/// Says that the stream lives, and how far it has looked: who comes back need not look there again.
#[must_use]
pub fn heartbeat(position: i64) -> Bytes {
    Bytes::from(format!(": still here\nid: {}\n\n", position - 1))
}

/// The last word.
#[must_use]
pub fn end(end: End) -> Bytes {
    let data = json!({ "reason": end.as_str(), "detail": end.detail() });
    Bytes::from(format!("event: end\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests;
