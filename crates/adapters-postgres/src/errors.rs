//! From the driver's errors to the port's: by SQLSTATE and constraint name, never by message text.
//!
//! | class | meaning for the caller |
//! |---|---|
//! | 40001, 40P01, 55P03 | deadlock, serialisation, lock timeout: try again |
//! | 23505 | somebody was first; the constraint says with what |
//! | 23xxx, 22xxx otherwise | a value that cannot be: an inconsistency |
//! | everything else | the store did not do it: unavailable |

use sqlx::error::DatabaseError;
use thiserror::Error;
use tranche_application::audit::record::CanonicalError;
use tranche_application::ports::store::{Conflict, StoreError};

/// What Postgres, or the way to it, made of a statement.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    let known = match &error {
        sqlx::Error::Database(refusal) => refused(refusal.as_ref()),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::RowNotFound
        | sqlx::Error::TypeNotFound { .. } => Some(StoreError::Inconsistent(error.to_string())),
        _ => None,
    };
    known.unwrap_or_else(|| StoreError::Unavailable(Box::new(error)))
}

/// Whether the way to the server is gone, as opposed to the server refusing something.
pub(crate) fn is_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(refusal) => refusal
            .code()
            .is_some_and(|code| matches!(code.as_ref(), "57P01" | "57P02" | "25P03")),
        _ => false,
    }
}

/// Whether this login has not the privilege that it takes.
pub(crate) fn is_forbidden(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .is_some_and(|code| code == "42501")
}

/// Whether the server ended the statement because it took too long.
pub(crate) fn is_cancelled(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .is_some_and(|code| code == "57014")
}

/// Whether another table refers to the row.
pub(crate) fn is_referred_to(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(DatabaseError::is_foreign_key_violation)
}

/// Whether the server's own word on a commit is missing: then it may have happened.
fn is_silent(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => refusal
            .code()
            .is_some_and(|code| code.starts_with("08") || code.starts_with("57P")),
        _ => true,
    }
}

/// Nothing was done, for a reason of this adapter's own.
pub(crate) fn unavailable(why: impl Into<String>) -> StoreError {
    StoreError::Unavailable(Box::new(Unavailable(why.into())))
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

/// A commit failed.
pub(crate) fn not_committed(error: sqlx::Error) -> StoreError {
    if is_silent(&error) {
        StoreError::OutcomeUnknown(Box::new(error))
    } else {
        failed(error)
    }
}

fn refused(refusal: &dyn DatabaseError) -> Option<StoreError> {
    let code = refusal.code()?;
    match code.as_ref() {
        "40001" | "40P01" | "55P03" => Some(StoreError::Conflict(Conflict::Retry)),
        "23505" => Some(StoreError::Conflict(taken(refusal.constraint()?))),
        // Whoever adds a constraint to the log makes it refuse, as a full disk does.
        "23502" | "23514" | "23001" if is_log(refusal) => None,
        "23503" if is_project(refusal) => Some(StoreError::Conflict(Conflict::ProjectGone)),
        "23502" | "23503" | "23514" | "23P01" => Some(StoreError::Inconsistent(format!(
            "{} refuses the row by {} ({code})",
            refusal.table().unwrap_or("the schema"),
            refusal.constraint().unwrap_or("a constraint"),
        ))),
        // Raised by a trigger of ours, which says what it refuses and why.
        "23001" => Some(StoreError::Inconsistent(refusal.message().to_owned())),
        data if data.starts_with("22") => Some(StoreError::Inconsistent(format!(
            "a value is out of its range: {refusal} ({code})"
        ))),
        _ => None,
    }
}

/// Whether a row refers to a project that may be deleted any time.
fn is_project(refusal: &dyn DatabaseError) -> bool {
    matches!(
        refusal.constraint(),
        Some("assessment_trails_project" | "trail_rollups_project" | "webhooks_project_id_fkey")
    )
}

fn is_log(refusal: &dyn DatabaseError) -> bool {
    refusal
        .table()
        .is_some_and(|table| table.starts_with("audit_"))
}

/// Which conflict a unique constraint stands for. Every other one is a version, an event or an
/// open burn that somebody else made first.
fn taken(constraint: &str) -> Conflict {
    match constraint {
        "milestones_number" => Conflict::MilestoneNumber,
        "milestones_transfer_reference" => Conflict::TransferReference,
        "disbursements_slot" | "disbursements_burn" | "disbursements_sequence_account" => {
            Conflict::LedgerSlot
        }
        "wallets_pkey" | "projects_wallet" => Conflict::Wallet,
        _ => Conflict::Stale,
    }
}

/// The reason, for the log; the caller's answer never shows it.
#[derive(Debug, Error)]
#[error("{0}")]
struct Unavailable(String);
