//! The closed ledgers as far as memory keeps them: the state, the tip, and a few steps back.
//!
//! Close times are remembered for ledgers that were written down. For one in between, the close
//! time of the last written ledger before it is given, which is never too late.

use std::collections::{BTreeMap, VecDeque};

use stellar_xdr::{LedgerEntry, LedgerHeader, LedgerKey};

use crate::ledger::close::{Closing, Included, Tip};
use crate::ledger::state::{Delta, State};
use crate::store::oldest_kept;

/// Ledgers a lagging answer is behind.
pub(crate) const LAG_LEDGERS: usize = 5;
/// Ledgers whose fees are counted.
pub(crate) const FEE_LEDGERS: usize = 50;

/// The range of ledgers an answer speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) latest: u32,
    pub(crate) latest_close_time: u64,
    pub(crate) oldest: u32,
    pub(crate) oldest_close_time: u64,
}

/// One step back: the ledger before, and what undoes the one after.
struct Step {
    tip: Tip,
    latest: Option<Latest>,
    undo: Delta,
}

/// The last ledger with what it includes.
pub(crate) struct Latest {
    pub(crate) header: LedgerHeader,
    pub(crate) included: Vec<Included>,
}

/// The chain's end.
pub(crate) struct Chain {
    state: State,
    tip: Tip,
    steps: VecDeque<Step>,
    close_times: BTreeMap<u32, u64>,
    fees: VecDeque<Vec<i64>>,
    latest: Option<Latest>,
}

impl Chain {
    pub(crate) fn new(state: State, tip: Tip, close_times: Vec<(u32, u64)>) -> Self {
        Self {
            state,
            tip,
            steps: VecDeque::new(),
            close_times: close_times.into_iter().collect(),
            fees: VecDeque::new(),
            latest: None,
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The last ledger, or the one a lagging answer is at; with its content if it closed since
    /// the start.
    pub(crate) fn latest(&self, lagging: bool) -> (&Tip, Option<&Latest>) {
        match self.steps.front() {
            Some(step) if lagging => (&step.tip, step.latest.as_ref()),
            _ => (&self.tip, self.latest.as_ref()),
        }
    }

    /// The fee per operation of each transaction in the last ledgers.
    pub(crate) fn fees(&self) -> impl Iterator<Item = i64> {
        self.fees.iter().flatten().copied()
    }

    pub(crate) fn fee_ledgers(&self) -> usize {
        self.fees.len()
    }

    pub(crate) fn install(&mut self, closing: Closing) {
        let undo = self.state.install(&closing.delta);
        if !closing.is_empty() {
            self.close_times
                .insert(closing.tip.ledger, closing.tip.close_time);
        }
        let fees = closing
            .included
            .iter()
            .map(|included| included.result.fee_charged / included.frame.fee_operations().max(1));
        self.fees.push_back(fees.collect());
        while self.fees.len() > FEE_LEDGERS {
            self.fees.pop_front();
        }
        let latest = Latest {
            header: closing.header,
            included: closing.included,
        };
        self.steps.push_back(Step {
            tip: std::mem::replace(&mut self.tip, closing.tip),
            latest: self.latest.replace(latest),
            undo,
        });
        while self.steps.len() > LAG_LEDGERS {
            self.steps.pop_front();
        }
        self.forget_close_times();
    }

    pub(crate) fn view(&self, lagging: bool) -> View {
        let (at, _) = self.latest(lagging);
        let (latest, latest_close_time) = (at.ledger, at.close_time);
        let oldest = oldest_kept(latest);
        View {
            latest,
            latest_close_time,
            oldest,
            oldest_close_time: self
                .close_times
                .range(..=oldest)
                .next_back()
                .or_else(|| self.close_times.iter().next())
                .map_or(latest_close_time, |(_, time)| *time),
        }
    }

    pub(crate) fn entry(&self, key: &LedgerKey, lagging: bool) -> Option<&LedgerEntry> {
        if lagging {
            for step in &self.steps {
                if let Some(before) = step.undo.get(key) {
                    return before.as_ref();
                }
            }
        }
        self.state.get(key)
    }

    fn forget_close_times(&mut self) {
        let oldest = oldest_kept(self.tip.ledger);
        while self.close_times.range(..=oldest).nth(1).is_some() {
            self.close_times.pop_first();
        }
    }
}
