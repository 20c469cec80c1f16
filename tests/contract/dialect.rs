//! What the two databases write differently.

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

    /// The column of a leaf's hash.
    pub const fn leaf_column(self) -> &'static str {
        match self {
            Self::Postgres => "leaf_hash",
            Self::Sqlite => "leaf",
        }
    }
}
