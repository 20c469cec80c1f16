//! Fills a database with months of events by COPY, as fast as it takes them, and a table of the usual
//! design with the same rows.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::{join, try_join_all};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::time::sleep;
use tranche_benches::server::Server;
use tranche_benches::table::grouped;

use crate::rows::{CHUNK, Chunk, EVENTS, LEAVES, Span};

/// How many copy at once.
const WRITERS: u64 = 2;

/// The partitions of all months since this moment.
const PARTITIONS: &str = "SELECT count(audit_partition(severity, month))
    FROM unnest(ARRAY['critical', 'warning', 'info']) severity,
        generate_series($1, now(), interval '1 month') month";

/// As the sealer counts events.
const ROLL_UPS: &str = "INSERT INTO audit_rollups
        (bucket, starts_at, severity, action, resource_type, events)
    SELECT bucket, date_trunc(bucket, occurred_at, 'UTC') AS starts_at, severity, action,
        resource_type, count(*)
    FROM audit_events, unnest(ARRAY['hour', 'day']) bucket
    GROUP BY 1, 2, 3, 4, 5";

/// One table for all, with the indexes that such a log usually has.
const REFERENCE: &str = include_str!("reference.sql");

/// Fills an empty, migrated database, and says how long it took.
pub async fn fill(server: &Server, database: &str, span: Span) -> Result<Duration> {
    let begun = Instant::now();
    let mut connection = server.connect(database).await?;
    sqlx::query(PARTITIONS)
        .bind(span.first)
        .execute(&mut connection)
        .await?;
    let done = AtomicU64::new(0);
    let writers =
        try_join_all((0..WRITERS).map(|writer| write(server, database, span, writer, &done)));
    let over = AtomicU64::new(0);
    let work = async {
        let written = writers.await;
        over.store(1, Ordering::Relaxed);
        written
    };
    join(work, watch(span.rows, &done, &over)).await.0?;
    step(&mut connection, "roll-ups", ROLL_UPS).await?;
    step(&mut connection, "the usual table", REFERENCE).await?;
    step(&mut connection, "vacuum", "VACUUM (ANALYZE, FREEZE)").await?;
    step(&mut connection, "checkpoint", "CHECKPOINT").await?;
    connection.close().await?;
    Ok(begun.elapsed())
}

/// Copies every chunk that is this writer's.
async fn write(
    server: &Server,
    database: &str,
    span: Span,
    writer: u64,
    done: &AtomicU64,
) -> Result<()> {
    let mut connection = server.connect(database).await?;
    let mut from = writer * CHUNK;
    while from < span.rows {
        // Made on another thread, so that both writers have one.
        let chunk = tokio::task::spawn_blocking(move || Chunk::make(span, from)).await??;
        let mut transaction = connection.begin().await?;
        copy(&mut transaction, EVENTS, &chunk.events, chunk.rows).await?;
        copy(&mut transaction, LEAVES, &chunk.leaves, chunk.rows).await?;
        transaction.commit().await?;
        done.fetch_add(chunk.rows, Ordering::Relaxed);
        from += WRITERS * CHUNK;
    }
    connection.close().await?;
    Ok(())
}

async fn copy(
    connection: &mut PgConnection,
    statement: &str,
    bytes: &[u8],
    rows: u64,
) -> Result<()> {
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(bytes).await?;
    let copied = copy.finish().await?;
    ensure!(copied == rows, "{copied} rows of {rows} were copied");
    Ok(())
}

async fn step(connection: &mut PgConnection, name: &str, sql: &'static str) -> Result<()> {
    let begun = Instant::now();
    raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    eprintln!("{name}: {} s", begun.elapsed().as_secs());
    Ok(())
}

/// Shows how far it is: a bar on a terminal, else a line now and then.
async fn watch(rows: u64, done: &AtomicU64, over: &AtomicU64) {
    let (begun, is_terminal) = (Instant::now(), stderr().is_terminal());
    let mut told = 0;
    loop {
        let written = done.load(Ordering::Relaxed);
        let hundredths = written * 100 / rows;
        let rate = written / begun.elapsed().as_secs().max(1);
        let line = format!(
            "{hundredths:3} % of {} rows, {} a second",
            grouped(rows),
            grouped(rate)
        );
        if is_terminal {
            let filled = usize::try_from(hundredths / 2).unwrap_or_default();
            eprint!("\r[{:<50}] {line} ", "#".repeat(filled));
            // Nobody minds if it is not seen.
            let _: std::io::Result<()> = stderr().flush();
        } else if hundredths >= told {
            eprintln!("{line}");
            told = hundredths + 10;
        }
        if over.load(Ordering::Relaxed) > 0 {
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    if is_terminal {
        eprintln!();
    }
}
