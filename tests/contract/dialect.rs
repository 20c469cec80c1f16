//! What the two databases write differently.

use chrono::{DateTime, Utc};
use tranche_domain::Month;

/// What statements that go past the store must be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// SQLite's.
    Sqlite,
}

impl Dialect {
    /// Bytes.
    pub fn bytes(self, bytes: &[u8]) -> String {
        let digits = hex::encode(bytes);
        match self {
            Self::Postgres => format!("'\\x{digits}'::bytea"),
            Self::Sqlite => format!("x'{digits}'"),
        }
    }

    /// A month, as the tables of retention have it.
    pub fn month(self, month: Month) -> String {
        match self {
            Self::Postgres => format!("'{month}-01'"),
            Self::Sqlite => format!("'{month}'"),
        }
    }

    /// A moment.
    pub fn time(self, moment: DateTime<Utc>) -> String {
        match self {
            Self::Postgres => format!("'{}'", moment.to_rfc3339()),
            Self::Sqlite => moment.timestamp_micros().to_string(),
        }
    }

    /// The column of a leaf's hash.
    pub const fn leaf_column(self) -> &'static str {
        match self {
            Self::Postgres => "leaf_hash",
            Self::Sqlite => "leaf",
        }
    }
}
