//! From the ledger's answers to a verdict: a pure function, because this is where money is lost.
//!
//! Soundness rests on one rule of the ledger: a sequence number of an account is used at most once,
//! by success or by failure, and never comes back. Answers to *sending* prove nothing and do not
//! appear here.

use chrono::{DateTime, Utc};

use super::{BurnId, Failure, PreparedBurn};

/// What looking the burn up by its id answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The answering node does not know it. Proves nothing by itself.
    NotFound,
    /// Included and applied.
    Succeeded {
        /// Under which of its names.
        burn: BurnId,
        /// The ledger that holds it.
        ledger: u32,
        /// Whether envelope and result are those of the burn that was ordered.
        as_ordered: bool,
    },
    /// Included and failed, and its sequence number used by that: the fee is gone, the tokens are
    /// not.
    Failed {
        /// The ledger that holds it.
        ledger: u32,
        /// The operation's or transaction's code.
        code: String,
    },
}

/// A closed ledger that some answer showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedLedger {
    /// Its number.
    pub sequence: u32,
    /// When it closed, by the ledger's clock.
    pub closed_at: DateTime<Utc>,
}

/// The sequence account, read **after** [`Testimony::closed`] was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRead {
    /// The ledger whose state this is.
    pub ledger: u32,
    /// The last sequence number used, or `None` when the account is gone.
    pub sequence: Option<i64>,
}

/// A search through the ledgers for whatever used our sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The first ledger searched.
    pub from: u32,
    /// The last ledger searched.
    pub to: u32,
    /// What used our sequence number, if it was found.
    pub taker: Option<BurnId>,
}

/// What the ledger said about one burn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// Looked up by id.
    pub lookup: Lookup,
    /// The newest closed ledger shown before the account was read.
    pub closed: Option<ClosedLedger>,
    /// The sequence account, read after that.
    pub account: AccountRead,
    /// The search, once it was made.
    pub scan: Option<Scan>,
}

/// What is proven about a burn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It happened, in this ledger, for good.
    Burned {
        /// Under which of its names.
        burn: BurnId,
        /// The ledger that holds it.
        ledger: u32,
    },
    /// It did not happen and never will.
    Failed(Failure),
    /// Nothing is proven; a person must look.
    NeedsOperator {
        /// What could not be decided.
        reason: String,
    },
    /// Nothing is proven yet.
    Undecided(Wait),
}

/// What to do about an undecided burn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It may still be included: send the same bytes again and ask later.
    MayStillHappen,
    /// Its sequence number is used: search the ledgers for what used it.
    ScanNeeded,
    /// The search found it: look it up again.
    LookAgain,
}

/// The code of a [`Failure`] by expiry.
pub const EXPIRED: &str = "expired";
/// The code of a [`Failure`] because another transaction used the sequence number.
pub const SEQUENCE_TAKEN: &str = "sequence_taken";

/// Decides what the testimony proves about the burn.
#[must_use]
pub fn decide(burn: &PreparedBurn, testimony: &Testimony) -> Verdict {
    match &testimony.lookup {
        Lookup::Succeeded {
            burn,
            ledger,
            as_ordered: true,
        } => {
            return Verdict::Burned {
                burn: burn.clone(),
                ledger: *ledger,
            };
        }
        Lookup::Succeeded {
            burn,
            ledger,
            as_ordered: false,
        } => {
            return Verdict::NeedsOperator {
                reason: format!(
                    "ledger {ledger} holds {burn} with an envelope or result that is not the one ordered"
                ),
            };
        }
        Lookup::Failed { .. } | Lookup::NotFound => {}
    }
    let Some(used) = testimony.account.sequence else {
        return Verdict::NeedsOperator {
            reason: format!("the sequence account {} is gone", burn.slot.account),
        };
    };
    if used < burn.slot.sequence {
        return not_used_yet(burn, testimony);
    }
    match &testimony.lookup {
        Lookup::Failed { ledger, code } => Verdict::Failed(Failure {
            code: code.clone(),
            detail: format!("the ledger included it in ledger {ledger} and refused the burn"),
        }),
        _ => used_by_whom(burn, testimony),
    }
}

/// The sequence number is free in the account's state: alive, or expired beyond doubt.
fn not_used_yet(burn: &PreparedBurn, testimony: &Testimony) -> Verdict {
    let end = burn.lasts_until();
    let expired = testimony.closed.is_some_and(|closed| {
        closed.closed_at > end && testimony.account.ledger >= closed.sequence
    });
    if expired {
        Verdict::Failed(Failure {
            code: EXPIRED.to_owned(),
            detail: format!(
                "ledger {} closed after {} and sequence {} was still unused",
                testimony.account.ledger,
                end.to_rfc3339(),
                burn.slot.sequence
            ),
        })
    } else {
        Verdict::Undecided(Wait::MayStillHappen)
    }
}

/// The sequence number is used, and the lookup does not know the burn.
fn used_by_whom(burn: &PreparedBurn, testimony: &Testimony) -> Verdict {
    let Some(scan) = &testimony.scan else {
        return Verdict::Undecided(Wait::ScanNeeded);
    };
    match &scan.taker {
        Some(taker) if burn.ids().any(|id| id == taker) => Verdict::Undecided(Wait::LookAgain),
        Some(taker) => Verdict::Failed(Failure {
            code: SEQUENCE_TAKEN.to_owned(),
            detail: format!(
                "transaction {taker} used sequence {} of {}: the key is used elsewhere",
                burn.slot.sequence, burn.slot.account
            ),
        }),
        None if scan.from <= burn.signed_at_ledger && scan.to >= testimony.account.ledger => {
            Verdict::Failed(Failure {
                code: SEQUENCE_TAKEN.to_owned(),
                detail: format!(
                    "sequence {} of {} was passed without this burn, ledgers {} to {} searched",
                    burn.slot.sequence, burn.slot.account, scan.from, scan.to
                ),
            })
        }
        None => Verdict::NeedsOperator {
            reason: format!(
                "sequence {} of {} is used and the node's ledgers {} to {} do not reach from {} to {}",
                burn.slot.sequence,
                burn.slot.account,
                scan.from,
                scan.to,
                burn.signed_at_ledger,
                testimony.account.ledger
            ),
        },
    }
}
