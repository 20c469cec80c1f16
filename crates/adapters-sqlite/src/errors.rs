//! From SQLite's errors to the port's: by extended result code and by the statement that failed,
//! never by message text.
//!
//! | code | meaning for the caller |
//! |---|---|
//! | `BUSY`, `LOCKED` | another process holds the file: try again |
//! | `CONSTRAINT_UNIQUE`, `…_PRIMARYKEY`, `…_ROWID` | somebody was first |
//! | `CONSTRAINT_CHECK`, `…_NOTNULL`, `…_FOREIGNKEY`, `…_DATATYPE` | a value that cannot be |
//! | everything else | the store did not do it: unavailable |
//!
//! SQLite names the columns of a unique index only in its message. Where a statement can break more
//! than one, it asks afterwards which value is taken ([`is_taken`] says when): a failed statement
//! leaves its transaction open. A trigger that refuses counts as taken where it guards uniqueness.

use std::fmt;

use tranche_application::audit::record::CanonicalError;
use tranche_application::ports::store::{Conflict, StoreError};

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const INTERRUPTED: u32 = 9;
const IO: u32 = 10;
const TOO_BIG: u32 = 18;
const MISMATCH: u32 = 20;
const CHECK: u32 = 275;
const FOREIGN_KEY: u32 = 787;
const NOT_NULL: u32 = 1299;
const PRIMARY_KEY: u32 = 1555;
const TRIGGER: u32 = 1811;
const UNIQUE: u32 = 2067;
const ROW_ID: u32 = 2579;
const DATA_TYPE: u32 = 3091;
/// An extended code holds the primary code in its low byte.
const PRIMARY: u32 = 0xff;

/// What SQLite or the way to it made of a statement.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::RowNotFound
        | sqlx::Error::TypeNotFound { .. } => StoreError::Inconsistent(error.to_string()),
        _ => match code(&error) {
            Some(code) if matches!(code & PRIMARY, BUSY | LOCKED) => {
                StoreError::Conflict(Conflict::Retry)
            }
            Some(UNIQUE | PRIMARY_KEY | ROW_ID) => StoreError::Conflict(Conflict::Stale),
            Some(CHECK | FOREIGN_KEY | NOT_NULL | DATA_TYPE | TOO_BIG | MISMATCH) => {
                StoreError::Inconsistent(format!("the schema refuses the row: {error}"))
            }
            _ => unavailable(error.to_string()),
        },
    }
}

/// Whether a value that must be unique may be taken: ask the tables which.
pub(crate) fn is_taken(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(UNIQUE | PRIMARY_KEY | ROW_ID | TRIGGER))
}

/// Whether a row refers, or is referred to, as no row may.
pub(crate) fn breaks_foreign_key(error: &sqlx::Error) -> bool {
    code(error) == Some(FOREIGN_KEY)
}

/// What a row came to that refers to nothing but a project, which may be deleted any time.
pub(crate) fn failed_in_project(error: sqlx::Error) -> StoreError {
    if breaks_foreign_key(&error) || is_refused(&error) {
        StoreError::Conflict(Conflict::ProjectGone)
    } else {
        failed(error)
    }
}

/// Whether the statement was ended because its search took too long.
pub(crate) fn is_interrupted(error: &sqlx::Error) -> bool {
    code(error) == Some(INTERRUPTED)
}

/// Whether a trigger of ours refused the row.
pub(crate) fn is_refused(error: &sqlx::Error) -> bool {
    code(error) == Some(TRIGGER)
}

/// Nothing was done, for a reason of this adapter's own.
pub(crate) fn unavailable(why: impl Into<String>) -> StoreError {
    StoreError::Unavailable(Box::new(Unavailable(why.into())))
}

/// A unit of work could not begin. A file that another process locks for longer than the busy
/// timeout is as good as gone: trying at once again would only wait as long again.
pub(crate) fn not_begun(error: sqlx::Error) -> StoreError {
    match failed(error) {
        StoreError::Conflict(conflict) => {
            unavailable(format!("another process holds the write lock ({conflict})"))
        }
        other => other,
    }
}

/// A commit failed. When the disk fails it, the log may hold it or not.
pub(crate) fn not_committed(error: sqlx::Error) -> StoreError {
    match code(&error) {
        Some(code) if code & PRIMARY == IO => StoreError::OutcomeUnknown(Box::new(error)),
        _ => failed(error),
    }
}

/// An event whose leaf cannot be computed can never be proven, so it is not stored.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
pub(crate) fn not_canonical(error: CanonicalError) -> StoreError {
    StoreError::Inconsistent(error.to_string())
}

/// A value of ours that cannot be written as JSON.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
pub(crate) fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Inconsistent(error.to_string())
}

fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// The reason, for the log; the caller's answer never shows it.
#[derive(Debug)]
struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}
