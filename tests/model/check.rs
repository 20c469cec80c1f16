//! What must hold: after every step, and once everything is quiet.

use std::collections::BTreeMap;
use std::fmt;

use tranche_domain::disbursement::verdict::Lookup;
use tranche_domain::{
    Action, BurnId, Disbursement, DisbursementId, DisbursementState, Milestone, MilestoneState,
};
use uuid::Uuid;

use crate::ledger::{Account, Envelope, WALLET};
use crate::store::NAV;
use crate::world::World;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A milestone was burned for twice.
    DoubleBurn(String),
    /// Ledger, books and evidence contradict one another.
    Books(String),
    /// Something does not end although nothing is in its way.
    Stuck(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoubleBurn(what) => write!(f, "double burn: {what}"),
            Self::Books(what) => write!(f, "broken books: {what}"),
            Self::Stuck(what) => write!(f, "stuck: {what}"),
        }
    }
}

/// The first promise about one moment that is broken and matters.
pub fn safety(world: &World, matters: impl Fn(&Violation) -> bool) -> Result<(), Violation> {
    let mut broken = Vec::new();
    burns(world, &mut broken);
    disbursements(world, &mut broken);
    project(world, &mut broken);
    evidence(world, &mut broken);
    calls(world, &mut broken);
    let strange = world.strange.iter().cloned();
    broken.extend(strange.map(Violation::Books));
    broken.into_iter().find(matters).map_or(Ok(()), Err)
}

fn ordered(world: &World, burn: &Envelope) -> Option<DisbursementId> {
    let order = u128::try_from(burn.order).expect("orders count from 1");
    let id = DisbursementId(Uuid::from_u128(order));
    world.store.disbursements.contains_key(&id).then_some(id)
}

/// On the ledger: only what was kept before, and at most one burn a milestone.
fn burns(world: &World, broken: &mut Vec<Violation>) {
    let mut by_milestone = BTreeMap::new();
    for (burn, _) in &world.ledger.burns {
        let Some(id) = ordered(world, burn) else {
            broken.push(Violation::Books(format!("nobody kept {}", burn.id())));
            continue;
        };
        let disbursement = &world.store.disbursements[&id];
        let ours = disbursement.burn.ids().any(|id| *id == burn.id());
        if !ours || burn.amount != disbursement.amount.stroops() {
            broken.push(Violation::Books(format!("{} is not as kept", burn.id())));
        }
        if let Some(other) = by_milestone.insert(disbursement.milestone_id, burn) {
            let milestone = disbursement.milestone_id.0.as_u128() + 1;
            broken.push(Violation::DoubleBurn(format!(
                "milestone {milestone} burned twice: {} and {}",
                other.id(),
                burn.id()
            )));
        }
    }
}

/// Settled means burned, failed means never burned; a milestone names its open or settled one.
fn disbursements(world: &World, broken: &mut Vec<Violation>) {
    let mut leased: Vec<&str> = Vec::new();
    for one in world.store.disbursements.values() {
        let burned = world
            .ledger
            .burns
            .iter()
            .find(|(burn, _)| ordered(world, burn) == Some(one.id));
        let fits = match one.state {
            DisbursementState::Settled {
                ledger, ref burn, ..
            } => burned.is_some_and(|(by, at)| *at == ledger && by.id() == *burn),
            DisbursementState::Failed { .. } => burned.is_none(),
            _ => true,
        };
        if !fits {
            broken.push(Violation::Books(format!(
                "{} is {}, and on the ledger: {burned:?}",
                one.burn.id,
                one.state.as_str()
            )));
        }
        let account = one.burn.slot.account.as_str();
        if one.state.is_open() && account != one.wallet_account_id {
            if leased.contains(&account) {
                broken.push(Violation::Books(format!("{account} is leased twice")));
            }
            leased.push(account);
        }
    }
    for milestone in world.store.milestones.values() {
        if !names_its_own(world, milestone) {
            broken.push(Violation::Books(format!(
                "milestone {} does not fit its disbursements: {:?}",
                milestone.number, milestone.state
            )));
        }
    }
}

fn names_its_own(world: &World, milestone: &Milestone) -> bool {
    let own = || {
        let all = world.store.disbursements.values();
        all.filter(|one| one.milestone_id == milestone.id)
    };
    let mut open = own().filter(|one| one.state.is_open());
    let mut settled = own().filter(|one| is_settled(one));
    match &milestone.state {
        MilestoneState::Disbursing { disbursement, .. } => {
            let one = open.next().map(|one| one.id) == Some(*disbursement);
            one && open.next().is_none() && settled.next().is_none()
        }
        MilestoneState::Disbursed { burned, burn, .. } => {
            let one = settled
                .next()
                .is_some_and(|one| one.amount == *burned && is_settled_by(one, burn));
            one && settled.next().is_none() && open.next().is_none()
        }
        _ => open.next().is_none() && settled.next().is_none(),
    }
}

fn is_settled_by(one: &Disbursement, id: &BurnId) -> bool {
    matches!(&one.state, DisbursementState::Settled { burn, .. } if burn == id)
}

const fn is_settled(one: &Disbursement) -> bool {
    matches!(one.state, DisbursementState::Settled { .. })
}

fn sum(world: &World, of: impl Fn(&Disbursement) -> bool) -> i64 {
    let all = world.store.disbursements.values();
    all.filter(|one| of(one))
        .map(|one| one.amount.stroops())
        .sum()
}

/// NAV, reservation and counters are those of the disbursements.
fn project(world: &World, broken: &mut Vec<Violation>) {
    let project = &world.store.project;
    let settled = world
        .store
        .disbursements
        .values()
        .filter(|one| is_settled(one));
    let last = settled.clone().filter_map(|one| match one.state {
        DisbursementState::Settled { at, .. } => Some(at),
        _ => None,
    });
    let completed = i64::try_from(settled.clone().count()).expect("few");
    let total = i64::try_from(world.store.milestones.len()).expect("few");
    let fits = project.nav.stroops() == NAV - sum(world, is_settled)
        && project.nav_reserved.stroops() == sum(world, |one| one.state.is_open())
        && (project.completed_milestones, project.total_milestones) == (completed, total)
        && project.last_milestone_date.is_none() == last.max().is_none();
    if !fits {
        broken.push(Violation::Books(format!(
            "the books are wrong: {project:?}"
        )));
    }
}

/// One event for every order, every burn settled, and every failure.
fn evidence(world: &World, broken: &mut Vec<Violation>) {
    for milestone in world.store.milestones.keys() {
        let events = |action| {
            let all = world.store.events.iter();
            all.filter(|event| **event == (action, *milestone)).count()
        };
        let own = |of: &dyn Fn(&Disbursement) -> bool| {
            let all = world.store.disbursements.values();
            all.filter(|one| one.milestone_id == *milestone && of(one))
                .count()
        };
        let failed = |one: &Disbursement| matches!(one.state, DisbursementState::Failed { .. });
        let fits = events(Action::DisbursementPrepared) == own(&|_| true)
            && events(Action::MilestoneDisbursed) == own(&is_settled)
            && events(Action::DisbursementFailed) == own(&failed);
        if !fits {
            let number = milestone.0.as_u128() + 1;
            broken.push(Violation::Books(format!(
                "milestone {number} lacks an event, or has one too many"
            )));
        }
    }
}

/// A person is called only when an account went away or a node forgot what could have told.
fn calls(world: &World, broken: &mut Vec<Violation>) {
    for one in world.store.open_disbursements() {
        let called = matches!(one.state, DisbursementState::NeedsOperator { .. });
        let account = Account::named(&one.burn.slot.account);
        let forgot = world
            .nodes
            .iter()
            .any(|node| node.oldest > one.burn.signed_at_ledger);
        if called && !forgot && !world.ledger.removed.contains(&account) {
            broken.push(Violation::Books(format!(
                "a person is called for nothing: {:?}",
                one.state
            )));
        }
    }
}

/// Once everything is quiet: every disbursement has ended, or a person was called with reason; and
/// what left the NAV is what burned.
pub fn quiet(world: &World) -> Result<(), Violation> {
    for one in world.store.open_disbursements() {
        let called = matches!(one.state, DisbursementState::NeedsOperator { .. });
        if !called || !is_beyond_proof(world, one) {
            return Err(Violation::Stuck(format!(
                "{} is {} and stays so",
                one.burn.id,
                one.state.as_str()
            )));
        }
    }
    let called = |burn: &Envelope| {
        let mut open = world.store.open_disbursements();
        open.any(|one| ordered(world, burn) == Some(one.id))
    };
    let burns = world.ledger.burns.iter();
    let burned: i64 = burns
        .filter(|(burn, _)| !called(burn))
        .map(|(burn, _)| burn.amount)
        .sum();
    let left = NAV - world.store.project.nav.stroops();
    if burned == left {
        Ok(())
    } else {
        Err(Violation::Books(format!(
            "{burned} burned, and {left} left the NAV"
        )))
    }
}

/// Whether no node can prove anything: the account is gone, or the ledgers that told are forgotten.
fn is_beyond_proof(world: &World, one: &Disbursement) -> bool {
    let burn = &one.burn;
    let account = Account::named(&burn.slot.account);
    world.nodes.iter().all(|node| {
        let gone = node.read(account, &world.ledger).sequence.is_none();
        let scan = node.search(
            account,
            burn.slot.sequence,
            burn.signed_at_ledger,
            &world.ledger,
        );
        burn.ids().all(|id| match node.find(id, &world.ledger) {
            Lookup::Succeeded { .. } => false,
            Lookup::Failed { .. } => gone,
            Lookup::NotFound => gone || scan.taker.is_none() && scan.from > burn.signed_at_ledger,
        })
    })
}

/// Whether nothing is in the way of the next burn: all accounts are there, and one is free.
pub fn can_pay(world: &World) -> bool {
    let accounts = || world.ledger.accounts();
    let alone = accounts().count() == 1;
    accounts().all(|account| world.ledger.exists(account))
        && accounts().any(|account| alone || account != WALLET && !world.store.leases(account))
}

/// Every milestone is disbursed, unless a person was called for it.
pub fn all_paid(world: &World) -> Result<(), Violation> {
    let mut milestones = world.store.milestones.values();
    let waits = |milestone: &&Milestone| matches!(milestone.state, MilestoneState::Approved { .. });
    match milestones.find(waits) {
        Some(milestone) => Err(Violation::Stuck(format!(
            "milestone {} cannot be disbursed",
            milestone.number
        ))),
        None => Ok(()),
    }
}
