//! What may happen, in which order. A schedule is a value: it is drawn at random, shrunk when it
//! breaks something, and played again.

use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::sample::select;

use crate::ledger::{Account, Act, Closing};

/// A world, and what happens in it until the faults stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How many milestones the project has to pay.
    pub milestones: usize,
    /// How many channel accounts its wallet has; with none it burns from its own sequence.
    pub channels: usize,
    /// How long a burn stays valid, in seconds of the ledger's time.
    pub ttl: i64,
    /// Which nodes do not follow the ledger of themselves, a bit each.
    pub slow: u8,
    pub events: Vec<Event>,
}

/// One thing that happens. Replicas, nodes and milestones are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody asks a replica to disburse a milestone. One that serves a request is busy.
    Request { replica: usize, milestone: usize },
    /// A task takes so many steps; the last one has this luck, those before are answered.
    Step {
        replica: usize,
        reconciles: bool,
        steps: u8,
        luck: Luck,
    },
    /// A ledger closes.
    Close(Closing),
    /// A node takes in so many ledgers.
    Follow { node: usize, ledgers: u32 },
    /// A node forgets all but its newest ledger.
    Forget { node: usize },
    /// The fee that a node asks for changes.
    Fee { node: usize, fee: i64 },
    /// The request that has been under way longest arrives.
    Arrive,
    /// What waited too long is dropped by every validator.
    Drop,
    /// The clocks of the replicas go on, and no ledger closes.
    Wait { seconds: i64 },
    /// A replica is killed and started again.
    Kill { replica: usize },
}

/// What becomes of one request, to a node or to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Luck {
    /// The node that the load balancer chose.
    pub node: usize,
    pub fate: Fate,
    /// How many ledgers a node takes in between the two readings of one answer.
    pub meanwhile: u32,
}

/// Whether a request acts and is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// It is lost and does nothing.
    LostBefore,
    /// It acts, and the answer is lost.
    LostAfter,
    /// Its sender gives up waiting, and it acts later. For a database, as `LostAfter`.
    Late,
}

/// Luck without misfortune.
pub const fn fair(node: usize) -> Luck {
    Luck {
        node,
        fate: Fate::Answered,
        meanwhile: 0,
    }
}

/// Any schedule with so many channel accounts.
pub fn any_schedule(channels: RangeInclusive<usize>) -> impl Strategy<Value = Schedule> {
    let slow = select(vec![0, 0, 1, 2, 3]);
    let world = (1..=3_usize, channels, (3..=7_i64).prop_map(|n| 5 * n), slow);
    (world, prop::collection::vec(event(), 0..=90)).prop_map(
        |((milestones, channels, ttl, slow), events)| Schedule {
            milestones,
            channels,
            ttl,
            slow,
            events,
        },
    )
}

fn event() -> BoxedStrategy<Event> {
    prop_oneof![
        6 => (0..2_usize, 0..3_usize)
            .prop_map(|(replica, milestone)| Event::Request { replica, milestone }),
        30 => step(),
        12 => closing().prop_map(Event::Close),
        4 => (0..2_usize, 1..=9_u32).prop_map(|(node, ledgers)| Event::Follow { node, ledgers }),
        1 => (0..2_usize).prop_map(|node| Event::Forget { node }),
        3 => (0..2_usize, 0..=3_i64).prop_map(|(node, fee)| Event::Fee { node, fee }),
        2 => Just(Event::Arrive),
        1 => Just(Event::Drop),
        2 => (1..=30_i64).prop_map(|seconds| Event::Wait { seconds }),
        2 => (0..2_usize).prop_map(|replica| Event::Kill { replica }),
    ]
    .boxed()
}

fn step() -> impl Strategy<Value = Event> {
    (0..2_usize, any::<bool>(), 1..=7_u8, luck()).prop_map(|(replica, reconciles, steps, luck)| {
        Event::Step {
            replica,
            reconciles,
            steps,
            luck,
        }
    })
}

fn luck() -> impl Strategy<Value = Luck> {
    use Fate::{Answered, Late, LostAfter, LostBefore};
    let mut fates = [Answered; 15];
    fates[12..].copy_from_slice(&[LostBefore, LostAfter, Late]);
    let meanwhile = [0, 0, 0, 0, 0, 0, 1, 2, 4, 9];
    (
        0..2_usize,
        select(fates.to_vec()),
        select(meanwhile.to_vec()),
    )
        .prop_map(|(node, fate, meanwhile)| Luck {
            node,
            fate,
            meanwhile,
        })
}

fn closing() -> impl Strategy<Value = Closing> {
    use Act::{Passes, Removes, Uses};
    let gaps = [5, 5, 5, 5, 0, 0, 0, 1, 15, 30];
    let includes = [u8::MAX, u8::MAX, u8::MAX, 0, 0, 0, 0, 0b01, 0b10];
    let acts = [Uses, Uses, Uses, Uses, Passes, Passes, Removes];
    let foreign = ((0..4_usize).prop_map(Account), select(acts.to_vec()));
    let followed = [3, 3, 3, 3, 3, 3, 3, 2, 1, 0];
    (
        select(gaps.to_vec()),
        select(includes.to_vec()),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.07, foreign),
        select(followed.to_vec()),
    )
        .prop_map(|(gap, includes, refuses, foreign, followed)| Closing {
            gap,
            includes,
            refuses,
            foreign,
            followed,
        })
}
