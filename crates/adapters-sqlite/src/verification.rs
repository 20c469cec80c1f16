//! The audit store at one moment, on connections of its own.
//!
//! SQLite cannot hand a moment from one connection to another. So the write lock is held while each
//! begins to read: nobody commits in between, and they all see the same. Then writers go on; what
//! they write waits in the journal until the snapshot is dropped.

mod events;
mod leaves;
mod unborne;

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::{ConnectOptions, SqliteConnection};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Node};
use tranche_application::ports::verification::{
    ExpiredPart, Extent, Feed, Snapshot, StoredEvent, StoredLeaf, StoredRollUp, Stray, Unborne,
    Verifiable,
};
use uuid::Uuid;

use crate::SqliteStore;
use crate::errors::{failed, unavailable};

/// One range of rows with its leaves, and the tree.
const FEEDS: u32 = 3;

const EXTENT: &str = "SELECT (SELECT coalesce(max(leaf_index) + 1, 0) FROM audit_leaves),
    (SELECT count(*) FROM audit_pending)";

/// The store at one moment.
struct SqliteSnapshot {
    /// For what is short.
    short: tokio::sync::Mutex<SqliteConnection>,
    /// For feeds; those that nobody uses.
    free: Mutex<Vec<SqliteConnection>>,
}

#[async_trait]
impl Verifiable for SqliteStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let options = self.reader.connect_options();
        let mut connections = Vec::new();
        for _ in 0..=FEEDS {
            connections.push(options.connect().await.map_err(failed)?);
        }
        let lock = self.transaction().await?;
        for connection in &mut connections {
            // A transaction begins with its first read.
            sqlx::raw_sql("BEGIN; SELECT count(*) FROM sqlite_schema")
                .execute(connection)
                .await
                .map_err(failed)?;
        }
        lock.rollback().await.map_err(failed)?;
        let short = connections
            .pop()
            .ok_or_else(|| unavailable("no connection"))?;
        Ok(Box::new(SqliteSnapshot {
            short: tokio::sync::Mutex::new(short),
            free: Mutex::new(connections),
        }))
    }
}

impl SqliteSnapshot {
    fn free(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<SqliteConnection, StoreError> {
        self.free()
            .pop()
            .ok_or_else(|| unavailable("more is read at once than there are connections"))
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn feeds(&self) -> u32 {
        FEEDS
    }

    async fn extent(&self) -> Result<Extent, StoreError> {
        let (leaves, waiting): (i64, i64) = sqlx::query_as(EXTENT)
            .fetch_one(&mut *self.short.lock().await)
            .await
            .map_err(failed)?;
        Ok(Extent {
            leaves: u64::try_from(leaves).unwrap_or_default(),
            waiting: u64::try_from(waiting).unwrap_or_default(),
        })
    }

    async fn parted(&self, _ranges: u32) -> Result<Vec<Uuid>, StoreError> {
        // One range: there are connections for no more.
        Ok(Vec::new())
    }

    async fn expired(&self) -> Result<Vec<ExpiredPart>, StoreError> {
        leaves::expired(&mut *self.short.lock().await).await
    }

    async fn events(
        &self,
        ids: RangeInclusive<Uuid>,
        into: Feed<StoredEvent>,
    ) -> Result<(), StoreError> {
        let mut connection = self.take()?;
        let fed = events::feed(&mut connection, ids, into).await;
        self.free().push(connection);
        fed
    }

    async fn leaves_by_event(
        &self,
        ids: RangeInclusive<Uuid>,
        into: Feed<StoredLeaf>,
    ) -> Result<(), StoreError> {
        let mut connection = self.take()?;
        let fed = leaves::by_event(&mut connection, ids, into).await;
        self.free().push(connection);
        fed
    }

    async fn leaves(&self, into: Feed<StoredLeaf>) -> Result<(), StoreError> {
        let mut connection = self.take()?;
        let fed = leaves::by_index(&mut connection, into).await;
        self.free().push(connection);
        fed
    }

    async fn roll_ups(&self, into: Feed<StoredRollUp>) -> Result<(), StoreError> {
        let mut connection = self.take()?;
        let fed = leaves::roll_ups(&mut connection, into).await;
        self.free().push(connection);
        fed
    }

    async fn nodes(&self, level: u8, from: u64, limit: u32) -> Result<Vec<Node>, StoreError> {
        leaves::nodes(&mut *self.short.lock().await, level, from, limit).await
    }

    async fn checkpoints(&self, from_size: u64, limit: u32) -> Result<Vec<Checkpoint>, StoreError> {
        leaves::checkpoints(&mut *self.short.lock().await, from_size, limit).await
    }

    async fn unborne(&self, limit: u32) -> Result<Vec<Unborne>, StoreError> {
        unborne::of(&mut *self.short.lock().await, limit).await
    }

    async fn strays(&self, limit: u32) -> Result<Vec<Stray>, StoreError> {
        events::strays(&mut *self.short.lock().await, limit).await
    }
}

/// Feeds the rows of a statement; what is `None` is passed over.
macro_rules! feed {
    ($query:expr, $connection:expr, $into:expr, $read:expr) => {{
        let mut chunks = ::tranche_application::ports::verification::Chunks::new($into);
        let mut rows = $query.fetch($connection);
        while let Some(row) = ::futures::TryStreamExt::try_next(&mut rows)
            .await
            .map_err($crate::errors::failed)?
        {
            if let Some(row) = $read(&row)?
                && !chunks.push(row).await
            {
                return Ok(());
            }
        }
        chunks.flush().await;
        Ok(())
    }};
}
use feed;

/// An id as the application writes it. In any other form it has no place in the order of ids.
fn id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}
