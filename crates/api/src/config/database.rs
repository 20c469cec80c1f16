//! Which database.

use std::path::{Path, PathBuf};

use super::place::place;
use super::{ConfigError, value};

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL URL.
    Postgres(String),
}

/// The database at this URL; the file in the data folder where there is none.
pub(super) fn database(url: Option<&str>, data_dir: &Path) -> Result<Database, ConfigError> {
    let setting = "TRANCHE_DATABASE_URL";
    let Some(url) = url else {
        return Ok(Database::Sqlite(data_dir.join("tranche.db")));
    };
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.split('?').next().unwrap_or(path);
        if path.is_empty() || path == ":memory:" {
            return Err(value(setting, "must name a file: sqlite://tranche.db"));
        }
        return Ok(Database::Sqlite(PathBuf::from(path)));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Database::Postgres(url.to_owned()));
    }
    Err(value(setting, "must begin with sqlite:// or postgres://"))
}

impl std::fmt::Display for Database {
    /// Where it is, without anything secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&place(url)),
        }
    }
}
