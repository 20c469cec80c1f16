//! A steady rate for a long time, watched: nothing may grow, and nothing may be missing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::future::join;
use tokio::time::sleep;
use tranche_benches::table::{grouped, median, milliseconds, percentiles, table};

use crate::load::{Clients, Load, Log};
use crate::rows::Rows;
use crate::service::{Release, Service};
use tranche_benches::client::Client;
use tranche_benches::content::{Mix, Moment};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// What a look at the rows goes back: no event is under way longer, or it fails the run.
const BACK: Duration = Duration::from_secs(30);

/// What is asked for.
pub struct Wish {
    pub seconds: u64,
    /// Events a second.
    pub rate: u64,
    pub clients: usize,
    pub batch: usize,
}

/// A look.
struct Sample {
    seconds: u64,
    acknowledged: u64,
    /// The median and the 99th percentile of the acknowledgements since the last look.
    acknowledgement: (u64, u64),
    /// Acknowledged and not in the log yet.
    waiting: u64,
    /// Of events since the last look.
    row: (u64, u64),
    /// What the service says of its queue.
    told: Told,
    /// Bytes of the service's data folder.
    disk: u64,
    pending: (u64, u64),
    /// Memory of the service, in kB.
    memory: u64,
}

/// Holds the rate, and prints what it was like.
pub async fn run(release: &mut Release, wish: &Wish) -> Result<()> {
    let work = async |service: &Service, rows: &mut Rows| watch(service, rows, wish).await;
    release.with(work).await
}

async fn watch(service: &Service, rows: &mut Rows, wish: &Wish) -> Result<()> {
    let turn = u64::try_from(wish.batch * wish.clients)?;
    let turns = wish.rate * wish.seconds / turn;
    ensure!(turns > 0, "less than one request of each client");
    let load = Load {
        clients: wish.clients,
        batch: wish.batch,
        events: usize::try_from(turns * turn)?,
        mix: Mix::Usual,
        every: Some(Duration::from_micros(turn * 1_000_000 / wish.rate)),
    };
    let mut clients = Clients::prepare(&service.target(), load).await?;
    let warm = clients.warm().await?;
    rows.wait(warm).await?;

    let log = Log::default();
    let (over, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let begun = Instant::now();
    let sending = async {
        let result = clients.run(&log, &stop).await;
        over.store(true, Ordering::Relaxed);
        result
    };
    let looking = async {
        let result = look(service, rows, &log, &over).await;
        stop.store(true, Ordering::Relaxed);
        result
    };
    let (sent, samples) = join(sending, looking).await;
    sent?;
    let (samples, took) = (samples?, begun.elapsed());
    let acknowledged = log.events();
    rows.wait(warm + acknowledged).await?;
    print!("{}", Samples(&samples));
    let seconds = took.as_secs().max(1);
    let held = u64::try_from(acknowledged)? / seconds;
    println!();
    println!(
        "sent {sent} = acknowledged = rows, at {held} events/s for {seconds} s (asked for {rate})",
        sent = grouped(u64::try_from(load.events)?),
        held = grouped(held),
        rate = grouped(wish.rate),
    );
    let refused = log.read(|log| log.iter().map(|sent| u64::from(sent.refused)).sum());
    println!("requests refused at first: {}", grouped(refused));
    let quarter = samples.len().div_ceil(4);
    let memory = |samples: &[Sample]| median(samples, |sample| sample.memory);
    println!(
        "memory: {} kB in the first quarter, {} kB in the last",
        grouped(memory(&samples[..quarter])),
        grouped(memory(&samples[samples.len() - quarter..])),
    );
    if held * 100 < wish.rate * 98 {
        bail!("the rate was not held");
    }
    Ok(())
}

async fn look(
    service: &Service,
    rows: &mut Rows,
    log: &Log,
    over: &AtomicBool,
) -> Result<Vec<Sample>> {
    let mut client = Client::connect(&service.target()).await?;
    let begun = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut next = begun;
    let mut seen = 0;
    while !over.load(Ordering::Relaxed) {
        next += EVERY;
        while Instant::now() < next && !over.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(100)).await;
        }
        if over.load(Ordering::Relaxed) {
            break;
        }
        let since = back(BACK);
        let (recent, acknowledged, latencies) = log.read(|log| {
            let recent = log.iter().rev().filter(|sent| sent.at >= since);
            let recent: usize = recent.map(|sent| sent.events).sum();
            let latencies = log[seen..].iter().map(|sent| sent.took).collect();
            seen = log.len();
            let all: usize = log.iter().map(|sent| sent.events).sum();
            (recent, all, latencies)
        });
        let arrived = rows.arrived(since).await?;
        let last = rows.arrived(back(EVERY)).await?;
        let sample = Sample {
            seconds: begun.elapsed().as_secs(),
            acknowledged: u64::try_from(acknowledged)?,
            acknowledgement: percentiles(latencies).context("nothing is acknowledged any more")?,
            waiting: u64::try_from(recent)?.saturating_sub(arrived.rows),
            row: (last.p50, last.p99),
            told: told(&client.metrics().await?),
            disk: service.disk(),
            pending: rows.pending().await?,
            memory: service.memory()?,
        };
        eprintln!("{}", sample.cells().join("  "));
        samples.push(sample);
    }
    Ok(samples)
}

/// As text: nothing is reckoned with it.
struct Told {
    queue: String,
    lag: String,
}

fn told(metrics: &str) -> Told {
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.unwrap_or("?").to_owned()
    };
    Told {
        queue: value("tranche_audit_queue_events"),
        lag: value("tranche_audit_lag_seconds"),
    }
}

fn back(by: Duration) -> Moment {
    let by = u64::try_from(by.as_micros()).unwrap_or_default();
    Moment(Moment::now().0.saturating_sub(by))
}

const HEAD: [&str; 9] = [
    "s",
    "acknowledged",
    "acknowledged p50 / p99 ms",
    "waiting",
    "row p50 / p99 ms",
    "queue / lag s, as told",
    "data folder kB",
    "pending rows / kB",
    "memory kB",
];

impl Sample {
    fn cells(&self) -> [String; 9] {
        let latency = |(p50, p99)| format!("{} / {}", milliseconds(p50), milliseconds(p99));
        let (pending, bytes) = self.pending;
        [
            self.seconds.to_string(),
            grouped(self.acknowledged),
            latency(self.acknowledgement),
            grouped(self.waiting),
            latency(self.row),
            format!("{} / {}", self.told.queue, self.told.lag),
            grouped(self.disk / 1_024),
            format!("{} / {}", grouped(pending), grouped(bytes / 1_024)),
            grouped(self.memory),
        ]
    }
}

/// Markdown of all samples.
struct Samples<'s>(&'s [Sample]);

impl std::fmt::Display for Samples<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.iter().map(Sample::cells));
        table(f, &rows)
    }
}
