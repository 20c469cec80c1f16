//! Rows as a store would keep them, what people may try with them, and what must hold of them.

use std::collections::BTreeMap;

use tranche_domain::milestone::{Edited, MilestoneEdit};
use tranche_domain::{
    Action, Amount, BurnPolicy, Change, Disbursement, DisbursementId, DisbursementPlan,
    DisbursementState, Milestone, MilestoneId, MilestoneState, MilestoneStatus, Occasion, Policy,
    Project, Write,
};

use crate::scene::{
    act, burn, disbursement_id, failure, plan_of, project, reason, stroops, transfer,
};

/// What the ledger is taken to have said.
#[derive(Clone, Copy, Debug)]
pub enum Said {
    Burned,
    Failed,
    Nothing,
    NotYet,
}

/// One attempt at something; `usize` picks a milestone, a plan or a disbursement among those that
/// there are, and `who` one of three people.
#[derive(Clone, Debug)]
pub enum Step {
    Draft,
    Edit(usize, i64),
    Delete(usize),
    Submit(usize, usize),
    Reject(usize, usize),
    Revise(usize),
    Approve(usize, usize),
    RecordTransfer(usize, i64, bool),
    Plan(usize, usize, Option<i64>),
    Prepare(usize),
    Hear(usize, Said),
    HearOfAnother(usize, usize, Said),
}

const PEOPLE: [&str; 3] = ["ada", "bola", "chidi"];

/// Who approved a milestone, where someone has.
fn approver(state: &MilestoneState) -> Option<&str> {
    match state {
        MilestoneState::Approved { approval, .. }
        | MilestoneState::Disbursing { approval, .. }
        | MilestoneState::Disbursed { approval, .. } => Some(&approval.approved.by),
        _ => None,
    }
}

/// Rows as a store would keep them.
pub struct World {
    opened_with: Amount,
    pub project: Project,
    milestones: BTreeMap<MilestoneId, Milestone>,
    disbursements: BTreeMap<DisbursementId, Disbursement>,
    /// A plan, its milestone, and that milestone's version then.
    plans: Vec<(DisbursementPlan, MilestoneId, i64, Occasion)>,
    /// How many events every milestone has.
    evidence: BTreeMap<MilestoneId, i64>,
    drafted: i32,
    tick: u8,
}

impl World {
    pub fn open(nav: i64, tokens: i64, policy: Policy) -> Self {
        Self {
            opened_with: stroops(nav),
            project: project(nav, tokens, policy),
            milestones: BTreeMap::new(),
            disbursements: BTreeMap::new(),
            plans: Vec::new(),
            evidence: BTreeMap::new(),
            drafted: 0,
            tick: 0,
        }
    }

    fn act(&mut self, who: usize) -> Occasion {
        self.tick += 1;
        act(PEOPLE[who], self.tick)
    }

    /// A milestone, if there is one.
    pub fn pick(&self, index: usize) -> Option<Milestone> {
        let many = self.milestones.len().max(1);
        self.milestones.values().nth(index % many).cloned()
    }

    /// Tries a step. Says what came of it, for the tally.
    pub fn try_step(&mut self, step: &Step) -> &'static str {
        match *step {
            Step::Draft => {
                if self.drafted == 4 {
                    return "nothing to do";
                }
                self.drafted += 1;
                let by = self.act(0);
                let change = Milestone::draft(plan_of(self.drafted), self.project.clone(), &by);
                self.commit(&change.unwrap(), Action::MilestoneCreated, &by)
            }
            Step::Prepare(index) => self.prepare(index),
            Step::Hear(index, said) => {
                let many = self.disbursements.len().max(1);
                let Some(of) = self.disbursements.values().nth(index % many).cloned() else {
                    return "nothing to do";
                };
                let milestone = self.milestones[&of.milestone_id].clone();
                self.hear(of, milestone, said)
            }
            Step::HearOfAnother(index, other, said) => {
                let many = self.disbursements.len().max(1);
                let of = self.disbursements.values().nth(index % many).cloned();
                let (Some(of), Some(milestone)) = (of, self.pick(other)) else {
                    return "nothing to do";
                };
                match said {
                    // Only the commands that move a milestone are asked about a foreign one.
                    Said::Burned | Said::Failed => self.hear(of, milestone, said),
                    Said::Nothing | Said::NotYet => "nothing to do",
                }
            }
            Step::Edit(index, _)
            | Step::Delete(index)
            | Step::Submit(index, _)
            | Step::Reject(index, _)
            | Step::Revise(index)
            | Step::Approve(index, _)
            | Step::RecordTransfer(index, ..)
            | Step::Plan(index, ..) => match self.pick(index) {
                Some(milestone) => self.on_milestone(step, milestone),
                None => "nothing to do",
            },
        }
    }

    fn on_milestone(&mut self, step: &Step, milestone: Milestone) -> &'static str {
        use MilestoneStatus::{Approved, Draft, Rejected, Submitted};
        let status = milestone.status();
        let strict = milestone.policy.maker_checker;
        let (action, by, allowed, outcome) = match *step {
            Step::Edit(_, amount) => {
                let by = self.act(0);
                let edit = MilestoneEdit {
                    target_amount: Some(stroops(amount)),
                    ..MilestoneEdit::default()
                };
                let outcome = match milestone.edit(edit, &by) {
                    Ok(Edited::Unchanged(_)) => return "nothing to do",
                    Ok(Edited::Changed(change)) => Ok(*change),
                    Err(error) => Err(error),
                };
                (Action::MilestoneUpdated, by, status == Draft, outcome)
            }
            Step::Delete(_) => {
                let by = self.act(0);
                let outcome = milestone.delete(self.project.clone(), &by);
                (Action::MilestoneDeleted, by, status == Draft, outcome)
            }
            Step::Submit(_, who) => {
                let by = self.act(who);
                let outcome = milestone.submit(&by);
                (Action::MilestoneSubmitted, by, status == Draft, outcome)
            }
            Step::Reject(_, who) => {
                let by = self.act(who);
                let outcome = milestone.reject(reason(), &by);
                (Action::MilestoneRejected, by, status == Submitted, outcome)
            }
            Step::Revise(_) => {
                let by = self.act(0);
                (
                    Action::MilestoneRevised,
                    by.clone(),
                    status == Rejected,
                    milestone.revise(&by),
                )
            }
            Step::Approve(_, who) => {
                let by = self.act(who);
                let own = match &milestone.state {
                    MilestoneState::Submitted { submitted } => submitted.by == by.by.id,
                    _ => false,
                };
                let allowed = status == Submitted && !(strict && own);
                (
                    Action::MilestoneApproved,
                    by.clone(),
                    allowed,
                    milestone.approve(&by),
                )
            }
            Step::RecordTransfer(_, amount, with_notes) => {
                let by = self.act(2);
                let mut given = transfer(amount);
                given.notes = given.notes.filter(|_| with_notes);
                let outcome = milestone.record_transfer(given, &by);
                (
                    Action::BankTransferRecorded,
                    by,
                    status == Approved,
                    outcome,
                )
            }
            Step::Plan(_, who, amount) => return self.plan(&milestone, who, amount),
            Step::Draft | Step::Prepare(_) | Step::Hear(..) | Step::HearOfAnother(..) => {
                panic!("not a command on a milestone")
            }
        };
        assert_eq!(
            outcome.is_ok(),
            allowed,
            "{action} in {status}: {outcome:?}"
        );
        match outcome {
            Ok(change) => self.commit(&change, action, &by),
            Err(error) => {
                assert_eq!((error.from, error.action), (status, action));
                "refused"
            }
        }
    }

    /// The rules of a burn, said again in one place.
    fn payable(&self, milestone: &Milestone, by: &str, amount: Option<Amount>) -> bool {
        let MilestoneState::Approved {
            approval,
            transfer: Some(transfer),
        } = &milestone.state
        else {
            return false;
        };
        let policy = self.project.policy;
        let amount = amount.unwrap_or(transfer.amount);
        let free = self.project.nav.stroops() - self.project.nav_reserved.stroops();
        !(policy.maker_checker && approval.approved.by == by)
            && self.project.lp_tokens_outstanding > Amount::ZERO
            && amount > Amount::ZERO
            && amount.stroops() <= free
            && (policy.burn == BurnPolicy::AnyAmount || amount == transfer.amount)
    }

    fn plan(&mut self, milestone: &Milestone, who: usize, amount: Option<i64>) -> &'static str {
        let by = self.act(who);
        let amount = amount.map(stroops);
        let id = disbursement_id(u128::from(self.tick));
        let allowed = self.payable(milestone, &by.by.id, amount);
        match milestone.plan_disbursement(&self.project, id, amount, None, by.clone()) {
            Ok(plan) => {
                assert!(allowed, "planned against the rules");
                self.plans.push((plan, milestone.id, milestone.version, by));
                "planned"
            }
            Err(error) => {
                assert!(!allowed, "refused within the rules: {error}");
                "refused"
            }
        }
    }

    fn prepare(&mut self, index: usize) -> &'static str {
        if self.plans.is_empty() {
            return "nothing to do";
        }
        let (plan, id, version, by) = self.plans.swap_remove(index % self.plans.len());
        let Some(milestone) = self.milestones.get(&id).cloned() else {
            return "nothing to do";
        };
        let fresh = milestone.version == version;
        let amount = plan.order([0; 32]).amount;
        let allowed = fresh && self.payable(&milestone, &by.by.id, Some(amount));
        let sequence = i64::from(self.tick);
        match plan.prepare(milestone, self.project.clone(), burn(sequence)) {
            Ok(change) => {
                assert!(allowed, "prepared a stale plan or against the rules");
                self.commit(&change, Action::DisbursementPrepared, &by);
                "prepared"
            }
            Err(error) => {
                assert!(!allowed, "refused within the rules: {error}");
                if fresh { "refused" } else { "stale" }
            }
        }
    }

    fn hear(&mut self, of: Disbursement, milestone: Milestone, said: Said) -> &'static str {
        let by = self.act(2);
        let project = self.project.clone();
        let carried = matches!(
            milestone.state,
            MilestoneState::Disbursing { disbursement, .. } if disbursement == of.id
        );
        let allowed = of.state.is_open() && carried;
        let name = of.burn.id.clone();
        let (action, outcome) = match said {
            Said::Burned => (
                Action::MilestoneDisbursed,
                of.settle(milestone, project, name, 110, &by),
            ),
            Said::Failed => (
                Action::DisbursementFailed,
                of.fail(milestone, project, failure(), &by),
            ),
            Said::Nothing => (
                Action::DisbursementNeedsOperator,
                of.call_operator(&milestone, "lost".to_owned(), &by),
            ),
            Said::NotYet => {
                if of.state.is_open() {
                    self.disbursements.insert(of.id, of.sent());
                }
                return "sent";
            }
        };
        assert_eq!(outcome.is_ok(), allowed, "{action}: {outcome:?}");
        match outcome {
            Ok(change) => self.commit(&change, action, &by),
            Err(_) => "refused",
        }
    }

    /// Checks what a change says of itself, and keeps it.
    fn commit(&mut self, change: &Change, action: Action, by: &Occasion) -> &'static str {
        let event = change.event();
        assert_eq!(event.action, action);
        assert_eq!((&event.actor, &event.origin), (&by.by, &by.origin));
        assert_eq!(
            (event.occurred_at, event.id, event.salt),
            (by.at, by.event_id, by.salt)
        );
        assert_eq!(event.project_id, Some(self.project.id));
        let id = event
            .milestone_id
            .expect("every act here is on a milestone");

        let before = self.milestones.get(&id).map(Milestone::status);
        assert_eq!(event.previous_status, before);
        match change.milestone() {
            None => assert_eq!(event.new_status, before, "nothing moved"),
            Some(Write::Insert(next)) => {
                assert_eq!(next.version, 1);
                assert_eq!(event.new_status, Some(next.status()));
                self.milestones.insert(id, next.clone());
            }
            Some(Write::Update(next)) => {
                let old = self.milestones.insert(id, next.clone()).unwrap();
                assert_eq!(next.version, old.version + 1);
                assert_eq!(next.updated_at, by.at);
                assert_eq!(event.new_status, Some(next.status()));
                assert_eq!(old.status().after(action), Some(next.status()));
            }
            Some(Write::Delete(last)) => {
                let old = self.milestones.remove(&id).unwrap();
                assert_eq!(last.version, old.version + 1);
                assert_eq!(event.new_status, None);
                assert_eq!(old.status(), MilestoneStatus::Draft);
            }
        }
        if let Some(write) = change.milestone() {
            let events = self.evidence.entry(id).or_default();
            *events += 1;
            assert_eq!(
                *events,
                write.value().version,
                "one event for every version"
            );
        }
        if let Some(write) = change.project() {
            let next = write.value();
            assert_eq!(next.version, self.project.version + 1);
            self.project = next.clone();
        }
        if let Some(write) = change.disbursement() {
            let next = write.value();
            let old = self.disbursements.insert(next.id, next.clone());
            assert_eq!(next.version, old.map_or(0, |old| old.version) + 1);
        }
        event.action.as_str()
    }

    /// Every promise that must hold between any two acts.
    pub fn check(&self) {
        let sum = |open: bool| -> i64 {
            let of = self.disbursements.values();
            let settled = |d: &&Disbursement| matches!(d.state, DisbursementState::Settled { .. });
            of.filter(|d| if open { d.state.is_open() } else { settled(d) })
                .map(|d| d.amount.stroops())
                .sum()
        };
        let (nav, reserved) = (self.project.nav, self.project.nav_reserved);
        assert!(reserved <= nav);
        assert_eq!(
            reserved.stroops(),
            sum(true),
            "reserved is what is in flight"
        );
        assert_eq!(
            nav.stroops() + sum(false),
            self.opened_with.stroops(),
            "NAV and burns"
        );

        let mut completed = 0;
        for milestone in self.milestones.values() {
            completed += i64::from(milestone.status() == MilestoneStatus::Disbursed);
            self.check_milestone(milestone);
        }
        assert_eq!(self.project.completed_milestones, completed);
        let total = i64::try_from(self.milestones.len()).unwrap();
        assert_eq!(self.project.total_milestones, total);
        let last = self.disbursements.values().filter_map(|d| match d.state {
            DisbursementState::Settled { at, .. } => Some(at),
            _ => None,
        });
        assert_eq!(self.project.last_milestone_date, last.max());
    }

    fn check_milestone(&self, milestone: &Milestone) {
        let own: Vec<_> = self
            .disbursements
            .values()
            .filter(|d| d.milestone_id == milestone.id)
            .collect();
        let open: Vec<_> = own
            .iter()
            .filter(|d| d.state.is_open())
            .map(|d| d.id)
            .collect();
        let settled: Vec<_> = own
            .iter()
            .filter(|d| matches!(d.state, DisbursementState::Settled { .. }))
            .collect();
        match &milestone.state {
            MilestoneState::Disbursing { disbursement, .. } => {
                assert_eq!((open, settled.len()), (vec![*disbursement], 0));
            }
            MilestoneState::Disbursed { burned, burn, .. } => {
                assert!(open.is_empty() && settled.len() == 1, "one burn, once");
                assert_eq!((settled[0].amount, &settled[0].burn.id), (*burned, burn));
            }
            _ => assert!(
                open.is_empty() && settled.is_empty(),
                "no burn behind its back"
            ),
        }
        if !self.project.policy.maker_checker {
            return;
        }
        if let MilestoneState::Approved { approval, .. }
        | MilestoneState::Disbursing { approval, .. }
        | MilestoneState::Disbursed { approval, .. } = &milestone.state
        {
            assert_ne!(
                approval.submitted.by, approval.approved.by,
                "maker is checker"
            );
        }
        for disbursement in own {
            let approver = approver(&milestone.state);
            assert_ne!(
                Some(disbursement.ordered_by.id.as_str()),
                approver,
                "checker pays"
            );
        }
    }
}
