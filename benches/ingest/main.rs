//! Ingest measured end to end: over HTTP into the built service and on to rows in PostgreSQL, against
//! COPY into the same table and against the usual design in Node, on the same server in the same run.
//!
//! Every cell of the service has a service and a database of its own, both fresh, and so has every
//! cell of COPY: none meets what another left behind. Cells that are compared follow each other at
//! once, and the whole is repeated in rounds. After each cell the rows must be exactly those that
//! were acknowledged, or the benchmark fails.

mod copy;
mod figures;
mod load;
mod measure;
mod plan;
mod redis;
mod reference;
mod rows;
mod service;
mod sustain;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tranche_benches::program::Program;
use tranche_benches::server::Server;

use figures::{Figures, Outcome};
use plan::Cell;
use reference::Reference;
use service::{Queue, Release};
use sustain::Wish;

/// Measures ingest. Started by scripts/bench-ingest.sh.
#[derive(Parser)]
struct Args {
    /// The folder of the server's socket.
    #[arg(long)]
    socket: PathBuf,
    /// The server's port.
    #[arg(long)]
    port: u16,
    /// The service's program.
    #[arg(long)]
    tranche: PathBuf,
    /// The folder of the reference design's programs.
    #[arg(long)]
    reference: PathBuf,
    /// How often each cell is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How many events a cell has, in hundredths of the usual number.
    #[arg(long, default_value_t = 100)]
    percent: usize,
    /// One round of a fifth of the events.
    #[arg(long)]
    quick: bool,
    /// Only cells whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// No round begins that would probably end later than this.
    #[arg(long, default_value_t = 900)]
    seconds: u64,
    /// The service's queue.
    #[arg(long, value_enum, default_value = "embedded")]
    queue: Queue,
    /// A setting of the service, NAME=VALUE.
    #[arg(long, value_parser = setting)]
    set: Vec<(String, String)>,
    /// Instead: holds a rate for so many seconds.
    #[arg(long, requires = "rate")]
    sustain: Option<u64>,
    /// That rate, in events a second.
    #[arg(long)]
    rate: Option<u64>,
    /// Its clients.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Its events a request.
    #[arg(long, default_value_t = 100)]
    batch: usize,
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("is not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

// One thread: the clients are to leave the machine to those that they measure.
#[tokio::main(flavor = "current_thread")]
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
    let server = Server {
        socket: args.socket.clone(),
        port: args.port,
    };
    let reference = Reference::prepare(&server, args.reference.clone()).await?;
    let program = Program::new(server, args.tranche.clone(), args.set.clone());
    let mut release = Release::prepare(program, args.queue).await?;
    match (args.sustain, args.rate) {
        (Some(seconds), Some(rate)) => {
            let wish = Wish {
                seconds,
                rate: rate.max(1),
                clients: args.clients.max(1),
                batch: args.batch.max(1),
            };
            sustain::run(&mut release, &wish).await?;
        }
        _ => rounds(&args, &mut release, reference).await?,
    }
    Ok(())
}

async fn rounds(args: &Args, release: &mut Release, mut reference: Reference) -> Result<()> {
    let (rounds, percent) = if args.quick {
        (1, 20)
    } else {
        (args.rounds, args.percent)
    };
    let chosen = |cell: &Cell| match &args.only {
        Some(part) => cell.to_string().contains(part),
        None => true,
    };
    let cells: Vec<_> = Cell::ALL.into_iter().filter(chosen).collect();
    let started = Instant::now();
    let mut figures = Figures::default();
    let mut longest = Duration::ZERO;
    for round in 1..=rounds {
        let begun = Instant::now();
        if (begun - started + longest).as_secs() >= args.seconds {
            eprintln!("the time is up: {} rounds instead of {rounds}", round - 1);
            break;
        }
        for &cell in &cells {
            let events = cell.events(percent);
            let outcome = measure(release, &mut reference, cell, events).await;
            let outcome = outcome.with_context(|| cell.to_string())?;
            eprintln!(
                "{} s, round {round}/{rounds}, {cell}, clients {}, events {events}: {outcome}",
                started.elapsed().as_secs(),
                cell.clients(),
            );
            figures.add(cell, outcome);
        }
        longest = longest.max(begun.elapsed());
    }
    reference.close().await?;
    print!("{figures}");
    Ok(())
}

async fn measure(
    release: &mut Release,
    reference: &mut Reference,
    cell: Cell,
    events: usize,
) -> Result<Outcome> {
    if let Some(load) = measure::load(cell, events) {
        return measure::run(release, load).await;
    }
    match cell {
        Cell::NodeHttp => reference.http(events).await,
        Cell::RedisList { batch } => reference.list(events, batch).await,
        Cell::Copy { pending, writers } => {
            let database = release.database().await?;
            let server = release.server();
            let outcome = copy::run(server, &database, writers, events, pending).await?;
            server.remove(&database).await?;
            Ok(outcome)
        }
        Cell::Ingest { .. } | Cell::Burst | Cell::Steady { .. } => bail!("not a cell of others"),
    }
}
