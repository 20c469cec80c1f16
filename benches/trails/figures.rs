//! Latencies, and the table that they make.

use std::fmt;

use anyhow::{Context, Result};
use tranche_benches::table::{grouped, milliseconds, percentiles, table};

/// What was measured of one kind, in microseconds.
#[derive(Default)]
pub struct Samples {
    pub port: Vec<u64>,
    pub sql: Vec<u64>,
    pub usual: Vec<u64>,
}

impl Samples {
    pub fn line(self, name: &str) -> Result<[String; 5]> {
        let count = self.port.len() as u64;
        let port = percentiles(self.port).with_context(|| format!("{name}: nothing was asked"))?;
        let shown = |latency: Option<(u64, u64)>| {
            latency.map_or(String::new(), |(p50, p99)| {
                format!("{} / {}", milliseconds(p50), milliseconds(p99))
            })
        };
        Ok([
            name.to_owned(),
            grouped(count),
            shown(Some(port)),
            shown(percentiles(self.sql)),
            shown(percentiles(self.usual)),
        ])
    }
}

/// Markdown of all kinds.
pub struct Figures(pub Vec<[String; 5]>);

const HEAD: [&str; 5] = [
    "p50 / p99 ms",
    "asked",
    "through the port",
    "plain SQL",
    "the usual table",
];

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.iter().cloned());
        table(f, &rows)
    }
}
