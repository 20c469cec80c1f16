//! Questions to a log of millions of events over two years: through the port and over HTTP, beside the
//! same in plain SQL and beside a table of the usual design with the same rows, in turns.

mod beside;
mod figures;
mod fill;
mod kinds;
mod measure;
mod rows;
mod sealed;
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use clap::Parser;
use sqlx::{Connection, PgConnection, raw_sql};
use tokio::signal::unix::{SignalKind, signal};
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_benches::client::{Client, Target};
use tranche_benches::content::Moment;
use tranche_benches::program::Program;
use tranche_benches::server::Server;
use tranche_benches::table::{grouped, milliseconds};

use figures::{Figures, Samples};
use kinds::Kind;
use measure::{Asked, Budget, Of};
use rows::{CHUNK, Span};

/// Measures questions to the log. Started by scripts/bench-query.sh.
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
    /// How many events [default: 10,000,000; 2,000,000 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(CHUNK..))]
    rows: Option<u64>,
    /// Fewer events, and less patience with each kind of question.
    #[arg(long)]
    quick: bool,
    /// Over how many months, this one included.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=120))]
    months: u32,
    /// A setting of the service, NAME=VALUE.
    #[arg(long, value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("is not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

const DATABASE: &str = "log";
/// How many events are followed from commit to stream.
const STREAMED: usize = 1_000;

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

/// From the first of a month to a moment ago: what comes now is newer.
fn span(months: u32, rows: u64) -> Result<Span> {
    let now = i64::try_from(Moment::now().0)?;
    let last = DateTime::from_timestamp_micros(now).context("a time")? - Duration::from_mins(1);
    let day = last.date_naive();
    let month = NaiveDate::from_ymd_opt(day.year(), day.month(), 1).context("a month")?;
    let first = month.checked_sub_months(Months::new(months - 1));
    let first = first
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .context("a month")?;
    Ok(Span {
        first: DateTime::<Utc>::from_naive_utc_and_offset(first, Utc),
        last,
        rows,
    })
}

/// For plain SQL. Compiling takes far longer than any of it.
async fn plain(server: &Server) -> Result<PgConnection> {
    let mut connection = server.connect(DATABASE).await?;
    raw_sql("SET jit = off").execute(&mut connection).await?;
    Ok(connection)
}

/// All kinds of questions, and what is asked besides.
const QUESTIONS: usize = Kind::ALL.len() + 3;

fn name(question: usize) -> String {
    match question.checked_sub(Kind::ALL.len()) {
        None => Kind::ALL[question].name(),
        Some(0) => "one event by its id".to_owned(),
        Some(1) => "statistics, 30 days".to_owned(),
        Some(_) => "statistics, everything".to_owned(),
    }
}

/// Everything once, of the log or of the usual table.
async fn ask(asked: &mut Asked, of: Of, budget: Budget, samples: &mut [Samples]) -> Result<()> {
    for (question, samples) in samples.iter_mut().enumerate() {
        match question.checked_sub(Kind::ALL.len()) {
            None => {
                let kind = Kind::ALL[question];
                asked.events(of, kind, budget, samples).await
            }
            Some(0) => asked.one(of, budget, samples).await,
            Some(1) => asked.statistics(of, Some(30), budget, samples).await,
            Some(_) => asked.statistics(of, None, budget, samples).await,
        }
        .with_context(|| name(question))?;
        eprintln!("{}", samples.told(&name(question)));
    }
    Ok(())
}

async fn run(args: Args) -> Result<()> {
    let usual = if args.quick { 2_000_000 } else { 10_000_000 };
    let rows = args.rows.unwrap_or(usual);
    let budget = if args.quick {
        Budget {
            longest: Duration::from_secs(3),
            most: 200,
        }
    } else {
        Budget {
            longest: Duration::from_secs(10),
            most: 500,
        }
    };
    let server = Server {
        socket: args.socket.clone(),
        port: args.port,
    };
    let program = Program::new(server, args.tranche.clone(), args.set.clone());
    let folder = tempfile::tempdir()?;
    let home = folder.path();
    program.server.create(DATABASE).await?;
    program.run(&["migrate"], DATABASE, home).await?;
    let key = program.key("auditor,service", DATABASE, home).await?;
    let span = span(args.months, rows)?;
    let filled = fill::fill(&program.server, DATABASE, span).await?;
    println!(
        "{} events over {} months, made in {} s",
        grouped(rows),
        args.months,
        filled.as_secs()
    );

    let serve = program.command(&["serve"], DATABASE, home);
    let (process, address) = program.serve(serve, home).await?;
    let rate = sealed::all(&program.server, DATABASE, rows).await?;
    println!("sealed: {} leaves a second", grouped(rate));
    let target = Target { address, key };
    let mut client = Client::connect(&target).await?;
    let (status, _) = client.get("/v1/audit/events?limit=1").await?;
    let mut asked = Asked {
        store: PostgresStore::connect(&program.server.url(DATABASE), PostgresConfig::default())
            .await?,
        connection: plain(&program.server).await?,
        client: status.is_success().then_some(client),
        span,
    };
    let mut samples: Vec<Samples> = Vec::new();
    samples.resize_with(QUESTIONS, Samples::default);
    for (of, tables) in [(Of::Log, "audit_%"), (Of::Usual, "usual_%")] {
        program.server.warm(DATABASE, tables).await?;
        ask(&mut asked, of, budget, &mut samples).await?;
    }
    let lines = samples.iter().enumerate();
    let lines = lines.map(|(number, samples)| samples.line(name(number)));
    println!("\n{}", Figures(lines.collect()));
    program.server.warm(DATABASE, "audit_%").await?;
    let rate = asked.in_order(budget.longest * 3).await?;
    println!("in the order of the log: {} events a second", grouped(rate));
    let (p50, p99) = stream::latency(&target, &mut asked.connection, STREAMED).await?;
    println!(
        "from commit to stream: {} / {} ms",
        milliseconds(p50),
        milliseconds(p99)
    );
    let rate = beside::verify(&program, DATABASE, home, rows).await?;
    println!("verified: {} events a second", grouped(rate));
    let clients = (
        &mut Client::connect(&target).await?,
        &mut Client::connect(&target).await?,
    );
    let event = asked.newest().await?;
    let event = format!("/v1/audit/events/{event}");
    beside::expiry(
        &program,
        DATABASE,
        home,
        &mut asked.connection,
        clients,
        span.first,
        &event,
    )
    .await?;
    asked.connection.close().await?;
    asked.store.close().await;
    process.stop().await
}
