//! Kills at random times: several burns under way, faults, a ledger that is killed, two processes on
//! one store. In the end everything that was ordered is disbursed, exactly once.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tranche_tests::support::scene::{Scene, at, text};
use tranche_tests::support::service::{Answer, Caller, Sandbox, StoreKind, Wallet};

use crate::dice::{Round, Victim};
use crate::progress::Progress;
use crate::worker::{self, BURN_TTL_SECONDS, Worker, open};
use crate::{books, judge};

/// How many projects, each with its wallet, have burns under way.
const PROJECTS: usize = 6;
/// How many channel accounts they share.
const CHANNELS: u16 = 4;
/// How many of the open orders are sent again in a round.
const AGAIN: usize = 6;
/// When so many are open, a round orders nothing new.
const MOST_OPEN: usize = 20;

struct Project {
    id: String,
    wallet: Wallet,
    milestones: i32,
}

/// A milestone that is not known to be disbursed.
#[derive(Clone)]
struct Order {
    milestone: String,
    /// How often its burn failed; each try has a key of its own.
    failures: u32,
}

impl Order {
    fn key(&self) -> String {
        format!("{}-{}", self.milestone, self.failures)
    }
}

/// A service under fire.
struct Fire {
    scene: Scene,
    sandbox: Sandbox,
    treasurer_token: String,
    projects: Vec<Project>,
    open: Vec<Order>,
    ordered: usize,
    failures: usize,
}

/// So many rounds on one store; what they came to, as a row of a table.
pub async fn rounds(store: StoreKind, count: u64, seed: u64, progress: &Progress) -> String {
    let began = Instant::now();
    let mut fire = Fire::start(store).await;
    for number in 0..count {
        let round = Round::decide(seed, number, PROJECTS, BURN_TTL_SECONDS);
        fire.round(&round).await;
        let what = format!(
            "{store:?} {} ordered, {} open",
            fire.ordered,
            fire.open.len()
        );
        progress.done(&what, true);
    }
    fire.quiet().await;
    let seconds = began.elapsed().as_secs();
    let sums = fire.judge().await;
    format!("| {store:?} | {seed} | {count} | {seconds} s {sums}")
}

impl Fire {
    async fn start(store: StoreKind) -> Self {
        let Worker {
            scene,
            sandbox,
            project,
            wallet,
            ..
        } = Worker::start(store).await;
        let first = Project {
            id: project,
            wallet,
            milestones: 0,
        };
        let mut projects = vec![first];
        while projects.len() < PROJECTS {
            let (id, wallet) = open(&scene, &sandbox).await;
            projects.push(Project {
                id,
                wallet,
                milestones: 0,
            });
        }
        scene.tranche.channels(&sandbox.client(), CHANNELS).await;
        let treasurer_token = scene.tranche.key("amaka", "treasurer", None);
        Self {
            scene,
            sandbox,
            treasurer_token,
            projects,
            open: Vec::new(),
            ordered: 0,
            failures: 0,
        }
    }

    async fn round(&mut self, round: &Round) {
        let again: Vec<Order> = self.open.iter().take(AGAIN).cloned().collect();
        self.open.drain(..again.len());
        let new = if self.open.len() < MOST_OPEN {
            self.milestones(&round.projects).await
        } else {
            Vec::new()
        };
        let ledger = self.sandbox.client();
        if let Some(fault) = &round.fault {
            ledger.set_fault(fault).await;
        }
        let replica = (round.victim != Victim::Service).then(|| self.scene.tranche.replica(&[]));
        let other = replica
            .as_ref()
            .map(|replica| replica.with_token(&self.treasurer_token));
        let calls: Vec<_> = again
            .into_iter()
            .chain(new)
            .enumerate()
            .map(|(number, order)| {
                let other = other.as_ref().filter(|_| number % 2 == 1);
                let caller = other.unwrap_or(&self.scene.treasurer);
                call(caller, order)
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(round.after_ms)).await;
        if let Some(seconds) = round.skip {
            ledger.skip(seconds).await;
        }
        if round.victim != Victim::Second {
            self.scene.tranche.kill();
        }
        if round.kills_ledger {
            self.sandbox.kill();
            self.sandbox.restart();
        }
        if let Some(replica) = replica {
            if round.victim == Victim::First {
                // The second goes on alone for a while.
                tokio::time::sleep(Duration::from_millis(2 * round.after_ms)).await;
            }
            replica.kill();
        }
        if round.victim == Victim::Second {
            tokio::time::sleep(Duration::from_millis(2 * round.after_ms)).await;
            self.scene.tranche.kill();
        }
        self.scene.tranche.restart();
        for call in calls {
            let (order, answer) = call.await.expect("the call ends");
            self.learn(order, answer.as_ref());
        }
    }

    /// Makes milestones that are ready to be disbursed, side by side.
    async fn milestones(&mut self, projects: &[usize]) -> Vec<Order> {
        let mut wanted = Vec::new();
        for project in projects {
            let project = &mut self.projects[*project];
            project.milestones += 1;
            wanted.push((project.id.clone(), project.milestones));
        }
        let made = wanted.iter().map(async |(project, number)| {
            let amount = format!("10.{number:07}");
            let milestone = self.scene.paid(project, *number, &amount).await;
            Order {
                milestone,
                failures: 0,
            }
        });
        let made = join_all(made).await;
        self.ordered += made.len();
        made
    }

    /// What an answer, or none, says of an order.
    fn learn(&mut self, mut order: Order, answer: Option<&Answer>) {
        match answer.map(|answer| answer.status) {
            Some(200) => return,
            Some(409) => {
                let answer = answer.expect("there is one");
                if answer.json(409)["code"] == "disbursement.failed" {
                    order.failures += 1;
                    self.failures += 1;
                }
            }
            _ => {}
        }
        self.open.push(order);
    }

    /// No more kills and faults: everything that was ordered comes to its end.
    async fn quiet(&mut self) {
        self.sandbox.client().fault("clear", 1).await;
        let patience = Instant::now() + Duration::from_mins(2);
        while !self.open.is_empty() {
            assert!(Instant::now() < patience, "stuck: {}", self.stuck().await);
            let open: Vec<Order> = self.open.drain(..).collect();
            let calls = open.into_iter().map(|order| {
                let caller = self.scene.treasurer.clone();
                async move {
                    let key = order.key();
                    let answer = worker::insist(caller, order.milestone.clone(), key).await;
                    (order, answer)
                }
            });
            for (order, answer) in join_all(calls).await {
                self.learn(order, answer.as_ref());
            }
        }
    }

    async fn stuck(&self) -> String {
        let mut text = String::new();
        for order in &self.open {
            let view = self.scene.milestone(&order.milestone).await;
            let _ = write!(text, "{view} ");
        }
        text
    }

    /// Ledger, disbursements, books and evidence, compared to the stroop; the ledger's side is the
    /// official Python SDK's.
    async fn judge(&self) -> String {
        let ledger = self.sandbox.client();
        let judged = judge::burned(&ledger);
        let (mut settled, mut burned) = (0, 0);
        for project in &self.projects {
            let books = books::project(&self.scene, &ledger, &project.id).await;
            assert_eq!(
                books.settled,
                usize::try_from(project.milestones).unwrap_or(0)
            );
            let found = judged.get(&project.wallet.account);
            assert_eq!(found.map_or(0, |found| found.burns), books.settled, "burns");
            assert_eq!(
                found.map_or(0, |found| found.stroops),
                books.burned,
                "stroops"
            );
            let mut memos: Vec<String> = books::disbursements(&self.scene, &project.id)
                .await
                .iter()
                .filter(|row| row["state"] == "settled")
                .map(|row| text(row, "memo_hash"))
                .collect();
            let mut seen = found.map(|found| found.memos.clone()).unwrap_or_default();
            memos.sort();
            seen.sort();
            assert_eq!(memos, seen, "memos");
            settled += books.settled;
            burned += books.burned;
        }
        assert_eq!(settled, self.ordered, "everything that was ordered");
        assert_eq!(
            judged.len(),
            self.projects.iter().filter(|p| p.milestones > 0).count()
        );
        books::events(&self.scene, settled).await;
        let failures = self.failures;
        format!(
            "| {} | {failures} | {settled} | {burned} | {burned} | 0 |",
            self.ordered
        )
    }
}

/// Orders once; there may be no answer.
fn call(caller: &Caller, order: Order) -> JoinHandle<(Order, Option<Answer>)> {
    let caller = caller.keyed(&order.key());
    tokio::spawn(async move {
        let address = at(&order.milestone, "disburse?wait=5");
        let body = Some(json!({}).to_string().into_bytes());
        let answer = caller.try_send(Method::POST, &address, body).await.ok();
        (order, answer)
    })
}

/// The head of the table.
pub const HEAD: &str = "| store | seed | rounds | took | ordered | burns that failed | settled, each with one event | burned by the SDK's sum (stroops) | NAV decrease (stroops) | stuck |
|---|---|---|---|---|---|---|---|---|---|
";
