//! The ledger on disk: one `SQLite` file, one transaction for each ledger that has content.
//!
//! What it promises: a ledger that was answered for survives SIGKILL and power loss (WAL,
//! `synchronous=FULL`), and ledger numbers never go backwards. Empty ledgers are not written.
//! Instead the store leases [`LEASE`] numbers ahead: after a crash the ledger goes on behind the
//! lease, after an orderly stop exactly where it was.
//!
//! Two sandboxes cannot write one file: opening raises a generation, and a writer that finds
//! another generation than its own stops.

mod read;
mod write;

use std::path::Path;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub(crate) use self::read::Row;
use self::read::{read_close_times, read_state, read_tip};
use self::write::{found, note_ledger, whole, write_delta, write_included};
use crate::error::SandboxError;
use crate::keys::Network;
use crate::ledger::close::{Closing, Tip};
use crate::ledger::genesis::GENESIS_LEDGER;
use crate::ledger::state::State;

/// Ledger numbers leased ahead.
pub(crate) const LEASE: u32 = 256;
/// Ledgers transactions are kept for.
pub(crate) const RETENTION_LEDGERS: u32 = 120_960;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tip (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    passphrase TEXT NOT NULL,
    generation INTEGER NOT NULL,
    ledger INTEGER NOT NULL,
    close_time INTEGER NOT NULL,
    hash BLOB NOT NULL,
    state_hash BLOB NOT NULL,
    fee_pool INTEGER NOT NULL,
    leased_through INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledgers (
    ledger INTEGER PRIMARY KEY,
    close_time INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS transactions (
    ledger INTEGER NOT NULL,
    application_order INTEGER NOT NULL,
    hash BLOB NOT NULL,
    inner_hash BLOB,
    succeeded INTEGER NOT NULL,
    close_time INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    result BLOB NOT NULL,
    meta BLOB NOT NULL,
    PRIMARY KEY (ledger, application_order)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS transactions_by_hash ON transactions (hash);
CREATE INDEX IF NOT EXISTS transactions_by_inner_hash
    ON transactions (inner_hash) WHERE inner_hash IS NOT NULL;
";

/// What a store holds when it is opened.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) state: State,
    pub(crate) tip: Tip,
    /// Close times of ledgers that were written, oldest first.
    pub(crate) close_times: Vec<(u32, u64)>,
}

pub(crate) struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    generation: i64,
}

impl Store {
    /// Opens the file, makes the genesis ledger in a new one, and takes the writing over.
    pub(crate) async fn open(
        folder: &Path,
        network: &Network,
        now: u64,
    ) -> Result<Opened, SandboxError> {
        let options = SqliteConnectOptions::new()
            .filename(folder.join("sandbox.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(10));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        sqlx::raw_sql(SCHEMA).execute(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;

        let mut work = writer.begin_with("BEGIN IMMEDIATE").await?;
        let (tip, generation) = match read_tip(&mut work, network).await? {
            Some((mut tip, generation, leased_through)) => {
                if leased_through > tip.ledger {
                    tip.ledger = leased_through;
                    tip.close_time = tip.close_time.max(now);
                }
                (tip, generation.saturating_add(1))
            }
            None => (found(&mut work, network, now).await?, 1),
        };
        sqlx::query(
            "UPDATE tip SET generation = ?, leased_through = ?, ledger = ?, close_time = ?",
        )
        .bind(generation)
        .bind(i64::from(tip.ledger.saturating_add(LEASE)))
        .bind(i64::from(tip.ledger))
        .bind(whole(tip.close_time))
        .execute(&mut *work)
        .await?;
        note_ledger(&mut work, &tip).await?;
        let state = read_state(&mut work).await?;
        let close_times = read_close_times(&mut work).await?;
        work.commit().await?;
        let store = Self {
            writer,
            readers,
            generation,
        };
        Ok(Opened {
            store,
            state,
            tip,
            close_times,
        })
    }

    /// Writes a ledger that has content.
    pub(crate) async fn write(
        &self,
        closing: &Closing,
        leased_through: u32,
    ) -> Result<(), SandboxError> {
        let mut work = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.write_tip(&mut work, &closing.tip, leased_through)
            .await?;
        write_delta(&mut work, &closing.delta).await?;
        for included in &closing.included {
            write_included(&mut work, &closing.tip, included).await?;
        }
        work.commit().await?;
        Ok(())
    }

    /// Writes only how far the ledger has come, and forgets what is past retention.
    pub(crate) async fn lease(&self, tip: &Tip, leased_through: u32) -> Result<(), SandboxError> {
        let mut work = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.write_tip(&mut work, tip, leased_through).await?;
        let oldest = i64::from(oldest_kept(tip.ledger));
        sqlx::query("DELETE FROM transactions WHERE ledger < ?")
            .bind(oldest)
            .execute(&mut *work)
            .await?;
        sqlx::query(
            "DELETE FROM ledgers WHERE ledger < (SELECT MAX(ledger) FROM ledgers WHERE ledger <= ?)",
        )
        .bind(oldest)
        .execute(&mut *work)
        .await?;
        work.commit().await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The oldest ledger whose transactions are kept.
pub(crate) fn oldest_kept(latest: u32) -> u32 {
    latest
        .saturating_sub(RETENTION_LEDGERS)
        .saturating_add(1)
        .max(GENESIS_LEDGER)
}
