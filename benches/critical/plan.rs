//! What is measured, and how much of it.

use crate::reference::{APPROVE, HOT, SETTLE, Script};

/// A transaction of the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Approves a submitted milestone.
    Approve,
    /// Settles a proven burn, each of another project.
    Settle,
    /// Settles proven burns of one project, which all want its row.
    SettleHot,
}

impl Act {
    pub const ALL: [Self; 3] = [Self::Approve, Self::Settle, Self::SettleHot];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Settle => "settle, random projects",
            Self::SettleHot => "settle, one hot project",
        }
    }

    /// The same in pgbench.
    pub const fn script(self) -> &'static Script {
        match self {
            Self::Approve => &APPROVE,
            Self::Settle => &SETTLE,
            Self::SettleHot => &HOT,
        }
    }
}

/// How much is measured.
pub struct Plan {
    pub rounds: u32,
    pub percent: u32,
    pub clients: Vec<u32>,
}

impl Plan {
    /// How many transactions each client makes in a cell: about a second's worth on two cores.
    pub fn each(&self, act: Act, clients: u32) -> u32 {
        let together = match (act, clients) {
            (Act::Approve, 0..=1) => 2_000,
            (Act::Approve, 2..=7) => 6_000,
            (Act::Approve, _) => 9_600,
            (Act::Settle, 0..=1) => 800,
            (Act::Settle, 2..=7) => 2_400,
            (Act::Settle, _) => 3_200,
            (Act::SettleHot, 0..=1) => 600,
            (Act::SettleHot, _) => 1_120,
        };
        (together * self.percent / 100 / clients.max(1)).max(1)
    }

    /// How many transactions all cells have together.
    pub fn total(&self, act: Act) -> u32 {
        let round = self.clients.iter();
        let round: u32 = round
            .map(|&clients| clients * self.each(act, clients))
            .sum();
        round * self.rounds
    }
}
