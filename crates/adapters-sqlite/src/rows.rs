//! Rows and what they stand for, in both directions.
//!
//! A row becomes a value only when every column agrees with its status. One that does not was
//! written past the application: it is an inconsistency that names table, row and reason, never a
//! panic and never a guess.

pub(crate) mod disbursement;
pub(crate) mod event;
pub(crate) mod further;
pub(crate) mod milestone;
pub(crate) mod project;

use std::fmt::Display;

use chrono::{DateTime, Utc};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Amount, Stamp};
use uuid::Uuid;

/// Where a value stands, to say so when it is wrong.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub table: &'static str,
    pub id: &'a str,
}

impl Row<'_> {
    /// What is wrong with the row.
    pub(crate) fn wrong(self, what: impl Display) -> StoreError {
        StoreError::Inconsistent(format!("{} {}: {what}", self.table, self.id))
    }

    pub(crate) fn uuid(self, column: &str, text: &str) -> Result<Uuid, StoreError> {
        Uuid::try_parse(text).map_err(|error| self.wrong(format!("{column}: {error}")))
    }

    pub(crate) fn time(self, column: &str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
        DateTime::from_timestamp_micros(micros)
            .ok_or_else(|| self.wrong(format!("{column}: {micros} is no time")))
    }

    pub(crate) fn amount(self, column: &str, stroops: i64) -> Result<Amount, StoreError> {
        self.parsed(column, Amount::try_from_stroops(stroops))
    }

    /// What a newtype made of a column.
    pub(crate) fn parsed<T, E: Display>(
        self,
        column: &str,
        value: Result<T, E>,
    ) -> Result<T, StoreError> {
        value.map_err(|error| self.wrong(format!("{column}: {error}")))
    }

    pub(crate) fn bytes<const N: usize>(
        self,
        column: &str,
        bytes: &[u8],
    ) -> Result<[u8; N], StoreError> {
        self.parsed(column, bytes.try_into())
    }

    /// Who and when, where both or neither must be there.
    pub(crate) fn stamp(
        self,
        what: &str,
        by: Option<String>,
        at: Option<i64>,
    ) -> Result<Option<Stamp>, StoreError> {
        match (by, at) {
            (None, None) => Ok(None),
            (Some(by), Some(at)) => Ok(Some(Stamp {
                by,
                at: self.time(what, at)?,
            })),
            _ => Err(self.wrong(format!("half of who and when it was {what}"))),
        }
    }
}

/// Microseconds since 1970, which is what every time here is kept as.
pub(crate) const fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}
