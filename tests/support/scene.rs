//! What most tests begin with: a service, its people, a project and milestones on their way.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    reason = "test support: what cannot go on has failed its test"
)]

use crate::support::service::{
    Answer, Caller, LedgerClient, Options, StoreKind, Tranche, eventually,
};
use serde_json::{Value, json};

/// What a new project is worth.
pub const NAV: &str = "1000000.0000000";
/// How many tokens share it.
pub const LP_TOKENS: &str = "400000.0000000";

/// A service and the people with one duty each.
pub struct Scene {
    pub tranche: Tranche,
    pub admin: Caller,
    pub manager: Caller,
    pub approver: Caller,
    pub treasurer: Caller,
}

impl Scene {
    /// A service with its own sandbox ledger.
    pub fn new(store: StoreKind) -> Self {
        Self::with(store, Options::default())
    }

    /// A service that runs in another way.
    pub fn with(store: StoreKind, options: Options) -> Self {
        let tranche = Tranche::start(store, options);
        let [admin, manager, approver, treasurer] = tranche.callers([
            ("ifeoma", "admin"),
            ("ngozi", "manager"),
            ("tunde", "approver"),
            ("amaka", "treasurer"),
        ]);
        Self {
            tranche,
            admin,
            manager,
            approver,
            treasurer,
        }
    }

    /// A project with [`NAV`] and [`LP_TOKENS`]; its id.
    pub async fn project(&self) -> String {
        self.open(&json!({})).await
    }

    /// A project with [`NAV`], whose wallet was made on a ledger that opens none; its id.
    pub async fn project_on(&self, ledger: &LedgerClient) -> String {
        let wallet = ledger.wallet(NAV).await;
        self.open(&json!({ "wallet": { "secret_seed": wallet.seed } }))
            .await
    }

    /// A project that differs in these fields; its id.
    pub async fn open(&self, other: &Value) -> String {
        let mut body = json!({ "name": "Lekki", "nav": NAV, "lp_tokens_outstanding": LP_TOKENS });
        for (name, value) in other.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        id(&self.admin.post("/v1/projects", &body).await.json(201))
    }

    /// A draft; its id.
    pub async fn draft(&self, project: &str, number: i32, amount: &str) -> String {
        let body = json!({ "number": number, "title": "Foundations", "target_amount": amount });
        let answer = self
            .manager
            .post(&format!("/v1/projects/{project}/milestones"), &body)
            .await;
        id(&answer.json(201))
    }

    /// A submitted milestone; its id.
    pub async fn submitted(&self, project: &str, number: i32, amount: &str) -> String {
        let id = self.draft(project, number, amount).await;
        self.manager
            .post(&at(&id, "submit"), &json!({}))
            .await
            .json(200);
        id
    }

    /// An approved milestone; its id.
    pub async fn approved(&self, project: &str, number: i32, amount: &str) -> String {
        let id = self.submitted(project, number, amount).await;
        self.approver
            .post(&at(&id, "approve"), &json!({}))
            .await
            .json(200);
        id
    }

    /// An approved and paid milestone, ready to be disbursed; its id.
    pub async fn paid(&self, project: &str, number: i32, amount: &str) -> String {
        let id = self.approved(project, number, amount).await;
        let transfer = transfer(&format!("NIP-{number}"), amount);
        self.treasurer
            .post(&at(&id, "bank-transfer"), &transfer)
            .await
            .json(200);
        id
    }

    /// Orders a disbursement under a key and waits so many seconds.
    pub async fn disburse(&self, milestone: &str, key: &str, wait: u32) -> Answer {
        let address = at(milestone, &format!("disburse?wait={wait}"));
        self.treasurer.keyed(key).post(&address, &json!({})).await
    }

    /// A milestone as it is shown.
    pub async fn milestone(&self, id: &str) -> Value {
        self.admin
            .get(&format!("/v1/milestones/{id}"))
            .await
            .json(200)
    }

    /// A project as it is shown.
    pub async fn project_view(&self, id: &str) -> Value {
        self.admin
            .get(&format!("/v1/projects/{id}"))
            .await
            .json(200)
    }

    /// The disbursements of a project, newest first.
    pub async fn disbursements(&self, project: &str) -> Vec<Value> {
        let address = format!("/v1/disbursements?project_id={project}");
        rows(&self.admin.get(&address).await.json(200))
    }

    /// A milestone's events, oldest first, once all of them are in the log.
    pub async fn events(&self, milestone: &str) -> Vec<Value> {
        let address = format!("/v1/milestones/{milestone}/activity?limit=1000");
        eventually("every event has its place in the log", async || {
            let mut events = rows(&self.admin.get(&address).await.json(200));
            events.reverse();
            let placed = events.iter().all(|event| event["leaf_index"].is_u64());
            placed.then_some(events)
        })
        .await
    }

    /// The actions in a milestone's log, oldest first.
    pub async fn actions(&self, milestone: &str) -> Vec<String> {
        let events = self.events(milestone).await;
        events.iter().map(|event| text(event, "action")).collect()
    }

    /// Waits until a milestone has this status.
    pub async fn reaches(&self, milestone: &str, status: &str) -> Value {
        eventually(status, async || {
            let view = self.milestone(milestone).await;
            (view["status"] == status).then_some(view)
        })
        .await
    }
}

/// The address of a command on a milestone.
pub fn at(milestone: &str, command: &str) -> String {
    format!("/v1/milestones/{milestone}/{command}")
}

/// The body of a bank transfer.
pub fn transfer(reference: &str, amount: &str) -> Value {
    json!({ "reference": reference, "amount": amount, "date": "2026-01-15" })
}

/// A view's id.
#[track_caller]
pub fn id(view: &Value) -> String {
    text(view, "id")
}

/// A text in a view.
#[track_caller]
pub fn text(view: &Value, name: &str) -> String {
    let text = view[name].as_str();
    text.unwrap_or_else(|| panic!("no {name} in {view}"))
        .to_owned()
}

/// The rows of a list.
#[track_caller]
pub fn rows(list: &Value) -> Vec<Value> {
    let rows = list["data"].as_array();
    rows.unwrap_or_else(|| panic!("no rows in {list}")).clone()
}

/// An amount in stroops, read apart from the product's own reader.
#[track_caller]
pub fn stroops(amount: &Value) -> i64 {
    let text = amount.as_str().expect("an amount is a string");
    let (whole, fraction) = text.split_once('.').expect("an amount has decimals");
    assert_eq!(fraction.len(), 7, "{text}");
    format!("{whole}{fraction}")
        .parse()
        .expect("an amount is a number")
}
