//! A backup of a service's database, taken and restored while the service is stopped.

use tempfile::TempDir;

use super::{StoreKind, Tranche};
use crate::support::postgres::Database;

/// A copy of a database.
#[derive(Debug)]
pub enum Backup {
    /// The files of a SQLite database.
    Files(TempDir),
    /// A database on the throwaway Postgres.
    Copy(Database),
}

const FILES: [&str; 3] = ["tranche.db", "tranche.db-wal", "tranche.db-shm"];

impl Tranche {
    /// A copy of everything the database holds.
    pub fn backup(&self) -> Backup {
        assert!(self.process.is_none(), "the service still runs");
        match self.store {
            StoreKind::Sqlite => {
                let copy = tempfile::tempdir().expect("a temporary folder");
                for name in FILES {
                    let from = self.data_dir().join(name);
                    if from.exists() {
                        std::fs::copy(from, copy.path().join(name)).expect("a file is copied");
                    }
                }
                Backup::Files(copy)
            }
            StoreKind::Postgres => {
                Backup::Copy(Database::copy_of(self.database().name()).expect("a copy"))
            }
        }
    }

    /// Puts the database back to what the copy holds.
    pub fn restore(&self, backup: &Backup) {
        assert!(self.process.is_none(), "the service still runs");
        match backup {
            Backup::Files(copy) => {
                for name in FILES {
                    let (from, to) = (copy.path().join(name), self.data_dir().join(name));
                    if to.exists() {
                        std::fs::remove_file(&to).expect("a file is removed");
                    }
                    if from.exists() {
                        std::fs::copy(from, to).expect("a file is copied");
                    }
                }
            }
            Backup::Copy(copy) => self.database().become_copy_of(copy).expect("a restore"),
        }
    }
}
