//! The model database: rows, versions, unique constraints, and commits that happen whole or not at
//! all. What the row locks promise, that units of work on one project follow one another, is kept
//! by making each unit of work one step.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use tranche_domain::disbursement::verdict::EXPIRED;
use tranche_domain::milestone::NewMilestone;
use tranche_domain::project::NewProject;
use tranche_domain::text::{ProjectName, Title, TransferReference};
use tranche_domain::{
    Action, Actor, Amount, BankTransfer, Change, Disbursement, DisbursementId, DisbursementState,
    EventId, Milestone, MilestoneId, Occasion, Origin, Policy, Project, ProjectId, Role, Write,
};
use uuid::Uuid;

use crate::ledger::{Account, WALLET, time};

/// What the project is worth at the start, in stroops.
pub const NAV: i64 = 1_000;

/// Why a commit was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A version no longer stands.
    Stale,
    /// Another burn has the account and sequence number, or the channel account is leased.
    Slot,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pub project: Project,
    pub milestones: BTreeMap<MilestoneId, Milestone>,
    pub disbursements: BTreeMap<DisbursementId, Disbursement>,
    /// Every event: what was done, to which milestone.
    pub events: Vec<(Action, MilestoneId)>,
    leases: BTreeMap<DisbursementId, DateTime<Utc>>,
}

/// The milestone with this number, from 0.
pub fn milestone_id(number: usize) -> MilestoneId {
    MilestoneId(Uuid::from_u128(number as u128))
}

/// How much the milestone with this number pays, in stroops: no two sums of them are equal.
pub const fn amount_of(number: usize) -> i64 {
    100 << number
}

/// An act of `who` at `seconds`, proven by the event `event`.
pub fn occasion(who: &str, event: u64, seconds: i64) -> Occasion {
    Occasion {
        by: Actor {
            id: who.to_owned(),
            role: Role::Treasurer,
        },
        origin: Origin::default(),
        at: time(seconds),
        event_id: EventId(Uuid::from_u128(u128::from(event))),
        salt: [0; 16],
    }
}

impl Store {
    /// A project with so many milestones, each approved and paid by bank.
    pub fn open(milestones: usize) -> Self {
        let project = NewProject {
            id: ProjectId(Uuid::nil()),
            name: ProjectName::try_new("Water for Kano").expect("a short text"),
            nav: stroops(NAV),
            lp_tokens_outstanding: stroops(NAV),
            wallet_account_id: WALLET.to_string(),
            policy: Policy::default(),
        };
        let opened = Project::open(project, &occasion("admin", 0, 0));
        let project = opened.project().expect("the project is opened");
        let mut store = Self {
            project: project.value().clone(),
            milestones: BTreeMap::new(),
            disbursements: BTreeMap::new(),
            events: Vec::new(),
            leases: BTreeMap::new(),
        };
        for number in 0..milestones {
            store.pay_by_bank(number);
        }
        store.events.clear();
        store
    }

    fn pay_by_bank(&mut self, number: usize) {
        let id = milestone_id(number);
        let new = NewMilestone {
            id,
            number: i32::try_from(number + 1).expect("few milestones"),
            title: Title::try_new("Wells drilled").expect("a short text"),
            description: None,
            target_amount: stroops(amount_of(number)),
        };
        let transfer = BankTransfer {
            reference: TransferReference::try_new(format!("REF-{number}")).expect("a short text"),
            amount: stroops(amount_of(number)),
            date: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
            notes: None,
        };
        let maker = occasion("maker", 0, 0);
        let drafted = Milestone::draft(new, self.project.clone(), &maker);
        self.keep(&drafted.expect("the counter has room"));
        let submitted = self.milestones[&id].clone().submit(&maker);
        self.keep(&submitted.expect("it is a draft"));
        let approved = self.milestones[&id]
            .clone()
            .approve(&occasion("checker", 0, 0));
        self.keep(&approved.expect("it is submitted"));
        let paid = self.milestones[&id]
            .clone()
            .record_transfer(transfer, &maker);
        self.keep(&paid.expect("it is approved"));
    }

    /// Commits a change, or refuses it.
    pub fn commit(&mut self, change: &Change) -> Result<(), Conflict> {
        let project = change.project().map(Write::value);
        let milestone = change.milestone().map(Write::value);
        let stale = project.is_some_and(|next| next.version != self.project.version + 1)
            || milestone.is_some_and(|next| {
                let old = self.milestones.get(&next.id);
                next.version != old.map_or(0, |old| old.version) + 1
            });
        match change.disbursement() {
            _ if stale => return Err(Conflict::Stale),
            Some(Write::Insert(next)) if self.is_taken(next) => return Err(Conflict::Slot),
            Some(Write::Update(next)) if !self.follows(next) => return Err(Conflict::Stale),
            _ => {}
        }
        self.keep(change);
        Ok(())
    }

    fn keep(&mut self, change: &Change) {
        if let Some(write) = change.project() {
            self.project = write.value().clone();
        }
        if let Some(write) = change.milestone() {
            let milestone = write.value().clone();
            self.milestones.insert(milestone.id, milestone);
        }
        if let Some(write) = change.disbursement() {
            let disbursement = write.value().clone();
            self.disbursements.insert(disbursement.id, disbursement);
        }
        let event = change.event();
        let milestone = event.milestone_id.expect("every act is on a milestone");
        self.events.push((event.action, milestone));
    }

    fn follows(&self, next: &Disbursement) -> bool {
        self.disbursements
            .get(&next.id)
            .is_some_and(|old| next.version == old.version + 1)
    }

    /// Whether a unique constraint is in the way: one open disbursement a milestone, one burn a
    /// slot (given back by one that expired), one open disbursement a channel account.
    fn is_taken(&self, next: &Disbursement) -> bool {
        self.disbursements.values().any(|old| {
            let open = old.state.is_open();
            let expired = matches!(
                &old.state,
                DisbursementState::Failed { failure, .. } if failure.code == EXPIRED
            );
            let account = &next.burn.slot.account;
            let leased = *account != next.wallet_account_id && old.burn.slot.account == *account;
            let slot = old.burn.slot == next.burn.slot && !expired;
            slot || open && (old.milestone_id == next.milestone_id || leased)
        })
    }

    /// Keeps what a sending changed.
    pub fn note_sent(&mut self, sent: &Disbursement) -> Result<(), Conflict> {
        if !self.follows(sent) {
            return Err(Conflict::Stale);
        }
        self.disbursements.insert(sent.id, sent.clone());
        Ok(())
    }

    /// Leases the open disbursement whose lease ended first, until `until`.
    pub fn lease_next(
        &mut self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Option<DisbursementId> {
        let next = self
            .open_disbursements()
            .map(|open| (self.leases.get(&open.id).copied(), open.id))
            .filter(|(lease, _)| lease.is_none_or(|lease| lease <= now))
            .min()?;
        self.leases.insert(next.1, until);
        Some(next.1)
    }

    /// The disbursements that have not ended.
    pub fn open_disbursements(&self) -> impl Iterator<Item = &Disbursement> {
        self.disbursements
            .values()
            .filter(|one| one.state.is_open())
    }

    /// Whether an open disbursement names the account.
    pub fn leases(&self, account: Account) -> bool {
        self.open_disbursements()
            .any(|open| Account::named(&open.burn.slot.account) == account)
    }
}

/// An amount.
fn stroops(stroops: i64) -> Amount {
    Amount::try_from_stroops(stroops).expect("not negative")
}
