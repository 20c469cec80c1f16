//! What is in the log, by the database's own word and clock.
//!
//! The time of a row is the time of its commit (`track_commit_timestamp`), which does not depend on
//! what the service says of itself.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;
use tranche_benches::server::Server;

use tranche_benches::content::{Moment, RESOURCE_TYPE};

/// So long no new row comes, and then no more will.
const PATIENCE: Duration = Duration::from_secs(20);

const COUNT: &str = "SELECT count(*) FROM audit_events WHERE resource_type = $1";

/// Rows of events that happened from a moment on: how many, the last commit, and microseconds from
/// the event to the commit.
const ARRIVED: &str = "SELECT count(*),
        coalesce((extract(epoch FROM max(at)) * 1000000)::bigint, 0),
        coalesce(percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY
            greatest((extract(epoch FROM at - occurred_at) * 1000000)::bigint, 0)), '{0,0}')
    FROM (SELECT pg_xact_commit_timestamp(xmin) AS at, occurred_at FROM audit_events
        WHERE resource_type = $1 AND id >= audit_id_floor($2) AND occurred_at >= $2) arrived";

/// Rows that arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrived {
    pub rows: u64,
    /// When the last one was committed.
    pub last: u64,
    /// Microseconds to the row.
    pub p50: u64,
    pub p99: u64,
}

pub struct Rows(PgConnection);

impl Rows {
    pub async fn open(server: &Server, database: &str) -> Result<Self> {
        Ok(Self(server.connect(database).await?))
    }

    pub async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }

    async fn count(&mut self) -> Result<usize> {
        let query = sqlx::query_scalar(COUNT).bind(RESOURCE_TYPE);
        let rows: i64 = query.fetch_one(&mut self.0).await?;
        Ok(usize::try_from(rows)?)
    }

    /// Fails unless so many rows are there.
    pub async fn expect(&mut self, wanted: usize) -> Result<()> {
        let rows = self.count().await?;
        ensure!(
            rows == wanted,
            "{rows} rows are there where {wanted} events were acknowledged"
        );
        Ok(())
    }

    /// Waits until so many rows are there. Fails if they stop coming, or if there are more.
    pub async fn wait(&mut self, wanted: usize) -> Result<()> {
        let (mut rows, mut since) = (0, Instant::now());
        loop {
            let asked = Instant::now();
            let found = self.count().await?;
            if found != rows {
                (rows, since) = (found, asked);
            }
            if rows >= wanted || since.elapsed() > PATIENCE {
                return self.expect(wanted).await;
            }
            // Counting shares the machine with what is measured.
            sleep((asked.elapsed() * 4).max(Duration::from_millis(100))).await;
        }
    }

    /// Waits until every event has its place in the tree.
    pub async fn all_sealed(&mut self) -> Result<()> {
        let since = Instant::now();
        while self.pending().await?.0 > 0 {
            ensure!(
                since.elapsed() < PATIENCE,
                "events still wait for their place"
            );
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What arrived of events since a moment.
    pub async fn arrived(&mut self, since: Moment) -> Result<Arrived> {
        let since = chrono::DateTime::from_timestamp_micros(i64::try_from(since.0)?);
        let (rows, last, latencies): (i64, i64, Vec<i64>) = sqlx::query_as(ARRIVED)
            .bind(RESOURCE_TYPE)
            .bind(since)
            .fetch_one(&mut self.0)
            .await?;
        let latency = |index: usize| latencies.get(index).copied().unwrap_or_default();
        Ok(Arrived {
            rows: u64::try_from(rows)?,
            last: u64::try_from(last)?,
            p50: u64::try_from(latency(0))?,
            p99: u64::try_from(latency(1))?,
        })
    }

    /// How many events wait for their place in the tree, and the table's size in bytes.
    pub async fn pending(&mut self) -> Result<(u64, u64)> {
        let text = "SELECT (SELECT count(*) FROM audit_pending),
            pg_total_relation_size('audit_pending')";
        let (rows, bytes): (i64, i64) = sqlx::query_as(text).fetch_one(&mut self.0).await?;
        Ok((u64::try_from(rows)?, u64::try_from(bytes)?))
    }
}
