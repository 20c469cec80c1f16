//! Latencies of each kind of question, and the table that they make.

use std::fmt;

use tranche_benches::table::{grouped, milliseconds, percentiles, table};

/// Median and 99th percentile, in microseconds.
type Latency = (u64, u64);

/// What was measured of one kind, in microseconds.
#[derive(Default)]
pub struct Samples {
    port: Vec<u64>,
    sql: Vec<u64>,
    usual: Vec<u64>,
    http: Vec<u64>,
    /// How often it would have taken longer than a search may.
    pub refused: usize,
}

impl Samples {
    /// What a question to the log took, unless it was only to warm up.
    pub fn log(&mut self, counts: bool, port: u64, sql: Option<u64>, http: Option<u64>) {
        if counts {
            self.port.push(port);
            self.sql.extend(sql);
            self.http.extend(http);
        }
    }

    /// What the same took on the usual table.
    pub fn usual(&mut self, counts: bool, took: u64) {
        if counts {
            self.usual.push(took);
        }
    }

    /// How far the measurement is.
    pub fn told(&self, name: &str) -> String {
        let shown = |samples: &Vec<u64>| shown(percentiles(samples.clone()));
        format!("{name}: {} · {}", shown(&self.port), shown(&self.usual))
    }

    pub fn line(&self, name: String) -> Line {
        let latencies = |samples: &Vec<u64>| shown(percentiles(samples.clone()));
        let port = match self.refused {
            0 => latencies(&self.port),
            times => format!("{} refused {times} times", latencies(&self.port)),
        };
        Line([
            name,
            grouped((self.port.len() + self.refused) as u64),
            port,
            latencies(&self.http),
            latencies(&self.sql),
            latencies(&self.usual),
        ])
    }
}

/// A kind of question: its cells.
pub struct Line([String; 6]);

/// Markdown of all kinds.
pub struct Figures(pub Vec<Line>);

const HEAD: [&str; 6] = [
    "p50 / p99 ms",
    "asked",
    "through the port",
    "over HTTP",
    "the same in SQL",
    "the usual table",
];

fn shown(latency: Option<Latency>) -> String {
    latency.map_or(String::new(), |(p50, p99)| {
        format!("{} / {}", milliseconds(p50), milliseconds(p99))
    })
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.iter().map(|line| line.0.clone()));
        table(f, &rows)
    }
}
