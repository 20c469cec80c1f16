//! Figures of cells, and the tables they make.

use std::collections::BTreeMap;
use std::fmt;

use std::time::Duration;

use tranche_benches::table::{grouped, median, milliseconds, percentiles, table, thousandths};

use crate::load::Sent;
use crate::plan::Cell;
use crate::rows::Arrived;
use tranche_benches::content::Moment;

/// Median and 99th percentile, in microseconds.
type Latency = (u64, u64);

/// What a cell came to. What it does not have is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Events a second that were acknowledged, to the last acknowledgement.
    pub acknowledged: Option<u64>,
    /// Events a second that came into the log, to the last commit.
    pub to_row: Option<u64>,
    acknowledgement: Option<Latency>,
    row: Option<Latency>,
    /// How many events that was.
    events: u64,
    /// Processor time of the database and of the service, in microseconds.
    cpu: Option<(u64, u64)>,
    /// How often the service asked to come again.
    refused: u64,
}

impl Outcome {
    /// Rows copied.
    pub fn copied(events: usize, took: Duration, latencies: Vec<u64>) -> Option<Self> {
        let events = u64::try_from(events).ok()?;
        let took = u64::try_from(took.as_micros()).ok()?;
        Some(Self {
            to_row: (events * 1_000_000).checked_div(took),
            row: percentiles(latencies),
            events,
            ..Self::default()
        })
    }

    /// With what it cost.
    pub fn with_cpu(self, cpu: (u64, u64)) -> Self {
        Self {
            cpu: Some(cpu),
            ..self
        }
    }

    /// Microseconds of processor time an event.
    fn cpu_an_event(&self) -> Option<(u64, u64)> {
        let (database, service) = self.cpu?;
        Some((
            database.checked_div(self.events)?,
            service.checked_div(self.events)?,
        ))
    }

    /// Answered when the row is committed.
    pub fn answered(rate: u64, latency: Latency) -> Self {
        Self {
            acknowledged: Some(rate),
            acknowledgement: Some(latency),
            ..Self::queued(rate, latency)
        }
    }

    /// Taken by a queue that promises nothing.
    pub fn queued(rate: u64, latency: Latency) -> Self {
        Self {
            to_row: Some(rate),
            row: Some(latency),
            ..Self::default()
        }
    }

    /// Sent to the service.
    pub fn ingested(
        log: &[Sent],
        begun: Moment,
        acknowledged: Moment,
        arrived: Arrived,
    ) -> Option<Self> {
        let events: usize = log.iter().map(|sent| sent.events).sum();
        let events = u64::try_from(events).ok()?;
        let rate = |until: u64| (events * 1_000_000).checked_div(until.checked_sub(begun.0)?);
        Some(Self {
            acknowledged: rate(acknowledged.0),
            to_row: rate(arrived.last),
            acknowledgement: percentiles(log.iter().map(|sent| sent.took).collect()),
            row: Some((arrived.p50, arrived.p99)),
            events,
            cpu: None,
            refused: log.iter().map(|sent| u64::from(sent.refused)).sum(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rate) = self.acknowledged {
            write!(f, "{}/s acknowledged, ", grouped(rate))?;
        }
        write!(f, "{}/s to row", grouped(self.to_row.unwrap_or_default()))?;
        if let Some((database, service)) = self.cpu_an_event() {
            write!(f, ", {database} + {service} us of processor time an event")?;
        }
        if self.refused > 0 {
            write!(f, ", {} requests refused at first", grouped(self.refused))?;
        }
        Ok(())
    }
}

/// Every outcome, in the order of the rounds.
#[derive(Default)]
pub struct Figures(BTreeMap<Cell, Vec<Outcome>>);

const HEAD: [&str; 8] = [
    "what",
    "clients",
    "acknowledged /s",
    "to row /s",
    "to row ÷ COPY",
    "acknowledged p50 / p99 ms",
    "row p50 / p99 ms",
    "database + service µs an event",
];

impl Figures {
    pub fn add(&mut self, cell: Cell, outcome: Outcome) {
        self.0.entry(cell).or_default().push(outcome);
    }

    fn of(&self, cell: Cell) -> &[Outcome] {
        self.0.get(&cell).map(Vec::as_slice).unwrap_or_default()
    }

    /// The best of some cells in each round, in rows a second.
    fn best(&self, cells: &[Cell]) -> Vec<u64> {
        let rounds = cells.iter().map(|&cell| self.of(cell).len()).min();
        let rate = |round: usize| {
            let rates = cells.iter().map(|&cell| self.of(cell)[round].to_row);
            rates.max().flatten().unwrap_or_default()
        };
        (0..rounds.unwrap_or_default()).map(rate).collect()
    }

    /// A cell's rows a second, in thousandths of the best of others in the same round.
    fn ratios(&self, cell: Cell, others: &[Cell]) -> Vec<u64> {
        let pairs = self.best(&[cell]).into_iter().zip(self.best(others));
        let ratio = |(ours, theirs): (u64, u64)| (ours * 1_000).checked_div(theirs);
        pairs.filter_map(ratio).collect()
    }

    fn row(&self, cell: Cell) -> [String; 8] {
        let outcomes = self.of(cell);
        let rate = |figure: fn(&Outcome) -> Option<u64>| {
            let known = outcomes.iter().all(|outcome| figure(outcome).is_some());
            let rate = || grouped(median(outcomes, |one| figure(one).unwrap_or_default()));
            known.then(rate).unwrap_or_default()
        };
        let latency = |figure: fn(&Outcome) -> Option<Latency>| {
            let known: Vec<_> = outcomes.iter().filter_map(figure).collect();
            let text = || {
                let p50 = milliseconds(median(&known, |latency| latency.0));
                format!(
                    "{p50} / {}",
                    milliseconds(median(&known, |latency| latency.1))
                )
            };
            (!known.is_empty()).then(text).unwrap_or_default()
        };
        let steady = matches!(cell, Cell::Steady { .. });
        let shown = |text: String| if steady { String::new() } else { text };
        let against_copy = match cell {
            Cell::Ingest { .. } | Cell::Burst => {
                thousandths(median(&self.ratios(cell, &COPY), |ratio| *ratio))
            }
            _ => String::new(),
        };
        [
            cell.to_string(),
            cell.clients().to_string(),
            shown(rate(|outcome| outcome.acknowledged)),
            shown(rate(|outcome| outcome.to_row)),
            against_copy,
            latency(|outcome| outcome.acknowledgement),
            latency(|outcome| outcome.row),
            cpu(outcomes),
        ]
    }

    fn comparison(&self, name: &str, others: &[Cell]) -> [String; 3] {
        let ratio = |cell: Cell| {
            let ratios = self.ratios(cell, others);
            let shown = |ratio: Option<&u64>| thousandths(ratio.copied().unwrap_or_default());
            let middle = thousandths(median(&ratios, |ratio| *ratio));
            let (lowest, highest) = (shown(ratios.iter().min()), shown(ratios.iter().max()));
            format!("{middle} ({lowest}–{highest})")
        };
        let [one, four] = OURS.map(ratio);
        [name.to_owned(), one, four]
    }
}

/// Medians of the processor time an event, where it was counted.
fn cpu(outcomes: &[Outcome]) -> String {
    let known: Vec<_> = outcomes.iter().filter_map(Outcome::cpu_an_event).collect();
    if known.is_empty() {
        return String::new();
    }
    let database = median(&known, |cpu| cpu.0);
    match median(&known, |cpu| cpu.1) {
        0 => database.to_string(),
        service => format!("{database} + {service}"),
    }
}

const OURS: [Cell; 2] = [
    Cell::Ingest {
        batch: 1_000,
        clients: 1,
    },
    Cell::Ingest {
        batch: 1_000,
        clients: 4,
    },
];
const COPY: [Cell; 2] = [copy(1, false), copy(2, false)];
const COPY_PENDING: [Cell; 2] = [copy(1, true), copy(2, true)];
const LISTS: [Cell; 2] = [
    Cell::RedisList { batch: 100 },
    Cell::RedisList { batch: 1_000 },
];

const fn copy(writers: usize, pending: bool) -> Cell {
    Cell::Copy { pending, writers }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.keys().map(|&cell| self.row(cell)));
        table(f, &rows)?;
        writeln!(f)?;
        let head = [
            "rows a second, batches of 1,000, ÷",
            "one client",
            "four clients",
        ];
        let rows = [
            head.map(str::to_owned),
            self.comparison("COPY", &COPY),
            self.comparison("COPY, pending leaves too", &COPY_PENDING),
            self.comparison("Node, HTTP, a row a request", &[Cell::NodeHttp]),
            self.comparison("Node, Redis list and worker", &LISTS),
        ];
        table(f, &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::{COPY, Cell, Figures, OURS, Outcome};

    #[test]
    fn a_ratio_is_against_the_best_of_the_same_round() {
        let mut figures = Figures::default();
        for (ours, one, two) in [(60, 100, 50), (30, 50, 200)] {
            figures.add(OURS[1], Outcome::queued(ours, (0, 0)));
            figures.add(COPY[0], Outcome::queued(one, (0, 0)));
            figures.add(COPY[1], Outcome::queued(two, (0, 0)));
        }
        assert_eq!(figures.ratios(OURS[1], &COPY), [600, 150]);
        assert!(figures.ratios(OURS[1], &[Cell::NodeHttp]).is_empty());
    }
}
