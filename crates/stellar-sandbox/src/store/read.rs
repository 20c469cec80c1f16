//! Reading the file: all of the state at the start, transactions afterwards.

use sqlx::{Row as _, Sqlite, Transaction};
use stellar_xdr::{LedgerEntry, Limits, ReadXdr};

use super::Store;
use crate::error::SandboxError;
use crate::keys::Network;
use crate::ledger::close::Tip;
use crate::ledger::state::State;
use crate::xdr::Digest32;

const COLUMNS: &str = "ledger, application_order, hash, inner_hash, succeeded, close_time, \
                       envelope, result, meta";

/// A transaction as the store keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) ledger: u32,
    pub(crate) order: u32,
    pub(crate) hash: Vec<u8>,
    pub(crate) is_bump: bool,
    pub(crate) succeeded: bool,
    pub(crate) close_time: u64,
    pub(crate) envelope: Vec<u8>,
    pub(crate) result: Vec<u8>,
    pub(crate) meta: Vec<u8>,
}

impl Store {
    /// The included transaction with this hash, its own or its inner one, up to a ledger.
    pub(crate) async fn transaction(
        &self,
        hash: &Digest32,
        through: u32,
    ) -> Result<Option<Row>, sqlx::Error> {
        for column in ["hash", "inner_hash"] {
            let sql = format!(
                "SELECT {COLUMNS} FROM transactions WHERE {column} = ? AND ledger <= ? \
                 ORDER BY ledger DESC LIMIT 1"
            );
            let found = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(hash.as_slice())
                .bind(i64::from(through))
                .fetch_optional(&self.readers)
                .await?;
            if let Some(row) = found {
                return read_row(&row).map(Some);
            }
        }
        Ok(None)
    }

    /// Included transactions after a place in the ledgers, in order, up to a ledger.
    pub(crate) async fn transactions_after(
        &self,
        (ledger, order): (u32, u32),
        through: u32,
        limit: u32,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM transactions \
             WHERE (ledger, application_order) > (?, ?) AND ledger <= ? \
             ORDER BY ledger, application_order LIMIT ?"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(i64::from(ledger))
            .bind(i64::from(order))
            .bind(i64::from(through))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(read_row)
            .collect()
    }
}

pub(super) async fn read_tip(
    work: &mut Transaction<'_, Sqlite>,
    network: &Network,
) -> Result<Option<(Tip, i64, u32)>, SandboxError> {
    let Some(row) = sqlx::query("SELECT * FROM tip")
        .fetch_optional(&mut **work)
        .await?
    else {
        return Ok(None);
    };
    let passphrase: String = row.try_get("passphrase")?;
    if passphrase != network.passphrase {
        return Err(SandboxError::OtherNetwork {
            found: passphrase,
            wanted: network.passphrase.clone(),
        });
    }
    let tip = Tip {
        ledger: row.try_get("ledger")?,
        close_time: row.try_get::<i64, _>("close_time")?.unsigned_abs(),
        hash: digest(&row, "hash")?,
        state_hash: digest(&row, "state_hash")?,
        fee_pool: row.try_get("fee_pool")?,
    };
    Ok(Some((
        tip,
        row.try_get("generation")?,
        row.try_get("leased_through")?,
    )))
}

pub(super) async fn read_state(work: &mut Transaction<'_, Sqlite>) -> Result<State, SandboxError> {
    let rows = sqlx::query("SELECT entry FROM entries")
        .fetch_all(&mut **work)
        .await?;
    let mut state = State::default();
    for row in rows {
        let bytes: Vec<u8> = row.try_get("entry")?;
        state.insert(LedgerEntry::from_xdr(bytes, Limits::none())?);
    }
    Ok(state)
}

pub(super) async fn read_close_times(
    work: &mut Transaction<'_, Sqlite>,
) -> Result<Vec<(u32, u64)>, SandboxError> {
    let rows = sqlx::query("SELECT ledger, close_time FROM ledgers ORDER BY ledger")
        .fetch_all(&mut **work)
        .await?;
    rows.iter()
        .map(|row| {
            let close_time: i64 = row.try_get("close_time")?;
            Ok((row.try_get("ledger")?, close_time.unsigned_abs()))
        })
        .collect()
}

fn read_row(row: &sqlx::sqlite::SqliteRow) -> Result<Row, sqlx::Error> {
    let inner_hash: Option<Vec<u8>> = row.try_get("inner_hash")?;
    Ok(Row {
        ledger: row.try_get("ledger")?,
        order: row.try_get("application_order")?,
        hash: row.try_get("hash")?,
        is_bump: inner_hash.is_some(),
        succeeded: row.try_get("succeeded")?,
        close_time: row.try_get::<i64, _>("close_time")?.unsigned_abs(),
        envelope: row.try_get("envelope")?,
        result: row.try_get("result")?,
        meta: row.try_get("meta")?,
    })
}

fn digest(row: &sqlx::sqlite::SqliteRow, column: &str) -> Result<Digest32, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    bytes
        .try_into()
        .map_err(|_| sqlx::Error::Decode("a digest has 32 bytes".into()))
}
