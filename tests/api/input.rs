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
            let answer = match patch {
                true => caller.patch(&self.path, body).await,
                false => caller.post(&self.path, body).await,
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
            for absent in [true, false] {
                let mut body = self.good.clone();
                match absent {
                    true => drop(
                        body.as_object_mut()
                            .and_then(|fields| fields.remove(*field)),
                    ),
                    false => body[*field] = Value::Null,
                }
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
    let numbers = [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(1_000_001),
        json!(99_999_999_999_i64),
        json!(1e300),
        json!(true),
        json!([]),
    ];
    let dates = [
        json!(""),
        json!("today"),
        json!(20_260_115),
        json!("2026-13-01"),
        json!("2026-01-15T00:00:00Z"),
    ];
    let before = [
        scene.milestone(&draft).await,
        scene.milestone(&submitted).await,
        scene.milestone(&paid).await,
    ];

    let flags = vec![json!("yes"), json!(1), json!("true"), json!([])];
    let policies = vec![json!("any"), json!(""), json!(1), json!(true)];
    Table {
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
    }
    .check(&scene.admin, false)
    .await;
    let mut milestone = Table {
        path: format!("/v1/projects/{project}/milestones"),
        good: json!({ "number": 9, "title": "Good", "target_amount": "10" }),
        required: vec!["number", "title", "target_amount"],
        bad: vec![
            ("title", bad_texts(200)),
            ("description", bad_texts(5000)),
            ("target_amount", not_positive()),
            ("number", numbers.into()),
        ],
    };
    milestone.check(&scene.manager, false).await;
    milestone.path = format!("/v1/milestones/{draft}");
    milestone.good = json!({});
    milestone.required.clear();
    milestone.bad.pop();
    milestone.check(&scene.manager, true).await;
    let fixed = scene
        .manager
        .patch(
            &milestone.path,
            &json!({ "number": 2, "status": "approved" }),
        )
        .await;
    assert_eq!(fixed.refused_fields(), ["number", "status"]);
    Table {
        path: at(&submitted, "reject"),
        good: json!({ "reason": "No." }),
        required: vec!["reason"],
        bad: vec![("reason", bad_texts(2000))],
    }
    .check(&scene.approver, false)
    .await;
    Table {
        path: at(&paid, "bank-transfer"),
        good: json!({ "reference": "NIP-9", "amount": "10", "date": "2026-01-15" }),
        required: vec!["reference", "amount", "date"],
        bad: vec![
            ("reference", bad_texts(140)),
            ("amount", not_positive()),
            ("date", dates.into()),
            ("notes", bad_texts(2000)),
        ],
    }
    .check(&scene.treasurer, false)
    .await;
    Table {
        path: at(&paid, "disburse"),
        good: json!({}),
        required: vec![],
        bad: vec![("amount", not_positive())],
    }
    .check(&scene.treasurer, false)
    .await;
    for (caller, milestone, command) in [
        (&scene.manager, &draft, "submit"),
        (&scene.approver, &submitted, "approve"),
        (&scene.manager, &draft, "revise"),
    ] {
        let answer = caller
            .post(&at(milestone, command), &json!({ "force": true }))
            .await;
        assert_eq!(answer.refused_fields(), ["force"], "{command}");
    }

    let after = [
        scene.milestone(&draft).await,
        scene.milestone(&submitted).await,
        scene.milestone(&paid).await,
    ];
    assert_eq!(after, before);
    assert_eq!(
        rows(&scene.admin.get("/v1/projects").await.json(200)).len(),
        1
    );
    assert_eq!(scene.project_view(&project).await["total_milestones"], 3);
    assert_eq!(scene.tranche.ledger().burns().await, []);
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
