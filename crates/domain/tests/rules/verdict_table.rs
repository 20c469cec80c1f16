//! From testimony to verdict, one row at a time.

use tranche_domain::BurnId;
use tranche_domain::disbursement::verdict::{
    AccountRead, ClosedLedger, EXPIRED, Lookup, SEQUENCE_TAKEN, Scan, Testimony, Verdict, Wait,
    decide,
};
use tranche_domain::disbursement::{PreparedBurn, Replacement};

use crate::scene::{burn, time};

/// The burn of these tests: sequence 41, signed at ledger 100, valid until second 200.
fn verdict(testimony: &Testimony) -> Verdict {
    decide(&burn(41), testimony)
}

/// Nothing known, nothing used, nothing expired.
fn silence() -> Testimony {
    Testimony {
        lookup: Lookup::NotFound,
        closed: Some(closed(110, 150)),
        account: account(110, 40),
        scan: None,
    }
}

fn closed(sequence: u32, seconds: i64) -> ClosedLedger {
    ClosedLedger {
        sequence,
        closed_at: time(seconds),
    }
}

fn account(ledger: u32, sequence: i64) -> AccountRead {
    AccountRead {
        ledger,
        sequence: Some(sequence),
    }
}

fn scan(from: u32, to: u32, taker: Option<&str>) -> Scan {
    let taker = taker.map(|id| BurnId(id.to_owned()));
    Scan { from, to, taker }
}

fn failed_with(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Failed(failure) => Some(&failure.code),
        _ => None,
    }
}

fn for_operator(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::NeedsOperator { .. })
}

const MAY_STILL_HAPPEN: Verdict = Verdict::Undecided(Wait::MayStillHappen);

#[test]
fn success_as_ordered_is_a_burn_whatever_a_lagging_node_says_of_the_account() {
    for used in [Some(40), Some(41), Some(99), None] {
        let testimony = Testimony {
            lookup: Lookup::Succeeded {
                burn: burn(41).id,
                ledger: 105,
                as_ordered: true,
            },
            account: AccountRead {
                ledger: 103,
                sequence: used,
            },
            closed: Some(closed(300, 900)),
            ..silence()
        };
        let (burn, ledger) = (burn(41).id, 105);
        assert_eq!(verdict(&testimony), Verdict::Burned { burn, ledger });
    }
}

#[test]
fn success_of_something_else_under_our_name_is_for_a_person() {
    for used in [40, 41] {
        let testimony = Testimony {
            lookup: Lookup::Succeeded {
                burn: burn(41).id,
                ledger: 105,
                as_ordered: false,
            },
            account: account(110, used),
            closed: Some(closed(110, 900)),
            ..silence()
        };
        assert!(for_operator(&verdict(&testimony)));
    }
}

#[test]
fn included_and_failed_fails_with_the_ledgers_code_once_the_sequence_is_used() {
    let refused = |used| Testimony {
        lookup: Lookup::Failed {
            ledger: 105,
            code: "op_underfunded".to_owned(),
        },
        account: account(110, used),
        ..silence()
    };
    for used in [41, 42, i64::MAX] {
        assert_eq!(
            failed_with(&verdict(&refused(used))),
            Some("op_underfunded")
        );
    }
    assert_eq!(
        verdict(&refused(40)),
        MAY_STILL_HAPPEN,
        "the account's node lags: ask again"
    );
}

#[test]
fn not_found_alone_proves_nothing() {
    assert_eq!(verdict(&silence()), MAY_STILL_HAPPEN);
    let unseen = Testimony {
        closed: None,
        ..silence()
    };
    assert_eq!(verdict(&unseen), MAY_STILL_HAPPEN);
}

#[test]
fn expiry_needs_a_later_close_strictly_and_an_account_read_there_or_after() {
    // Seconds of the close, ledger of the close, ledger of the account's state.
    let alive = [
        (199, 110, 110),
        (200, 110, 110),
        (200, 110, 900),
        (201, 110, 109),
        (9_999, 110, 0),
    ];
    for (seconds, at, read) in alive {
        let testimony = Testimony {
            closed: Some(closed(at, seconds)),
            account: account(read, 40),
            ..silence()
        };
        assert_eq!(
            verdict(&testimony),
            MAY_STILL_HAPPEN,
            "{seconds} {at} {read}"
        );
    }
    for (seconds, at, read) in [(201, 110, 110), (201, 110, 111), (9_999, 110, 110)] {
        let testimony = Testimony {
            closed: Some(closed(at, seconds)),
            account: account(read, 40),
            ..silence()
        };
        assert_eq!(
            failed_with(&verdict(&testimony)),
            Some(EXPIRED),
            "{seconds} {at} {read}"
        );
    }
}

#[test]
fn a_used_sequence_is_never_an_expiry() {
    for scan in [
        None,
        Some(scan(100, 110, None)),
        Some(scan(100, 110, Some("foreign"))),
    ] {
        let testimony = Testimony {
            closed: Some(closed(110, 9_999)),
            account: account(110, 41),
            scan,
            ..silence()
        };
        assert_ne!(failed_with(&verdict(&testimony)), Some(EXPIRED));
    }
}

#[test]
fn a_used_sequence_asks_for_a_search() {
    for used in [41, 42] {
        let testimony = Testimony {
            account: account(110, used),
            ..silence()
        };
        assert_eq!(verdict(&testimony), Verdict::Undecided(Wait::ScanNeeded));
    }
}

#[test]
fn a_search_that_finds_the_burn_sends_back_to_the_lookup() {
    let own = burn(41).id.0;
    let testimony = Testimony {
        account: account(110, 41),
        scan: Some(scan(100, 110, Some(&own))),
        ..silence()
    };
    assert_eq!(verdict(&testimony), Verdict::Undecided(Wait::LookAgain));
}

#[test]
fn a_foreign_transaction_with_our_sequence_is_proof_even_in_a_partial_search() {
    for (from, to) in [(100, 110), (107, 107)] {
        let testimony = Testimony {
            account: account(110, 41),
            scan: Some(scan(from, to, Some("foreign"))),
            ..silence()
        };
        assert_eq!(failed_with(&verdict(&testimony)), Some(SEQUENCE_TAKEN));
    }
}

#[test]
fn a_search_without_a_find_proves_only_what_it_covers() {
    for (from, to) in [(100, 110), (1, 110), (100, 999)] {
        let testimony = Testimony {
            account: account(110, 41),
            scan: Some(scan(from, to, None)),
            ..silence()
        };
        assert_eq!(
            failed_with(&verdict(&testimony)),
            Some(SEQUENCE_TAKEN),
            "{from} {to}"
        );
    }
    for (from, to) in [(101, 110), (100, 109), (105, 106), (0, 0)] {
        let testimony = Testimony {
            account: account(110, 41),
            scan: Some(scan(from, to, None)),
            ..silence()
        };
        assert!(for_operator(&verdict(&testimony)), "{from} {to}");
    }
}

#[test]
fn an_account_that_is_gone_is_for_a_person() {
    for lookup in [
        Lookup::NotFound,
        Lookup::Failed {
            ledger: 105,
            code: "op_underfunded".to_owned(),
        },
    ] {
        let testimony = Testimony {
            lookup,
            closed: Some(closed(110, 9_999)),
            account: AccountRead {
                ledger: 110,
                sequence: None,
            },
            scan: Some(scan(100, 110, None)),
        };
        assert!(for_operator(&verdict(&testimony)));
    }
}

/// The burn of these tests with a second envelope, under another name, that ends at `seconds`.
fn replaced(seconds: i64) -> PreparedBurn {
    PreparedBurn {
        replacements: vec![Replacement {
            id: BurnId("second".to_owned()),
            envelope: vec![4],
            valid_until: time(seconds),
        }],
        ..burn(41)
    }
}

#[test]
fn a_burn_is_told_by_the_name_it_was_found_under() {
    let testimony = Testimony {
        lookup: Lookup::Succeeded {
            burn: BurnId("second".to_owned()),
            ledger: 105,
            as_ordered: true,
        },
        ..silence()
    };
    let expected = Verdict::Burned {
        burn: BurnId("second".to_owned()),
        ledger: 105,
    };
    assert_eq!(decide(&replaced(300), &testimony), expected);
}

#[test]
fn a_burn_with_several_envelopes_expires_with_the_last_of_them() {
    // The first envelope ends at second 200.
    for (second, alive, expired) in [(300, 300, 301), (100, 200, 201)] {
        let at = |seconds| Testimony {
            closed: Some(closed(110, seconds)),
            ..silence()
        };
        let burn = replaced(second);
        assert_eq!(decide(&burn, &at(alive)), MAY_STILL_HAPPEN, "{second}");
        let verdict = decide(&burn, &at(expired));
        assert_eq!(failed_with(&verdict), Some(EXPIRED), "{second}");
    }
}

#[test]
fn a_search_that_finds_any_of_our_envelopes_sends_back_to_the_lookup() {
    let found = |taker: &str| Testimony {
        account: account(110, 41),
        scan: Some(scan(100, 110, Some(taker))),
        ..silence()
    };
    let first = burn(41).id.0;
    for taker in [first.as_str(), "second"] {
        let verdict = decide(&replaced(300), &found(taker));
        assert_eq!(verdict, Verdict::Undecided(Wait::LookAgain), "{taker}");
    }
    let verdict = decide(&replaced(300), &found("third"));
    assert_eq!(failed_with(&verdict), Some(SEQUENCE_TAKEN));
}
