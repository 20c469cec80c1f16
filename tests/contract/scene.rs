//! People, projects and milestones, made by the domain's own commands through the store under test.
//!
//! Time, ids and salts come from a counter: a run repeats exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::queries::Queries;
use tranche_application::ports::store::{Store, StoreError, UnitOfWork};
use tranche_domain::actor::SealedOrigin;
use tranche_domain::disbursement::verdict::EXPIRED;
use tranche_domain::disbursement::{DisbursementPlan, Failure, LedgerSlot, PreparedBurn};
use tranche_domain::milestone::NewMilestone;
use tranche_domain::project::NewProject;
use tranche_domain::text::{Description, Notes, ProjectName, Title, TransferReference};
use tranche_domain::{
    Actor, Amount, BankTransfer, BurnId, Change, Disbursement, DisbursementId, EventId, Milestone,
    MilestoneId, Occasion, Origin, Policy, Project, ProjectId, Role, Write,
};
use uuid::{Builder, Uuid};

use super::StoreUnderTest;

/// Where burns happen.
pub const NETWORK: &str = "Test Network ; November 2026";
/// Whoever hands work in.
pub const MAKER: &str = "maker";
/// Whoever approves it.
pub const CHECKER: &str = "checker";
/// Whoever pays it.
pub const TREASURER: &str = "treasurer";

/// A store with a clock, and the people who work on it. Clones share both.
#[derive(Clone)]
pub struct World {
    pub store: Arc<dyn Store>,
    pub queries: Arc<dyn Queries>,
    ticks: Arc<AtomicI64>,
}

/// An amount of `stroops`.
pub fn stroops(stroops: i64) -> Amount {
    Amount::try_from_stroops(stroops).expect("rules use amounts that are not negative")
}

/// What a change writes.
pub fn written<T: Clone>(write: Option<&Write<T>>) -> T {
    write.expect("the change writes it").value().clone()
}

/// A transfer of `amount` stroops.
pub fn transfer(reference: &str, amount: i64) -> BankTransfer {
    BankTransfer {
        reference: TransferReference::try_new(reference).expect("a short text"),
        amount: stroops(amount),
        date: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
        notes: Some(Notes::try_new("paid in two parts,\nsee “ledger”").expect("a short text")),
    }
}

/// Why a burn failed.
pub fn failure() -> Failure {
    Failure {
        code: EXPIRED.to_owned(),
        detail: "it was never included".to_owned(),
    }
}

impl World {
    /// The world of this store, at its beginning.
    pub fn of(subject: &dyn StoreUnderTest) -> Self {
        Self {
            store: subject.store(),
            queries: subject.queries(),
            ticks: Arc::new(AtomicI64::new(0)),
        }
    }

    /// The same world through another store on the same database.
    #[must_use]
    pub fn through(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            ..self.clone()
        }
    }

    fn tick(&self) -> i64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Later than every time before, to the microsecond.
    pub fn now(&self) -> DateTime<Utc> {
        at(self.tick())
    }

    /// Sorts after every id before.
    pub fn id(&self) -> Uuid {
        let tick = self.tick();
        let millis = u64::try_from(at(tick).timestamp_millis()).expect("after 1970");
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&tick.to_be_bytes());
        Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// An act by `who` now, from an address of either family, or none.
    pub fn act(&self, who: &str, role: Role) -> Occasion {
        let tick = self.tick();
        let some = tick % 3 != 0;
        let low = u8::try_from(tick % 251).expect("below 251");
        Occasion {
            by: Actor {
                id: who.to_owned(),
                role,
            },
            origin: Origin {
                ip_address: some.then(|| match tick % 2 {
                    0 => [192, 0, 2, low].into(),
                    _ => [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(low)].into(),
                }),
                user_agent: some.then(|| "tests/1 (\"quoted\")".to_owned()),
                request_id: some.then(|| format!("request-{tick}")),
                sealed: (tick % 4 == 1).then(|| SealedOrigin {
                    key: Uuid::from_u128(u128::from(low)),
                    content: vec![low, 0, 255],
                }),
            },
            at: at(tick),
            event_id: EventId(self.id()),
            salt: [low; 16],
        }
    }

    /// Begins a unit of work.
    pub async fn begin(&self) -> Box<dyn UnitOfWork> {
        self.store.begin().await.expect("the store answers")
    }

    /// Records one change in a unit of work of its own.
    pub async fn record(&self, change: &Change) -> Result<(), StoreError> {
        let mut work = self.store.begin().await?;
        work.record(change).await?;
        work.commit().await
    }

    /// What opens a project with `nav` stroops and a wallet of its own.
    pub fn new_project(&self, nav: i64) -> NewProject {
        let id = self.id();
        NewProject {
            id: ProjectId(id),
            name: ProjectName::try_new("Water for Kano").expect("a short text"),
            nav: stroops(nav),
            lp_tokens_outstanding: stroops(1_000),
            wallet_account_id: format!("G{}", id.simple()),
            policy: Policy::default(),
        }
    }

    /// Opens a project with `nav` stroops.
    pub async fn project(&self, nav: i64) -> Project {
        let change = Project::open(self.new_project(nav), &self.act("admin", Role::Admin));
        self.record(&change).await.expect("a project is opened");
        written(change.project())
    }

    /// What drafts the milestone `number`.
    pub fn new_milestone(&self, number: i32) -> NewMilestone {
        NewMilestone {
            id: MilestoneId(self.id()),
            number,
            title: Title::try_new(format!("Wells drilled, part {number}")).expect("a short text"),
            description: (number % 2 == 1)
                .then(|| Description::try_new("Twelve wells — ₦40m").expect("a short text")),
            target_amount: stroops(i64::from(number) * 100),
        }
    }

    /// Drafts the milestone `number`, without recording it.
    pub fn drafting(&self, number: i32, project: Project) -> Change {
        let act = self.act(MAKER, Role::Manager);
        Milestone::draft(self.new_milestone(number), project, &act).expect("the counter has room")
    }

    /// Drafts the milestone `number`.
    pub async fn draft(&self, project: ProjectId, number: i32) -> Milestone {
        let mut work = self.begin().await;
        let locked = work.projects().lock(project).await.expect("it locks");
        let change = self.drafting(number, locked.expect("the project is there"));
        work.record(&change).await.expect("the draft is recorded");
        work.commit().await.expect("the draft is committed");
        written(change.milestone())
    }

    /// Deletes a draft.
    pub async fn delete(&self, project: ProjectId, id: MilestoneId) {
        let mut work = self.begin().await;
        let project = work.projects().lock(project).await.expect("it locks");
        let milestone = work.milestones().lock(id).await.expect("it locks");
        let project = project.expect("the project is there");
        let milestone = milestone.expect("the milestone is there");
        let change = milestone.delete(project, &self.act(MAKER, Role::Manager));
        work.record(&change.expect("a draft"))
            .await
            .expect("it is recorded");
        work.commit().await.expect("it is committed");
    }

    /// Carries out a command on one milestone, in a unit of work of its own.
    pub async fn change(
        &self,
        id: MilestoneId,
        command: impl FnOnce(Milestone) -> Change,
    ) -> Result<Milestone, StoreError> {
        let mut work = self.store.begin().await?;
        let locked = work.milestones().lock(id).await?;
        let change = command(locked.expect("the milestone is there"));
        work.record(&change).await?;
        work.commit().await?;
        Ok(written(change.milestone()))
    }

    /// Hands a draft in.
    pub async fn submit(&self, id: MilestoneId) -> Result<Milestone, StoreError> {
        let act = self.act(MAKER, Role::Manager);
        self.change(id, |m| m.submit(&act).expect("a draft")).await
    }

    /// Approves what was handed in.
    pub async fn approve(&self, id: MilestoneId) -> Result<Milestone, StoreError> {
        let act = self.act(CHECKER, Role::Approver);
        self.change(id, |m| m.approve(&act).expect("submitted"))
            .await
    }

    /// Records a transfer.
    pub async fn pay(
        &self,
        id: MilestoneId,
        transfer: BankTransfer,
    ) -> Result<Milestone, StoreError> {
        let act = self.act(TREASURER, Role::Treasurer);
        self.change(id, |m| m.record_transfer(transfer, &act).expect("approved"))
            .await
    }

    /// A milestone that waits for its burn of `amount` stroops.
    pub async fn payable(&self, project: ProjectId, number: i32, amount: i64) -> Milestone {
        let id = self.draft(project, number).await.id;
        self.submit(id).await.expect("it is submitted");
        self.approve(id).await.expect("it is approved");
        let transfer = transfer(&format!("REF-{number}"), amount);
        self.pay(id, transfer).await.expect("it is paid")
    }

    /// A signed burn that takes `sequence` of `account`.
    pub fn burn(&self, plan: &DisbursementPlan, sequence: i64) -> PreparedBurn {
        let memo = EventRecord::from(plan.event())
            .leaf_hash(plan.event().occurred_at)
            .expect("the event is canonical");
        let order = plan.order(memo);
        PreparedBurn {
            id: BurnId(plan.id().0.simple().to_string().repeat(2)),
            envelope: vec![0, 1, 2, 254, 255],
            memo,
            slot: LedgerSlot {
                network: NETWORK.to_owned(),
                account: order.sequence_account_id,
                sequence,
            },
            valid_until: self.now() + TimeDelta::seconds(200),
            signed_at_ledger: u32::MAX - 1,
            replacements: Vec::new(),
        }
    }

    /// Plans the burn for a milestone from what is committed now.
    pub async fn plan(&self, id: MilestoneId) -> Option<DisbursementPlan> {
        self.plan_through(id, None).await
    }

    /// Plans the burn for a milestone, with the sequence number of `channel`.
    pub async fn plan_through(
        &self,
        id: MilestoneId,
        channel: Option<&str>,
    ) -> Option<DisbursementPlan> {
        let milestone = self.queries.milestone(id).await.expect("it is read");
        let milestone = milestone.expect("the milestone is there");
        let project = self.queries.project(milestone.project_id).await;
        let project = project.expect("it is read").expect("the project is there");
        let act = self.act(TREASURER, Role::Treasurer);
        let id = DisbursementId(self.id());
        let channel = channel.map(ToOwned::to_owned);
        let plan = milestone.plan_disbursement(&project, id, None, channel, act);
        plan.ok()
    }

    /// Transaction 1: `None` when the rules, looked at again under the locks, no longer allow it.
    pub async fn keep(
        &self,
        id: MilestoneId,
        plan: DisbursementPlan,
        sequence: i64,
    ) -> Result<Option<Disbursement>, StoreError> {
        let burn = self.burn(&plan, sequence);
        let mut work = self.store.begin().await?;
        let project = work.projects().lock(plan.project_id()).await?;
        let milestone = work.milestones().lock(id).await?;
        let (Some(project), Some(milestone)) = (project, milestone) else {
            return Ok(None);
        };
        let Ok(change) = plan.prepare(milestone, project, burn) else {
            return Ok(None);
        };
        work.record(&change).await?;
        work.commit().await?;
        Ok(Some(written(change.disbursement())))
    }

    /// Plans and keeps a burn that takes `sequence` of the wallet.
    pub async fn prepare(&self, id: MilestoneId, sequence: i64) -> Disbursement {
        let plan = self.plan(id).await.expect("the milestone is payable");
        let kept = self.keep(id, plan, sequence).await.expect("it is kept");
        kept.expect("nothing changed since the plan")
    }

    /// Plans and keeps a burn through a channel account of its own, so that it can be in flight
    /// beside others of its project.
    pub async fn prepare_beside(&self, id: MilestoneId) -> Disbursement {
        let channel = format!("C{}", self.id().simple());
        let plan = self.plan_through(id, Some(&channel)).await;
        let plan = plan.expect("the milestone is payable");
        let kept = self.keep(id, plan, 1).await.expect("it is kept");
        kept.expect("nothing changed since the plan")
    }

    /// Locks one disbursement with its milestone and its project.
    pub async fn lock(
        &self,
        work: &mut dyn UnitOfWork,
        open: &Disbursement,
    ) -> Result<(Project, Milestone, Disbursement), StoreError> {
        let ids = [open.id];
        let locked = work.disbursements().lock_books(open.project_id, &ids).await;
        let mut books = locked?.expect("the project is there");
        let (milestone, disbursement) = books.disbursements.pop().expect("it is there");
        Ok((books.project, milestone, disbursement))
    }

    /// Transaction 2: everything that moves when a disbursement ends, however it does.
    pub async fn conclude(
        &self,
        open: &Disbursement,
        end: impl FnOnce(Disbursement, Milestone, Project, &Occasion) -> Change,
    ) -> Result<(), StoreError> {
        let mut work = self.store.begin().await?;
        let (project, milestone, locked) = self.lock(work.as_mut(), open).await?;
        let act = self.act(TREASURER, Role::Treasurer);
        let change = end(locked, milestone, project, &act);
        work.record(&change).await?;
        work.commit().await
    }

    /// The burn is final.
    pub async fn settle(&self, open: &Disbursement) -> Result<(), StoreError> {
        self.conclude(open, |d, m, p, act| {
            let burn = d.burn.id.clone();
            d.settle(m, p, burn, 110, act).expect("it is in flight")
        })
        .await
    }

    /// The burn never happened.
    pub async fn fail(&self, open: &Disbursement) -> Result<(), StoreError> {
        self.fail_with(open, failure()).await
    }

    /// The burn never happened, for this reason.
    pub async fn fail_with(&self, open: &Disbursement, why: Failure) -> Result<(), StoreError> {
        self.conclude(open, |d, m, p, act| {
            d.fail(m, p, why, act).expect("it is in flight")
        })
        .await
    }
}

/// The time at a tick: about a millisecond after the tick before, never on the millisecond.
fn at(tick: i64) -> DateTime<Utc> {
    let micros = tick * 1_000 + (tick * 7) % 999 + 1;
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_795_000_000) + TimeDelta::microseconds(micros)
}
