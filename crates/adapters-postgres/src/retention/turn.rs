//! The turn of changing parts: a connection of its own with an advisory lock that ends with it.
//!
//! Whoever waits for a table's strongest lock makes everybody who comes later wait as well, so nobody
//! waits for long here: a short try, a pause in which the others go on, and another try.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Connection, PgConnection, Postgres, Row};
use tokio::time::sleep;
use tranche_application::ports::retention::{
    Expiry, LeafRecord, Leaves, Leaving, Part, Run, Step, Term, Turn,
};
use tranche_application::ports::store::{Conflict, StoreError};
use uuid::Uuid;

use super::rows::LeavingRow;
use crate::PostgresStore;
use crate::audit::select_event;
use crate::errors::{failed, not_committed};

const TURN: &str = "SELECT pg_try_advisory_lock(7236273650214)";
const OVER: &str = "SELECT pg_advisory_unlock(7236273650214)";
/// A look at every row of a part may take a while; nobody waits for it. Parts are everybody's.
const LONG: &str = "SET statement_timeout = '1h'; SET lock_timeout = '10s';
    SET tranche.scope = 'all'";
/// How long writers wait at most for a lock that is not granted.
const BRIEF: &str = "BEGIN; SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '30s'";
/// How often a lock is tried for.
const TRIES: u32 = 60;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// How many strays move at a time.
const STRAYS: i32 = 1_000;

const BEGIN: &str = "INSERT INTO audit_retention_runs (id, due_at, started_at, started_by)
    SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM audit_retention_runs
        WHERE due_at = $2 AND ended_at IS NOT NULL)";
const END: &str = "UPDATE audit_retention_runs SET ended_at = $2, archived_parts = $3,
    archived_events = $4, expired_parts = $5, expired_events = $6, held_parts = $7,
    failed_parts = $8 WHERE id = $1";
const BOUNDS: &str = "SELECT 0::bigint FROM audit_part_bounds($1, $2)";
const BOUNDS_HOLD: &str = "SELECT FROM audit_part_bounds_hold($1, $2)";
const ARCHIVE: &str = "SELECT audit_archive_part($1, $2, $3, $4)";
const ARCHIVE_STRAYS: &str = "SELECT audit_archive_strays($1, $2, $3, $4, $5)";
const KEPT_TO: &str = "SELECT kept_to FROM audit_expiring WHERE part = $1";
const LEAVES: &str = "SELECT events, first_leaf, last_leaf FROM audit_expiring
    WHERE part = $1 AND complete AND events > 0";
const KEEP: &str = "SELECT FROM audit_keep_leaf_records($1, $2, $3, $4, $5)";
const EXPIRE: &str = "SELECT audit_expire_part($1, $2, $3, $4, $5, $6, $7, $8)";

/// Events of one part of the archive.
const EVENTS: &str = concat!(
    select_event!(),
    ", recorded_at, leaf_index, leaf_hash FROM audit_archive LEFT JOIN audit_leaves ON event_id = id
    WHERE severity = $1 AND id > $2 AND id >= audit_id_floor($3) AND id < audit_id_floor($4)
    ORDER BY id LIMIT $5"
);

pub(super) async fn take(store: &PostgresStore) -> Result<Option<Box<dyn Turn>>, StoreError> {
    let mut connection = store.retention_connection().await?;
    sqlx::raw_sql(LONG)
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    let is_ours: bool = sqlx::query_scalar(TURN)
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    if is_ours {
        return Ok(Some(Box::new(PostgresTurn { connection })));
    }
    connection.close().await.map_err(failed)?;
    Ok(None)
}

struct PostgresTurn {
    connection: PgConnection,
}

type Asking = Query<'static, Postgres, PgArguments>;

impl PostgresTurn {
    /// One statement in a transaction of its own that waits for nobody, tried again while others
    /// hold what it needs. Gives the number that it says.
    async fn briefly(&mut self, asking: impl Fn() -> Asking) -> Result<u64, StoreError> {
        let mut tries = 1;
        loop {
            match self.once(asking()).await {
                Err(StoreError::Conflict(Conflict::Retry)) if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn once(&mut self, asking: Asking) -> Result<u64, StoreError> {
        let mut transaction = self.connection.begin_with(BRIEF).await.map_err(failed)?;
        let row = asking.fetch_one(&mut *transaction).await.map_err(failed)?;
        let events: i64 = row.try_get(0).map_err(failed)?;
        transaction.commit().await.map_err(not_committed)?;
        Ok(u64::try_from(events).unwrap_or_default())
    }

    async fn strays(&mut self, part: &Part, term: Term) -> Result<Step, StoreError> {
        let asking = || of(ARCHIVE_STRAYS, part).bind(days(term)).bind(term.as_of);
        let moved = self.briefly(|| asking().bind(STRAYS)).await?;
        Ok(if moved < STRAYS.unsigned_abs().into() {
            Step::Done(moved)
        } else {
            Step::More(moved)
        })
    }

    async fn page(
        &mut self,
        part: &Part,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Leaving>, StoreError> {
        let rows: Vec<LeavingRow> = sqlx::query_as(EVENTS)
            .bind(part.severity.as_str())
            .bind(after.unwrap_or_default())
            .bind(part.month.starts_at())
            .bind(part.month.ends_at())
            .bind(i64::from(limit))
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        rows.into_iter().map(Leaving::try_from).collect()
    }
}

/// A function of a part's severity and month.
fn of(function: &'static str, part: &Part) -> Asking {
    sqlx::query(function)
        .bind(part.severity.as_str())
        .bind(part.month.starts_at())
}

/// Beyond what the type holds is beyond every bound.
fn days(term: Term) -> i32 {
    i32::try_from(term.days).unwrap_or(i32::MAX)
}

#[async_trait]
impl Turn for PostgresTurn {
    async fn begin(&mut self, run: &Run) -> Result<(), StoreError> {
        let begun = sqlx::query(BEGIN)
            .bind(run.id)
            .bind(run.due_at)
            .bind(run.started_at)
            .bind(&run.by)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        match begun.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::Conflict(Conflict::Stale)),
        }
    }

    async fn archive(&mut self, part: &Part, term: Term) -> Result<Step, StoreError> {
        if part.name.ends_with("_default") {
            return self.strays(part, term).await;
        }
        self.briefly(|| of(BOUNDS, part)).await?;
        // Looks at every row while others read and write.
        of(BOUNDS_HOLD, part)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        let archive = || of(ARCHIVE, part).bind(days(term)).bind(term.as_of);
        self.briefly(archive).await?;
        Ok(Step::Done(part.events))
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
        let kept_to: Option<Uuid> = sqlx::query_scalar(KEPT_TO)
            .bind(&part.name)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        self.page(part, kept_to, limit).await
    }

    async fn keep(&mut self, part: &Part, records: &[LeafRecord]) -> Result<(), StoreError> {
        let leaf_indexes: Vec<i64> = records.iter().map(|record| record.leaf_index).collect();
        let bytes: Vec<&[u8]> = records.iter().map(|record| &*record.record).collect();
        let up_to = records.last().map(|record| record.event_id);
        of(KEEP, part)
            .bind(leaf_indexes)
            .bind(bytes)
            .bind(up_to)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn leaves(&mut self, part: &Part) -> Result<Option<Leaves>, StoreError> {
        let leaves: Option<(i64, i64, i64)> = sqlx::query_as(LEAVES)
            .bind(&part.name)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(leaves.map(|(events, first, last)| Leaves {
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
        let file = expiry.file.as_ref();
        let ask = || {
            of(EXPIRE, part)
                .bind(days(term))
                .bind(term.as_of)
                .bind(expiry.at)
                .bind(expiry.run)
                .bind(file.map(|file| file.name.clone()))
                .bind(file.map(|file| file.sha256.to_vec()))
        };
        Ok(Step::Done(self.briefly(ask).await?))
    }

    async fn end(&mut self, run: &Run) -> Result<(), StoreError> {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let figures = run.figures;
        sqlx::query(END)
            .bind(run.id)
            .bind(run.ended_at)
            .bind(i64::from(figures.archived_parts))
            .bind(count(figures.archived_events))
            .bind(i64::from(figures.expired_parts))
            .bind(count(figures.expired_events))
            .bind(i64::from(figures.held_parts))
            .bind(i64::from(figures.failed_parts))
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn release(mut self: Box<Self>) -> Result<(), StoreError> {
        // The server notices an end of the connection later than whoever takes the next turn.
        sqlx::raw_sql(OVER)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        self.connection.close().await.map_err(failed)
    }
}
