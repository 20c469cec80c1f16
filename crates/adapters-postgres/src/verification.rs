//! The audit store at one moment, on connections of its own.
//!
//! The first connection holds the moment and exports it, each feed begins where it is. None of them
//! has the limits of a request: reading everything takes the time it takes. Nothing is written, and
//! no writer waits; only who would drop a table waits until the end.

mod events;
mod leaves;
mod numbers;
mod unborne;

use std::ops::RangeInclusive;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::Mutex;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Node};
use tranche_application::ports::verification::{
    ExpiredPart, Extent, Feed, Snapshot, StoredEvent, StoredLeaf, StoredRollUp, Stray, Unborne,
    Verifiable,
};
use uuid::Uuid;

use crate::PostgresStore;
use crate::errors::failed;

/// Two ranges of rows, each with its leaves, and the tree.
const FEEDS: u32 = 5;

/// Everything is read in the order of an index, a row at a time: a sort would go to the disk before
/// the first row comes, and compiling a statement costs more than it gains.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL tranche.scope = 'all'; SET LOCAL jit = off; SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off;
    SET LOCAL enable_bitmapscan = off; SET LOCAL max_parallel_workers_per_gather = 0";

const EXTENT: &str = "SELECT (SELECT coalesce(max(leaf_index) + 1, 0) FROM audit_leaves),
    (SELECT count(*) FROM audit_pending)";

const PARTED: &str = "SELECT event_id FROM audit_leaves, generate_series(1, $1 - 1) part
    WHERE leaf_index = part * $2 / $1 ORDER BY event_id";

/// The store at one moment.
struct PostgresSnapshot {
    /// Holds the moment; for what is short.
    holder: Mutex<PgConnection>,
    options: PgConnectOptions,
    /// Begins a transaction at that moment.
    begin: String,
}

impl PostgresSnapshot {
    /// A connection at that moment.
    async fn connection(&self) -> Result<PgConnection, StoreError> {
        let mut connection = PgConnection::connect_with(&self.options)
            .await
            .map_err(failed)?;
        sqlx::raw_sql(AssertSqlSafe(self.begin.as_str()))
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        Ok(connection)
    }
}

#[async_trait]
impl Verifiable for PostgresStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let mut holder = self.upkeep_connection().await?;
        sqlx::raw_sql(BEGIN)
            .execute(&mut holder)
            .await
            .map_err(failed)?;
        let moment: String = sqlx::query_scalar("SELECT pg_export_snapshot()")
            .fetch_one(&mut holder)
            .await
            .map_err(failed)?;
        Ok(Box::new(PostgresSnapshot {
            holder: Mutex::new(holder),
            options: self.upkeep.clone(),
            // First of all, before the transaction has looked at anything.
            begin: BEGIN.replacen(';', &format!("; SET TRANSACTION SNAPSHOT '{moment}';"), 1),
        }))
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    fn feeds(&self) -> u32 {
        FEEDS
    }

    async fn extent(&self) -> Result<Extent, StoreError> {
        let mut holder = self.holder.lock().await;
        let (leaves, waiting): (i64, i64) = sqlx::query_as(EXTENT)
            .fetch_one(&mut *holder)
            .await
            .map_err(failed)?;
        Ok(Extent {
            leaves: u64::try_from(leaves).unwrap_or_default(),
            waiting: u64::try_from(waiting).unwrap_or_default(),
        })
    }

    async fn parted(&self, ranges: u32) -> Result<Vec<Uuid>, StoreError> {
        let leaves = self.extent().await?.leaves;
        let mut holder = self.holder.lock().await;
        sqlx::query_scalar(PARTED)
            .bind(i64::from(ranges))
            .bind(i64::try_from(leaves).unwrap_or(i64::MAX))
            .fetch_all(&mut *holder)
            .await
            .map_err(failed)
    }

    async fn expired(&self) -> Result<Vec<ExpiredPart>, StoreError> {
        leaves::expired(&mut *self.holder.lock().await).await
    }

    async fn events(
        &self,
        ids: RangeInclusive<Uuid>,
        into: Feed<StoredEvent>,
    ) -> Result<(), StoreError> {
        events::feed(&mut self.connection().await?, ids, into).await
    }

    async fn leaves_by_event(
        &self,
        ids: RangeInclusive<Uuid>,
        into: Feed<StoredLeaf>,
    ) -> Result<(), StoreError> {
        leaves::by_event(&mut self.connection().await?, ids, into).await
    }

    async fn leaves(&self, into: Feed<StoredLeaf>) -> Result<(), StoreError> {
        leaves::by_index(&mut self.connection().await?, into).await
    }

    async fn roll_ups(&self, into: Feed<StoredRollUp>) -> Result<(), StoreError> {
        leaves::roll_ups(&mut self.connection().await?, into).await
    }

    async fn nodes(&self, level: u8, from: u64, limit: u32) -> Result<Vec<Node>, StoreError> {
        leaves::nodes(&mut *self.holder.lock().await, level, from, limit).await
    }

    async fn checkpoints(&self, from_size: u64, limit: u32) -> Result<Vec<Checkpoint>, StoreError> {
        leaves::checkpoints(&mut *self.holder.lock().await, from_size, limit).await
    }

    async fn unborne(&self, limit: u32) -> Result<Vec<Unborne>, StoreError> {
        unborne::of(&mut self.connection().await?, limit).await
    }

    async fn strays(&self, _limit: u32) -> Result<Vec<Stray>, StoreError> {
        // A key is a uuid here, whoever writes it.
        Ok(Vec::new())
    }
}

/// Feeds the rows of a statement.
macro_rules! feed {
    ($query:expr, $connection:expr, $into:expr, $read:expr) => {{
        let mut chunks = ::tranche_application::ports::verification::Chunks::new($into);
        let mut rows = $query.fetch($connection);
        while let Some(row) = ::futures::TryStreamExt::try_next(&mut rows)
            .await
            .map_err($crate::errors::failed)?
        {
            if !chunks.push($read(&row)?).await {
                return Ok(());
            }
        }
        chunks.flush().await;
        Ok(())
    }};
}
use feed;
