//! The SQLite file: what is in it and how it is spoken to.
//!
//! One connection writes. A commit is on the disk when it returns (`synchronous = FULL`), and
//! whatever reads sees what is committed (WAL). Pages that come free are used again; the file
//! becomes small when it is empty.

use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Error, FromRow, SqliteExecutor};

use crate::errors::is_damage;
use crate::frame::{Content, Draft};
use crate::state::{Amount, Census, Frame};

/// "TrQu": what the file says it is.
const APPLICATION: i64 = 0x5472_5175;
/// The form of what is in it.
const VERSION: i64 = 1;
/// How long a write waits for a reader that is in its way.
const PATIENCE: Duration = Duration::from_secs(2);
/// The log goes into the database when it has so many pages of 4 KiB.
const LOG_PAGES: &str = "4000";
/// What a log keeps of its size afterwards, in bytes.
const LOG_BYTES: &str = "16777216";

/// Headers first, so that they are read without the payload.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS frames (
    sequence INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    pushed_at INTEGER NOT NULL, -- microseconds since 1970
    checksum INTEGER NOT NULL,  -- CRC-32 of the payload
    payload BLOB NOT NULL
) STRICT";

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(PATIENCE)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging()
}

/// How readers open it.
pub(crate) fn reading(file: &Path) -> SqliteConnectOptions {
    options(file).pragma("query_only", "ON")
}

/// Opens the file for writing and makes what is missing in it; `None` when it is something else.
pub(crate) async fn open(file: &Path) -> Result<Option<SqliteConnection>, Error> {
    let plain = options(file).pragma("temp_store", "MEMORY");
    let mut connection = plain.clone().connect().await?;
    let (application, version) = identity(&mut connection).await?;
    let objects: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut connection)
        .await?;
    let is_new = (application, version, objects) == (0, 0, 0);
    connection.close().await?;
    if !is_new && (application, version) != (APPLICATION, VERSION) {
        return Ok(None);
    }
    let writing = plain
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", LOG_PAGES)
        .pragma("journal_size_limit", LOG_BYTES)
        .pragma("application_id", APPLICATION.to_string())
        .pragma("user_version", VERSION.to_string());
    let mut connection = writing.connect().await?;
    sqlx::query(SCHEMA).execute(&mut connection).await?;
    Ok(Some(connection))
}

/// What the file says it is.
pub(crate) async fn identity(connection: &mut SqliteConnection) -> Result<(i64, i64), Error> {
    let application = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let version = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(connection)
        .await?;
    Ok((application, version))
}

/// Whether that is a queue of this form.
pub(crate) fn is_queue(identity: (i64, i64)) -> bool {
    identity == (APPLICATION, VERSION)
}

/// Adds a frame.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    frame: Frame,
    payload: Vec<u8>,
) -> Result<(), Error> {
    let checksum = crc32fast::hash(&payload);
    sqlx::query("INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)")
        .bind(frame.sequence)
        .bind(to_column(frame.amount.events))
        .bind(to_column(frame.amount.bytes))
        .bind(frame.pushed_at.timestamp_micros())
        .bind(checksum)
        .bind(payload)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes the frames that are there of these, which ascend.
pub(crate) async fn delete(
    connection: &mut SqliteConnection,
    sequences: &[i64],
) -> Result<(), Error> {
    for run in sequences.chunk_by(|one, next| one + 1 == *next) {
        sqlx::query("DELETE FROM frames WHERE sequence BETWEEN ? AND ?")
            .bind(run.first())
            .bind(run.last())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// How much there is.
pub(crate) async fn census(connection: &mut SqliteConnection) -> Result<Census, Error> {
    let (events, bytes, last): (i64, i64, i64) = sqlx::query_as(
        "SELECT coalesce(sum(max(events, 0)), 0), coalesce(sum(max(bytes, 0)), 0),
            coalesce(max(sequence), 0) FROM frames",
    )
    .fetch_one(connection)
    .await?;
    let amount = amount(events, bytes);
    Ok(Census { amount, last })
}

/// The sequence numbers up to this one, ascending.
pub(crate) async fn sequences(
    connection: &mut SqliteConnection,
    to: i64,
) -> Result<Vec<i64>, Error> {
    sqlx::query_scalar("SELECT sequence FROM frames WHERE sequence <= ? ORDER BY sequence")
        .bind(to)
        .fetch_all(connection)
        .await
}

#[derive(FromRow)]
struct Header {
    sequence: i64,
    events: i64,
    bytes: i64,
    pushed_at: i64,
}

impl From<Header> for Frame {
    fn from(header: Header) -> Self {
        Self {
            sequence: header.sequence,
            amount: amount(header.events, header.bytes),
            pushed_at: DateTime::from_timestamp_micros(header.pushed_at).unwrap_or_default(),
        }
    }
}

/// The first frames after this one, without their payloads.
pub(crate) async fn after(
    executor: impl SqliteExecutor<'_>,
    sequence: i64,
    limit: u32,
) -> Result<Vec<Frame>, Error> {
    let headers: Vec<Header> = sqlx::query_as(
        "SELECT sequence, events, bytes, pushed_at FROM frames
         WHERE sequence > ? ORDER BY sequence LIMIT ?",
    )
    .bind(sequence)
    .bind(limit)
    .fetch_all(executor)
    .await?;
    Ok(headers.into_iter().map(Frame::from).collect())
}

/// What is in a frame; nothing when it is gone.
pub(crate) async fn content(
    executor: impl SqliteExecutor<'_>,
    sequence: i64,
    events: u64,
) -> Result<Content, Error> {
    let row = sqlx::query_as("SELECT checksum, payload FROM frames WHERE sequence = ?")
        .bind(sequence)
        .fetch_optional(executor)
        .await;
    let row: Option<(i64, Vec<u8>)> = match row {
        Ok(row) => row,
        Err(error) if is_damage(&error) => {
            let mut content = Content::default();
            content.lost(format!("frame {sequence} cannot be read: {error}"));
            return Ok(content);
        }
        Err(error) => return Err(error),
    };
    let read = |(checksum, payload): (i64, Vec<u8>)| {
        // No CRC-32 is negative.
        let checksum = u32::try_from(checksum).unwrap_or(u32::MAX);
        Content::read(&payload, events, checksum)
    };
    Ok(row.map(read).unwrap_or_default())
}

/// The frame that a draft becomes.
pub(crate) fn frame(sequence: i64, draft: &Draft) -> Frame {
    Frame {
        sequence,
        amount: Amount {
            events: draft.events.len() as u64,
            bytes: draft.payload.len() as u64,
        },
        pushed_at: draft.pushed_at,
    }
}

fn amount(events: i64, bytes: i64) -> Amount {
    Amount {
        events: u64::try_from(events).unwrap_or_default(),
        bytes: u64::try_from(bytes).unwrap_or_default(),
    }
}

fn to_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
