//! The service's own sealer lets the tree grow over all leaves that were copied, and signs it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;
use tranche_benches::server::Server;
use tranche_benches::table::grouped;

const SIZE: &str = "SELECT coalesce((SELECT size FROM audit_tree), 0)";
/// So long it may stand still.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the signed tree has so many leaves; says how many were sealed a second.
pub async fn all(server: &Server, database: &str, rows: u64) -> Result<u64> {
    let mut connection = server.connect(database).await?;
    let (begun, mut told) = (Instant::now(), Instant::now());
    let (mut last, mut since) = (0, begun);
    loop {
        let size = size(&mut connection).await?;
        if size >= rows {
            break;
        }
        if size != last {
            (last, since) = (size, Instant::now());
        }
        ensure!(
            since.elapsed() < PATIENCE,
            "the sealer stands still at {size}"
        );
        if told.elapsed() > Duration::from_secs(5) {
            eprintln!("{} of {} leaves are sealed", grouped(size), grouped(rows));
            told = Instant::now();
        }
        sleep(Duration::from_millis(100)).await;
    }
    connection.close().await?;
    let took = u64::try_from(begun.elapsed().as_millis())?.max(1);
    Ok(rows * 1_000 / took)
}

async fn size(connection: &mut PgConnection) -> Result<u64> {
    let size: i64 = sqlx::query_scalar(SIZE).fetch_one(connection).await?;
    Ok(u64::try_from(size)?)
}
