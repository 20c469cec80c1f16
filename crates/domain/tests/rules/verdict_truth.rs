//! Verdicts against the truth.
//!
//! A truth is what a ledger did to one burn and to its account. Its witnesses are honest but may
//! lag, forget, or not know: any of them may speak as of any earlier ledger, and `NotFound` may
//! come at any time. Whatever they say, a verdict must not contradict the truth or its future.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tranche_domain::BurnId;
use tranche_domain::disbursement::verdict::{
    AccountRead, ClosedLedger, EXPIRED, Lookup, SEQUENCE_TAKEN, Scan, Testimony, Verdict, Wait,
    decide,
};
use tranche_domain::disbursement::{PreparedBurn, Replacement};

use crate::scene::{burn, cases, time};

/// The ledger at signing; the truth's ledgers count from it.
const SIGNED_AT: u32 = 100;
/// The sequence number of the burn.
const OURS: i64 = 41;

/// What became of the sequence number, and in which ledger.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Never used.
    Free,
    /// By the burn, which burned.
    Burned(u32),
    /// By the burn, which was refused when it was applied.
    Refused(u32),
    /// By a foreign transaction.
    Taken(u32),
    /// By nothing: the account's sequence was set beyond it.
    Passed(u32),
}

#[derive(Clone, Debug)]
struct Truth {
    /// When each ledger closed, in seconds, strictly increasing; the first is the one at signing.
    closes: Vec<i64>,
    valid_until: i64,
    /// Whether a second envelope was signed under another name: it alone lasts that long, and what
    /// happened, happened under its name.
    replaced: bool,
    fate: Fate,
    /// Whether the account went on to use later sequence numbers.
    busy: bool,
    /// The ledger that removed the account.
    gone: Option<u32>,
}

impl Truth {
    /// When ledger `at` closed.
    fn close(&self, at: u32) -> i64 {
        self.closes[at as usize]
    }

    /// Whether a ledger could have such a history.
    fn is_lawful(&self) -> bool {
        let alive = |at| at > 0 && self.gone.is_none_or(|gone| at < gone);
        match self.fate {
            Fate::Free => true,
            Fate::Burned(at) | Fate::Refused(at) => alive(at) && self.close(at) <= self.valid_until,
            Fate::Taken(at) | Fate::Passed(at) => alive(at),
        }
    }

    fn used_at(&self) -> Option<u32> {
        match self.fate {
            Fate::Free => None,
            Fate::Burned(at) | Fate::Refused(at) | Fate::Taken(at) | Fate::Passed(at) => Some(at),
        }
    }

    fn sequence(&self, at: u32) -> Option<i64> {
        if self.gone.is_some_and(|gone| gone <= at) {
            return None;
        }
        Some(match self.used_at() {
            Some(used) if used < at && self.busy => OURS + 7,
            Some(used) if used <= at => match self.fate {
                Fate::Passed(_) => OURS + 3,
                _ => OURS,
            },
            _ => OURS - 1,
        })
    }

    fn burned_by(&self, now: u32) -> bool {
        matches!(self.fate, Fate::Burned(at) if at <= now)
    }

    /// Whether some future after `now` could include the burn. Closes are whole seconds apart.
    fn may_still_happen(&self, now: u32) -> bool {
        self.sequence(now).is_some_and(|used| used < OURS) && self.close(now) < self.valid_until
    }
}

/// What the witnesses say, in ledgers counted from signing.
#[derive(Clone, Copy, Debug)]
struct Words {
    lookup: Memory,
    closed: Option<u32>,
    read: u32,
    /// First and last ledger searched; the first counts from one before signing.
    scan: Option<(u32, u32)>,
}

/// What the node that is asked for the burn remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    Nothing,
    Everything,
    /// It holds something that is not what was ordered.
    SomethingElse,
}

fn prepared(truth: &Truth) -> PreparedBurn {
    let replacement = Replacement {
        id: name(truth),
        envelope: vec![4],
        valid_until: time(truth.valid_until),
    };
    PreparedBurn {
        valid_until: time(truth.valid_until - if truth.replaced { 25 } else { 0 }),
        signed_at_ledger: SIGNED_AT,
        replacements: truth.replaced.then_some(replacement).into_iter().collect(),
        ..burn(OURS)
    }
}

/// The name under which whatever happened to the burn happened.
fn name(truth: &Truth) -> BurnId {
    if truth.replaced {
        BurnId("second".to_owned())
    } else {
        burn(OURS).id
    }
}

fn testimony(truth: &Truth, now: u32, words: Words) -> Testimony {
    let lookup = match (words.lookup, truth.fate) {
        (Memory::Nothing, _) => Lookup::NotFound,
        (memory, Fate::Burned(at)) if at <= now => Lookup::Succeeded {
            burn: name(truth),
            ledger: SIGNED_AT + at,
            as_ordered: memory == Memory::Everything,
        },
        (_, Fate::Refused(at)) if at <= now => Lookup::Failed {
            ledger: SIGNED_AT + at,
            code: "op_underfunded".to_owned(),
        },
        _ => Lookup::NotFound,
    };
    let scan = words.scan.map(|(from, to)| {
        let covers = |at: u32| from <= at + 1 && at <= to;
        let taker = match truth.fate {
            Fate::Burned(at) | Fate::Refused(at) if covers(at) => Some(name(truth)),
            Fate::Taken(at) if covers(at) => Some(BurnId("foreign".to_owned())),
            _ => None,
        };
        Scan {
            from: SIGNED_AT - 1 + from,
            to: SIGNED_AT + to,
            taker,
        }
    });
    Testimony {
        lookup,
        closed: words.closed.map(|at| ClosedLedger {
            sequence: SIGNED_AT + at,
            closed_at: time(truth.close(at)),
        }),
        account: AccountRead {
            ledger: SIGNED_AT + words.read,
            sequence: truth.sequence(words.read),
        },
        scan,
    }
}

/// Panics when the verdict contradicts the truth. Returns the verdict's kind.
fn check(truth: &Truth, now: u32, words: Words) -> &'static str {
    let testimony = testimony(truth, now, words);
    let verdict = decide(&prepared(truth), &testimony);
    let told = || format!("{verdict:?}\nnow {now}\n{truth:?}\n{testimony:?}");
    match &verdict {
        Verdict::Burned { burn, ledger } => {
            assert_eq!(*burn, name(truth), "{}", told());
            let at = ledger - SIGNED_AT;
            let true_at = matches!(truth.fate, Fate::Burned(burned) if burned == at);
            assert!(
                true_at && truth.burned_by(now),
                "burned, but not so: {}",
                told()
            );
            "burned"
        }
        Verdict::Failed(failure) => {
            assert!(!truth.burned_by(now), "failed, but it burned: {}", told());
            assert!(
                !truth.may_still_happen(now),
                "failed, but it may burn: {}",
                told()
            );
            match failure.code.as_str() {
                EXPIRED => {
                    assert!(truth.close(now) > truth.valid_until, "early: {}", told());
                    let shown = testimony
                        .closed
                        .expect("expiry is shown by a closed ledger");
                    assert!(
                        shown.closed_at > time(truth.valid_until),
                        "early: {}",
                        told()
                    );
                    "expired"
                }
                SEQUENCE_TAKEN => {
                    let taken =
                        matches!(truth.fate, Fate::Taken(at) | Fate::Passed(at) if at <= now);
                    assert!(taken, "taken, but not so: {}", told());
                    "taken"
                }
                _ => {
                    let refused = matches!(truth.fate, Fate::Refused(at) if at <= now);
                    assert!(refused, "refused, but not so: {}", told());
                    "refused"
                }
            }
        }
        Verdict::NeedsOperator { .. } => {
            let account_gone = testimony.account.sequence.is_none();
            let odd = words.lookup == Memory::SomethingElse;
            let gap = words
                .scan
                .is_some_and(|(from, to)| from > 1 || to < words.read);
            assert!(
                account_gone || odd || gap,
                "a person is called for nothing: {}",
                told()
            );
            "needs operator"
        }
        Verdict::Undecided(Wait::MayStillHappen) => "may still happen",
        Verdict::Undecided(Wait::ScanNeeded) => "scan needed",
        Verdict::Undecided(Wait::LookAgain) => "look again",
    }
}

/// What witnesses who know everything as of `now` must lead to.
fn check_complete(truth: &Truth, now: u32) {
    let words = Words {
        lookup: Memory::Everything,
        closed: Some(now),
        read: now,
        scan: Some((1, now)),
    };
    let gone = truth.sequence(now).is_none();
    let expected = match truth.fate {
        Fate::Burned(at) if at <= now => "burned",
        _ if gone => "needs operator",
        Fate::Refused(at) if at <= now => "refused",
        Fate::Taken(at) | Fate::Passed(at) if at <= now => "taken",
        _ if truth.close(now) > truth.valid_until => "expired",
        _ => "may still happen",
    };
    assert_eq!(check(truth, now, words), expected, "{truth:?} at {now}");
}

const MEMORIES: [Memory; 3] = [Memory::Nothing, Memory::Everything, Memory::SomethingElse];

/// Every word the witnesses can say by `now`.
fn all_words(now: u32) -> impl Iterator<Item = Words> {
    let scans = (0..=now).flat_map(move |to| (0..=to + 1).map(move |from| Some((from, to))));
    let scans: Vec<_> = std::iter::once(None).chain(scans).collect();
    let closes = std::iter::once(None).chain((0..=now).map(Some));
    closes.flat_map(move |closed| {
        let scans = scans.clone();
        (0..=now).flat_map(move |read| {
            let scans = scans.clone();
            MEMORIES.into_iter().flat_map(move |lookup| {
                let scans = scans.clone();
                scans.into_iter().map(move |scan| Words {
                    lookup,
                    closed,
                    read,
                    scan,
                })
            })
        })
    })
}

/// Every history of four ledgers after signing, ten seconds apart, with every validity limit on,
/// between and beyond their closes.
fn small_truths() -> Vec<Truth> {
    const LAST: u32 = 4;
    let kinds = [Fate::Burned, Fate::Refused, Fate::Taken, Fate::Passed];
    let fates = kinds.iter().flat_map(|fate| (1..=LAST).map(fate));
    let fates: Vec<_> = std::iter::once(Fate::Free).chain(fates).collect();
    let mut truths = Vec::new();
    for fate in fates {
        for gone in std::iter::once(None).chain((1..=LAST).map(Some)) {
            for valid_until in (5..=45).step_by(5) {
                for (busy, replaced) in [(false, false), (true, false), (false, true)] {
                    let closes = (0..=i64::from(LAST)).map(|at| at * 10).collect();
                    truths.push(Truth {
                        closes,
                        valid_until,
                        replaced,
                        fate,
                        busy,
                        gone,
                    });
                }
            }
        }
    }
    truths.retain(Truth::is_lawful);
    truths
}

#[test]
fn in_a_small_world_no_testimony_at_all_misleads() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for truth in small_truths() {
        for now in 0..5 {
            // Memories that would say the same are asked once.
            let told_apart = match truth.fate {
                Fate::Burned(_) => 3,
                Fate::Refused(_) => 2,
                Fate::Free | Fate::Taken(_) | Fate::Passed(_) => 1,
            };
            let memories = &MEMORIES[..told_apart];
            for words in all_words(now).filter(|words| memories.contains(&words.lookup)) {
                *seen.entry(check(&truth, now, words)).or_default() += 1;
            }
        }
    }
    assert_eq!(seen.len(), 8, "every kind of verdict was reached: {seen:?}");
}

#[test]
fn in_a_small_world_complete_testimony_decides_whatever_can_be_decided() {
    for truth in small_truths() {
        for now in 0..5 {
            check_complete(&truth, now);
        }
    }
}

fn truths() -> impl Strategy<Value = Truth> {
    let closes = prop::collection::vec(1..=7_i64, 1..=14);
    let fate = (0..5_u8, 1..=14_u32);
    (
        closes,
        0..=60_i64,
        fate,
        any::<(bool, bool)>(),
        option::weighted(0.1, 1..=14_u32),
    )
        .prop_map(|(gaps, valid_until, (kind, at), (busy, replaced), gone)| {
            let mut closes = vec![0];
            closes.extend(gaps.iter().scan(0, |sum, gap| {
                *sum += gap;
                Some(*sum)
            }));
            let at = 1 + (at - 1) % u32::try_from(gaps.len()).expect("few ledgers");
            let fate = match kind {
                0 => Fate::Free,
                1 => Fate::Burned(at),
                2 => Fate::Refused(at),
                3 => Fate::Taken(at),
                _ => Fate::Passed(at),
            };
            let truth = Truth {
                closes,
                valid_until,
                replaced,
                fate,
                busy,
                gone,
            };
            if truth.is_lawful() {
                truth
            } else {
                Truth {
                    fate: Fate::Free,
                    ..truth
                }
            }
        })
}

#[test]
fn in_any_world_no_testimony_misleads() {
    let numbers = (
        any::<u32>(),
        option::weighted(0.9, any::<u32>()),
        any::<u32>(),
    );
    let scan = option::weighted(0.7, (any::<u32>(), any::<u32>()));
    let inputs = (
        truths(),
        numbers,
        prop::sample::select(MEMORIES.to_vec()),
        scan,
    );
    let seen: RefCell<BTreeMap<&str, u32>> = RefCell::default();
    let outcome = TestRunner::new(cases(30_000)).run(
        &inputs,
        |(truth, (now, closed, read), lookup, scan)| {
            let now = now % u32::try_from(truth.closes.len()).expect("few ledgers");
            let scan = scan.map(|(from, to)| {
                let to = to % (now + 1);
                (from % (to + 2), to)
            });
            let words = Words {
                lookup,
                closed: closed.map(|at| at % (now + 1)),
                read: read % (now + 1),
                scan,
            };
            *seen
                .borrow_mut()
                .entry(check(&truth, now, words))
                .or_default() += 1;
            check_complete(&truth, now);
            Ok(())
        },
    );
    outcome.unwrap();
    assert_eq!(
        seen.borrow().len(),
        8,
        "every kind of verdict was reached: {seen:?}"
    );
}
