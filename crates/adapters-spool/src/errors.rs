//! What can go wrong with the file.

use std::path::PathBuf;

use sqlx::error::DatabaseError;
use thiserror::Error;
use tranche_application::ports::queue::QueueError;

/// Why a queue's file cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or another queue of this one, has it.
    #[error("the queue {} is in use by another process", .file.display())]
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// It is there, and is no queue.
    #[error("{} is not a queue that this program can read", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// It cannot be made, or not be read.
    #[error("the queue {} cannot be opened: {source}", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why the queue did not do what it was asked.
#[derive(Clone, Copy, Debug, Error)]
pub(crate) enum Failure {
    /// The file refused; the log says more.
    #[error("the queue's file did not take it")]
    NotWritten,
    /// The queue was closed, or its task ended.
    #[error("the queue is closed")]
    Closed,
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        Self(Box::new(failure))
    }
}

/// The file could not be read.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
pub(crate) fn not_read(error: sqlx::Error) -> QueueError {
    QueueError(error.to_string().into())
}

const CORRUPT: u32 = 11;
/// An extended code holds the primary code in its low byte.
const PRIMARY: u32 = 0xff;

/// Whether SQLite found its own pages damaged.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(<dyn DatabaseError>::code);
    let code: Option<u32> = code.and_then(|code| code.parse().ok());
    code.is_some_and(|code| code & PRIMARY == CORRUPT)
}
