//! A project, its milestone and a disbursement, made by the domain's own commands; and who calls.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::Value;
use tranche_application::audit::record::{EventRecord, RecordedActor};
use tranche_application::idempotency::{Answered, IdempotencyKey};
use tranche_application::milestones::RecordTransfer;
use tranche_application::ports::store::LockedBooks;
use tranche_application::{Call, Caller};
use tranche_domain::disbursement::{Disbursement, Failure, LedgerSlot, PreparedBurn};
use tranche_domain::milestone::NewMilestone;
use tranche_domain::project::NewProject;
use tranche_domain::text::{ProjectName, Reason, Title, TransferReference};
use tranche_domain::{
    Actor, Amount, BankTransfer, BurnId, Change, DisbursementId, EventId, Milestone, MilestoneId,
    MilestoneStatus, Occasion, Origin, Policy, Project, ProjectId, Role, Write,
};
use uuid::Uuid;

/// The project of every scene.
pub const PROJECT: ProjectId = ProjectId(Uuid::from_u128(0xB000));
/// The milestone of every scene.
pub const MILESTONE: MilestoneId = MilestoneId(Uuid::from_u128(0xA000));
/// The disbursement of a scene that has one.
pub const DISBURSEMENT: DisbursementId = DisbursementId(Uuid::from_u128(0xD000));
/// A project that is not the scene's.
pub const ELSEWHERE: ProjectId = ProjectId(Uuid::from_u128(0xBAD));
/// The transfer that pays the milestone, and what burns for it, in stroops.
pub const PAID: i64 = 500;

/// A time, in seconds after an arbitrary start.
pub fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// An event with nothing but what every event has.
pub fn bare_event(id: Uuid) -> EventRecord {
    EventRecord {
        id,
        severity: "info".to_owned(),
        occurred_at: time(0),
        action: "login".to_owned(),
        actor: RecordedActor {
            id: "amina".to_owned(),
            role: None,
        },
        project_id: None,
        milestone_id: None,
        resource_type: "session".to_owned(),
        resource_id: None,
        previous_status: None,
        new_status: None,
        changes: Value::Null,
        metadata: Value::Null,
        details: Value::Null,
        ip_address: None,
        user_agent: None,
        request_id: None,
        salt: [0; 16],
    }
}

/// An amount of `stroops`.
pub fn stroops(stroops: i64) -> Amount {
    Amount::try_from_stroops(stroops).unwrap()
}

/// Whoever may see everything.
pub fn caller(who: &str) -> Caller {
    Caller {
        actor: Actor {
            id: who.to_owned(),
            role: Role::Treasurer,
        },
        origin: Origin {
            ip_address: Some([192, 0, 2, 7].into()),
            user_agent: Some("tests/1".to_owned()),
            request_id: Some("request-7".to_owned()),
            sealed: None,
        },
        scope: None,
    }
}

/// A call without conditions.
pub fn call(who: &str) -> Call {
    Call {
        caller: caller(who),
        idempotency: None,
        expected_version: None,
    }
}

/// A call that is safe to repeat.
pub fn keyed(who: &str) -> Call {
    Call {
        idempotency: Some(IdempotencyKey {
            subject: who.to_owned(),
            key: "once".to_owned(),
            fingerprint: [1; 32],
        }),
        ..call(who)
    }
}

/// A call by someone who may see only `project`.
pub fn scoped(who: &str, project: ProjectId) -> Call {
    let mut call = call(who);
    call.caller.scope = Some(project);
    call
}

/// What a used key knows.
pub fn answered() -> Answered {
    Answered {
        made: Some(Uuid::from_u128(0xFEED)),
        answer: Some((201, "as it was".to_owned())),
    }
}

/// A title.
pub fn title(text: &str) -> Title {
    Title::try_new(text).unwrap()
}

/// A reason.
pub fn reason() -> Reason {
    Reason::try_new("the report is missing").unwrap()
}

/// A bank transfer to record.
pub fn transfer() -> RecordTransfer {
    RecordTransfer {
        reference: TransferReference::try_new("REF-1").unwrap(),
        amount: stroops(PAID),
        date: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
        notes: None,
    }
}

/// A signed burn that takes `sequence` and carries `memo`.
pub fn burn(sequence: i64, memo: [u8; 32]) -> PreparedBurn {
    PreparedBurn {
        id: BurnId(format!("{sequence:064x}")),
        envelope: vec![1, 2, 3],
        memo,
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

/// What a change writes.
pub fn written<T: Clone>(write: Option<&Write<T>>) -> T {
    write.unwrap().value().clone()
}

/// An act now, by `who`.
pub fn occasion(who: &str) -> Occasion {
    act(who, 100)
}

fn act(who: &str, tick: u8) -> Occasion {
    let Caller { actor, origin, .. } = caller(who);
    Occasion {
        by: actor,
        origin,
        at: time(i64::from(tick) - 100),
        event_id: EventId(Uuid::from_u128(0xE000 + u128::from(tick))),
        salt: [tick; 16],
    }
}

/// A project with this NAV, in stroops, and no milestones.
fn opened(id: ProjectId, nav: i64) -> Project {
    let new = NewProject {
        id,
        name: ProjectName::try_new("Water for Kano").unwrap(),
        nav: stroops(nav),
        lp_tokens_outstanding: stroops(100),
        wallet_account_id: "GWALLET".to_owned(),
        policy: Policy::default(),
    };
    written(Project::open(new, &act("admin", 0)).project())
}

/// A project with this many milestones, for each of which a burn was sent. The disbursements and
/// their sequence numbers count up from those of the scenes.
pub fn crowd(id: ProjectId, count: i32) -> (Project, Vec<(Milestone, Disbursement)>) {
    let mut project = opened(id, i64::from(count) * PAID);
    let mut rows = Vec::new();
    for number in 1..=count {
        let base = id.0.as_u128() << 32;
        let nth = u128::from(number.unsigned_abs());
        let milestone = MilestoneId(Uuid::from_u128(base + (0xA << 16) + nth));
        let scene = Scene::draft_in(project, milestone, number)
            .submitted()
            .paid();
        let disbursement = DisbursementId(Uuid::from_u128(base + (0xD << 16) + nth));
        let scene = scene.disbursing_as(disbursement, 40 + i64::from(number));
        let sent = scene.sent();
        project = scene.project;
        rows.push((scene.milestone, sent));
    }
    (project, rows)
}

/// A project, one milestone of it, and the disbursement in flight or done.
#[derive(Clone, Debug)]
pub struct Scene {
    pub project: Project,
    pub milestone: Milestone,
    disbursement: Option<Disbursement>,
}

impl Scene {
    /// The milestone in `status`, by the shortest way, each step by another person: `maker`
    /// submits, `checker` approves, `treasurer` pays.
    pub fn at(status: MilestoneStatus) -> Self {
        let scene = Self::draft();
        match status {
            MilestoneStatus::Draft => scene,
            MilestoneStatus::Submitted => scene.submitted(),
            MilestoneStatus::Rejected => {
                let scene = scene.submitted();
                let change = scene.milestone.clone().reject(reason(), &act("checker", 3));
                scene.after(&change.unwrap())
            }
            MilestoneStatus::Approved => scene.submitted().paid(),
            MilestoneStatus::Disbursing => scene.submitted().paid().disbursing(),
            MilestoneStatus::Disbursed => {
                let scene = scene.submitted().paid().disbursing();
                let (milestone, project) = (scene.milestone.clone(), scene.project.clone());
                let open = scene.disbursement();
                let (burn, act) = (open.burn.id.clone(), act("treasurer", 6));
                let change = open.settle(milestone, project, burn, 110, &act);
                scene.after(&change.unwrap())
            }
        }
    }

    /// The disbursement of a scene that has one.
    pub fn disbursement(&self) -> Disbursement {
        self.disbursement.clone().unwrap()
    }

    /// The disbursement, sent once.
    pub fn sent(&self) -> Disbursement {
        self.disbursement().sent()
    }

    /// What locking the disbursement's books finds, with the disbursement as it is now.
    pub fn books(&self, disbursement: Disbursement) -> LockedBooks {
        LockedBooks {
            project: self.project.clone(),
            disbursements: vec![(self.milestone.clone(), disbursement)],
        }
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

    fn draft() -> Self {
        Self::draft_in(opened(PROJECT, 1_000), MILESTONE, 1)
    }

    fn draft_in(project: Project, id: MilestoneId, number: i32) -> Self {
        let new = NewMilestone {
            id,
            number,
            title: title("Wells drilled"),
            description: None,
            target_amount: stroops(PAID),
        };
        let change = Milestone::draft(new, project, &act("maker", 1)).unwrap();
        Self {
            project: written(change.project()),
            milestone: written(change.milestone()),
            disbursement: None,
        }
    }

    fn submitted(self) -> Self {
        let change = self.milestone.clone().submit(&act("maker", 2));
        self.after(&change.unwrap())
    }

    fn paid(self) -> Self {
        let change = self.milestone.clone().approve(&act("checker", 3));
        let scene = self.after(&change.unwrap());
        let RecordTransfer {
            reference,
            amount,
            date,
            notes,
        } = transfer();
        let transfer = BankTransfer {
            reference,
            amount,
            date,
            notes,
        };
        let approved = scene.milestone.clone();
        let change = approved.record_transfer(transfer, &act("treasurer", 4));
        scene.after(&change.unwrap())
    }

    fn disbursing(self) -> Self {
        self.disbursing_as(DISBURSEMENT, 41)
    }

    fn disbursing_as(self, id: DisbursementId, sequence: i64) -> Self {
        let plan = self
            .milestone
            .plan_disbursement(&self.project, id, None, None, act("treasurer", 5))
            .unwrap();
        let (milestone, project) = (self.milestone.clone(), self.project.clone());
        let change = plan
            .prepare(milestone, project, burn(sequence, [7; 32]))
            .unwrap();
        self.after(&change)
    }
}
