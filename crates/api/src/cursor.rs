//! Cursors of walks over the log: opaque, and good only for whom and for what they were made.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::json;
use subtle::ConstantTimeEq;
use tranche_application::Caller;
use tranche_application::audit::filter::EventFilter;
use tranche_application::keys::{KeyRing, keyed_hash};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// What the key is for.
const PURPOSE: &str = "cursors over the audit log";
/// Says how a cursor is written.
const VERSION: u8 = 1;
/// Version, event, time and leaf index; the code comes after them.
const CONTENT: usize = 1 + 16 + 8 + 8;
const LENGTH: usize = CONTENT + 32;
/// Stands for no time.
const NO_TIME: i64 = i64::MIN;

/// Where a walk is, and what it keeps from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Only what is older than this event comes.
    pub before: Uuid,
    /// The bound in time that the walk was given because it had none.
    pub default_from: Option<DateTime<Utc>>,
    /// The leaf index that the next event had when the walk began.
    pub end: i64,
}

/// Makes and reads the cursors of one caller and one filter.
pub struct Cursors {
    key: Zeroizing<[u8; 32]>,
    walk: String,
}

impl Cursors {
    /// For this caller's walk.
    #[must_use]
    pub fn new(ring: &KeyRing, caller: &Caller, filter: &EventFilter, archived: bool) -> Self {
        let scope = caller.scope.map(|only| only.0);
        Self {
            key: ring.key_for(PURPOSE),
            walk: json!([caller.actor.id, scope, filter, archived]).to_string(),
        }
    }

    /// The cursor of a position.
    #[must_use]
    pub fn cursor(&self, position: &Position) -> String {
        let from = position
            .default_from
            .map_or(NO_TIME, |from| from.timestamp_micros());
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(position.before.as_bytes());
        bytes.extend_from_slice(&from.to_be_bytes());
        bytes.extend_from_slice(&position.end.to_be_bytes());
        let code = self.code(&bytes);
        bytes.extend_from_slice(&code);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor.
    ///
    /// # Errors
    /// 400 for what was not made for this walk.
    pub fn position(&self, cursor: &str) -> Result<Position, Problem> {
        self.read(cursor).ok_or_else(|| {
            Problem::malformed(
                "cursor is not one of this search for you: start without it, or with the filters it \
                 came with",
            )
        })
    }

    fn read(&self, cursor: &str) -> Option<Position> {
        // No longer text than a cursor is decoded.
        let text = Some(cursor).filter(|text| text.len() <= LENGTH * 2)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, code) = bytes.split_at_checked(CONTENT)?;
        if !bool::from(self.code(content).ct_eq(code)) || content[0] != VERSION {
            return None;
        }
        let number = |at: usize| {
            Some(i64::from_be_bytes(
                content.get(at..at + 8)?.try_into().ok()?,
            ))
        };
        let default_from = match number(17)? {
            NO_TIME => None,
            micros => Some(DateTime::from_timestamp_micros(micros)?),
        };
        Some(Position {
            before: Uuid::from_slice(content.get(1..17)?).ok()?,
            default_from,
            end: number(25)?,
        })
    }

    /// Over position and walk.
    fn code(&self, content: &[u8]) -> [u8; 32] {
        keyed_hash(&self.key, &[content, self.walk.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests;
