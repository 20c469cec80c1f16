//! What is SQLite's own: the file, its lock, the processes that share it, and what triggers alone refuse.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;
use tranche_adapters_sqlite::{Settings, SqliteStore};
use tranche_application::ports::queries::Queries;
use tranche_application::ports::store::{Store, StoreError};
use tranche_application::ports::subject_keys::SubjectKey;
use uuid::Uuid;

const SOON: Settings = Settings {
    busy_timeout: Duration::from_millis(200),
    acquire_timeout: Duration::from_secs(1),
    readers: 2,
};

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("new").join("tranche.db");
    (folder, file)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

async fn open(file: &Path) -> SqliteStore {
    let store = SqliteStore::open_with(text(file), SOON).await;
    store.expect("the store opens")
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Seeds and hashes are in it: nobody else reads the file, its journal, or its folder.
#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, file) = place();
    let store = open(&file).await;
    store.migrate().await.expect("the schema is made");
    for (path, mode) in [
        (file.clone(), 0o600),
        (file.with_extension("db-wal"), 0o600),
        (file.with_extension("db-shm"), 0o600),
        (file.with_file_name(""), 0o700),
    ] {
        let metadata = std::fs::metadata(&path).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path:?}");
    }
}

/// A URL as the settings write it names the same file as a path.
#[tokio::test]
async fn a_url_is_a_path() {
    let (_folder, file) = place();
    for url in [
        format!("sqlite://{}", text(&file)),
        format!("sqlite:{}", text(&file)),
        text(&file).to_owned(),
    ] {
        let store = SqliteStore::open(&url).await.expect("it opens");
        store.migrate().await.expect("the schema stands");
        store.ready().await.expect("it is ready");
    }
    for memory in ["sqlite::memory:", ":memory:", "sqlite://x?mode=memory"] {
        let refused = SqliteStore::open(memory).await;
        assert!(is_unavailable(&refused), "{memory}");
    }
    let nowhere = SqliteStore::open("/proc/nowhere/tranche.db").await;
    assert!(is_unavailable(&nowhere), "{nowhere:?}");
}

/// Processes that start together make the schema once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_schema_is_made_once() {
    let (_folder, file) = place();
    let first = SqliteStore::open(text(&file)).await.expect("it opens");
    assert!(
        is_unavailable(&first.ready().await),
        "not before it is made"
    );
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let file = file.clone();
            tokio::spawn(async move {
                let store = SqliteStore::open(text(&file)).await.expect("it opens");
                store.migrate().await.expect("the schema is made");
                store.ready().await.expect("it is ready");
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it starts");
    }
    first.ready().await.expect("it is ready");

    let past = SqlitePoolOptions::new()
        .connect_with(SqliteConnectOptions::new().filename(&file))
        .await
        .expect("it opens");
    for altered in [
        "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
    ] {
        sqlx::raw_sql(AssertSqlSafe(altered.to_owned()))
            .execute(&past)
            .await
            .expect("it is altered");
        assert!(is_unavailable(&first.ready().await), "{altered}");
    }
    assert!(is_unavailable(&first.migrate().await), "another schema");
}

/// Whoever else is opening a new file at the same moment: everybody gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_is_opened_by_many_at_once() {
    for _ in 0..20 {
        let (_folder, file) = place();
        let opening = (0..8).map(|_| {
            let file = file.clone();
            tokio::spawn(async move { SqliteStore::open(text(&file)).await.map(drop) })
        });
        for opened in opening.collect::<Vec<_>>() {
            opened.await.expect("it ends").expect("it opens");
        }
    }
}

/// A unit of work waits for the one before it in this process so long, and no longer.
#[tokio::test]
async fn a_unit_of_work_does_not_wait_for_ever() {
    let (_folder, file) = place();
    let store = open(&file).await;
    store.migrate().await.expect("the schema is made");
    let held = store.begin().await.expect("it begins");
    let begun = Instant::now();
    assert!(is_unavailable(&store.begin().await), "one writes");
    assert!(begun.elapsed() >= SOON.acquire_timeout);
    store.ready().await.expect("reads go on");
    drop(held);
    store
        .begin()
        .await
        .expect("the next is free")
        .commit()
        .await
        .expect("it is empty");
}

/// Another process's write lock is waited for so long, and no longer; reads go on.
#[tokio::test]
async fn a_locked_file_is_unavailable() {
    let (_folder, file) = place();
    let store = open(&file).await;
    store.migrate().await.expect("the schema is made");
    let other = open(&file).await;
    let held = other.begin().await.expect("it begins");
    let begun = Instant::now();
    assert!(is_unavailable(&store.begin().await), "the file is locked");
    assert!(begun.elapsed() >= SOON.busy_timeout);
    store.ready().await.expect("reads go on");
    drop(held);
    // Dropped, it rolls back on a thread of its own: the busy timeout covers that.
    store.begin().await.expect("the file is free");
}

/// A closed store says so.
#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let (_folder, file) = place();
    let store = open(&file).await;
    store.migrate().await.expect("the schema is made");
    store.close().await;
    assert!(is_unavailable(&store.begin().await));
    assert!(is_unavailable(&store.ready().await));
}

/// A migrated store, and a way past it.
async fn beside(file: &Path) -> (SqliteStore, sqlx::SqlitePool) {
    let store = open(file).await;
    store.migrate().await.expect("the schema is made");
    let options = SqliteConnectOptions::new().filename(file);
    let past = SqlitePoolOptions::new().connect_with(options).await;
    (store, past.expect("it opens"))
}

/// Whoever lets events go past the application says so too early, or of what is held: both are refused,
/// by the earlier of two clocks.
#[tokio::test]
async fn only_what_is_old_and_free_is_said_to_have_expired() {
    let (_folder, file) = place();
    let (_store, past) = beside(&file).await;
    let say = async |id: &str, severity: &str, month: &str, at: &str| {
        let sql = format!(
            "INSERT INTO audit_expired (id, severity, month, first_id, last_id, events, first_leaf, \
             last_leaf, keep_days, expired_at, run_id) \
             VALUES ('{id}', '{severity}', '{month}', 'a', 'b', 1, 0, 0, 30, {at}, 'run')"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&past).await
    };
    // In 2020, in 2026 and in 3000.
    let (early, late, far) = ("1577900000000000", "1770000000000000", "32503700000000000");
    for (month, at) in [("2020-01", early), ("2999-01", far), ("no month", late)] {
        let refused = say("1", "info", month, at).await.expect_err(month);
        assert!(refused.to_string().contains("not over"), "{refused}");
    }
    let hold = "INSERT INTO audit_holds (id, severity, reason, placed_by, placed_at) \
        VALUES ('h', 'info', 'a lawsuit', 'ada', 0)";
    sqlx::query(hold)
        .execute(&past)
        .await
        .expect("it is placed");
    let refused = say("1", "info", "2020-01", late).await.expect_err("held");
    assert!(refused.to_string().contains("a hold is on"), "{refused}");
    let other = say("1", "warning", "2020-01", late).await;
    other.expect("nobody holds warnings");
    let lift = "UPDATE audit_holds SET lifted_by = 'ada', lifted_at = 1, lift_reason = 'over'";
    sqlx::query(lift)
        .execute(&past)
        .await
        .expect("it is lifted");
    let free = say("2", "info", "2020-01", late).await;
    free.expect("nobody holds it any more");
}

/// What a key was sealed as is overwritten where it lay.
#[tokio::test]
async fn an_erased_key_is_not_in_the_file() {
    let (_folder, file) = place();
    let (store, past) = beside(&file).await;
    let sealed: Vec<u8> = (100..180).collect();
    let is_there = async || {
        let log = "PRAGMA wal_checkpoint(TRUNCATE)";
        sqlx::query(log).execute(&past).await.expect("one file");
        let bytes = std::fs::read(&file).expect("the file");
        bytes
            .windows(40)
            .any(|some| sealed.windows(40).any(|part| part == some))
    };
    let at = chrono::DateTime::UNIX_EPOCH;
    let key = |number: u8| SubjectKey {
        id: Uuid::from_u128(number.into()),
        subject: [number; 32],
        key_id: "key-1".to_owned(),
        sealed: sealed.clone(),
        created_at: at,
    };
    let mut work = store.begin().await.expect("it begins");
    let kept = work.credentials().keep_subject_keys(&[key(1)]).await;
    kept.expect("it is kept");
    work.commit().await.expect("it is committed");
    assert!(is_there().await, "the control");
    let mut work = store.begin().await.expect("it begins");
    let erased = work.credentials().erase_subject_key(&[1; 32], at, "ada");
    assert_eq!(
        erased.await.expect("it is erased"),
        Some(Uuid::from_u128(1))
    );
    work.commit().await.expect("it is committed");
    assert!(!is_there().await);
}
