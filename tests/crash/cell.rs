//! One cell of the matrix: the service is killed at a step while the ledger behaves in a way, is
//! started again, and everything must come to the one right end.

use std::fmt;

use serde_json::Value;
use tranche_tests::support::scene::text;

use crate::behaviour::{Behaviour, Set};
use crate::books;
use crate::step::Step;
use crate::worker::Worker;

/// Where the service is killed, and what the ledger does.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub step: Step,
    pub behaviour: Behaviour,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.step.name(), self.behaviour.name())
    }
}

impl Cell {
    /// Plays the cell; afterwards the milestone is disbursed by exactly one burn.
    pub async fn play(self, worker: &mut Worker) {
        worker.arm(self.step);
        let milestone = worker.paid().await;
        let set = self.behaviour.set(worker).await;
        self.kill(worker, &milestone, &set).await;
        self.recover(worker, &milestone, &set).await;
        self.behaviour.happened(worker, &set).await;
        let failures = usize::from(self.behaviour.failure().is_some());
        if let Some(code) = self.behaviour.failure() {
            released(worker, &milestone, code).await;
            let key = format!("{milestone}-again");
            let again = worker.scene.disburse(&milestone, &key, 30).await;
            again.json(200);
        }
        assert_eq!(worker.quiet(&milestone).await, "disbursed");
        let replaced = self.behaviour == Behaviour::FeePressure;
        expect_evidence(worker, &milestone, failures, replaced).await;
        books::check(worker).await;
    }

    /// Orders, and waits until the service has killed itself without an answer.
    async fn kill(self, worker: &mut Worker, milestone: &str, set: &Set) {
        let order = worker.order(milestone, milestone);
        if self.behaviour.is_held() && self.step.is_decided() {
            worker.sent(milestone).await;
            self.behaviour.let_go(worker, set).await;
        }
        worker.killed().await;
        let answer = order.await.expect("the call ends");
        assert!(answer.is_none(), "answered before it was killed");
    }

    /// Starts the service again and waits until nothing is under way. What was kept ends by itself;
    /// what was not is ordered again, as its caller would.
    async fn recover(self, worker: &mut Worker, milestone: &str, set: &Set) {
        let held = self.behaviour.is_held() && !self.step.is_decided();
        if held && self.step.is_kept() && !self.behaviour.needs_the_service() {
            self.behaviour.let_go(worker, set).await;
            worker.scene.tranche.restart();
        } else {
            worker.scene.tranche.restart();
            let order = if self.step.is_kept() {
                None
            } else {
                let kept = worker.disbursements(milestone).await;
                assert!(kept.is_empty(), "kept without a commit: {kept:?}");
                Some(worker.order(milestone, milestone))
            };
            if held {
                worker.sent(milestone).await;
                self.behaviour.let_go(worker, set).await;
            }
            if let Some(order) = order {
                let answer = order.await.expect("the call ends").expect("an answer");
                let expected = self.behaviour.failure().map_or(200, |_| 409);
                assert_eq!(answer.status, expected, "{}", answer.text);
            }
        }
        let status = worker.quiet(milestone).await;
        let expected = self.behaviour.failure().map_or("disbursed", |_| "approved");
        assert_eq!(status, expected);
        let count = worker.disbursements(milestone).await.len();
        assert_eq!(count, 1, "disbursements of one order");
    }
}

/// The burn failed for this reason: nothing is burned, nothing reserved.
async fn released(worker: &Worker, milestone: &str, code: &str) {
    let failed = &worker.disbursements(milestone).await[0];
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_eq!(failed["failure"]["code"], code, "{failed}");
    let view = worker.scene.milestone(milestone).await;
    assert_eq!(view["status"], "approved");
    assert_eq!(view["disbursement_id"], Value::Null);
    let project = worker.scene.project_view(&worker.project).await;
    assert_eq!(project["nav_reserved"], "0.0000000");
    let burns = worker.sandbox.client().burns().await;
    let memo = text(failed, "memo_hash");
    let applied = burns.iter().any(|burn| burn.memo == memo && burn.succeeded);
    assert!(!applied, "a failed disbursement burned");
}

/// Every state the milestone went through has its event, and no other has.
async fn expect_evidence(worker: &Worker, milestone: &str, failures: usize, replaced: bool) {
    let mut expected = vec![
        "milestone.created",
        "milestone.submitted",
        "milestone.approved",
        "milestone.bank_transfer_recorded",
    ];
    for _ in 0..failures {
        expected.extend(["disbursement.prepared", "disbursement.failed"]);
    }
    expected.push("disbursement.prepared");
    if replaced {
        expected.push("disbursement.replaced");
    }
    expected.push("milestone.disbursed");
    assert_eq!(worker.scene.actions(milestone).await, expected);
}
