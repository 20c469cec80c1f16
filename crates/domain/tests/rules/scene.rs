//! People, a project and a milestone in every status, made by the domain's own commands.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::test_runner::Config;
use tranche_domain::disbursement::{Disbursement, Failure, LedgerSlot, PreparedBurn};
use tranche_domain::milestone::NewMilestone;
use tranche_domain::project::NewProject;
use tranche_domain::text::{Notes, ProjectName, Reason, Title, TransferReference};
use tranche_domain::{
    Actor, Amount, BankTransfer, BurnId, Change, DisbursementId, EventId, Milestone, MilestoneId,
    MilestoneStatus, Occasion, Origin, Policy, Project, ProjectId, Role, Write,
};
use uuid::Uuid;

/// Whoever hands work in.
pub const MAKER: &str = "maker";
/// Whoever approves it.
pub const CHECKER: &str = "checker";
/// Whoever pays it.
pub const TREASURER: &str = "treasurer";

/// `cases` runs of a property, and no file left behind when it fails.
pub fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// A time, in seconds after an arbitrary start.
pub fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// An act by `who` at `tick`, with an id and a salt of its own.
pub fn act(who: &str, tick: u8) -> Occasion {
    Occasion {
        by: Actor {
            id: who.to_owned(),
            role: Role::Manager,
        },
        origin: Origin {
            ip_address: Some([192, 0, 2, tick].into()),
            user_agent: Some("tests/1".to_owned()),
            request_id: Some(format!("request-{tick}")),
            sealed: None,
        },
        at: time(i64::from(tick)),
        event_id: EventId(Uuid::from_u128(0xE000 + u128::from(tick))),
        salt: [tick; 16],
    }
}

/// An amount of `stroops`.
pub fn stroops(stroops: i64) -> Amount {
    Amount::try_from_stroops(stroops).expect("tests use amounts that are not negative")
}

/// The disbursement named by `n`.
pub fn disbursement_id(n: u128) -> DisbursementId {
    DisbursementId(Uuid::from_u128(0xD000 + n))
}

/// A transfer of `amount` stroops.
pub fn transfer(amount: i64) -> BankTransfer {
    BankTransfer {
        reference: TransferReference::try_new("REF-1").expect("a short text"),
        amount: stroops(amount),
        date: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
        notes: Some(Notes::try_new("paid in two parts").expect("a short text")),
    }
}

/// A signed burn that takes `sequence` and is valid for 200 seconds.
pub fn burn(sequence: i64) -> PreparedBurn {
    PreparedBurn {
        id: BurnId(format!("{sequence:064x}")),
        envelope: vec![1, 2, 3],
        memo: [7; 32],
        slot: LedgerSlot {
            network: "test".to_owned(),
            account: "GWALLET".to_owned(),
            sequence,
        },
        valid_until: time(200),
        signed_at_ledger: 100,
        replacements: Vec::new(),
    }
}

/// Why a burn failed.
pub fn failure() -> Failure {
    Failure {
        code: "expired".to_owned(),
        detail: "it was never included".to_owned(),
    }
}

/// A reason to reject.
pub fn reason() -> Reason {
    Reason::try_new("the report is missing").expect("a short text")
}

/// A title.
pub fn title(text: &str) -> Title {
    Title::try_new(text).expect("a short text")
}

/// What drafts the milestone `number`.
pub fn plan_of(number: i32) -> NewMilestone {
    NewMilestone {
        id: MilestoneId(Uuid::from_u128(0xA000 + u128::from(number.unsigned_abs()))),
        number,
        title: title("Wells drilled"),
        description: None,
        target_amount: stroops(500),
    }
}

/// A new project with `nav` and `tokens` in stroops.
pub fn project(nav: i64, tokens: i64, policy: Policy) -> Project {
    let new = NewProject {
        id: ProjectId(Uuid::from_u128(0xB000)),
        name: ProjectName::try_new("Water for Kano").expect("a short text"),
        nav: stroops(nav),
        lp_tokens_outstanding: stroops(tokens),
        wallet_account_id: "GWALLET".to_owned(),
        policy,
    };
    written(Project::open(new, &act("admin", 0)).project())
}

/// What a change writes.
pub fn written<T: Clone>(write: Option<&Write<T>>) -> T {
    write.expect("the change writes it").value().clone()
}

/// A project, one milestone of it, and the disbursement in flight or done.
#[derive(Clone, Debug)]
pub struct Scene {
    pub project: Project,
    pub milestone: Milestone,
    pub disbursement: Option<Disbursement>,
}

impl Scene {
    /// A draft in a project with a NAV of 1,000 stroops.
    pub fn draft(policy: Policy) -> Self {
        let change = Milestone::draft(plan_of(1), project(1_000, 100, policy), &act(MAKER, 1))
            .expect("the counter has room");
        Self {
            project: written(change.project()),
            milestone: written(change.milestone()),
            disbursement: None,
        }
    }

    /// A milestone in `status`, the default policy, a transfer of 500 stroops where there is one.
    pub fn at(status: MilestoneStatus) -> Self {
        Self::draft(Policy::default()).forward(status)
    }

    /// From draft to `status` by the shortest way, each step by another person.
    pub fn forward(self, status: MilestoneStatus) -> Self {
        match status {
            MilestoneStatus::Draft => self,
            MilestoneStatus::Submitted => self.submitted(),
            MilestoneStatus::Rejected => {
                let scene = self.submitted();
                let change = scene.milestone.clone().reject(reason(), &act(CHECKER, 3));
                scene.after(&change.expect("a submitted milestone is rejected"))
            }
            MilestoneStatus::Approved => self.approved(),
            MilestoneStatus::Disbursing => self.approved().disbursing(1),
            MilestoneStatus::Disbursed => {
                let scene = self.approved().disbursing(1);
                let open = scene.disbursement.clone().expect("a burn is in flight");
                let (milestone, project) = (scene.milestone.clone(), scene.project.clone());
                let change = open.settle(milestone, project, burn(41).id, 110, &act(TREASURER, 6));
                scene.after(&change.expect("a burn in flight is settled"))
            }
        }
    }

    fn submitted(self) -> Self {
        let change = self.milestone.clone().submit(&act(MAKER, 2));
        self.after(&change.expect("a draft is submitted"))
    }

    fn approved(self) -> Self {
        let scene = self.submitted();
        let change = scene.milestone.clone().approve(&act(CHECKER, 3));
        let scene = scene.after(&change.expect("a submitted milestone is approved"));
        let paid = scene.milestone.clone();
        let change = paid.record_transfer(transfer(500), &act(TREASURER, 4));
        scene.after(&change.expect("an approved milestone takes a transfer"))
    }

    /// Plans and prepares the disbursement `n` of the transfer's amount.
    pub fn disbursing(self, n: u128) -> Self {
        let change = self
            .milestone
            .plan_disbursement(
                &self.project,
                disbursement_id(n),
                None,
                None,
                act(TREASURER, 5),
            )
            .expect("the milestone is payable")
            .prepare(self.milestone.clone(), self.project.clone(), burn(41))
            .expect("nothing changed since the plan");
        self.after(&change)
    }

    /// What the change leaves behind.
    pub fn after(mut self, change: &Change) -> Self {
        if let Some(write) = change.project() {
            self.project = write.value().clone();
        }
        if let Some(write) = change.milestone() {
            self.milestone = write.value().clone();
        }
        if let Some(write) = change.disbursement() {
            self.disbursement = Some(write.value().clone());
        }
        self
    }
}
