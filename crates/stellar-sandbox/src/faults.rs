//! Misbehaviour on request: what the next calls do.
//!
//! | fault | counts | what happens |
//! |---|---|---|
//! | `lose_answer` | `sendTransaction` | acts, then the connection is cut without an answer |
//! | `try_again_later` | `sendTransaction` | answers `TRY_AGAIN_LATER`, queues nothing |
//! | `repeat` | `sendTransaction` | acts twice, as when a proxy repeats a request, and answers the second |
//! | `fee_pressure` | every submission that reaches the queue | one that bids less than `fee` stroops an operation is refused as `txINSUFFICIENT_FEE`, with the fee that would do as `feeCharged`, and banned |
//! | `evict` | `sendTransaction` that queued a payment | answers `PENDING`, then the queue drops and bans it |
//! | `fail_included` | `sendTransaction` that queued a payment | included, and its payments fail as underfunded; fee and sequence number are taken |
//! | `lag` | every JSON-RPC call | answers as of some ledgers ago; a submission still acts |
//! | `hang` | every JSON-RPC call | does nothing and answers nothing until the client gives up |
//! | `error_500` | every JSON-RPC call | does nothing and answers HTTP 500 |
//!
//! `clear` ends them all. Setting a fault again replaces its count; 0 ends it. With a `method`, only
//! calls of that method are counted and hit. Several can be set at once: a call takes the first that
//! fits in the order `hang`, `error_500`, `try_again_later`, `lose_answer`, `repeat`, `lag`, and
//! those of the queue (`fee_pressure`, `evict`, `fail_included`) on top. Faults are forgotten at a
//! restart.

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
    Repeat,
    Lag,
    FeePressure,
    Evict,
    FailIncluded,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::Hang,
        Self::Error500,
        Self::TryAgainLater,
        Self::LoseAnswer,
        Self::Repeat,
        Self::Lag,
        Self::FeePressure,
        Self::Evict,
        Self::FailIncluded,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::Error500 => "error_500",
            Self::TryAgainLater => "try_again_later",
            Self::LoseAnswer => "lose_answer",
            Self::Repeat => "repeat",
            Self::Lag => "lag",
            Self::FeePressure => "fee_pressure",
            Self::Evict => "evict",
            Self::FailIncluded => "fail_included",
        }
    }

    fn hits(self, method: &str) -> bool {
        match self {
            Self::Hang | Self::Error500 | Self::Lag => true,
            Self::TryAgainLater | Self::LoseAnswer | Self::Repeat => method == "sendTransaction",
            // Taken by the queue.
            Self::FeePressure | Self::Evict | Self::FailIncluded => false,
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

/// How a fault is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// How many calls it lasts.
    pub(crate) calls: u32,
    /// The only method it is about; any that the fault is about if absent.
    pub(crate) method: Option<String>,
    /// What [`Fault::FeePressure`] asks of every operation, in stroops.
    pub(crate) fee: i64,
}

#[cfg(test)]
impl Setting {
    pub(crate) fn calls(calls: u32) -> Self {
        Self {
            calls,
            ..Self::default()
        }
    }
}

/// The faults in force, with the calls each still has.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<BTreeMap<Fault, Setting>>);

impl Faults {
    pub(crate) fn set(&self, fault: Fault, setting: Setting) {
        self.with(|faults| {
            if setting.calls == 0 {
                faults.remove(&fault);
            } else {
                faults.insert(fault, setting);
            }
        });
    }

    pub(crate) fn clear(&self) {
        self.with(BTreeMap::clear);
    }

    /// What is in force, by name, with the calls that are left.
    pub(crate) fn in_force(&self) -> BTreeMap<&'static str, u32> {
        self.with(|faults| {
            faults
                .iter()
                .map(|(fault, setting)| (fault.name(), setting.calls))
                .collect()
        })
    }

    /// The fault this call takes, if any; it is counted.
    pub(crate) fn take_for(&self, method: &str) -> Option<Fault> {
        self.with(|faults| {
            let hit = |setting: &Setting| setting.method.as_deref().is_none_or(|m| m == method);
            let fault = faults
                .iter()
                .find(|(fault, setting)| fault.hits(method) && hit(setting))
                .map(|(fault, _)| *fault)?;
            count(faults, fault).map(|_| fault)
        })
    }

    /// Whether the queue takes this fault now; it is counted.
    pub(crate) fn take(&self, fault: Fault) -> bool {
        self.with(|faults| count(faults, fault)).is_some()
    }

    /// What an operation must bid to be queued now, if anything; it is counted.
    pub(crate) fn take_fee_pressure(&self) -> Option<i64> {
        self.with(|faults| count(faults, Fault::FeePressure))
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Fault, Setting>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts a call, if the fault is in force; gives its fee.
fn count(faults: &mut BTreeMap<Fault, Setting>, fault: Fault) -> Option<i64> {
    let setting = faults.get_mut(&fault)?;
    let fee = setting.fee;
    setting.calls = setting.calls.saturating_sub(1);
    if setting.calls == 0 {
        faults.remove(&fault);
    }
    Some(fee)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_lasts_for_its_calls_and_only_for_the_calls_it_is_about() {
        let faults = Faults::default();
        faults.set(Fault::LoseAnswer, Setting::calls(2));
        assert_eq!(faults.take_for("getTransaction"), None);
        assert_eq!(faults.take_for("sendTransaction"), Some(Fault::LoseAnswer));
        faults.set(Fault::Hang, Setting::calls(1));
        assert_eq!(faults.take_for("getHealth"), Some(Fault::Hang));
        assert_eq!(faults.take_for("sendTransaction"), Some(Fault::LoseAnswer));
        assert_eq!(faults.take_for("sendTransaction"), None);
    }

    #[test]
    fn a_fault_of_one_method_leaves_the_others_alone() {
        let faults = Faults::default();
        let setting = Setting {
            calls: 1,
            method: Some("getTransaction".to_owned()),
            fee: 0,
        };
        faults.set(Fault::Lag, setting);
        assert_eq!(faults.take_for("getLedgerEntries"), None);
        assert_eq!(faults.take_for("getTransaction"), Some(Fault::Lag));
        assert_eq!(faults.take_for("getTransaction"), None);
    }

    #[test]
    fn clear_ends_every_fault() {
        let faults = Faults::default();
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            faults.set(fault, Setting::calls(9));
        }
        faults.clear();
        assert!(faults.in_force().is_empty());
        assert!(!faults.take(Fault::FailIncluded));
    }
}
