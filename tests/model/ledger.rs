//! The model ledger: every closed ledger, what it applied, and the accounts after it. The truth,
//! which no replica sees; they see [`Node`](crate::node::Node)s.
//!
//! It keeps one rule above all: a transaction is applied only when its sequence number is the
//! account's next, and then that number is used, whether it burns or fails.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use tranche_domain::BurnId;

/// A ledger account: the wallet, or one of its channel accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account(pub usize);

/// The account whose tokens burn.
pub const WALLET: Account = Account(0);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == WALLET {
            return f.write_str("wallet");
        }
        write!(f, "channel {}", self.0)
    }
}

impl Account {
    /// The account of this name.
    pub fn named(name: &str) -> Self {
        let number = name.strip_prefix("channel ").map(str::parse);
        Self(number.map_or(0, |number| number.expect("a channel has a number")))
    }
}

/// The time `seconds` after an arbitrary start.
pub fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// A signed burn. Its bytes are all that a replica keeps and sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The account whose sequence number it uses.
    pub account: Account,
    /// The number.
    pub sequence: i64,
    /// It is too late for a ledger that closes after this second.
    pub valid_until: i64,
    /// The disbursement that ordered it.
    pub order: i64,
    /// How much burns.
    pub amount: i64,
    /// What it offers to pay. A fee bump offers more for the same transaction, by the same name.
    pub fee: i64,
}

impl Envelope {
    /// Its name on the ledger: that of the transaction within, whatever the fee.
    pub fn id(&self) -> BurnId {
        BurnId(format!(
            "burn {} ({} no. {}, until {} s)",
            self.order, self.account, self.sequence, self.valid_until
        ))
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let account = i64::try_from(self.account.0).expect("few accounts");
        [
            account,
            self.sequence,
            self.valid_until,
            self.order,
            self.amount,
            self.fee,
        ]
        .iter()
        .flat_map(|part| part.to_be_bytes())
        .collect()
    }

    /// The envelope in these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let part = |at: usize| {
            let bytes = bytes[8 * at..8 * at + 8].try_into();
            i64::from_be_bytes(bytes.expect("eight bytes"))
        };
        Self {
            account: Account(usize::try_from(part(0)).expect("an account")),
            sequence: part(1),
            valid_until: part(2),
            order: part(3),
            amount: part(4),
            fee: part(5),
        }
    }
}

/// What became of a transaction in the ledger that includes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It burned.
    Burned,
    /// It used its number and did not burn.
    Refused,
    /// It was included, but another one had passed its number or removed its account just before.
    PassedOver,
    /// It is not one of ours.
    Foreign,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Burned => "BURNS",
            Self::Refused => "is refused",
            Self::PassedOver => "is passed over",
            Self::Foreign => "is applied",
        })
    }
}

/// A transaction in a closed ledger.
#[derive(Clone, Debug)]
pub struct Applied {
    pub id: BurnId,
    pub account: Account,
    pub sequence: i64,
    pub outcome: Outcome,
}

/// A closed ledger.
#[derive(Clone, Debug)]
pub struct Closed {
    /// When, in seconds.
    pub at: i64,
    pub applied: Vec<Applied>,
    /// Every account's last used number after it; `None` for one that is gone.
    pub sequences: Vec<Option<i64>>,
}

impl Closed {
    /// Whether the transaction's number is next, and its time not up.
    fn may_apply(&self, envelope: &Envelope) -> bool {
        self.sequences[envelope.account.0] == Some(envelope.sequence - 1)
            && self.at <= envelope.valid_until
    }
}

/// What somebody else with the key does to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Uses the next number.
    Uses,
    /// Sets the sequence beyond the next number; no transaction has that number.
    Passes,
    /// Merges the account away, or creates it anew.
    Removes,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uses => "uses the next number of",
            Self::Passes => "passes the next number of",
            Self::Removes => "merges away, or creates anew,",
        })
    }
}

/// How a ledger closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// How many seconds after the one before: none, when they share a second.
    pub gap: i64,
    /// Which of the waiting transactions it includes, a bit each.
    pub includes: u8,
    /// Whether what it includes fails, as when the holder lost its authorisation.
    pub refuses: bool,
    /// What somebody else does first.
    pub foreign: Option<(Account, Act)>,
    /// Which nodes follow at once, a bit each.
    pub followed: u8,
}

/// How long a transaction that no ledger includes stays in queues.
pub const QUEUED_FOR: u32 = 4;

/// The ledger, and the queues of the validators behind the nodes.
#[derive(Debug)]
pub struct Ledger {
    closed: Vec<Closed>,
    /// Transactions that some validator accepted, and when. Only [`Ledger::forget_old`] drops one
    /// that may still be applied: somebody, somewhere, may hold it longer than the rest.
    waiting: Vec<(Envelope, u32)>,
    /// Every burn, and its ledger.
    pub burns: Vec<(Envelope, u32)>,
    /// The accounts that were gone at some time.
    pub removed: Vec<Account>,
    foreigners: u32,
}

impl Ledger {
    /// A ledger with a wallet and so many channel accounts.
    pub fn open(channels: usize) -> Self {
        let sequences = (0..=channels).map(|_| Some(40)).collect();
        let first = Closed {
            at: 0,
            applied: Vec::new(),
            sequences,
        };
        Self {
            closed: vec![first],
            waiting: Vec::new(),
            burns: Vec::new(),
            removed: Vec::new(),
            foreigners: 0,
        }
    }

    /// The newest closed ledger's number; the first is 1.
    pub fn newest(&self) -> u32 {
        u32::try_from(self.closed.len()).expect("few ledgers")
    }

    /// Ledger `number`.
    pub fn at(&self, number: u32) -> &Closed {
        &self.closed[number as usize - 1]
    }

    /// Whether the account is there now.
    pub fn exists(&self, account: Account) -> bool {
        self.at(self.newest()).sequences[account.0].is_some()
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = Account> + Clone + use<> {
        (0..self.closed[0].sequences.len()).map(Account)
    }

    /// A validator accepted it: it may be included from now on.
    pub fn accept(&mut self, envelope: Envelope) {
        let now = self.newest();
        match self.waiting.iter_mut().find(|(held, _)| *held == envelope) {
            Some((_, since)) => *since = now,
            None => self.waiting.push((envelope, now)),
        }
    }

    /// Everyone drops what has waited too long.
    pub fn forget_old(&mut self) {
        let now = self.newest();
        self.waiting.retain(|(_, since)| now < since + QUEUED_FOR);
    }

    /// Closes a ledger.
    pub fn close(&mut self, closing: &Closing) {
        let before = self.at(self.newest());
        let mut next = Closed {
            at: before.at + closing.gap,
            applied: Vec::new(),
            sequences: before.sequences.clone(),
        };
        // Validators agree on a set of transactions that were valid before it, one an account.
        let mut candidates: Vec<_> = self.waiting.iter().map(|(waits, _)| *waits).collect();
        candidates.retain(|waits| {
            let used_up = closing.foreign == Some((waits.account, Act::Uses));
            next.may_apply(waits) && !used_up
        });
        if let Some((account, act)) = closing.foreign {
            self.foreign(account, act, &mut next);
        }
        for (bit, envelope) in candidates.into_iter().enumerate() {
            if closing.includes >> (bit % 8) & 1 == 1 {
                self.apply(envelope, closing.refuses, &mut next);
            }
        }
        self.waiting.retain(|(waits, _)| {
            let used = next.sequences[waits.account.0];
            used.is_none_or(|used| used < waits.sequence) && next.at <= waits.valid_until
        });
        self.closed.push(next);
    }

    fn apply(&mut self, envelope: Envelope, refuses: bool, next: &mut Closed) {
        let mut applied = next.applied.iter();
        if applied.any(|other| other.account == envelope.account) {
            return;
        }
        let outcome = if !next.may_apply(&envelope) {
            Outcome::PassedOver
        } else if refuses {
            Outcome::Refused
        } else {
            Outcome::Burned
        };
        if outcome != Outcome::PassedOver {
            next.sequences[envelope.account.0] = Some(envelope.sequence);
        }
        if outcome == Outcome::Burned {
            self.burns.push((envelope, self.newest() + 1));
        }
        next.applied.push(Applied {
            id: envelope.id(),
            account: envelope.account,
            sequence: envelope.sequence,
            outcome,
        });
    }

    fn foreign(&mut self, account: Account, act: Act, next: &mut Closed) {
        let number = i64::from(self.newest()) + 1;
        let last = &mut next.sequences[account.0];
        *last = match (*last, act) {
            // An account made anew counts from far beyond every number it ever had.
            (None, _) => Some(number << 32),
            (Some(_), Act::Removes) => {
                self.removed.push(account);
                None
            }
            (Some(used), Act::Passes) => Some(used + 2),
            (Some(used), Act::Uses) => {
                self.foreigners += 1;
                next.applied.push(Applied {
                    id: BurnId(format!("foreign transaction {}", self.foreigners)),
                    account,
                    sequence: used + 1,
                    outcome: Outcome::Foreign,
                });
                Some(used + 1)
            }
        };
    }
}
