//! Sending a kept burn: noted first, repeated at will, and its answer a hint.

use tranche_domain::Disbursement;

use crate::ends::given_up;
use crate::ledger::Envelope;
use crate::node::Hint;
use crate::replica::{Habit, Task, Then, Who};
use crate::schedule::{Fate, Luck};
use crate::world::World;

/// Notes the sending. Whoever is overtaken leaves it to the other.
pub fn note(
    world: &mut World,
    disbursement: Box<Disbursement>,
    then: Then,
    luck: Luck,
    who: Who,
) -> Task {
    if luck.fate == Fate::LostBefore {
        world.say(who, || "cannot note the sending".to_owned());
        return Task::Idle;
    }
    let sent = (*disbursement).clone().sent();
    match world.store.note_sent(&sent) {
        Ok(()) if luck.fate == Fate::Answered => Task::Send(Box::new(sent), then),
        Ok(()) => Task::Idle,
        Err(_) => {
            world.count("overtaken in sending");
            followed(disbursement, then)
        }
    }
}

/// What comes after a sending.
pub fn followed(disbursement: Box<Disbursement>, then: Then) -> Task {
    match then {
        Then::LookUp => Task::LookUp(disbursement, 0),
        Then::Rest => Task::Idle,
    }
}

/// Sends the kept bytes. Whatever is answered, or not, is a hint.
pub fn send(
    world: &mut World,
    disbursement: Box<Disbursement>,
    then: Then,
    luck: Luck,
    who: Who,
) -> Task {
    let envelope = Envelope::of(disbursement.burn.newest_envelope());
    let node = luck.node;
    let what = format_args!("sends {} to node {}", envelope.id(), node + 1).to_string();
    match luck.fate {
        Fate::Answered => {
            let hint = world.nodes[node].send(envelope, &mut world.ledger);
            world.say(who, || format!("{what}: {hint}"));
            world.count_hint(hint);
            return match hint {
                Hint::FeeTooLow(fee) => Task::Outbid(disbursement, fee, then),
                _ => followed(disbursement, then),
            };
        }
        Fate::LostBefore => world.say(who, || format!("{what}; the request is lost")),
        Fate::LostAfter => {
            let hint = world.nodes[node].send(envelope, &mut world.ledger);
            world.say(who, || format!("{what}; the answer {hint} is lost"));
        }
        Fate::Late => {
            world.say(who, || format!("{what}; the request is still under way"));
            world.late.push((node, envelope));
        }
    }
    if world.habit == Habit::UnlockOnTimeout {
        return given_up(&disbursement);
    }
    followed(disbursement, then)
}
