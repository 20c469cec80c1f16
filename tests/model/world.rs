//! The world that a schedule plays in: the ledger and its nodes, the database, two replicas, and
//! what is still under way between them.

use std::collections::BTreeMap;

use tranche_domain::{Change, Occasion};

use crate::ledger::{Account, Act, Closing, Envelope, Ledger};
use crate::node::{Hint, Node};
use crate::replica::{Habit, Task, Who};
use crate::schedule::{Event, Fate, Luck, Schedule};
use crate::store::{Conflict, Store, milestone_id, occasion};

/// Everything there is.
pub struct World {
    pub ledger: Ledger,
    pub nodes: [Node; 2],
    /// Sendings whose sender gave up waiting, and that will still arrive.
    pub late: Vec<(usize, Envelope)>,
    pub store: Store,
    /// A request and a reconciler for each replica.
    tasks: [[Task; 2]; 2],
    pub habit: Habit,
    pub ttl: i64,
    /// Which nodes do not follow the ledger of themselves, a bit each.
    pub slow: u8,
    /// The replicas' time, in seconds; the ledger's may lag behind it.
    pub clock: i64,
    /// What must never happen and did.
    pub strange: Vec<String>,
    /// How often what was seen.
    pub tally: BTreeMap<&'static str, u64>,
    /// What happened, in words, if anyone wants to know.
    pub story: Option<Vec<String>>,
    /// Whether something changed that the promises are about.
    pub changed: bool,
    numbers: u64,
}

impl World {
    /// The world in which a schedule begins.
    pub fn open(schedule: &Schedule, habit: Habit, told: bool) -> Self {
        Self {
            ledger: Ledger::open(schedule.channels),
            nodes: [Node::open(), Node::open()],
            late: Vec::new(),
            store: Store::open(schedule.milestones),
            tasks: [[Task::Idle, Task::Idle], [Task::Idle, Task::Idle]],
            habit,
            ttl: schedule.ttl,
            slow: schedule.slow,
            clock: 0,
            strange: Vec::new(),
            tally: BTreeMap::new(),
            story: told.then(Vec::new),
            changed: true,
            numbers: 0,
        }
    }

    /// A number that was not used before.
    pub const fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// An act of the treasurer, now.
    pub fn occasion(&mut self, who: Who) -> Occasion {
        let event = self.next_number();
        occasion("treasurer", event, self.clock + who.skew())
    }

    /// Commits a change.
    pub fn commit(&mut self, change: &Change) -> Result<(), Conflict> {
        self.changed = true;
        self.store.commit(change)
    }

    /// Adds to the story.
    pub fn say(&mut self, who: Who, what: impl FnOnce() -> String) {
        self.tell(|| format!("{who} {}", what()));
    }

    /// Adds to the story.
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(what());
        }
    }

    /// Counts that something was seen.
    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Counts an answer to a sending.
    pub fn count_hint(&mut self, hint: Hint) {
        self.count(match hint {
            Hint::Pending => "PENDING",
            Hint::Duplicate => "DUPLICATE",
            Hint::TryAgainLater => "TRY_AGAIN_LATER",
            Hint::Error(code) => code,
            Hint::FeeTooLow(_) => "txINSUFFICIENT_FEE",
        });
    }

    /// Lets one thing happen. After every step of a task, `check` looks.
    pub fn happen<E>(
        &mut self,
        event: Event,
        check: &mut impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        match event {
            Event::Request { replica, milestone } => self.request(replica, milestone),
            Event::Step {
                replica,
                reconciles,
                steps,
                luck,
            } => {
                let who = Who {
                    replica,
                    reconciles,
                };
                for left in (0..steps).rev() {
                    let fate = if left == 0 { luck.fate } else { Fate::Answered };
                    self.step(who, Luck { fate, ..luck });
                    check(self)?;
                }
            }
            Event::Close(closing) => self.close(&closing),
            Event::Follow { node, ledgers } => {
                self.nodes[node].follow(&self.ledger, ledgers);
                let at = self.nodes[node].at;
                self.tell(|| format!("node {} comes to ledger {at}", node + 1));
            }
            Event::Forget { node } => {
                self.nodes[node].forget();
                let oldest = self.nodes[node].oldest;
                self.tell(|| format!("node {} forgets what was before ledger {oldest}", node + 1));
            }
            Event::Fee { node, fee } => {
                self.nodes[node].fee = fee;
                self.tell(|| format!("node {} asks for a fee of {fee}", node + 1));
            }
            Event::Arrive => self.arrive(),
            Event::Drop => self.ledger.forget_old(),
            Event::Wait { seconds } => self.clock += seconds,
            Event::Kill { replica } => {
                self.tasks[replica] = [Task::Idle, Task::Idle];
                self.tell(|| format!("{} is killed and restarted", ["A", "B"][replica]));
            }
        }
        check(self)
    }

    /// Asks a replica for a milestone, unless it serves a request.
    pub fn request(&mut self, replica: usize, milestone: usize) {
        let number = milestone % self.store.milestones.len();
        let task = &mut self.tasks[replica][0];
        if matches!(task, Task::Idle) {
            *task = Task::Plan(milestone_id(number));
            self.tell(|| {
                let name = ["A", "B"][replica];
                format!("{name} is asked to disburse milestone {}", number + 1)
            });
        }
    }

    /// Lets a task take a step. Whether it has more to do.
    pub fn step(&mut self, who: Who, luck: Luck) -> bool {
        let slot = usize::from(who.reconciles);
        let task = std::mem::replace(&mut self.tasks[who.replica][slot], Task::Idle);
        let idle = matches!(task, Task::Idle);
        let next = task.step(self, luck, who);
        let rests = idle && matches!(next, Task::Idle);
        self.tasks[who.replica][slot] = next;
        !rests
    }

    /// Closes a ledger.
    pub fn close(&mut self, closing: &Closing) {
        let mut closing = *closing;
        let accounts = self.ledger.accounts().count();
        closing.foreign = closing
            .foreign
            .map(|(account, act)| (Account(account.0 % accounts), act));
        self.ledger.close(&closing);
        self.clock += closing.gap;
        self.changed = true;
        for (bit, node) in self.nodes.iter_mut().enumerate() {
            if (closing.followed & !self.slow) >> bit & 1 == 1 {
                node.follow(&self.ledger, u32::MAX / 2);
            }
        }
        self.tell_close(closing.foreign);
    }

    fn tell_close(&mut self, foreign: Option<(Account, Act)>) {
        if self.story.is_none() {
            return;
        }
        let number = self.ledger.newest();
        let closed = self.ledger.at(number);
        let mut told = vec![format!("ledger {number} closes at {} s", closed.at)];
        told.extend(foreign.map(|(account, act)| format!("somebody else {act} the {account}")));
        let applied = closed.applied.iter();
        told.extend(applied.map(|applied| format!("{} {}", applied.id, applied.outcome)));
        for (node, at) in (1..).zip(self.nodes.iter().map(|node| node.at)) {
            if at < number {
                told.push(format!("node {node} is at {at}"));
            }
        }
        self.tell(|| told.join("; "));
    }

    /// Lets the oldest late request arrive.
    pub fn arrive(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let (node, envelope) = self.late.remove(0);
        let hint = self.nodes[node].send(envelope, &mut self.ledger);
        self.tell(|| {
            format!(
                "{} arrives at node {} after all: {hint}",
                envelope.id(),
                node + 1
            )
        });
    }
}
