//! The turn of changing parts: a lock on a file beside the database, which ends with its process.

use std::fs::{File, TryLockError};

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tranche_application::ports::retention::{
    Expiry, LeafRecord, Leaves, Leaving, Part, Run, Step, Term, Turn,
};
use tranche_application::ports::store::{Conflict, StoreError};
use uuid::Uuid;

use super::rows::LeavingRow;
use super::{Ids, held_by, holds};
use crate::SqliteStore;
use crate::errors::{failed, not_committed, unavailable};
use crate::rows::micros;

/// How many rows move in one transaction: others wait for it.
const BATCH: i64 = 500;

macro_rules! columns {
    () => {
        "id, milestone_id, project_id, occurred_at, recorded_at, severity, action, actor_id, \
         actor_role, resource_type, resource_id, previous_status, new_status, changes, metadata, \
         details, ip_address, user_agent, request_id, salt"
    };
}

const IS_OLD: &str = "SELECT ?1 <= min(?2, unixepoch() * 1000000)";
/// Only what has its place in the tree.
const COPY: &str = concat!(
    "INSERT INTO audit_archive (",
    columns!(),
    ") SELECT ",
    columns!(),
    " FROM audit_events WHERE severity = ?1 AND id >= ?2 AND id < ?3 \
     AND EXISTS (SELECT 1 FROM audit_leaves l WHERE l.event_id = audit_events.id) \
     ORDER BY id LIMIT ?4"
);
const TAKE: &str = "DELETE FROM audit_events WHERE severity = ?1 AND id >= ?2 AND id < ?3 \
    AND id IN (SELECT id FROM audit_archive WHERE id >= ?2 AND id < ?3)";
const LEFT: &str = "SELECT EXISTS (SELECT 1 FROM audit_events \
    WHERE severity = ?1 AND id >= ?2 AND id < ?3)";
const EVENTS: &str = concat!(
    "SELECT ",
    columns!(),
    ", leaf_index, leaf FROM audit_archive LEFT JOIN audit_leaves ON event_id = id \
     WHERE severity = ?1 AND id > ?2 AND id >= ?3 AND id < ?4 ORDER BY id LIMIT ?5"
);
const LEAVES_OF: &str = "SELECT count(*), min(leaf_index), max(leaf_index) \
    FROM audit_archive JOIN audit_leaves ON event_id = id \
    WHERE severity = ?1 AND id >= ?2 AND id < ?3";
const KEEP: &str = "INSERT INTO audit_leaf_records (leaf_index, record) \
    SELECT l.leaf_index, ?2 FROM audit_leaves l WHERE l.leaf_index = ?1 AND l.event_id = ?3 \
    AND NOT EXISTS (SELECT 1 FROM audit_leaf_records r WHERE r.leaf_index = ?1)";

/// The next rows of a part, oldest first: their ids and, where it is kept, the place of their leaf.
macro_rules! next {
    () => {
        "next AS (SELECT a.*, r.leaf_index FROM audit_archive a \
         LEFT JOIN audit_leaves l ON l.event_id = a.id \
         LEFT JOIN audit_leaf_records r ON r.leaf_index = l.leaf_index \
         WHERE a.severity = ?1 AND a.id >= ?2 AND a.id < ?3 ORDER BY a.id LIMIT ?4)"
    };
}
const PIECE: &str = concat!(
    "WITH ",
    next!(),
    " SELECT count(*), count(leaf_index), min(id), max(id), min(leaf_index), max(leaf_index) \
     FROM next"
);
const UNCOUNT: &str = concat!(
    "WITH ",
    next!(),
    ", buckets (bucket, length) AS (VALUES ('hour', 3600000000), ('day', 86400000000)) \
     INSERT INTO audit_rollups_expired \
     (expired_id, bucket, starts_at, severity, action, resource_type, events) \
     SELECT ?5, bucket, occurred_at - (occurred_at % length + length) % length AS starts_at, \
         severity, action, resource_type, count(*) \
     FROM next CROSS JOIN buckets GROUP BY 1, 2, 3, 4, 5, 6"
);
const REMEMBER: &str = "INSERT INTO audit_expired (id, severity, month, first_id, last_id, events, \
    first_leaf, last_leaf, keep_days, expired_at, run_id, archive_file, archive_sha256) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const FORGET: &str = "DELETE FROM audit_archive WHERE severity = ?1 AND id >= ?2 AND id <= ?3";

pub(super) async fn take(store: &SqliteStore) -> Result<Option<Box<dyn Turn>>, StoreError> {
    let options = store.writer.connect_options();
    let mut path = options.get_filename().as_os_str().to_owned();
    path.push("-retention");
    let mut file = tokio::fs::OpenOptions::new();
    file.write(true).create(true).truncate(false);
    #[cfg(unix)]
    file.mode(0o600);
    let locked = |error: std::io::Error| unavailable(format!("the turn's file: {error}"));
    let file = file.open(path).await.map_err(locked)?.into_std().await;
    match file.try_lock() {
        Ok(()) => Ok(Some(Box::new(SqliteTurn {
            store: store.clone(),
            kept_to: None,
            _lock: file,
        }))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(locked(error)),
    }
}

struct SqliteTurn {
    store: SqliteStore,
    /// How far the leaf records of a part are kept, as far as this turn knows.
    kept_to: Option<(String, Uuid)>,
    _lock: File,
}

/// What leaves in one transaction.
type Piece = (
    i64,
    i64,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
);

impl SqliteTurn {
    async fn page(
        &self,
        part: &Part,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Leaving>, StoreError> {
        let ids = Ids::of(part.month);
        let rows: Vec<LeavingRow> = sqlx::query_as(EVENTS)
            .bind(part.severity.as_str())
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(ids.first)
            .bind(ids.end)
            .bind(limit)
            .fetch_all(&self.store.reader)
            .await
            .map_err(failed)?;
        rows.into_iter().map(Leaving::try_from).collect()
    }
}

/// Refuses a month that is not over for so many days.
async fn check_age(
    connection: &mut SqliteConnection,
    part: &Part,
    term: Term,
) -> Result<(), StoreError> {
    let days = i64::from(term.days.max(1));
    let over = micros(part.month.ends_at()) + days * 86_400_000_000;
    let is_old: bool = sqlx::query_scalar(IS_OLD)
        .bind(over)
        .bind(micros(term.as_of))
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    if is_old {
        return Ok(());
    }
    let why = format!("the month of {} is not over for {days} days", part.name);
    Err(StoreError::Inconsistent(why))
}

async fn piece(connection: &mut SqliteConnection, part: &Part) -> Result<Piece, StoreError> {
    let ids = Ids::of(part.month);
    sqlx::query_as(PIECE)
        .bind(part.severity.as_str())
        .bind(ids.first)
        .bind(ids.end)
        .bind(BATCH)
        .fetch_one(connection)
        .await
        .map_err(failed)
}

fn step(events: i64) -> Step {
    let count = u64::try_from(events).unwrap_or_default();
    if events == BATCH {
        Step::More(count)
    } else {
        Step::Done(count)
    }
}

#[async_trait]
impl Turn for SqliteTurn {
    async fn begin(&mut self, run: &Run) -> Result<(), StoreError> {
        let begun = sqlx::query(
            "INSERT INTO audit_retention_runs (id, due_at, started_at, started_by) \
             SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM audit_retention_runs \
                 WHERE due_at = ?2 AND ended_at IS NOT NULL)",
        )
        .bind(run.id.to_string())
        .bind(run.due_at.map(micros))
        .bind(micros(run.started_at))
        .bind(&run.by)
        .execute(&self.store.writer)
        .await
        .map_err(failed)?;
        match begun.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::Conflict(Conflict::Stale)),
        }
    }

    async fn archive(&mut self, part: &Part, term: Term) -> Result<Step, StoreError> {
        let ids = Ids::of(part.month);
        let mut transaction = self.store.transaction().await?;
        check_age(&mut transaction, part, term).await?;
        let copied = sqlx::query(COPY)
            .bind(part.severity.as_str())
            .bind(&ids.first)
            .bind(&ids.end)
            .bind(BATCH)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(TAKE)
            .bind(part.severity.as_str())
            .bind(&ids.first)
            .bind(&ids.end)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let are_left: bool = sqlx::query_scalar(LEFT)
            .bind(part.severity.as_str())
            .bind(&ids.first)
            .bind(&ids.end)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(not_committed)?;
        let moved = copied.rows_affected();
        if !are_left {
            return Ok(Step::Done(moved));
        }
        if moved > 0 {
            return Ok(Step::More(moved));
        }
        let why = format!("events of {} wait for their place in the tree", part.name);
        Err(StoreError::Inconsistent(why))
    }

    async fn events(
        &mut self,
        part: &Part,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Leaving>, StoreError> {
        self.page(part, after, limit).await
    }

    async fn unkept(&mut self, part: &Part, limit: u32) -> Result<Vec<Leaving>, StoreError> {
        let kept_to = self.kept_to.as_ref();
        let kept_to = kept_to.filter(|(name, _)| *name == part.name);
        self.page(part, kept_to.map(|(_, id)| *id), limit).await
    }

    async fn keep(&mut self, part: &Part, records: &[LeafRecord]) -> Result<(), StoreError> {
        let mut transaction = self.store.transaction().await?;
        for record in records {
            sqlx::query(KEEP)
                .bind(record.leaf_index)
                .bind(&record.record)
                .bind(record.event_id.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(not_committed)?;
        if let Some(last) = records.last() {
            self.kept_to = Some((part.name.clone(), last.event_id));
        }
        Ok(())
    }

    async fn leaves(&mut self, part: &Part) -> Result<Option<Leaves>, StoreError> {
        let ids = Ids::of(part.month);
        let (events, first, last): (i64, Option<i64>, Option<i64>) = sqlx::query_as(LEAVES_OF)
            .bind(part.severity.as_str())
            .bind(ids.first)
            .bind(ids.end)
            .fetch_one(&self.store.reader)
            .await
            .map_err(failed)?;
        Ok(first.zip(last).map(|(first, last)| Leaves {
            events: u64::try_from(events).unwrap_or_default(),
            first,
            last,
        }))
    }

    async fn expire(
        &mut self,
        part: &Part,
        term: Term,
        expiry: &Expiry,
    ) -> Result<Step, StoreError> {
        let mut transaction = self.store.transaction().await?;
        check_age(&mut transaction, part, term).await?;
        let in_force = holds(&mut transaction, false, u32::MAX).await?;
        if !held_by(&mut transaction, &in_force, part).await?.is_empty() {
            let why = format!("a hold is on {}", part.name);
            return Err(StoreError::Inconsistent(why));
        }
        let (events, kept, first_id, last_id, first_leaf, last_leaf) =
            piece(&mut transaction, part).await?;
        let (Some(first_id), Some(last_id)) = (first_id, last_id) else {
            return Ok(Step::Done(0));
        };
        if kept != events {
            let why = format!("the leaf records of {} are not all kept", part.name);
            return Err(StoreError::Inconsistent(why));
        }
        let ids = Ids::of(part.month);
        sqlx::query(UNCOUNT)
            .bind(part.severity.as_str())
            .bind(ids.first)
            .bind(ids.end)
            .bind(BATCH)
            .bind(&first_id)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        // Named after its first event, which leaves once.
        sqlx::query(REMEMBER)
            .bind(&first_id)
            .bind(part.severity.as_str())
            .bind(part.month.to_string())
            .bind(&first_id)
            .bind(&last_id)
            .bind(events)
            .bind(first_leaf)
            .bind(last_leaf)
            .bind(term.days)
            .bind(micros(expiry.at))
            .bind(expiry.run.to_string())
            .bind(expiry.file.as_ref().map(|file| file.name.clone()))
            .bind(expiry.file.as_ref().map(|file| file.sha256.to_vec()))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(FORGET)
            .bind(part.severity.as_str())
            .bind(&first_id)
            .bind(&last_id)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(not_committed)?;
        Ok(step(events))
    }

    async fn end(&mut self, run: &Run) -> Result<(), StoreError> {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let figures = run.figures;
        sqlx::query(
            "UPDATE audit_retention_runs SET ended_at = ?, archived_parts = ?, \
             archived_events = ?, expired_parts = ?, expired_events = ?, held_parts = ?, \
             failed_parts = ? WHERE id = ?",
        )
        .bind(run.ended_at.map(micros))
        .bind(figures.archived_parts)
        .bind(count(figures.archived_events))
        .bind(figures.expired_parts)
        .bind(count(figures.expired_events))
        .bind(figures.held_parts)
        .bind(figures.failed_parts)
        .bind(run.id.to_string())
        .execute(&self.store.writer)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
