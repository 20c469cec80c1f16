//! Misbehaviour on request: what the next calls do.
//!
//! | fault | counts | what happens |
//! |---|---|---|
//! | `lose_answer` | `sendTransaction` | acts, then the connection is cut without an answer |
//! | `try_again_later` | `sendTransaction` | answers `TRY_AGAIN_LATER`, queues nothing |
//! | `fail_included` | `sendTransaction` that queued a payment | included, and its payments fail as underfunded; fee and sequence number are taken |
//! | `lag` | every JSON-RPC call | answers as of some ledgers ago; a submission still acts |
//! | `hang` | every JSON-RPC call | does nothing and answers nothing until the client gives up |
//! | `error_500` | every JSON-RPC call | does nothing and answers HTTP 500 |
//!
//! `clear` ends them all. Setting a fault again replaces its count; 0 ends it. Several can be set
//! at once: a call takes the first that fits in the order `hang`, `error_500`, `try_again_later`,
//! `lose_answer`, `lag`, and `fail_included` on top. Faults are forgotten at a restart.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// One kind of misbehaviour; the order is the one in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Hang,
    Error500,
    TryAgainLater,
    LoseAnswer,
    Lag,
    FailIncluded,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] = [
        Self::Hang,
        Self::Error500,
        Self::TryAgainLater,
        Self::LoseAnswer,
        Self::Lag,
        Self::FailIncluded,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::Error500 => "error_500",
            Self::TryAgainLater => "try_again_later",
            Self::LoseAnswer => "lose_answer",
            Self::Lag => "lag",
            Self::FailIncluded => "fail_included",
        }
    }

    fn hits(self, method: &str) -> bool {
        match self {
            Self::Hang | Self::Error500 | Self::Lag => true,
            Self::TryAgainLater | Self::LoseAnswer => method == "sendTransaction",
            // Taken by the queue once a payment got in.
            Self::FailIncluded => false,
        }
    }
}

impl FromStr for Fault {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.name() == name)
            .ok_or(())
    }
}

/// The faults in force, with the calls each still has.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<BTreeMap<Fault, u32>>);

impl Faults {
    pub(crate) fn set(&self, fault: Fault, calls: u32) {
        self.with(|faults| {
            if calls == 0 {
                faults.remove(&fault);
            } else {
                faults.insert(fault, calls);
            }
        });
    }

    pub(crate) fn clear(&self) {
        self.with(BTreeMap::clear);
    }

    /// What is in force, by name.
    pub(crate) fn in_force(&self) -> BTreeMap<&'static str, u32> {
        self.with(|faults| {
            faults
                .iter()
                .map(|(fault, calls)| (fault.name(), *calls))
                .collect()
        })
    }

    /// The fault this call takes, if any; it is counted.
    pub(crate) fn take_for(&self, method: &str) -> Option<Fault> {
        self.with(|faults| {
            let fault = faults.keys().copied().find(|fault| fault.hits(method))?;
            count(faults, fault).then_some(fault)
        })
    }

    /// Whether the payment just queued is to fail; it is counted.
    pub(crate) fn take_fail_included(&self) -> bool {
        self.with(|faults| count(faults, Fault::FailIncluded))
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Fault, u32>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn count(faults: &mut BTreeMap<Fault, u32>, fault: Fault) -> bool {
    match faults.get_mut(&fault) {
        None => false,
        Some(calls) => {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                faults.remove(&fault);
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_lasts_for_its_calls_and_only_for_the_calls_it_is_about() {
        let faults = Faults::default();
        faults.set(Fault::LoseAnswer, 2);
        assert_eq!(faults.take_for("getTransaction"), None);
        assert_eq!(faults.take_for("sendTransaction"), Some(Fault::LoseAnswer));
        faults.set(Fault::Hang, 1);
        assert_eq!(faults.take_for("getHealth"), Some(Fault::Hang));
        assert_eq!(faults.take_for("sendTransaction"), Some(Fault::LoseAnswer));
        assert_eq!(faults.take_for("sendTransaction"), None);
    }

    #[test]
    fn clear_ends_every_fault() {
        let faults = Faults::default();
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            faults.set(fault, 9);
        }
        faults.clear();
        assert!(faults.in_force().is_empty());
        assert!(!faults.take_fail_included());
    }
}
