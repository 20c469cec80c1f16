//! Latencies of each kind of question, and the table that they make.

use std::fmt;

use anyhow::{Context, Result};
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
}

impl Samples {
    pub fn add(&mut self, port: u64, sql: Option<u64>, usual: Option<u64>, http: Option<u64>) {
        self.port.push(port);
        self.sql.extend(sql);
        self.usual.extend(usual);
        self.http.extend(http);
    }

    pub fn line(self, name: String) -> Result<Line> {
        let count = self.port.len();
        let port = percentiles(self.port).with_context(|| format!("{name}: nothing was asked"))?;
        Ok(Line {
            name,
            count,
            port,
            sql: percentiles(self.sql),
            usual: percentiles(self.usual),
            http: percentiles(self.http),
        })
    }
}

/// A kind of question.
pub struct Line {
    name: String,
    count: usize,
    port: Latency,
    sql: Option<Latency>,
    usual: Option<Latency>,
    http: Option<Latency>,
}

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

impl Line {
    pub fn cells(&self) -> [String; 6] {
        let shown = |latency: Option<Latency>| {
            latency.map_or(String::new(), |(p50, p99)| {
                format!("{} / {}", milliseconds(p50), milliseconds(p99))
            })
        };
        [
            self.name.clone(),
            grouped(self.count as u64),
            shown(Some(self.port)),
            shown(self.http),
            shown(self.sql),
            shown(self.usual),
        ]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.iter().map(Line::cells));
        table(f, &rows)
    }
}
