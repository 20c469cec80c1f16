//! Searches end: SQLite has no limit of time for a statement, so its progress is watched.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::{Sqlite, SqliteConnection, Transaction};
use tranche_application::ports::store::StoreError;

use crate::SqliteStore;
use crate::errors::{failed, is_interrupted};

/// The longest search.
const LONGEST: Duration = Duration::from_secs(5);
/// After how many steps of SQLite's machine the time is looked at.
const STEPS: i32 = 1_000;

/// A snapshot that is searched.
pub(crate) struct Snapshot(Transaction<'static, Sqlite>);

impl SqliteStore {
    /// Begins to search what is committed now. Every statement ends when the search has taken too
    /// long, until the pool takes the connection back.
    pub(crate) async fn search(&self) -> Result<Snapshot, StoreError> {
        self.search_within(Some(LONGEST)).await
    }

    /// As [`SqliteStore::search`], with as much time as is given, or all that it takes.
    pub(crate) async fn search_within(
        &self,
        longest: Option<Duration>,
    ) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.reader.begin().await.map_err(failed)?;
        if let Some(longest) = longest {
            let until = Instant::now() + longest;
            snapshot
                .lock_handle()
                .await
                .map_err(failed)?
                .set_progress_handler(STEPS, move || Instant::now() < until);
        }
        Ok(Snapshot(snapshot))
    }
}

/// What a statement of a search came to.
pub(crate) fn searched<T>(result: Result<T, sqlx::Error>) -> Result<T, StoreError> {
    result.map_err(|error| {
        if is_interrupted(&error) {
            StoreError::TooMuch
        } else {
            failed(error)
        }
    })
}

impl Deref for Snapshot {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0
    }
}

impl DerefMut for Snapshot {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}
