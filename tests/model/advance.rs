//! From a sent burn to its verdict: look up, read the account later, search, decide. Any of it may be
//! done twice, by anyone.

use chrono::TimeDelta;
use tranche_domain::disbursement::Verdict;
use tranche_domain::disbursement::verdict::{EXPIRED, Lookup, Testimony, Wait, decide};
use tranche_domain::{Disbursement, DisbursementId, DisbursementState, Failure};

use crate::ends::{End, failed, given_up};
use crate::ledger::{Account, time};
use crate::node::Answer;
use crate::replica::{Habit, Task, Then, Who};
use crate::schedule::{Fate, Luck};
use crate::world::World;

/// Reads the disbursement and sends it first if it never was.
pub fn open(world: &mut World, id: DisbursementId, luck: Luck, who: Who) -> Task {
    if luck.fate != Fate::Answered {
        world.say(who, || "gets no answer from the database".to_owned());
        return Task::Idle;
    }
    let disbursement = Box::new(world.store.disbursements[&id].clone());
    match disbursement.state {
        DisbursementState::Settled { .. } | DisbursementState::Failed { .. } => Task::Idle,
        DisbursementState::Prepared => Task::Note(disbursement, Then::LookUp),
        _ => Task::LookUp(disbursement, 0),
    }
}

/// Looks the burn up by one of its names, and goes on to the next until one is found.
pub fn look_up(
    world: &mut World,
    disbursement: Box<Disbursement>,
    name: usize,
    luck: Luck,
    who: Who,
) -> Task {
    let burn = &disbursement.burn;
    let Some(id) = burn.ids().nth(name) else {
        return Task::Idle;
    };
    let answer = world.nodes[luck.node].look_up(id, &world.ledger, luck.meanwhile);
    if luck.fate != Fate::Answered {
        world.say(who, || {
            format!("gets no answer from node {}", luck.node + 1)
        });
        return Task::Idle;
    }
    world.say(who, || {
        let at = (answer.closed.closed_at - time(0)).num_seconds();
        let found = match &answer.lookup {
            Lookup::NotFound => "NOT_FOUND",
            Lookup::Succeeded { .. } => "SUCCESS",
            Lookup::Failed { .. } => "FAILED",
        };
        format!(
            "looks {id} up at node {}: {found}, newest ledger {} closed at {at} s",
            luck.node + 1,
            answer.closed.sequence
        )
    });
    let time_up = answer.closed.closed_at > burn.lasts_until();
    let not_found = answer.lookup == Lookup::NotFound;
    if not_found && world.ledger.burns.iter().any(|(one, _)| one.id() == *id) {
        world.count("burned and NOT_FOUND");
        if time_up {
            world.count("burned and NOT_FOUND, its time up");
        }
    }
    if world.habit == Habit::NotFoundIsProof && not_found && time_up {
        let failure = Failure {
            code: EXPIRED.to_owned(),
            detail: "not found, and its time is up".to_owned(),
        };
        return failed(&disbursement, failure);
    }
    if not_found && burn.ids().nth(name + 1).is_some() {
        return Task::LookUp(disbursement, name + 1);
    }
    Task::ReadAccount(disbursement, answer)
}

/// Reads the account, and decides unless a search is needed.
pub fn read_account(
    world: &mut World,
    disbursement: Box<Disbursement>,
    answer: Answer,
    luck: Luck,
    who: Who,
) -> Task {
    let Answer {
        lookup,
        closed,
        oldest,
    } = answer;
    let burn = &disbursement.burn;
    let account = world.nodes[luck.node].read(account_of(&disbursement), &world.ledger);
    // A node that stands before the signing is not asked any further.
    let before_signing = account.ledger < burn.signed_at_ledger
        || closed.sequence < burn.signed_at_ledger && closed.closed_at > burn.lasts_until();
    if luck.fate != Fate::Answered || before_signing {
        world.say(who, || {
            format!("gets no account from node {}", luck.node + 1)
        });
        return Task::Idle;
    }
    world.say(who, || {
        format!(
            "reads the account at node {}, ledger {}: {}",
            luck.node + 1,
            account.ledger,
            account
                .sequence
                .map_or_else(|| "gone".to_owned(), |used| format!("no. {used} is used"))
        )
    });
    let testimony = Testimony {
        lookup,
        closed: Some(closed),
        account,
        scan: None,
    };
    match decide(burn, &testimony) {
        Verdict::Undecided(Wait::ScanNeeded) => {
            let from = burn.signed_at_ledger.max(oldest);
            Task::Search(disbursement, Box::new(testimony), from)
        }
        verdict => heard(world, &disbursement, verdict, who),
    }
}

/// Searches for what used the sequence number, and decides. Finding the burn itself stands in for
/// the lookup.
pub fn search(
    world: &mut World,
    disbursement: &Disbursement,
    testimony: Testimony,
    from: u32,
    luck: Luck,
    who: Who,
) -> Task {
    if luck.fate != Fate::Answered {
        world.say(who, || {
            format!("gets no answer from node {}", luck.node + 1)
        });
        return Task::Idle;
    }
    let burn = &disbursement.burn;
    let (node, account) = (&world.nodes[luck.node], account_of(disbursement));
    let mut scan = node.search(account, burn.slot.sequence, from, &world.ledger);
    let mut lookup = testimony.lookup;
    let ours = burn.ids().find(|id| scan.taker.as_ref() == Some(*id));
    if let Some(ours) = ours {
        lookup = node.find(ours, &world.ledger);
        scan.taker = None;
    }
    world.say(who, || {
        let found = scan
            .taker
            .as_ref()
            .map_or("nothing".to_owned(), ToString::to_string);
        let found = if lookup == Lookup::NotFound {
            found
        } else {
            "the burn".to_owned()
        };
        format!(
            "searches ledgers {} to {} at node {}: {found}",
            scan.from,
            scan.to,
            luck.node + 1
        )
    });
    let lags = scan.from <= burn.signed_at_ledger && scan.to < testimony.account.ledger;
    if lags && scan.taker.is_none() && lookup == Lookup::NotFound {
        return heard(
            world,
            disbursement,
            Verdict::Undecided(Wait::ScanNeeded),
            who,
        );
    }
    let testimony = Testimony {
        lookup,
        scan: Some(scan),
        ..testimony
    };
    let verdict = decide(burn, &testimony);
    heard(world, disbursement, verdict, who)
}

fn account_of(disbursement: &Disbursement) -> Account {
    Account::named(&disbursement.burn.slot.account)
}

/// Acts on a verdict.
fn heard(world: &mut World, disbursement: &Disbursement, verdict: Verdict, who: Who) -> Task {
    let end = match verdict {
        Verdict::Undecided(_) => return not_yet(world, disbursement, who),
        Verdict::Burned { burn, ledger } => End::Burned { burn, ledger },
        Verdict::Failed(failure) => return failed(disbursement, failure),
        Verdict::NeedsOperator { .. }
            if matches!(disbursement.state, DisbursementState::NeedsOperator { .. }) =>
        {
            return Task::Idle;
        }
        Verdict::NeedsOperator { reason } => End::Operator {
            reason,
            judged: disbursement.burn.clone(),
        },
    };
    Task::Conclude(disbursement.id, end)
}

/// A reconciler sends again what it had sent before; a request leaves it to the reconcilers.
fn not_yet(world: &World, disbursement: &Disbursement, who: Who) -> Task {
    let deadline = disbursement.prepared_at + TimeDelta::seconds(world.ttl);
    if world.habit == Habit::UnlockOnTimeout && time(world.clock + who.skew()) > deadline {
        return given_up(disbursement);
    }
    let now = &world.store.disbursements[&disbursement.id];
    let submitted = |one: &Disbursement| one.state == DisbursementState::Submitted;
    if who.reconciles && submitted(disbursement) && submitted(now) {
        return Task::Note(Box::new(now.clone()), Then::Rest);
    }
    Task::Idle
}
