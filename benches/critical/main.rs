//! The critical path measured: approving and settling through the application service, against the
//! same transactions in pgbench on the same server.
//!
//! A cell is a fixed number of transactions from so many clients. A cell of pgbench and one of the
//! service follow each other at once, so that both meet the machine in the same mood, and the whole
//! is repeated in rounds: the ratio of a pair says more than either figure. Both begin a cell with
//! fresh connections, opened before the clock starts, and prepare their statements on them within
//! the measured time. After each cell, untimed, the tables must hold exactly what it should have
//! done, or the benchmark fails.

mod figures;
mod plan;
mod reference;
mod service;
mod stock;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use tranche_benches::server::Server;
use tranche_benches::table::grouped;

use figures::{Cell, Figures};
use plan::{Act, Plan};
use reference::Reference;
use service::Service;
use stock::Stock;

/// Measures approving and settling against pgbench. Started by scripts/bench-critical.sh.
#[derive(Parser)]
struct Args {
    /// The folder of the server's socket.
    #[arg(long)]
    socket: PathBuf,
    /// The server's port.
    #[arg(long)]
    port: u16,
    /// The pgbench program.
    #[arg(long)]
    pgbench: PathBuf,
    /// How often each cell is measured.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many transactions a cell has, in hundredths of the usual number.
    #[arg(long, default_value_t = 60)]
    percent: u32,
    /// How many clients work at once.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16")]
    clients: Vec<u32>,
    /// No round begins that would probably end later than this.
    #[arg(long, default_value_t = 285)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let started = Instant::now();
    let plan = Plan {
        rounds: args.rounds,
        percent: args.percent,
        clients: args.clients,
    };
    let server = Server {
        socket: args.socket,
        port: args.port,
    };
    eprintln!("preparing both databases");
    let mut reference = Reference::init(&server, args.pgbench).await?;
    let mut stock = Stock::init(&server, &plan).await?;
    eprintln!("prepared after {} s", started.elapsed().as_secs());

    let mut figures = Figures::default();
    let mut longest = Duration::ZERO;
    for round in 1..=plan.rounds {
        let begun = Instant::now();
        if (begun - started + longest).as_secs() >= args.seconds {
            eprintln!(
                "the time is up: {} rounds instead of {}",
                round - 1,
                plan.rounds
            );
            break;
        }
        reference.tidy().await?;
        stock.tidy().await?;
        for clients in plan.clients.iter().copied() {
            for act in Act::ALL {
                let each = plan.each(act, clients);
                let theirs = reference.run(act.script(), clients, each).await?;
                let ours = measure(&mut stock, &server, act, clients, each).await?;
                figures.pair(act, clients, theirs, ours);
                eprintln!(
                    "round {round}/{}, {clients} clients, {}: pgbench {}/s, tranche {}/s",
                    plan.rounds,
                    act.name(),
                    grouped(theirs.rate),
                    grouped(ours.rate),
                );
            }
            let each = plan.each(Act::Approve, clients);
            let pipelined = reference.run(&reference::PIPELINED, clients, each).await?;
            figures.context(clients, pipelined);
        }
        longest = longest.max(begun.elapsed());
    }
    eprintln!("done after {} s\n", started.elapsed().as_secs());
    print!("{figures}");
    Ok(())
}

/// A cell of the service: takes what it needs from stock, runs, and checks the books.
async fn measure(
    stock: &mut Stock,
    server: &Server,
    act: Act,
    clients: u32,
    each: u32,
) -> Result<Cell> {
    let work = stock.take(act, clients, each)?;
    let before = stock.books().await?;
    let service = Service::connect(&server.url(stock::DATABASE), clients).await?;
    let cell = service.run(act, &work).await?;
    service.close().await;
    stock.check(act, &work.concat(), &before).await?;
    Ok(cell)
}
