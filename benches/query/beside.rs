//! What the service does beside answering: it verifies the whole log, and lets a month go while others
//! read and write.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use chrono::{DateTime, Datelike, Months, Utc};
use sqlx::PgConnection;
use tranche_benches::client::{Answer, Client};
use tranche_benches::content::{Body, Mix, Moment, Random};
use tranche_benches::program::Program;
use tranche_benches::table::{grouped, milliseconds, percentiles};

/// Events a second that `tranche verify` judges, progress and start of the program included.
pub async fn verify(program: &Program, database: &str, folder: &Path, rows: u64) -> Result<u64> {
    let begun = Instant::now();
    program.run(&["verify"], database, folder).await?;
    let took = u64::try_from(begun.elapsed().as_millis())?;
    Ok(rows * 1_000 / took.max(1))
}

/// How long readers and writers waited, in microseconds: median, 99th percentile and longest.
#[derive(Default)]
struct Waits {
    reads: Vec<u64>,
    writes: Vec<u64>,
}

impl Waits {
    fn told(self) -> Result<String> {
        let told = |mut waits: Vec<u64>| {
            waits.sort_unstable();
            let longest = waits.last().copied()?;
            let (p50, p99) = percentiles(waits)?;
            Some([p50, p99, longest].map(milliseconds).join(" / "))
        };
        let reads = told(self.reads).context("nothing was read")?;
        let writes = told(self.writes).context("nothing was written")?;
        Ok(format!(
            "one event read {reads} ms, one critical event written {writes} ms"
        ))
    }
}

/// Reads and writes single events in turns until something is done.
async fn meanwhile<T>(
    reader: &mut Client,
    writer: &mut Client,
    event: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<(T, Waits)> {
    let mut random = Random::new(Moment::now().0);
    let mut body = Body::make(&mut random, Mix::Critical, 1);
    let mut waits = Waits::default();
    let is_done = Cell::new(false);
    let work = async {
        let done = work.await;
        is_done.set(true);
        done
    };
    // What was asked is waited for: the connection goes on afterwards.
    let asking = async {
        while !is_done.get() {
            let begun = Instant::now();
            let (status, _) = reader.get(event).await?;
            ensure!(status.is_success(), "{event}: {status}");
            waits
                .reads
                .push(u64::try_from(begun.elapsed().as_micros())?);
            let begun = Instant::now();
            let bytes = Bytes::copy_from_slice(body.stamped(&mut random, Moment::now()));
            match writer.post(bytes, 1).await? {
                Answer::Acknowledged => {}
                Answer::Later(why) => bail!("a critical event was not taken: {why}"),
            }
            waits
                .writes
                .push(u64::try_from(begun.elapsed().as_micros())?);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    let (done, ()) = tokio::try_join!(work, asking)?;
    Ok((done, waits))
}

/// Lets the oldest month of info events go, and says what it took and who waited how long meanwhile.
pub async fn expiry(
    program: &Program,
    database: &str,
    folder: &Path,
    connection: &mut PgConnection,
    clients: (&mut Client, &mut Client),
    first: DateTime<Utc>,
    event: &str,
) -> Result<()> {
    let (reader, writer) = clients;
    let quiet = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(())
    };
    let ((), waits) = meanwhile(reader, writer, event, quiet).await?;
    println!("nothing else going on: {}", waits.told()?);

    let now = DateTime::from_timestamp_micros(i64::try_from(Moment::now().0)?).context("a time")?;
    let day = first.date_naive().with_day(1).context("a month")?;
    let over = day.checked_add_months(Months::new(1)).context("a month")?;
    let days = (now.date_naive() - over).num_days() - 1;
    let run = async {
        let mut command = program.command(&["retention", "run"], database, folder);
        command
            .env("TRANCHE_RETENTION_INFO_DAYS", days.to_string())
            .env(
                "TRANCHE_RETENTION_INFO_ARCHIVE_DAYS",
                (days - 1).to_string(),
            );
        let begun = Instant::now();
        let output = command.kill_on_drop(true).output().await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "tranche retention run: {complaint}"
        );
        Ok(begun.elapsed())
    };
    let (took, waits) = meanwhile(reader, writer, event, run).await?;
    let (parts, events): (i64, i64) = sqlx::query_as(
        "SELECT expired_parts, expired_events FROM audit_retention_runs ORDER BY begun DESC LIMIT 1",
    )
    .fetch_one(connection)
    .await?;
    ensure!(parts == 1, "{parts} parts went, where one was to go");
    println!(
        "a month of {} events went in {} ms: {}",
        grouped(u64::try_from(events)?),
        grouped(u64::try_from(took.as_millis())?),
        waits.told()?
    );
    Ok(())
}
