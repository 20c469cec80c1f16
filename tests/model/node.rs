//! A node that replicas ask. It is honest and knows only its own past: it lags behind the ledger,
//! forgets old ledgers, has a queue and a ban list of its own, and, asked for a transaction, reads
//! the transaction before it reads how far it is, so that ledgers may come in between.

use std::fmt;

use tranche_domain::BurnId;
use tranche_domain::disbursement::verdict::{AccountRead, ClosedLedger, Lookup, Scan};

use crate::ledger::{Account, Envelope, Ledger, Outcome, QUEUED_FOR, time};

/// The code of a burn that was included and failed.
pub const REFUSED: &str = "refused";
/// How long a transaction stays banned.
const BANNED_FOR: u32 = 10;
/// A node accepts nothing that ends before it could be included: two ledgers' time.
const MARGIN: i64 = 10;

/// What a node answers to a transaction sent. A hint, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    Pending,
    Duplicate,
    TryAgainLater,
    Error(&'static str),
    /// `txINSUFFICIENT_FEE`, with the fee that would do.
    FeeTooLow(i64),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("PENDING"),
            Self::Duplicate => f.write_str("DUPLICATE"),
            Self::TryAgainLater => f.write_str("TRY_AGAIN_LATER"),
            Self::Error(code) => write!(f, "ERROR {code}"),
            Self::FeeTooLow(fee) => write!(f, "ERROR txINSUFFICIENT_FEE, {fee} would do"),
        }
    }
}

/// What a node answers when asked for a transaction.
#[derive(Clone, Debug)]
pub struct Answer {
    pub lookup: Lookup,
    /// The newest ledger it has.
    pub closed: ClosedLedger,
    /// The oldest one.
    pub oldest: u32,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// The newest ledger it has.
    pub at: u32,
    /// The oldest one it remembers.
    pub oldest: u32,
    /// The fee it asks for.
    pub fee: i64,
    /// What waits here, and since which ledger.
    queue: Vec<(Envelope, u32)>,
    /// What is refused here, and from which ledger on no more.
    banned: Vec<(Envelope, u32)>,
}

impl Node {
    /// A node at the first ledger.
    pub const fn open() -> Self {
        Self {
            at: 1,
            oldest: 1,
            fee: 0,
            queue: Vec::new(),
            banned: Vec::new(),
        }
    }

    /// Takes in so many more ledgers, if there are as many.
    pub fn follow(&mut self, ledger: &Ledger, ledgers: u32) {
        let from = self.at;
        self.at = ledger.newest().min(from + ledgers);
        for number in from + 1..=self.at {
            let closed = ledger.at(number);
            let ended = |envelope: &Envelope| {
                let used = closed.sequences[envelope.account.0];
                used.is_none_or(|used| used >= envelope.sequence)
            };
            let banned = &mut self.banned;
            banned.retain(|(_, until)| *until > number);
            self.queue.retain(|(envelope, since)| {
                let leaves = ended(envelope) || number >= since + QUEUED_FOR;
                if leaves {
                    banned.push((*envelope, number + BANNED_FOR));
                }
                !leaves
            });
        }
    }

    /// Forgets everything before its newest ledger.
    pub const fn forget(&mut self) {
        self.oldest = self.at;
    }

    /// Takes a transaction, in the order of a validator's own checks.
    pub fn send(&mut self, envelope: Envelope, ledger: &mut Ledger) -> Hint {
        let now = ledger.at(self.at);
        if self.banned.iter().any(|(banned, _)| *banned == envelope) {
            return Hint::TryAgainLater;
        }
        let bumped = |queued: &Envelope| queued.id() == envelope.id() && queued.fee < envelope.fee;
        self.queue.retain(|(queued, _)| !bumped(queued));
        for (queued, _) in &self.queue {
            if *queued == envelope {
                return Hint::Duplicate;
            }
            if queued.account == envelope.account {
                return if queued.sequence > envelope.sequence {
                    Hint::Error("txBAD_SEQ")
                } else {
                    Hint::TryAgainLater
                };
            }
        }
        if envelope.fee < self.fee {
            self.banned.push((envelope, self.at + BANNED_FOR));
            return Hint::FeeTooLow(self.fee);
        }
        if envelope.valid_until < now.at + MARGIN {
            return Hint::Error("txTOO_LATE");
        }
        match now.sequences[envelope.account.0] {
            None => Hint::Error("txNO_ACCOUNT"),
            Some(used) if used != envelope.sequence - 1 => Hint::Error("txBAD_SEQ"),
            Some(_) => {
                self.queue.push((envelope, self.at));
                ledger.accept(envelope);
                Hint::Pending
            }
        }
    }

    /// Looks a transaction up, takes in `meanwhile` ledgers, and says how far it is.
    pub fn look_up(&mut self, id: &BurnId, ledger: &Ledger, meanwhile: u32) -> Answer {
        let lookup = self.find(id, ledger);
        self.follow(ledger, meanwhile);
        Answer {
            lookup,
            closed: self.newest(ledger),
            oldest: self.oldest,
        }
    }

    /// The newest ledger it has, and when that closed.
    pub fn newest(&self, ledger: &Ledger) -> ClosedLedger {
        ClosedLedger {
            sequence: self.at,
            closed_at: time(ledger.at(self.at).at),
        }
    }

    /// What it knows of a transaction.
    pub fn find(&self, id: &BurnId, ledger: &Ledger) -> Lookup {
        for number in self.oldest..=self.at {
            let applied = &ledger.at(number).applied;
            if let Some(found) = applied.iter().find(|applied| applied.id == *id) {
                return match found.outcome {
                    Outcome::Burned => Lookup::Succeeded {
                        burn: id.clone(),
                        ledger: number,
                        as_ordered: true,
                    },
                    _ => Lookup::Failed {
                        ledger: number,
                        code: REFUSED.to_owned(),
                    },
                };
            }
        }
        Lookup::NotFound
    }

    /// Reads an account.
    pub fn read(&self, account: Account, ledger: &Ledger) -> AccountRead {
        AccountRead {
            ledger: self.at,
            sequence: ledger.at(self.at).sequences[account.0],
        }
    }

    /// Searches for what used a sequence number, from ledger `from` to its newest.
    pub fn search(&self, account: Account, sequence: i64, from: u32, ledger: &Ledger) -> Scan {
        let from = from.max(self.oldest);
        let taker = (from..=self.at)
            .flat_map(|number| &ledger.at(number).applied)
            .find(|applied| {
                (applied.account, applied.sequence) == (account, sequence)
                    && applied.outcome != Outcome::PassedOver
            })
            .map(|applied| applied.id.clone());
        Scan {
            from,
            to: self.at,
            taker,
        }
    }
}
