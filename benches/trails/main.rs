//! Trails in a database that has a year of them: read, put, amended, counted and cleaned up through the
//! port, beside plain SQL and beside a table of the usual design with the same trails, in turns.

mod figures;
mod fill;
mod measure;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta};
use clap::Parser;
use sqlx::Connection;
use tokio::signal::unix::{SignalKind, signal};
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_benches::content::Moment;
use tranche_benches::server::Server;
use tranche_benches::table::grouped;

use figures::Figures;
use fill::{CHUNK, Span};
use measure::{Asked, Budget};

/// Measures trails. Started by scripts/bench-trails.sh.
#[derive(Parser)]
struct Args {
    /// The folder of the server's socket.
    #[arg(long)]
    socket: PathBuf,
    /// The server's port.
    #[arg(long)]
    port: u16,
    /// How many trails [default: 10,000,000; 1,000,000 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(CHUNK..))]
    rows: Option<u64>,
    /// Fewer trails, and less patience with each kind of question.
    #[arg(long)]
    quick: bool,
}

const DATABASE: &str = "trails";
/// The first trail is so many days old: a little more than the longest range.
const DAYS: i64 = 370;

#[tokio::main]
async fn main() -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    // When this ends, whatever was started is killed.
    tokio::select! {
        result = run(Args::parse()) => result,
        _ = terminated.recv() => bail!("terminated"),
        _ = interrupted.recv() => bail!("interrupted"),
    }
}

async fn run(args: Args) -> Result<()> {
    let usual = if args.quick { 1_000_000 } else { 10_000_000 };
    let rows = args.rows.unwrap_or(usual);
    let budget = Budget {
        longest: Duration::from_secs(if args.quick { 5 } else { 15 }),
        most: if args.quick { 1_000 } else { 5_000 },
    };
    let server = Server {
        socket: args.socket,
        port: args.port,
    };
    server.create(DATABASE).await?;
    let store = PostgresStore::connect(&server.url(DATABASE), PostgresConfig::default()).await?;
    store.migrate().await?;
    let now = i64::try_from(Moment::now().0)?;
    let last = DateTime::from_timestamp_micros(now).context("a time")?;
    let span = Span {
        first: last - TimeDelta::days(DAYS),
        last,
        rows,
    };
    let filled = fill::fill(&server, DATABASE, span).await?;
    println!(
        "{} trails over {DAYS} days, made in {} s",
        grouped(rows),
        filled.as_secs()
    );
    server.warm(DATABASE, "%trail%").await?;
    let mut asked = Asked {
        store,
        connection: server.connect(DATABASE).await?,
        span,
        budget,
    };
    let mut lines = vec![
        asked.read().await?,
        asked.put().await?,
        asked.amend().await?,
    ];
    for days in [1, 30, 366] {
        lines.push(asked.counted(days).await?);
    }
    lines.push(asked.clean_up().await?);
    println!("\n{}", Figures(lines));
    asked.connection.close().await?;
    asked.store.close().await;
    Ok(())
}
