//! Processor time, as the kernel counts it: it says what an event costs, however busy the machine is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Microseconds that a clock tick has; Linux shows a hundred a second everywhere.
const TICK: u64 = 10_000;

/// What a process and its dead children took, in microseconds.
pub fn of_process(id: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    Stat::parse(&stat).map(|stat| stat.own).context("no stat")
}

/// What the server in this folder took with all its processes, those that ended included.
pub fn of_server(home: &Path) -> Result<u64> {
    let file = fs::read_to_string(home.join("data/postmaster.pid"))?;
    let postmaster: u32 = file.lines().next().context("no number")?.trim().parse()?;
    let mut total = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Whoever ended meanwhile is counted among the postmaster's dead children.
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        match Stat::parse(&text) {
            Some(stat) if id == postmaster => total += stat.own + stat.children,
            Some(stat) if stat.parent == postmaster => total += stat.own,
            _ => {}
        }
    }
    Ok(total)
}

/// A line of /proc/…/stat.
struct Stat {
    parent: u32,
    own: u64,
    children: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name before the last bracket may hold anything.
        let (_, rest) = line.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: (ticks(11)? + ticks(12)?) * TICK,
            children: (ticks(13)? + ticks(14)?) * TICK,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_process_may_have_any_name() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 0 1 2 3 4 50 60 700 800 20 0 1 0 9";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.own), (3, 1_100_000));
        assert_eq!(stat.children, 15_000_000);
        assert!(Stat::parse("").is_none());
    }
}
