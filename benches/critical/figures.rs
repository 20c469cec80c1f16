//! Figures of cells, and the table they make. Whole numbers throughout: rates a second, latencies
//! in microseconds, ratios in thousandths.

use std::collections::BTreeMap;
use std::fmt;

use tranche_benches::table::{grouped, median, milliseconds, table, thousandths};

use crate::plan::Act;

/// What a cell came to.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Transactions a second.
    pub rate: u64,
    p50: u64,
    p99: u64,
}

/// A transaction: when it ended, by any clock that does not stop, and how long it took.
pub type Done = (u64, u64);

impl Cell {
    /// From what each client did, in its order.
    ///
    /// What counts lies between the moment when every client has made a fifth of its share and the
    /// moment when the first of them is through. Before, new connections fill their caches and
    /// prepare their statements; afterwards, not all clients are at work.
    pub fn of(clients: &[Vec<Done>]) -> Option<Self> {
        let warm = |share: &Vec<Done>| share.get(share.len() / 5).map(|done| done.0);
        let through = |share: &Vec<Done>| share.last().map(|done| done.0);
        let from = clients.iter().map(warm).max()??;
        let to = clients.iter().map(through).min()??;
        let counts = |done: &&Done| from < done.0 && done.0 <= to;
        let mut latencies: Vec<_> = clients.iter().flatten().filter(counts).collect();
        latencies.sort_unstable_by_key(|done| done.1);
        let at = |hundredths: usize| {
            let index = latencies.len() * hundredths / 100;
            latencies.get(index).map(|done| done.1)
        };
        let transactions = u64::try_from(latencies.len()).ok()?;
        Some(Self {
            rate: (transactions * 1_000_000).checked_div(to.checked_sub(from)?)?,
            p50: at(50)?,
            p99: at(99)?,
        })
    }
}

/// A cell of pgbench and the service's right after it.
struct Pair {
    theirs: Cell,
    ours: Cell,
}

impl Pair {
    const fn ratio(&self) -> u64 {
        match (self.ours.rate * 1_000).checked_div(self.theirs.rate) {
            Some(ratio) => ratio,
            None => 0,
        }
    }
}

/// Every pair by what it was, in the order of the rounds.
#[derive(Default)]
pub struct Figures {
    pairs: BTreeMap<(Act, u32), Vec<Pair>>,
    pipelined: BTreeMap<u32, Vec<Cell>>,
}

impl Figures {
    pub fn pair(&mut self, act: Act, clients: u32, theirs: Cell, ours: Cell) {
        let pairs = self.pairs.entry((act, clients)).or_default();
        pairs.push(Pair { theirs, ours });
    }

    /// The approval in one round trip: what pgbench can do if it need not wait in between.
    pub fn context(&mut self, clients: u32, cell: Cell) {
        self.pipelined.entry(clients).or_default().push(cell);
    }
}

const HEAD: [&str; 8] = [
    "transaction",
    "clients",
    "pgbench /s",
    "tranche /s",
    "ratio",
    "lowest–highest",
    "pgbench p50 / p99 ms",
    "tranche p50 / p99 ms",
];

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        for ((act, clients), pairs) in &self.pairs {
            let ratios = || pairs.iter().map(Pair::ratio);
            let lowest = thousandths(ratios().min().unwrap_or_default());
            let highest = thousandths(ratios().max().unwrap_or_default());
            rows.push([
                act.name().to_owned(),
                clients.to_string(),
                grouped(median(pairs, |pair| pair.theirs.rate)),
                grouped(median(pairs, |pair| pair.ours.rate)),
                thousandths(median(pairs, Pair::ratio)),
                format!("{lowest}–{highest}"),
                latencies(pairs, |pair| pair.theirs),
                latencies(pairs, |pair| pair.ours),
            ]);
        }
        for (clients, cells) in &self.pipelined {
            let none = String::new;
            rows.push([
                "approve, pipelined".to_owned(),
                clients.to_string(),
                grouped(median(cells, |cell| cell.rate)),
                none(),
                none(),
                none(),
                latencies(cells, |cell| *cell),
                none(),
            ]);
        }
        table(f, &rows)
    }
}

fn latencies<T>(values: &[T], cell: impl Fn(&T) -> Cell) -> String {
    let p50 = milliseconds(median(values, |value| cell(value).p50));
    let p99 = milliseconds(median(values, |value| cell(value).p99));
    format!("{p50} / {p99}")
}
