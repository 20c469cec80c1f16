//! The lines of a proven copy, one JSON document each, in the order of the log:
//!
//! ```text
//! {"leaf_index":41,"leaf_hash":"…","recorded_at":"…","event":{…}}   an event, as it is stored
//! {"between":{"from":42,"to":99,"hashes":["…"]}}                     leaves that are not in the copy
//! {"end":{"events":1,"size":99,"checkpoint":"…","verifier_key":"…"}} the last line
//! ```
//!
//! `hashes` are the roots of the largest subtrees that what is between consists of, from left to
//! right. Leaves and subtrees together give the root that the checkpoint states.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::audit::record::EventRecord;

/// An event with its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventLine {
    /// Its place.
    pub leaf_index: u64,
    /// Its leaf, in hexadecimal.
    pub leaf_hash: String,
    /// When it came into the log.
    pub recorded_at: DateTime<Utc>,
    /// Every stored column, the salt included: without it, nobody could tell that the leaf is of
    /// these columns. It only hides a body from those who do not have it.
    pub event: EventRecord,
}

/// Leaves that are not in the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    /// The first of them.
    pub from: u64,
    /// The first one after them.
    pub to: u64,
    /// What stands for them, in hexadecimal.
    pub hashes: Vec<String>,
}

/// The end: a copy without it is cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many events are in the copy.
    pub events: u64,
    /// How many leaves the log had.
    pub size: u64,
    /// What was asked for.
    pub filter: String,
    /// What the log's key signed of it.
    pub checkpoint: String,
    /// The log's key, for whoever has it from nowhere else.
    pub verifier_key: String,
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aside {
    /// Leaves that are not in the copy.
    Between(Between),
    /// The end.
    End(End),
}
