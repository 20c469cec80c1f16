//! A further envelope for the same slot, when a node asks for a higher fee: kept before it is sent.
//!
//! By turns it is a fee bump, the same transaction by the same name, and the burn signed anew with
//! a later end, by another name. All of them are watched from then on.

use chrono::TimeDelta;
use tranche_domain::{Disbursement, Replacement};

use crate::ledger::{Envelope, time};
use crate::replica::{Task, Then, Who, name};
use crate::schedule::{Fate, Luck};
use crate::send::followed;
use crate::world::World;

/// The most further envelopes of one burn.
const MOST: usize = 5;

/// Signs and keeps it, unless another driver was first.
pub fn outbid(
    world: &mut World,
    disbursement: Box<Disbursement>,
    fee: i64,
    then: Then,
    luck: Luck,
    who: Who,
) -> Task {
    let before = disbursement.burn.replacements.len();
    let newest = Envelope::of(disbursement.burn.newest_envelope());
    if before >= MOST || newest.fee >= fee {
        return followed(disbursement, then);
    }
    if luck.fate == Fate::LostBefore {
        world.say(who, || "cannot keep a further envelope".to_owned());
        return Task::Idle;
    }
    let mut envelope = Envelope { fee, ..newest };
    let anew = (i64::try_from(before).expect("few") + newest.order) % 2 == 0;
    if anew {
        let closed = world.nodes[luck.node].newest(&world.ledger).closed_at;
        let end = closed + TimeDelta::seconds(world.ttl);
        envelope.valid_until = newest.valid_until.max((end - time(0)).num_seconds());
    }
    let locked = world.store.disbursements[&disbursement.id].clone();
    if locked.burn != disbursement.burn {
        world.count("outbid by another");
        return followed(disbursement, then);
    }
    let replacement = Replacement {
        id: envelope.id(),
        envelope: envelope.bytes(),
        valid_until: time(envelope.valid_until),
    };
    let milestone = world.store.milestones[&locked.milestone_id].clone();
    let occasion = world.occasion(who);
    // One that has ended meanwhile is left as it is.
    let Ok(change) = locked.replace(&milestone, replacement, &occasion) else {
        return followed(disbursement, then);
    };
    if world.commit(&change).is_err() {
        let changed = format!("{} was locked and changed", name(disbursement.id));
        world.strange.push(changed);
    }
    world.count(if anew { "signed anew" } else { "fee bumped" });
    world.say(who, || {
        format!("keeps a further envelope, fee {fee}: {}", envelope.id())
    });
    if luck.fate != Fate::Answered {
        return Task::Idle;
    }
    let kept = world.store.disbursements[&disbursement.id].clone();
    Task::Send(Box::new(kept), then)
}
