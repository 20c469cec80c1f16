//! A process that drives disbursements, one small step at a time. Between any two steps it may be
//! killed, paused, or overtaken by another task, of its own or of another replica.
//!
//! The steps are those of the application's `prepare`, `advance` and `reconcile` and of the ledger
//! adapter's judging: what is one request or one unit of work there is one step here. The plans,
//! verdicts and changes are the domain's own.

use std::fmt;

use chrono::TimeDelta;
use tranche_domain::disbursement::verdict::{ClosedLedger, Testimony};
use tranche_domain::{Disbursement, DisbursementId, DisbursementPlan, MilestoneId, PreparedBurn};

use crate::ends::End;
use crate::ledger::{Account, time};
use crate::node::Answer;
use crate::schedule::{Fate, Luck};
use crate::world::World;
use crate::{advance, ends, outbid, prepare, send};

/// Which of the known mistakes a replica makes, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// None: it waits for proof.
    Sound,
    /// A sending without an answer, and a burn undecided when its time is up by the local clock,
    /// count as failed.
    UnlockOnTimeout,
    /// `NOT_FOUND` when the burn's time is up, in one answer, counts as expired.
    NotFoundIsProof,
}

/// Which task of which replica takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    pub replica: usize,
    pub reconciles: bool,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = if self.reconciles {
            "reconciler"
        } else {
            "request"
        };
        write!(f, "{}'s {task}", ["A", "B"][self.replica])
    }
}

impl Who {
    /// The second replica's clock is ahead.
    pub const fn skew(self) -> i64 {
        if self.replica == 0 { 0 } else { 3 }
    }
}

/// What a task does next.
#[derive(Clone, Debug)]
pub enum Task {
    /// Nothing; a reconciler leases an open disbursement.
    Idle,
    /// Reads the milestone and plans its burn.
    Plan(MilestoneId),
    /// Asks for the ledger's time.
    AskTime(Box<DisbursementPlan>, Account),
    /// Reads the account and signs.
    Sign(Box<DisbursementPlan>, Account, ClosedLedger),
    /// Keeps the signed burn: transaction 1.
    Keep(Box<DisbursementPlan>, Box<PreparedBurn>),
    /// Reads the disbursement.
    Open(DisbursementId),
    /// Notes a sending, before it.
    Note(Box<Disbursement>, Then),
    /// Sends the kept bytes.
    Send(Box<Disbursement>, Then),
    /// Signs and keeps a further envelope that offers this fee.
    Outbid(Box<Disbursement>, i64, Then),
    /// Looks the burn up, by the name with this number.
    LookUp(Box<Disbursement>, usize),
    /// Reads the account, later.
    ReadAccount(Box<Disbursement>, Answer),
    /// Searches for what used the sequence number, from this ledger on.
    Search(Box<Disbursement>, Box<Testimony>, u32),
    /// Brings the books after the verdict: transaction 2.
    Conclude(DisbursementId, End),
}

/// What follows a sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    LookUp,
    Rest,
}

/// How long a disbursement is left alone after a look at it.
const LEASE: TimeDelta = TimeDelta::seconds(1);

impl Task {
    /// Takes one step.
    pub fn step(self, world: &mut World, luck: Luck, who: Who) -> Self {
        match self {
            Self::Idle if who.reconciles => lease(world, luck, who),
            Self::Idle => Self::Idle,
            Self::Plan(milestone) => prepare::plan(world, milestone, luck, who),
            Self::AskTime(plan, account) => prepare::ask_time(world, plan, account, luck, who),
            Self::Sign(plan, account, closed) => {
                prepare::sign(world, plan, account, closed, luck, who)
            }
            Self::Keep(plan, burn) => prepare::keep(world, *plan, *burn, luck, who),
            Self::Open(id) => advance::open(world, id, luck, who),
            Self::Note(disbursement, then) => send::note(world, disbursement, then, luck, who),
            Self::Send(disbursement, then) => send::send(world, disbursement, then, luck, who),
            Self::Outbid(disbursement, fee, then) => {
                outbid::outbid(world, disbursement, fee, then, luck, who)
            }
            Self::LookUp(disbursement, name) => {
                advance::look_up(world, disbursement, name, luck, who)
            }
            Self::ReadAccount(disbursement, answer) => {
                advance::read_account(world, disbursement, answer, luck, who)
            }
            Self::Search(disbursement, testimony, from) => {
                advance::search(world, &disbursement, *testimony, from, luck, who)
            }
            Self::Conclude(id, end) => ends::conclude(world, id, &end, luck, who),
        }
    }
}

fn lease(world: &mut World, luck: Luck, who: Who) -> Task {
    if luck.fate != Fate::Answered {
        return Task::Idle;
    }
    let now = time(world.clock + who.skew());
    match world.store.lease_next(now, now + LEASE) {
        Some(id) => {
            world.say(who, || format!("leases {}", name(id)));
            Task::Open(id)
        }
        None => Task::Idle,
    }
}

/// A disbursement's name for people.
pub fn name(id: DisbursementId) -> String {
    format!("disbursement {}", id.0.as_u128())
}
