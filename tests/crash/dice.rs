//! Decisions by a seed: the same seed and round decide the same, whatever happened before.

use serde_json::{Value, json};

/// A stream of numbers (`SplitMix64`).
pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64, round: u64) -> Self {
        let mut dice = Self(seed ^ round.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn in_hundred(&mut self, chances: u64) -> bool {
        self.below(100) < chances
    }
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The only process.
    Service,
    /// The first of two.
    First,
    /// The second of two.
    Second,
}

/// What happens in a round.
#[derive(Debug)]
pub struct Round {
    /// A milestone is disbursed in each of these projects.
    pub projects: Vec<usize>,
    /// What the ledger does.
    pub fault: Option<Value>,
    /// Ledger time that passes at once, in seconds.
    pub skip: Option<u32>,
    /// Whether the ledger's process is killed too.
    pub kills_ledger: bool,
    pub victim: Victim,
    /// When, after the orders.
    pub after_ms: u64,
}

impl Round {
    pub fn decide(seed: u64, round: u64, projects: usize, burn_ttl: u32) -> Self {
        let mut dice = Dice::of(seed, round);
        let count = 1 + dice.below(3);
        let projects = (0..count)
            .map(|_| {
                let pick = dice.below(projects.try_into().unwrap_or(1));
                pick.try_into().unwrap_or(0)
            })
            .collect();
        let fault = dice.in_hundred(45).then(|| fault(&mut dice));
        let skip = dice.in_hundred(5).then_some(burn_ttl + 10);
        let kills_ledger = dice.in_hundred(8);
        let victim = match dice.below(100) {
            0..10 => Victim::First,
            10..20 => Victim::Second,
            _ => Victim::Service,
        };
        let longest = [20, 100, 400, 1000][usize::try_from(dice.below(4)).unwrap_or(0)];
        Self {
            projects,
            fault,
            skip,
            kills_ledger,
            victim,
            after_ms: dice.below(longest),
        }
    }
}

fn fault(dice: &mut Dice) -> Value {
    let calls = 1 + dice.below(3);
    match dice.below(9) {
        0 => json!({ "fault": "lose_answer", "calls": calls }),
        1 => json!({ "fault": "fail_included", "calls": 1 }),
        2 => json!({ "fault": "try_again_later", "calls": calls }),
        3 => json!({ "fault": "repeat", "calls": calls }),
        4 => json!({ "fault": "lag", "calls": 4 * calls }),
        5 => json!({ "fault": "evict", "calls": 1 }),
        6 => json!({ "fault": "fee_pressure", "calls": calls, "fee": 10_000_000 }),
        7 => json!({ "fault": "error_500", "calls": 2 * calls }),
        _ => json!({ "fault": "hang", "calls": 1 }),
    }
}
