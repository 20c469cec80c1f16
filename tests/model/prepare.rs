//! From a request to a signed and kept burn: plan, sign, transaction 1.

use chrono::TimeDelta;
use tranche_domain::disbursement::PlanError;
use tranche_domain::disbursement::verdict::ClosedLedger;
use tranche_domain::{
    BurnId, DisbursementId, DisbursementPlan, LedgerSlot, MilestoneId, PreparedBurn,
};
use uuid::Uuid;

use crate::ledger::{Account, Envelope, WALLET, time};
use crate::replica::{Task, Who, name};
use crate::schedule::{Fate, Luck};
use crate::store::Conflict;
use crate::world::World;

/// Reads the milestone and the project, checks the rules, and picks the account whose sequence
/// number the burn will use: a channel that no open disbursement names, or the wallet itself.
pub fn plan(world: &mut World, milestone: MilestoneId, luck: Luck, who: Who) -> Task {
    if luck.fate != Fate::Answered {
        world.say(who, || "gets no answer from the database".to_owned());
        return Task::Idle;
    }
    let number = world.next_number();
    let id = DisbursementId(Uuid::from_u128(u128::from(number)));
    let occasion = world.occasion(who);
    let account = free_account(world);
    let channel = account.filter(|account| *account != WALLET);
    let planned = world.store.milestones[&milestone].plan_disbursement(
        &world.store.project,
        id,
        None,
        channel.map(|channel| channel.to_string()),
        occasion,
    );
    let plan = match planned {
        Ok(plan) => Box::new(plan),
        Err(refused) => {
            world.say(who, || format!("is refused: {refused}"));
            world.count("refused by the rules");
            return Task::Idle;
        }
    };
    let Some(account) = account else {
        world.say(who, || "finds every channel account leased".to_owned());
        return Task::Idle;
    };
    let milestone = milestone.0.as_u128() + 1;
    world.say(who, || {
        format!(
            "plans {} for milestone {milestone}, from {account}",
            name(id)
        )
    });
    Task::AskTime(plan, account)
}

fn free_account(world: &World) -> Option<Account> {
    let accounts = world.ledger.accounts();
    if accounts.clone().count() == 1 {
        return Some(WALLET);
    }
    accounts
        .skip(1)
        .find(|account| !world.store.leases(*account))
}

/// The time comes from an answer about a transaction that nobody has.
pub fn ask_time(
    world: &mut World,
    plan: Box<DisbursementPlan>,
    account: Account,
    luck: Luck,
    who: Who,
) -> Task {
    let nobody = BurnId("nobody".to_owned());
    let answer = world.nodes[luck.node].look_up(&nobody, &world.ledger, luck.meanwhile);
    if luck.fate != Fate::Answered {
        world.say(who, || {
            format!("gets no answer from node {}", luck.node + 1)
        });
        return Task::Idle;
    }
    Task::Sign(plan, account, answer.closed)
}

/// Signs for the account's next number, as the node that is asked knows it.
pub fn sign(
    world: &mut World,
    plan: Box<DisbursementPlan>,
    account: Account,
    closed: ClosedLedger,
    luck: Luck,
    who: Who,
) -> Task {
    let read = world.nodes[luck.node].read(account, &world.ledger);
    let (Fate::Answered, Some(used)) = (luck.fate, read.sequence) else {
        world.say(who, || {
            format!("gets no account from node {}", luck.node + 1)
        });
        return Task::Idle;
    };
    let valid_until = closed.closed_at + TimeDelta::seconds(world.ttl);
    let memo = [0; 32];
    let envelope = Envelope {
        account,
        sequence: used + 1,
        valid_until: (valid_until - time(0)).num_seconds(),
        order: i64::try_from(plan.id().0.as_u128()).expect("few disbursements"),
        amount: plan.order(memo).amount.stroops(),
        fee: 0,
    };
    world.say(who, || {
        format!(
            "reads ledger {} at node {} and signs {}",
            read.ledger,
            luck.node + 1,
            envelope.id()
        )
    });
    let burn = PreparedBurn {
        id: envelope.id(),
        envelope: envelope.bytes(),
        memo,
        slot: LedgerSlot {
            network: "model".to_owned(),
            account: account.to_string(),
            sequence: envelope.sequence,
        },
        valid_until,
        signed_at_ledger: read.ledger,
        replacements: Vec::new(),
    };
    Task::Keep(plan, Box::new(burn))
}

/// Transaction 1: the rules again on the locked rows, then everything at once. A burn that was not
/// kept is never sent.
pub fn keep(
    world: &mut World,
    plan: DisbursementPlan,
    burn: PreparedBurn,
    luck: Luck,
    who: Who,
) -> Task {
    let id = plan.id();
    let event = plan.event();
    let milestone = event.milestone_id.expect("a plan is for a milestone");
    if luck.fate == Fate::LostBefore {
        world.say(who, || "cannot commit transaction 1".to_owned());
        return Task::Idle;
    }
    let locked = world.store.milestones[&milestone].clone();
    let change = match plan.prepare(locked, world.store.project.clone(), burn) {
        Ok(change) => change,
        Err(PlanError::Stale) => {
            world.say(who, || "finds its plan stale and plans again".to_owned());
            world.count("stale plan");
            return Task::Plan(milestone);
        }
        Err(PlanError::Refused(error)) => {
            world.say(who, || format!("is refused: {error}"));
            return Task::Idle;
        }
    };
    match world.commit(&change) {
        Ok(()) if luck.fate == Fate::Answered => {
            world.say(who, || format!("keeps {}", name(id)));
            Task::Open(id)
        }
        Ok(()) => {
            world.say(who, || format!("keeps {} and does not learn it", name(id)));
            world.count("commit unheard");
            Task::Idle
        }
        Err(Conflict::Slot) => {
            world.say(who, || "finds the number bound to another burn".to_owned());
            world.count("slot taken");
            Task::Idle
        }
        Err(Conflict::Stale) => Task::Plan(milestone),
    }
}
