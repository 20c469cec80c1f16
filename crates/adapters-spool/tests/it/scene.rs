//! A queue in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tranche_adapters_spool::{Limits, Settings, SpoolQueue};

/// A folder that goes with the test, and a file in it that is not there yet.
pub struct Scene {
    pub folder: TempDir,
    pub file: PathBuf,
}

impl Scene {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("new").join("queue.db");
        Self { folder, file }
    }

    pub async fn open(&self, settings: Settings) -> SpoolQueue {
        open(&self.file, settings).await
    }

    /// The file as a crash would leave it now, in another place.
    pub fn image(&self) -> Self {
        let image = Self::new();
        fs::create_dir_all(image.file.parent().expect("a folder")).expect("a folder");
        fs::copy(&self.file, &image.file).expect("the database is there");
        if let Ok(log) = fs::read(log_of(&self.file)) {
            fs::write(log_of(&image.file), log).expect("a copy");
        }
        image
    }
}

pub async fn open(file: &Path, settings: Settings) -> SpoolQueue {
    let opened = SpoolQueue::open(file, settings).await;
    opened.expect("the queue opens")
}

/// The log beside the database.
pub fn log_of(file: &Path) -> PathBuf {
    file.with_extension("db-wal")
}

/// So many events at most.
pub fn events(events: u64) -> Settings {
    Settings {
        limits: Limits {
            events: Some(events),
            bytes: None,
        },
        ..Settings::default()
    }
}

/// So many bytes at most.
pub fn bytes(bytes: u64) -> Settings {
    Settings {
        limits: Limits {
            events: None,
            bytes: Some(bytes),
        },
        ..Settings::default()
    }
}

/// A queue that keeps nothing in memory: everything is read back from the file.
pub fn forgetful() -> Settings {
    Settings {
        memory: 0,
        ..Settings::default()
    }
}

/// One SQL statement, past the queue.
pub async fn execute(file: &Path, sql: &'static str) {
    use sqlx::{Connection, SqliteConnection};
    let url = file.to_str().expect("a plain path");
    let mut connection = SqliteConnection::connect(url).await.expect("it opens");
    let done = sqlx::query(sql).execute(&mut connection).await;
    assert_eq!(done.expect("it is done").rows_affected(), 1, "{sql}");
    connection.close().await.expect("it closes");
}

/// Event number `n` with a note of so many letters.
pub fn large(n: u64, letters: usize) -> Arc<tranche_application::audit::record::EventRecord> {
    let mut event = (*tranche_tests::queue_contract::event(n)).clone();
    event.details = serde_json::json!({ "note": "n".repeat(letters) });
    Arc::new(event)
}
