//! A service that is killed and started again, the ledger that outlives it, and a project whose
//! wallet the test knows.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tranche_tests::support::scene::{Scene, at, text};
use tranche_tests::support::service::{
    Answer, Caller, Options, Sandbox, StoreKind, Wallet, eventually, failpoints_binary,
};

use crate::step::Step;

/// How long a burn stays valid.
pub const BURN_TTL_SECONDS: u32 = 60;
/// What a project is worth, and its wallet holds.
pub const NAV: &str = "1000000.0000000";
/// Long enough that a lagging node says `NOT_FOUND` of a burn that is included.
const LEDGER_MS: u64 = 100;
const SIGKILL: i32 = 9;

/// A store and a ledger of its own.
pub struct Worker {
    pub scene: Scene,
    pub sandbox: Sandbox,
    pub project: String,
    pub wallet: Wallet,
    milestones: i32,
}

impl Worker {
    pub async fn start(store: StoreKind) -> Self {
        let sandbox = Sandbox::start(LEDGER_MS);
        let mut ledger = sandbox.settings().await;
        ledger.push(("TRANCHE_BURN_TTL_SECONDS", BURN_TTL_SECONDS.to_string()));
        let options = Options {
            binary: Some(failpoints_binary()),
            ledger: Some(ledger),
            ..Options::default()
        };
        let scene = Scene::with(store, options);
        let (project, wallet) = open(&scene, &sandbox).await;
        Self {
            scene,
            sandbox,
            project,
            wallet,
            milestones: 0,
        }
    }

    /// Starts the service anew; it will kill itself at this step.
    pub fn arm(&mut self, step: Step) {
        self.scene.tranche.kill();
        let kill = ("TRANCHE_KILL_AT", step.name().to_owned());
        self.scene.tranche.restart_with(&[kill]);
    }

    /// A milestone that is ready to be disbursed; each has an amount of its own.
    pub async fn paid(&mut self) -> String {
        self.milestones += 1;
        let (project, number) = (&self.project, self.milestones);
        let amount = format!("10.{number:07}");
        self.scene.paid(project, number, &amount).await
    }

    /// How many milestones there are.
    pub fn milestones(&self) -> i32 {
        self.milestones
    }

    /// Orders a disbursement and waits for its end, beside everything else.
    pub fn order(&self, milestone: &str, key: &str) -> JoinHandle<Option<Answer>> {
        tokio::spawn(insist(
            self.scene.treasurer.clone(),
            milestone.to_owned(),
            key.to_owned(),
        ))
    }

    /// Waits until the service has killed itself.
    pub async fn killed(&mut self) {
        for _ in 0..6000 {
            if let Some(signal) = self.scene.tranche.ended_by() {
                assert_eq!(signal, Some(SIGKILL), "it ended in another way");
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it did not come to the place where it is killed");
    }

    /// Waits until the milestone's burn was noted as sent.
    pub async fn sent(&self, milestone: &str) {
        eventually("a burn that was sent", async || {
            let open = &self.disbursements(milestone).await;
            let sent = open.first().is_some_and(|row| row["state"] == "submitted");
            sent.then_some(())
        })
        .await;
    }

    /// Waits until nothing of the milestone is under way; gives its status.
    pub async fn quiet(&self, milestone: &str) -> String {
        eventually("the end of what was begun", async || {
            let status = text(&self.scene.milestone(milestone).await, "status");
            (status != "disbursing").then_some(status)
        })
        .await
    }

    /// The milestone's disbursements, newest first.
    pub async fn disbursements(&self, milestone: &str) -> Vec<Value> {
        let mut rows = self.scene.disbursements(&self.project).await;
        rows.retain(|row| row["milestone_id"] == *milestone);
        rows
    }
}

/// A project that brings a wallet with as much as it is worth.
pub async fn open(scene: &Scene, sandbox: &Sandbox) -> (String, Wallet) {
    let wallet = sandbox.client().wallet(NAV).await;
    let body = json!({ "nav": NAV, "wallet": { "secret_seed": wallet.seed } });
    (scene.open(&body).await, wallet)
}

/// Orders until there is an answer other than "come back later", or nobody answers any more.
pub async fn insist(treasurer: Caller, milestone: String, key: String) -> Option<Answer> {
    let address = at(&milestone, "disburse?wait=20");
    let caller = treasurer.keyed(&key);
    loop {
        let body = Some(b"{}".to_vec());
        match caller.try_send(Method::POST, &address, body).await {
            Ok(answer) if answer.status == 503 => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(answer) => return Some(answer),
            Err(_) => return None,
        }
    }
}
