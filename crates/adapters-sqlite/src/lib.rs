//! The store on SQLite: one file, no server.
//!
//! One connection writes and many read. Units of work begin with `BEGIN IMMEDIATE`: they queue for
//! the write lock at once, so that a read inside one is a lock and a commit never fails for having
//! read too early. Reads for people go through connections of their own, see what is committed, and
//! wait for nobody (WAL). Other processes may use the same file.
//!
//! A commit is on the disk when it returns (`synchronous = FULL`).

mod actors;
mod audit;
mod audit_search;
mod audit_store;
mod books;
mod channels;
mod credentials;
mod dead_letters;
mod disbursements;
mod errors;
mod growth;
mod idempotency;
mod milestones;
mod projects;
mod queries;
mod reports;
mod retention;
mod rows;
mod subject_keys;
mod trails;
mod tree;
mod unit_of_work;
mod verification;
mod webhooks;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::fs;
use tranche_application::ports::store::{Conflict, Store, StoreError, UnitOfWork};

use errors::{failed, not_begun, unavailable};
use unit_of_work::SqliteUnitOfWork;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How patient the store is, and how many read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a unit of work waits for another process's write lock.
    pub busy_timeout: Duration,
    /// How long a unit of work waits for the one before it in this process, and a read for a free
    /// connection.
    pub acquire_timeout: Duration,
    /// How many connections read.
    pub readers: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(10),
            readers: 4,
        }
    }
}

/// The store on one SQLite file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl SqliteStore {
    /// Opens the store at a path or a `sqlite:` URL; makes folder and file where they are missing,
    /// for their owner's eyes only.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be made, opened or read.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Settings::default()).await
    }

    /// As [`SqliteStore::open`], with other settings.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_with(url: &str, settings: Settings) -> Result<Self, StoreError> {
        let options = options(url, settings)?;
        make_private_file(options.get_filename())
            .await
            .map_err(|error| unavailable(format!("the database file cannot be made: {error}")))?;
        let writer = connect(options.clone(), 1, settings).await?;
        let reading = options.pragma("query_only", "ON");
        let reader = connect(reading, settings.readers, settings).await?;
        Ok(Self { writer, reader })
    }

    /// Brings the schema to this program's version, whole or not at all. Processes that start
    /// together take turns.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot, or when the schema is a newer program's.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        MIGRATIONS
            .run_direct(None, &mut *transaction, false)
            .await
            .map_err(not_migrated)?;
        transaction.commit().await.map_err(failed)
    }

    /// Waits for what is in flight and closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Begins to write, when those before are done.
    async fn transaction(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(not_begun)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError> {
        Ok(Box::new(SqliteUnitOfWork::new(self.transaction().await?)))
    }
}

/// The pause before a file is tried again that others are opening too.
const OPEN_AGAIN: Duration = Duration::from_millis(20);

/// A pool over the file. Processes that open a new file together find it locked while one of them
/// turns it to WAL, and SQLite does not wait for that by itself: so this does.
async fn connect(
    options: SqliteConnectOptions,
    connections: u32,
    settings: Settings,
) -> Result<SqlitePool, StoreError> {
    let until = tokio::time::Instant::now() + settings.busy_timeout;
    loop {
        let opened = SqlitePoolOptions::new()
            .acquire_timeout(settings.acquire_timeout)
            .max_connections(connections)
            .after_release(|connection, _| {
                Box::pin(async move {
                    // A search watches its own progress, not that of whoever comes after it.
                    connection.lock_handle().await?.remove_progress_handler();
                    Ok(true)
                })
            })
            .connect_with(options.clone())
            .await;
        match opened.map_err(failed) {
            Err(StoreError::Conflict(Conflict::Retry)) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(OPEN_AGAIN).await;
            }
            other => return other,
        }
    }
}

fn not_migrated(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => failed(error),
        other => unavailable(format!("the schema cannot be migrated: {other}")),
    }
}

fn options(url: &str, settings: Settings) -> Result<SqliteConnectOptions, StoreError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(unavailable(
            "a store needs a file: every connection to memory would be a store of its own",
        ));
    }
    let options = if url.starts_with("sqlite:") {
        SqliteConnectOptions::from_str(url).map_err(failed)?
    } else {
        SqliteConnectOptions::new().filename(url)
    };
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout)
        .pragma("recursive_triggers", "ON")
        .pragma("trusted_schema", "OFF"))
}

/// Folder and file, made before SQLite would make them readable for everyone. Its journal files
/// take the file's mode.
async fn make_private_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(folder).await?;
    }
    let mut file = fs::OpenOptions::new();
    file.write(true).create_new(true);
    #[cfg(unix)]
    file.mode(0o600);
    match file.open(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both pools keep the schema's rules, the writer flushes before it answers, readers cannot
    /// write.
    #[tokio::test]
    async fn every_connection_is_set_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tranche.db");
        let url = file.to_str().expect("a plain path");
        let store = SqliteStore::open(url).await.expect("it opens");
        for (pragma, writer, reader) in [
            ("PRAGMA synchronous", 2_i64, 2_i64),
            ("PRAGMA foreign_keys", 1, 1),
            ("PRAGMA recursive_triggers", 1, 1),
            ("PRAGMA query_only", 0, 1),
            ("PRAGMA busy_timeout", 5_000, 5_000),
        ] {
            for (pool, expected) in [(&store.writer, writer), (&store.reader, reader)] {
                let is: i64 = sqlx::query_scalar(pragma)
                    .fetch_one(pool)
                    .await
                    .expect("it answers");
                assert_eq!(is, expected, "{pragma}");
            }
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&store.writer)
            .await
            .expect("it answers");
        assert_eq!(mode, "wal");
    }
}
