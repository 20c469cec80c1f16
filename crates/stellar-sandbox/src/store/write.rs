//! Writing the file: genesis, the tip, changed entries, included transactions.

use sqlx::{Sqlite, Transaction};
use stellar_xdr::{LedgerKey, Limits, WriteXdr};

use super::Store;
use crate::error::SandboxError;
use crate::keys::Network;
use crate::ledger::close::{Included, Tip};
use crate::ledger::genesis::genesis;
use crate::ledger::results;
use crate::ledger::state::Delta;
use crate::xdr;

impl Store {
    /// Moves the tip, if this sandbox is still the one that writes.
    pub(super) async fn write_tip(
        &self,
        work: &mut Transaction<'_, Sqlite>,
        tip: &Tip,
        leased_through: u32,
    ) -> Result<(), SandboxError> {
        let done = sqlx::query(
            "UPDATE tip SET ledger = ?, close_time = ?, hash = ?, state_hash = ?, fee_pool = ?, \
             leased_through = ? WHERE generation = ?",
        )
        .bind(i64::from(tip.ledger))
        .bind(whole(tip.close_time))
        .bind(tip.hash.as_slice())
        .bind(tip.state_hash.as_slice())
        .bind(tip.fee_pool)
        .bind(i64::from(leased_through))
        .bind(self.generation)
        .execute(&mut **work)
        .await?;
        if done.rows_affected() != 1 {
            return Err(SandboxError::TakenOver);
        }
        note_ledger(work, tip).await
    }
}

pub(super) async fn found(
    work: &mut Transaction<'_, Sqlite>,
    network: &Network,
    now: u64,
) -> Result<Tip, SandboxError> {
    let (state, tip) = genesis(network, now);
    sqlx::query(
        "INSERT INTO tip (id, passphrase, generation, ledger, close_time, hash, state_hash, \
         fee_pool, leased_through) VALUES (1, ?, 0, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&network.passphrase)
    .bind(i64::from(tip.ledger))
    .bind(whole(tip.close_time))
    .bind(tip.hash.as_slice())
    .bind(tip.state_hash.as_slice())
    .bind(tip.fee_pool)
    .bind(i64::from(tip.ledger))
    .execute(&mut **work)
    .await?;
    write_delta(work, &state.as_delta()).await?;
    Ok(tip)
}

pub(super) async fn note_ledger(
    work: &mut Transaction<'_, Sqlite>,
    tip: &Tip,
) -> Result<(), SandboxError> {
    sqlx::query("INSERT OR REPLACE INTO ledgers (ledger, close_time) VALUES (?, ?)")
        .bind(i64::from(tip.ledger))
        .bind(whole(tip.close_time))
        .execute(&mut **work)
        .await?;
    Ok(())
}

pub(super) async fn write_delta(
    work: &mut Transaction<'_, Sqlite>,
    delta: &Delta,
) -> Result<(), SandboxError> {
    for (key, entry) in delta {
        let key = encode_key(key)?;
        match entry {
            Some(entry) => sqlx::query("INSERT OR REPLACE INTO entries (key, entry) VALUES (?, ?)")
                .bind(key)
                .bind(xdr::encode(entry)?),
            None => sqlx::query("DELETE FROM entries WHERE key = ?").bind(key),
        }
        .execute(&mut **work)
        .await?;
    }
    Ok(())
}

pub(super) async fn write_included(
    work: &mut Transaction<'_, Sqlite>,
    tip: &Tip,
    included: &Included,
) -> Result<(), SandboxError> {
    let frame = &included.frame;
    let inner_hash = frame.bump.as_ref().map(|_| frame.inner_hash.to_vec());
    sqlx::query(
        "INSERT INTO transactions (ledger, application_order, hash, inner_hash, succeeded, \
         close_time, envelope, result, meta) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(i64::from(tip.ledger))
    .bind(i64::from(included.order))
    .bind(frame.hash.as_slice())
    .bind(inner_hash)
    .bind(results::succeeded(&included.result))
    .bind(whole(tip.close_time))
    .bind(xdr::encode(&frame.envelope)?)
    .bind(xdr::encode(&included.result)?)
    .bind(xdr::encode(&included.meta)?)
    .execute(&mut **work)
    .await?;
    Ok(())
}

fn encode_key(key: &LedgerKey) -> Result<Vec<u8>, stellar_xdr::Error> {
    key.to_xdr(Limits::none())
}

/// The file's integers are signed; close times fit for the next 292 thousand million years.
pub(super) fn whole(close_time: u64) -> i64 {
    i64::try_from(close_time).unwrap_or(i64::MAX)
}
