//! What is measured, and how much of it.

use std::fmt;

/// The clients of the reference's HTTP service, and the connections that it has.
pub const NODE_CLIENTS: usize = 32;
/// How many clients push onto the reference's list.
pub const PRODUCERS: usize = 10;
/// How many requests a second the latencies are taken at.
pub const STEADY_RATE: u64 = 500;
/// Over how many connections.
pub const STEADY_CLIENTS: usize = 8;

/// A cell: each is measured once a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// COPY of the same rows in chunks of 1,000, with what waits for its place in the tree, or
    /// without.
    Copy { pending: bool, writers: usize },
    /// Through the service.
    Ingest { batch: usize, clients: usize },
    /// Info events alone, as many as the queue can hold.
    Burst,
    /// One event a request at a steady rate.
    Steady { critical: bool },
    /// A row a request, in Node.
    NodeHttp,
    /// A Redis list with a worker that inserts batches, in Node.
    RedisList { batch: usize },
}

impl Cell {
    /// In the order in which they are measured: what is compared is close together.
    pub const ALL: [Self; 16] = [
        Self::copy(1, false),
        Self::ingest(1_000, 1),
        Self::copy(2, false),
        Self::ingest(1_000, 4),
        Self::copy(1, true),
        Self::ingest(100, 1),
        Self::copy(2, true),
        Self::ingest(100, 4),
        Self::RedisList { batch: 1_000 },
        Self::Burst,
        Self::RedisList { batch: 100 },
        Self::NodeHttp,
        Self::ingest(1, 1),
        Self::ingest(1, 4),
        Self::Steady { critical: false },
        Self::Steady { critical: true },
    ];

    const fn copy(writers: usize, pending: bool) -> Self {
        Self::Copy { pending, writers }
    }

    const fn ingest(batch: usize, clients: usize) -> Self {
        Self::Ingest { batch, clients }
    }

    /// How many work at once.
    pub const fn clients(self) -> usize {
        match self {
            Self::Copy { writers, .. } => writers,
            Self::Ingest { clients, .. } => clients,
            Self::Burst => 4,
            Self::Steady { .. } => STEADY_CLIENTS,
            Self::NodeHttp => NODE_CLIENTS,
            Self::RedisList { .. } => PRODUCERS,
        }
    }

    /// How many events it has, in full: seconds' worth on two cores.
    const fn full(self) -> usize {
        match self {
            Self::Copy { .. } | Self::Burst | Self::Ingest { batch: 1_000, .. } => 100_000,
            Self::Ingest { batch: 100, .. } => 40_000,
            Self::Ingest { clients: 1, .. } => 4_000,
            Self::Ingest { .. } | Self::NodeHttp => 10_000,
            Self::RedisList { .. } => 30_000,
            Self::Steady { .. } => 5_000,
        }
    }

    /// How many events it has, in hundredths of the full number.
    pub const fn events(self, percent: usize) -> usize {
        let events = self.full() * percent / 100;
        // Whole requests, as many from each client.
        let step = match self {
            Self::Copy { writers, .. } => 1_000 * writers,
            Self::Ingest { batch, clients } => batch * clients,
            Self::Burst => 4_000,
            Self::Steady { .. } => STEADY_CLIENTS,
            Self::NodeHttp | Self::RedisList { .. } => 1_000,
        };
        if events < step {
            step
        } else {
            events - events % step
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy { pending: false, .. } => f.write_str("COPY"),
            Self::Copy { pending: true, .. } => f.write_str("COPY, pending leaves too"),
            Self::Ingest { batch: 1, .. } => f.write_str("tranche, single events"),
            Self::Ingest { batch, .. } => write!(f, "tranche, batches of {batch}"),
            Self::Burst => f.write_str("tranche, burst of info events"),
            Self::Steady { critical: false } => f.write_str("tranche, 500 info events/s"),
            Self::Steady { critical: true } => f.write_str("tranche, 500 critical events/s"),
            Self::NodeHttp => f.write_str("Node, HTTP, a row a request"),
            Self::RedisList { batch } => write!(f, "Node, Redis list, batches of {batch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cell;

    #[test]
    fn a_cell_has_whole_requests_as_many_from_each_client() {
        for cell in Cell::ALL {
            for percent in [1, 20, 33, 100] {
                let events = cell.events(percent);
                let batch = match cell {
                    Cell::Ingest { batch, .. } => batch,
                    Cell::Copy { .. } | Cell::Burst => 1_000,
                    Cell::Steady { .. } => 1,
                    Cell::NodeHttp | Cell::RedisList { .. } => continue,
                };
                assert!(events > 0);
                assert_eq!(
                    events % (batch * cell.clients()),
                    0,
                    "{cell} at {percent} %"
                );
            }
        }
    }
}
