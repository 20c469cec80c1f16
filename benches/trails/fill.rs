//! Fills a database with a year of trails, made by the server itself, the sums that saving them would
//! have left, and a table of the usual design with the same trails.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tranche_benches::server::Server;
use tranche_benches::table::grouped;

/// How many write at once.
const WRITERS: u64 = 2;
/// Rows a statement.
pub const CHUNK: u64 = 20_000;

/// A thousand projects.
const PROJECTS: &str = "INSERT INTO projects (id, name, nav, nav_reserved, lp_tokens_outstanding,
        total_milestones, completed_milestones, wallet_account_id, maker_checker, burn_policy,
        created_at, version, opening_nav)
    SELECT ('01928f00-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Wells ' || n, 0, 0, 0, 0,
        0, 'G' || n, true, 'exact_transfer', now(), 1, 0 FROM generate_series(0, 999) n";

/// Evenly over a year. One in ten is of the first project, one in a hundred is a placeholder; each has
/// some 600 bytes of documents.
const TRAILS: &str = r#"INSERT INTO assessment_trails (message_id, project_id, model,
        reasoning_traces, context_layers, prompt_tokens, completion_tokens, prompt_cost,
        completion_cost, created_at, completed_at, updated_at, version)
    SELECT gen_random_uuid(),
        ('01928f00-0000-7000-8000-' || lpad(CASE WHEN n % 10 = 0 THEN 0
            ELSE floor(random() * 1000) END::text, 12, '0'))::uuid,
        CASE WHEN is_whole THEN 'model-' || n % 5 END,
        '[{"step":1,"thought":"the report names twelve wells, of which ' || md5(n::text)
            || ' were drilled and tested before the rains; pumps and pipes are on the list of costs"},'
            || '{"step":2,"thought":"' || md5((n + 1)::text) || ' agrees with the bank transfer"}]',
        '{"layers":[{"kind":"milestone","text":"Wells drilled, part ' || n % 7
            || ', target amount and evidence as handed in"},{"kind":"photo","hash":"'
            || md5((n + 2)::text) || '"}],"language":"en"}',
        CASE WHEN is_whole THEN 900 + n % 5000 END, CASE WHEN is_whole THEN 100 + n % 900 END,
        CASE WHEN is_whole THEN (900 + n % 5000) * 0.00000025 END,
        CASE WHEN is_whole THEN (100 + n % 900) * 0.00000125 END,
        at, CASE WHEN is_whole THEN at + interval '3 s' END, at, 1
    FROM (SELECT n, n % 100 <> 7 AS is_whole,
            $1::timestamptz + ($2::timestamptz - $1::timestamptz) * (n::float8 / $3) AS at
        FROM generate_series($4::bigint, $5::bigint - 1) n) made"#;

/// As saving each would have left them.
const SUMS: &str =
    "INSERT INTO trail_rollups (project_id, bucket, starts_at, model, messages, open,
        prompt_tokens, completion_tokens, prompt_cost, completion_cost)
    SELECT project_id, bucket, date_trunc(bucket, created_at, 'UTC'), coalesce(model, ''),
        count(completed_at), count(*) - count(completed_at), coalesce(sum(prompt_tokens), 0),
        coalesce(sum(completion_tokens), 0), coalesce(sum(prompt_cost), 0),
        coalesce(sum(completion_cost), 0)
    FROM assessment_trails, unnest(ARRAY['hour', 'day']) bucket GROUP BY 1, 2, 3, 4";

/// When the first and the last trail was, and how many there are.
#[derive(Clone, Copy)]
pub struct Span {
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    pub rows: u64,
}

/// Fills an empty, migrated database, and says how long it took.
pub async fn fill(server: &Server, database: &str, span: Span) -> Result<Duration> {
    let begun = Instant::now();
    let mut connection = server.connect(database).await?;
    step(&mut connection, "projects", PROJECTS).await?;
    let done = AtomicU64::new(0);
    try_join_all((0..WRITERS).map(|writer| write(server, database, span, writer, &done))).await?;
    eprintln!();
    step(&mut connection, "sums", SUMS).await?;
    step(
        &mut connection,
        "the usual table",
        include_str!("reference.sql"),
    )
    .await?;
    step(&mut connection, "vacuum", "VACUUM (ANALYZE, FREEZE)").await?;
    step(&mut connection, "checkpoint", "CHECKPOINT").await?;
    connection.close().await?;
    Ok(begun.elapsed())
}

/// Makes every chunk that is this writer's.
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
        let end = (from + CHUNK).min(span.rows);
        sqlx::query(TRAILS)
            .bind(span.first)
            .bind(span.last)
            .bind(i64::try_from(span.rows)?)
            .bind(i64::try_from(from)?)
            .bind(i64::try_from(end)?)
            .execute(&mut connection)
            .await?;
        tell(
            done.fetch_add(end - from, Ordering::Relaxed) + end - from,
            span.rows,
        );
        from += WRITERS * CHUNK;
    }
    connection.close().await?;
    Ok(())
}

async fn step(connection: &mut PgConnection, name: &str, sql: &'static str) -> Result<()> {
    let begun = Instant::now();
    raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    eprintln!("{name}: {} s", begun.elapsed().as_secs());
    Ok(())
}

/// How far it is: a bar on a terminal, else a line at each tenth.
fn tell(done: u64, rows: u64) {
    let hundredths = done * 100 / rows;
    let line = format!("{hundredths:3} % of {} trails", grouped(rows));
    if stderr().is_terminal() {
        let filled = usize::try_from(hundredths / 2).unwrap_or_default();
        eprint!("\r[{:<50}] {line} ", "#".repeat(filled));
        // Nobody minds if it is not seen.
        let _: std::io::Result<()> = stderr().flush();
    } else if (done / CHUNK).is_multiple_of((rows / CHUNK / 10).max(1)) {
        eprintln!("{line}");
    }
}
