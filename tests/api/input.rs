//! Bad input: every field of every body, each wrong in every way, is named and nothing is done.

use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, StoreKind};

use crate::scene::{Scene, at, id, rows};

on_both_stores! {
    fields: every_field_is_checked_on_sqlite, every_field_is_checked_on_postgres;
    wallets: wallets_are_checked_and_not_repeated_on_sqlite,
        wallets_are_checked_and_not_repeated_on_postgres;
    extremes: what_is_just_allowed_is_kept_as_it_is_on_sqlite,
        what_is_just_allowed_is_kept_as_it_is_on_postgres;
}

/// What is no amount.
fn bad_amounts() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "1e5",
        "1E-7",
        "0.00000001",
        "1.12345678",
        "-1",
        "-0.0000001",
        "+1",
        " 1",
        "1 ",
        "1,000",
        "1_000",
        "1.",
        ".5",
        ".",
        "1.2.3",
        "0x10",
        "١٢",
        "１",
        "1\u{0}",
        "twelve",
        "922337203685.4775808",
        "922337203686",
        "99999999999999999999999999999999999999",
    ];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([
        json!(1),
        json!(1.5),
        json!(0),
        json!(-1),
        json!(true),
        json!([]),
        json!({}),
    ]);
    values
}

/// What is no positive amount.
fn not_positive() -> Vec<Value> {
    let mut values = bad_amounts();
    values.extend([json!("0"), json!("0.0"), json!("0.0000000"), json!("-0")]);
    values
}

/// What is no text of at most `max` characters.
fn bad_texts(max: usize) -> Vec<Value> {
    vec![
        json!(""),
        json!("   \n\t"),
        json!("x".repeat(max + 1)),
        json!("é".repeat(max + 1)),
        json!("nul \u{0}"),
        json!("bell \u{7}"),
        json!("escape \u{1b}[31m"),
        json!("next\u{85}line"),
        json!("delete\u{7f}d"),
        json!(7),
        json!(true),
        json!(["a"]),
        json!({ "a": "b" }),
    ]
}

/// A body that is good, and for each field what is not.
struct Table {
    path: String,
    good: Value,
    required: Vec<&'static str>,
    bad: Vec<(&'static str, Vec<Value>)>,
}

impl Table {
    async fn check(&self, caller: &Caller, patch: bool) {
        let send = async |body: &Value| {
            let caller = caller.keyed("table");
            let answer = if patch {
                caller.patch(&self.path, body).await
            } else {
                caller.post(&self.path, body).await
            };
            answer.refused_fields()
        };
        for (field, values) in &self.bad {
            for value in values {
                let mut body = self.good.clone();
                body[*field] = value.clone();
                assert_eq!(
                    send(&body).await,
                    [*field],
                    "{}: {field} is {value}",
                    self.path
                );
            }
        }
        for field in &self.required {
            let (mut absent, mut null) = (self.good.clone(), self.good.clone());
            absent.as_object_mut().expect("a body").remove(*field);
            null[*field] = Value::Null;
            for body in [absent, null] {
                assert_eq!(send(&body).await, [*field], "{}: no {field}", self.path);
            }
        }
        let mut unknown = self.good.clone();
        unknown["statuss"] = json!("approved");
        assert_eq!(send(&unknown).await, ["statuss"]);
        // All that is wrong is named at once.
        let mut all = json!({ "zzz": 1 });
        let mut names = vec!["zzz".to_owned()];
        for (field, values) in &self.bad {
            all[*field] = values[0].clone();
            names.push((*field).to_owned());
        }
        names.sort();
        assert_eq!(send(&all).await, names);
    }
}

// M1 M2 M5 M7 M8: 422 with the field's name; nothing is made, nothing changes.
async fn fields(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let draft = scene.draft(&project, 1, "10").await;
    let submitted = scene.submitted(&project, 2, "10").await;
    let paid = scene.paid(&project, 3, "10").await;
    let all = async || {
        [
            scene.milestone(&draft).await,
            scene.milestone(&submitted).await,
            scene.milestone(&paid).await,
        ]
    };
    let before = all().await;
    projects(&scene).await;
    drafts(&scene, &project, &draft).await;
    decisions(&scene, &submitted, &paid).await;
    for (caller, milestone, command) in [
        (&scene.manager, &draft, "submit"),
        (&scene.approver, &submitted, "approve"),
        (&scene.manager, &draft, "revise"),
    ] {
        let forced = json!({ "force": true });
        let answer = caller.post(&at(milestone, command), &forced).await;
        assert_eq!(answer.refused_fields(), ["force"], "{command}");
    }
    assert_eq!(all().await, before);
    let projects = rows(&scene.admin.get("/v1/projects").await.json(200));
    assert_eq!(projects.len(), 1);
    assert_eq!(projects[0]["total_milestones"], 3);
    assert_eq!(scene.tranche.ledger().burns().await, []);
}

async fn projects(scene: &Scene) {
    let flags = vec![json!("yes"), json!(1), json!("true"), json!([])];
    let policies = vec![json!("any"), json!(""), json!(1), json!(true)];
    let table = Table {
        path: "/v1/projects".to_owned(),
        good: json!({ "name": "Good", "nav": "10", "lp_tokens_outstanding": "10" }),
        required: vec!["name", "nav", "lp_tokens_outstanding"],
        bad: vec![
            ("name", bad_texts(200)),
            ("nav", not_positive()),
            ("lp_tokens_outstanding", bad_amounts()),
            ("maker_checker", flags),
            ("burn_policy", policies),
            ("wallet", vec![json!("S"), json!(1), json!([])]),
        ],
    };
    table.check(&scene.admin, false).await;
}

async fn drafts(scene: &Scene, project: &str, draft: &str) {
    let bad = json!([
        0,
        -1,
        1.5,
        "1",
        1_000_001,
        99_999_999_999_i64,
        1e300,
        true,
        []
    ]);
    let numbers = bad.as_array().cloned().unwrap_or_default();
    let mut table = Table {
        path: format!("/v1/projects/{project}/milestones"),
        good: json!({ "number": 9, "title": "Good", "target_amount": "10" }),
        required: vec!["number", "title", "target_amount"],
        bad: vec![
            ("title", bad_texts(200)),
            ("description", bad_texts(5000)),
            ("target_amount", not_positive()),
            ("number", numbers),
        ],
    };
    table.check(&scene.manager, false).await;
    table.path = format!("/v1/milestones/{draft}");
    table.good = json!({});
    table.required.clear();
    table.bad.pop();
    table.check(&scene.manager, true).await;
    let fixed = json!({ "number": 2, "status": "approved" });
    let answer = scene.manager.patch(&table.path, &fixed).await;
    assert_eq!(answer.refused_fields(), ["number", "status"]);
}

async fn decisions(scene: &Scene, submitted: &str, paid: &str) {
    let reject = Table {
        path: at(submitted, "reject"),
        good: json!({ "reason": "No." }),
        required: vec!["reason"],
        bad: vec![("reason", bad_texts(2000))],
    };
    reject.check(&scene.approver, false).await;
    let bad = json!([
        "",
        "today",
        20_260_115,
        "2026-13-01",
        "2026-01-15T00:00:00Z"
    ]);
    let dates = bad.as_array().cloned().unwrap_or_default();
    let transfer = Table {
        path: at(paid, "bank-transfer"),
        good: json!({ "reference": "NIP-9", "amount": "10", "date": "2026-01-15" }),
        required: vec!["reference", "amount", "date"],
        bad: vec![
            ("reference", bad_texts(140)),
            ("amount", not_positive()),
            ("date", dates),
            ("notes", bad_texts(2000)),
        ],
    };
    transfer.check(&scene.treasurer, false).await;
    let disburse = Table {
        path: at(paid, "disburse"),
        good: json!({}),
        required: vec![],
        bad: vec![("amount", not_positive())],
    };
    disburse.check(&scene.treasurer, false).await;
}

// API contract: a wallet is a seed, or an account with its custodian; a bad seed is not told back.
async fn wallets(store: StoreKind) {
    let scene = Scene::new(store);
    let ledger = scene.tranche.ledger();
    let good = ledger.wallet("10").await;
    let open = async |wallet: Value| {
        let body = json!({ "name": "Wallet", "nav": "10", "lp_tokens_outstanding": "1", "wallet": wallet });
        scene.admin.post("/v1/projects", &body).await
    };
    let mut typo = good.seed.clone();
    let last = if typo.ends_with('A') { 'B' } else { 'A' };
    typo.pop();
    typo.push(last);
    for bad in [
        typo.as_str(),
        good.account.as_str(),
        "S",
        "hunter2",
        &"S".repeat(201),
    ] {
        let answer = open(json!({ "secret_seed": bad })).await;
        assert_eq!(answer.refused_fields(), ["wallet.secret_seed"], "{bad}");
        assert!(!answer.text.contains(bad) || bad == "S", "{}", answer.text);
        assert!(
            bad.len() < 20 || !scene.tranche.log().contains(bad),
            "the log tells it"
        );
    }
    for (wallet, field) in [
        (json!({}), "wallet.secret_seed"),
        (json!({ "account_id": good.account }), "wallet.secret_seed"),
        (
            json!({ "secret_seed": good.seed, "account_id": good.account, "custody": "hsm" }),
            "wallet.secret_seed",
        ),
        (
            json!({ "secret_seed": good.seed, "seed": 1 }),
            "wallet.seed",
        ),
        (
            json!({ "account_id": "G", "custody": "local" }),
            "wallet.account_id",
        ),
        (
            json!({ "account_id": good.account, "custody": "nobody" }),
            "wallet.custody",
        ),
    ] {
        let answer = open(wallet.clone()).await;
        assert!(
            answer.refused_fields().contains(&field.to_owned()),
            "{wallet}: {}",
            answer.text
        );
        assert!(!answer.text.contains(&good.seed), "{}", answer.text);
    }
    let opened = open(json!({ "secret_seed": good.seed })).await;
    assert!(!opened.text.contains(&good.seed));
    assert_eq!(opened.json(201)["wallet_account_id"], good.account);
    open(json!({ "secret_seed": good.seed }))
        .await
        .problem(409, "project.wallet_taken");
}

// M1 M7: limits count characters, not bytes; what is allowed comes back as it was sent.
async fn extremes(store: StoreKind) {
    let scene = Scene::new(store);
    let name = "é🌍".repeat(100);
    let nav = "922337203685.4775807";
    let project = scene
        .open(&json!({ "name": name, "nav": nav, "lp_tokens_outstanding": "0.0000001" }))
        .await;
    let view = scene.project_view(&project).await;
    assert_eq!((&view["name"], &view["nav"]), (&json!(name), &json!(nav)));
    assert_eq!(view["lp_token_price"], "9223372036854775807.0000000");
    let description = format!(
        "<script>alert(1)</script>\r\n\t'; DROP TABLE milestones; --{}",
        "x".repeat(4900)
    );
    let body = json!({ "number": 1_000_000, "title": "’", "description": description, "target_amount": "0.0000001" });
    let address = format!("/v1/projects/{project}/milestones");
    let made = scene.manager.post(&address, &body).await.json(201);
    for field in ["title", "description", "number", "target_amount"] {
        assert_eq!(made[field], body[field], "{field}");
    }
    let milestone = id(&made);
    let zeros = json!({ "target_amount": "0000000000000000000000000012.5" });
    let edited = scene
        .manager
        .patch(&format!("/v1/milestones/{milestone}"), &zeros)
        .await;
    assert_eq!(edited.json(200)["target_amount"], "12.5000000");
    scene
        .manager
        .post(&at(&milestone, "submit"), &json!({}))
        .await
        .json(200);
    scene
        .approver
        .post(&at(&milestone, "approve"), &json!({}))
        .await
        .json(200);
    let notes = "n".repeat(2000);
    let body = json!({ "reference": "ref/№ 1".repeat(20), "amount": "0.0000001", "date": "2000-01-01", "notes": notes });
    let paid = scene
        .treasurer
        .post(&at(&milestone, "bank-transfer"), &body)
        .await
        .json(200);
    assert_eq!(paid["bank_transfer"]["reference"], body["reference"]);
    assert_eq!(paid["notes"], notes);
    // One stroop burns, and the books show it.
    let settled = scene.disburse(&milestone, "stroop", 30).await.json(200);
    assert_eq!(settled["new_nav"], "922337203685.4775806");
}
