//! Every state is kept as it is, with one piece of evidence for each.

use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::queries::{Page, Timeline};
use tranche_domain::disbursement::Judgement;
use tranche_domain::milestone::{Edited, MilestoneEdit};
use tranche_domain::text::{Description, Reason, Title};
use tranche_domain::{
    Amount, BurnId, BurnPolicy, Change, Disbursement, DisbursementId, DisbursementState, EventId,
    Milestone, MilestoneStatus, Occasion, Policy, Project, Replacement, Role, Write,
};

use super::StoreUnderTest;
use super::scene::{CHECKER, MAKER, TREASURER, World, failure, stroops, transfer, written};
use super::tools::census;

/// The largest page there is.
const ALL: Page = Page {
    after: None,
    limit: 1_000,
};

/// What is there, at every moment of a milestone's life.
struct Life<'a> {
    world: &'a World,
    project: Project,
    milestone: Milestone,
    /// Version and event of each state so far.
    evidence: Vec<(i64, EventId)>,
    /// Every event so far, in order.
    events: Vec<EventId>,
}

impl Life<'_> {
    /// Records the change and reads all of it back, by both doors.
    async fn step(&mut self, change: &Change) {
        self.world.record(change).await.expect("it is recorded");
        self.events.push(change.event().id);
        if let Some(write) = change.project() {
            self.project = write.value().clone();
        }
        if let Some(write) = change.milestone() {
            self.milestone = write.value().clone();
            let version = self.milestone.version;
            self.evidence.push((version, change.event().id));
        }
        self.reads_back().await;
    }

    async fn reads_back(&self) {
        let queries = &self.world.queries;
        let read = queries.project(self.project.id).await;
        assert_eq!(read.expect("it is read").as_ref(), Some(&self.project));
        let read = queries.milestone(self.milestone.id).await;
        assert_eq!(read.expect("it is read").as_ref(), Some(&self.milestone));
        let mut work = self.world.begin().await;
        let locked = work.projects().lock(self.project.id).await;
        assert_eq!(locked.expect("it locks").as_ref(), Some(&self.project));
        let locked = work.milestones().lock(self.milestone.id).await;
        assert_eq!(locked.expect("it locks").as_ref(), Some(&self.milestone));
    }

    fn act(&self, who: &str) -> Occasion {
        self.world.act(who, Role::Treasurer)
    }

    /// Submits and approves.
    async fn approve(&mut self) {
        let submitted = self.milestone.clone().submit(&self.act(MAKER));
        self.step(&submitted.expect("a draft")).await;
        let approved = self.milestone.clone().approve(&self.act(CHECKER));
        self.step(&approved.expect("submitted")).await;
    }

    /// Plans and prepares; hands back what is in flight.
    async fn prepare(&mut self, sequence: i64) -> Disbursement {
        let id = DisbursementId(self.world.id());
        let act = self.act(TREASURER);
        let plan = self
            .milestone
            .plan_disbursement(&self.project, id, None, None, act);
        let plan = plan.expect("the milestone is payable");
        let burn = self.world.burn(&plan, sequence);
        let change = plan
            .prepare(self.milestone.clone(), self.project.clone(), burn)
            .expect("nothing changed since the plan");
        self.step(&change).await;
        self.disbursement(&change).await
    }

    /// What the change left of the disbursement, read back by both doors.
    async fn disbursement(&self, change: &Change) -> Disbursement {
        let expected = written(change.disbursement());
        reads_back(self.world, &expected).await;
        expected
    }
}

async fn reads_back(world: &World, expected: &Disbursement) {
    let read = world.queries.disbursement(expected.id).await;
    assert_eq!(read.expect("it is read").as_ref(), Some(expected));
    let mut work = world.begin().await;
    let (.., locked) = world.lock(work.as_mut(), expected).await.expect("it locks");
    assert_eq!(locked, *expected);
}

async fn begin(world: &World) -> Life<'_> {
    let project = world.project(1_000).await;
    let change = world.drafting(1, project.clone());
    let mut life = Life {
        world,
        project,
        milestone: written(change.milestone()),
        evidence: Vec::new(),
        events: Vec::new(),
    };
    life.step(&change).await;
    life
}

/// Every state of milestone and disbursement is read back as it was written.
pub async fn every_state_reads_back_equal(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut life = begin(&world).await;
    edits(&mut life).await;

    let submitted = life.milestone.clone().submit(&life.act(MAKER));
    life.step(&submitted.expect("a draft")).await;
    let reason = Reason::try_new("The report is missing.\n\tSee “annex”.").expect("a text");
    let rejected = life.milestone.clone().reject(reason, &life.act(CHECKER));
    life.step(&rejected.expect("submitted")).await;
    let revised = life.milestone.clone().revise(&life.act(MAKER));
    life.step(&revised.expect("rejected")).await;
    life.approve().await;

    let mut bare = transfer("FIRST", 499);
    bare.notes = None;
    for transfer in [bare, transfer("SECOND", 500)] {
        let act = life.act(TREASURER);
        let paid = life.milestone.clone().record_transfer(transfer, &act);
        life.step(&paid.expect("approved")).await;
    }

    let open = life.prepare(1).await;
    let (m, p) = (life.milestone.clone(), life.project.clone());
    let failed = open.fail(m, p, failure(), &life.act(TREASURER));
    let failed = failed.expect("in flight");
    life.step(&failed).await;
    life.disbursement(&failed).await;

    let open = life.prepare(1).await;
    let sent = open.sent();
    let mut work = world.begin().await;
    let noted = work.disbursements().note_sent(&sent).await;
    noted.expect("it is noted");
    work.commit().await.expect("it is committed");
    reads_back(&world, &sent).await;
    let open = outbid(&mut life, sent).await;
    let open = judged(&mut life, open).await;

    let (m, p) = (life.milestone.clone(), life.project.clone());
    let settled = open.confirm(m, p, &life.act(CHECKER));
    let settled = settled.expect("in flight");
    life.step(&settled).await;
    let settled = life.disbursement(&settled).await;
    let named = settled.burn.replacements[1].id.clone();
    let burned = matches!(settled.state, DisbursementState::Settled { burn, .. } if burn == named);
    assert!(burned, "the books name the envelope that burned");
    assert_eq!(life.milestone.status(), MilestoneStatus::Disbursed);
    assert_eq!(life.project.nav, stroops(500));
    is_proven(subject, &life).await;
}

/// Two further envelopes, one of the same name and one of another.
async fn outbid(life: &mut Life<'_>, mut open: Disbursement) -> Disbursement {
    for id in [open.burn.id.clone(), BurnId("ef".repeat(32))] {
        let replacement = Replacement {
            id,
            envelope: (0..=255).collect(),
            valid_until: life.world.now(),
        };
        let act = life.act(TREASURER);
        let replaced = open.replace(&life.milestone, replacement, &act);
        let replaced = replaced.expect("in flight");
        life.step(&replaced).await;
        open = life.disbursement(&replaced).await;
    }
    assert_eq!(open.burn.replacements.len(), 2);
    open
}

/// Nothing is proven; one person changes their mind.
async fn judged(life: &mut Life<'_>, open: Disbursement) -> Disbursement {
    let act = life.act(TREASURER);
    let called = open.call_operator(&life.milestone, "the node's ledgers end".to_owned(), &act);
    let called = called.expect("open");
    life.step(&called).await;
    let mut open = life.disbursement(&called).await;
    let burned = Judgement::Burned {
        burn: open.burn.replacements[1].id.clone(),
        ledger: u32::MAX,
    };
    for judgement in [Judgement::Failed, burned] {
        let why = Reason::try_new("“Seen”, says the\nexplorer \\o/ 🚰").expect("a text");
        let act = life.act(TREASURER);
        let proposed = open.propose(&life.milestone, judgement, why, &act);
        let proposed = proposed.expect("an operator was called");
        life.step(&proposed).await;
        open = life.disbursement(&proposed).await;
    }
    open
}

async fn edits(life: &mut Life<'_>) {
    let title = Title::try_new("Ọ̀nà tuntun 🚰 'quoted'; --").expect("a text");
    let description = Description::try_new("Twelve wells").expect("a text");
    for edit in [
        MilestoneEdit {
            description: Some(None),
            target_amount: Some(Amount::MAX),
            ..MilestoneEdit::default()
        },
        MilestoneEdit {
            title: Some(title),
            description: Some(Some(description)),
            target_amount: Some(Amount::ZERO),
        },
    ] {
        let act = life.act(MAKER);
        match life.milestone.clone().edit(edit, &act).expect("a draft") {
            Edited::Changed(change) => life.step(&change).await,
            Edited::Unchanged(_) => {}
        }
    }
}

/// Each version has one event, each event is on the timeline once, in the log or on its way (M14).
async fn is_proven(subject: &dyn StoreUnderTest, life: &Life<'_>) {
    let milestone = life.milestone.id;
    let expected: Vec<_> = life
        .evidence
        .iter()
        .map(|(version, event)| (*version, event.0))
        .collect();
    assert_eq!(subject.evidence(milestone.0).await, expected);
    let versions: Vec<i64> = expected.iter().map(|(version, _)| *version).collect();
    let dense: Vec<i64> = (1..=life.milestone.version).collect();
    assert_eq!(versions, dense, "no version without evidence");

    let timeline = life
        .world
        .queries
        .timeline(Timeline::Milestone(milestone), Scope::All, ALL);
    let mut seen: Vec<_> = timeline.await.expect("it is read");
    seen.reverse();
    let seen: Vec<_> = seen.iter().map(|logged| EventId(logged.event.id)).collect();
    assert_eq!(seen, life.events);
}

/// A deleted milestone is gone; its evidence, its absence's included, and its events stay (M3).
pub async fn a_deleted_milestone_leaves_its_evidence(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let life = begin(&world).await;
    let (m, p) = (life.milestone.clone(), life.project.clone());
    let deleted = m.delete(p, &world.act(MAKER, Role::Manager));
    let deleted = deleted.expect("a draft");
    assert!(matches!(deleted.milestone(), Some(Write::Delete(_))));
    world.record(&deleted).await.expect("it is recorded");

    let id = life.milestone.id;
    let read = world.queries.milestone(id).await;
    assert_eq!(read.expect("it answers"), None);
    let project = world.queries.project(life.project.id).await;
    let project = project.expect("it is read").expect("it is there");
    assert_eq!(project.total_milestones, 0);
    let events = [life.events[0].0, deleted.event().id.0];
    assert_eq!(
        subject.evidence(id.0).await,
        [(1, events[0]), (2, events[1])]
    );
    let timeline = world
        .queries
        .timeline(Timeline::Milestone(id), Scope::All, ALL)
        .await;
    let seen: Vec<_> = timeline.expect("it is read");
    let seen: Vec<_> = seen.iter().map(|logged| logged.event.id).collect();
    assert_eq!(seen, [events[1], events[0]]);

    let before = census(subject).await;
    let again = world.record(&deleted).await;
    assert!(again.is_err(), "nothing is deleted twice");
    assert_eq!(census(subject).await, before);
}

/// Every policy, and books as large as the ledger's.
pub async fn every_project_reads_back_equal(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    for (maker_checker, burn) in [
        (true, BurnPolicy::ExactTransfer),
        (false, BurnPolicy::AnyAmount),
    ] {
        let mut new = world.new_project(i64::MAX);
        new.lp_tokens_outstanding = Amount::ZERO;
        new.policy = Policy {
            maker_checker,
            burn,
        };
        let change = Project::open(new, &world.act("admin", Role::Admin));
        world.record(&change).await.expect("it is opened");
        let project = written(change.project());
        let read = world.queries.project(project.id).await;
        assert_eq!(read.expect("it is read"), Some(project.clone()));
        let milestone = world.draft(project.id, i32::MAX).await;
        let read = world.queries.milestone(milestone.id).await;
        assert_eq!(read.expect("it is read"), Some(milestone));
    }
}
