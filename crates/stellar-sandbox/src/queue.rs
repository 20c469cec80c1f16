//! The transactions waiting for a ledger: at most one for each source account.
//!
//! Like a validator's, this queue is in memory and forgets everything at a restart: an accepted
//! transaction is not an included one. A transaction that waited [`LONGEST_WAIT`] ledgers is
//! dropped, and what was dropped, applied or found invalid at close is banned for
//! [`BAN_LEDGERS`] ledgers, in which sending it again says only "try again later".
//!
//! Checks, in this order: banned; the same transaction queued; a later sequence number queued;
//! another transaction queued that this one may not replace; the fee asked for; no room; the
//! ledger's own rules.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use stellar_xdr::{AccountId, Error, TransactionResult};

use crate::ledger::close::{Candidate, Included};
use crate::ledger::fees;
use crate::ledger::frame::Frame;
use crate::ledger::results::{self, TxCode, Verdict};
use crate::ledger::state::Working;
use crate::ledger::validity::{self, Moment, Refusal};
use crate::xdr::Digest32;

/// Ledgers a transaction waits before it is dropped.
const LONGEST_WAIT: u32 = 4;
/// Ledgers a dropped or applied transaction stays banned.
const BAN_LEDGERS: usize = 10;
/// A replacement must bid this many times the rate.
const REPLACEMENT_FACTOR: i128 = 10;
/// Ledgers' worth of operations the queue holds.
const LEDGERS_HELD: i64 = 4;

/// The answer to a submission.
#[derive(Debug)]
pub(crate) enum Admission {
    Pending,
    Duplicate,
    TryAgainLater,
    Refused(Box<TransactionResult>),
}

#[derive(Debug)]
struct Queued {
    frame: Arc<Frame>,
    age: u32,
    arrival: u64,
    doomed: bool,
}

/// What goes into the next ledger.
#[derive(Debug, Default)]
pub(crate) struct Nomination {
    pub(crate) candidates: Vec<Candidate>,
    /// Something valid had to wait.
    pub(crate) left_out: bool,
    /// No longer valid: to be dropped and banned.
    pub(crate) invalid: Vec<Arc<Frame>>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: HashMap<AccountId, Queued>,
    banned: VecDeque<HashSet<Digest32>>,
    arrivals: u64,
    /// Operations one ledger takes.
    capacity: i64,
}

impl Queue {
    pub(crate) fn new(capacity: i64) -> Self {
        Self {
            waiting: HashMap::new(),
            banned: VecDeque::from([HashSet::new()]),
            arrivals: 0,
            capacity,
        }
    }

    /// Takes the transaction in, or says why not. `pressure` is what a queue as good as full asks
    /// of every operation.
    pub(crate) fn admit(
        &mut self,
        frame: Arc<Frame>,
        working: &Working<'_>,
        close_time_offset: u64,
        pressure: Option<i64>,
    ) -> Result<Admission, Error> {
        if self.is_banned(&frame.hash) {
            return Ok(Admission::TryAgainLater);
        }
        let source = frame.source();
        if let Some(queued) = self.waiting.get(&source)
            && let Some(answer) = beside(&frame, &queued.frame)?
        {
            return Ok(answer);
        }
        let room = match too_low(&frame, pressure) {
            Some(needed) => Err(needed),
            None => self.room_for(&frame, &source),
        };
        let evicted = match room {
            Ok(evicted) => evicted,
            Err(needed) => {
                self.ban(frame.hash);
                return refused(Verdict::Refused(TxCode::InsufficientFee), needed);
            }
        };
        let moment = Moment {
            applying: false,
            close_time_offset,
        };
        let spoken_for = self.owed_by(&frame.fee_source(), &source);
        if let Err(refusal) = validity::check(&frame, working, moment, spoken_for) {
            return refuse(&frame, refusal);
        }
        if let Some(account) = evicted {
            self.evict(&account);
        }
        self.arrivals = self.arrivals.saturating_add(1);
        let queued = Queued {
            frame,
            age: 0,
            arrival: self.arrivals,
            doomed: false,
        };
        if let Some(replaced) = self.waiting.insert(source, queued) {
            self.ban(replaced.frame.hash);
        }
        Ok(Admission::Pending)
    }

    /// Makes the payments of a queued transaction fail when it is applied.
    pub(crate) fn doom(&mut self, source: &AccountId) {
        if let Some(queued) = self.waiting.get_mut(source) {
            queued.doomed = true;
        }
    }

    /// Drops a queued transaction and bans it.
    pub(crate) fn evict(&mut self, source: &AccountId) {
        if let Some(queued) = self.waiting.remove(source) {
            self.ban(queued.frame.hash);
        }
    }

    /// Chooses what goes into the ledger being made: the best bids that fit, in order of arrival.
    pub(crate) fn nominate(&self, working: &Working<'_>) -> Nomination {
        let mut nomination = Nomination::default();
        let mut valid: Vec<&Queued> = Vec::new();
        for queued in self.waiting.values() {
            if validity::check(&queued.frame, working, Moment::NOMINATING, 0).is_ok() {
                valid.push(queued);
            } else {
                nomination.invalid.push(Arc::clone(&queued.frame));
            }
        }
        valid.sort_by(|a, b| {
            let (first, second) = (fees::bid(&a.frame), fees::bid(&b.frame));
            fees::rate_below(first, second)
                .cmp(&fees::rate_below(second, first))
                .then(a.arrival.cmp(&b.arrival))
        });
        let mut room = self.capacity;
        let mut chosen: Vec<&Queued> = Vec::new();
        for queued in valid {
            let operations = queued.frame.fee_operations();
            if operations <= room {
                room = room.saturating_sub(operations);
                chosen.push(queued);
            } else {
                nomination.left_out = true;
            }
        }
        chosen.sort_by_key(|queued| queued.arrival);
        nomination.candidates = chosen
            .into_iter()
            .map(|queued| Candidate {
                frame: Arc::clone(&queued.frame),
                doomed: queued.doomed,
            })
            .collect();
        nomination
    }

    /// Takes a closed ledger into account: what it applied or found invalid leaves, the rest ages.
    pub(crate) fn ledger_closed(&mut self, included: &[Included], invalid: &[Arc<Frame>]) {
        for applied in included {
            let source = applied.frame.source();
            let passed = self
                .waiting
                .get(&source)
                .is_some_and(|queued| queued.frame.sequence() <= applied.frame.sequence());
            if passed {
                self.waiting.remove(&source);
            }
            self.ban(applied.frame.hash);
        }
        for frame in invalid {
            let still_there = self
                .waiting
                .get(&frame.source())
                .is_some_and(|queued| queued.frame.hash == frame.hash);
            if still_there {
                self.waiting.remove(&frame.source());
            }
            self.ban(frame.hash);
        }
        self.banned.push_front(HashSet::new());
        self.banned.truncate(BAN_LEDGERS);
        let mut dropped = Vec::new();
        self.waiting.retain(|_, queued| {
            queued.age = queued.age.saturating_add(1);
            if queued.age >= LONGEST_WAIT {
                dropped.push(queued.frame.hash);
            }
            queued.age < LONGEST_WAIT
        });
        for hash in dropped {
            self.ban(hash);
        }
    }

    fn is_banned(&self, hash: &Digest32) -> bool {
        self.banned.iter().any(|ledger| ledger.contains(hash))
    }

    fn ban(&mut self, hash: Digest32) {
        if let Some(latest) = self.banned.front_mut() {
            latest.insert(hash);
        }
    }

    /// Fees this payer already owes for other queued transactions.
    fn owed_by(&self, payer: &AccountId, except_source: &AccountId) -> i64 {
        self.waiting
            .iter()
            .filter(|(source, queued)| {
                *source != except_source && queued.frame.fee_source() == *payer
            })
            .fold(0, |sum: i64, (_, queued)| {
                sum.saturating_add(queued.frame.fee_bid())
            })
    }

    /// The account whose transaction has to leave for this one, if any; or the fee that would do.
    fn room_for(&self, frame: &Frame, source: &AccountId) -> Result<Option<AccountId>, i64> {
        let others = || {
            self.waiting
                .iter()
                .filter(|(account, _)| *account != source)
        };
        let held = others().fold(0_i64, |sum, (_, queued)| {
            sum.saturating_add(queued.frame.fee_operations())
        });
        let most = self.capacity.saturating_mul(LEDGERS_HELD);
        if held.saturating_add(frame.fee_operations()) <= most.max(frame.fee_operations()) {
            return Ok(None);
        }
        let Some((account, cheapest)) = others().min_by(|(_, a), (_, b)| {
            let (first, second) = (fees::bid(&a.frame), fees::bid(&b.frame));
            fees::rate_below(second, first).cmp(&fees::rate_below(first, second))
        }) else {
            return Ok(None);
        };
        let (fee, operations) = fees::bid(&cheapest.frame);
        if fees::rate_below((fee, operations), fees::bid(frame)) {
            return Ok(Some(account.clone()));
        }
        let rate = fee / operations.max(1);
        Err(rate
            .saturating_add(1)
            .saturating_mul(frame.fee_operations()))
    }
}

/// The fee that would do, if the bid is below what is asked of every operation.
fn too_low(frame: &Frame, pressure: Option<i64>) -> Option<i64> {
    let needed = pressure?.saturating_mul(frame.fee_operations());
    (frame.fee_bid() < needed).then_some(needed)
}

/// What a transaction queued for the same account makes of this one; nothing when it gives way.
fn beside(frame: &Frame, queued: &Frame) -> Result<Option<Admission>, Error> {
    if frame.hash == queued.hash || frame.hash == queued.inner_hash {
        return Ok(Some(Admission::Duplicate));
    }
    if frame.sequence() < queued.sequence() {
        return refused(Verdict::Refused(TxCode::BadSeq), frame.least_fee()).map(Some);
    }
    if frame.bump.is_none() || frame.sequence() != queued.sequence() {
        return Ok(Some(Admission::TryAgainLater));
    }
    let (old_fee, old_operations) = fees::bid(queued);
    let (new_fee, new_operations) = fees::bid(frame);
    let asked = REPLACEMENT_FACTOR * i128::from(old_fee) * i128::from(new_operations);
    if i128::from(new_fee) * i128::from(old_operations) >= asked {
        return Ok(None);
    }
    let divisor = i128::from(old_operations.max(1));
    let needed = i64::try_from((asked + divisor - 1) / divisor).unwrap_or(i64::MAX);
    refused(Verdict::Refused(TxCode::InsufficientFee), needed).map(Some)
}

fn refused(verdict: Verdict, fee: i64) -> Result<Admission, Error> {
    Ok(Admission::Refused(Box::new(results::plain(verdict, fee)?)))
}

fn refuse(frame: &Frame, refusal: Refusal) -> Result<Admission, Error> {
    let fee = frame.least_fee();
    if refusal.inner {
        let result = results::bumped(refusal.verdict, fee, frame.inner_hash)?;
        return Ok(Admission::Refused(Box::new(result)));
    }
    refused(refusal.verdict, fee)
}
