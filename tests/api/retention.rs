//! How long events are kept, over HTTP and on the command line (S7).

use reqwest::Method;
use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, Options, StoreKind, Tranche, eventually};

on_both_stores! {
    life: old_events_are_archived_and_expire_on_sqlite,
        old_events_are_archived_and_expire_on_postgres;
    holds: holds_are_placed_and_lifted_on_sqlite,
        holds_are_placed_and_lifted_on_postgres;
    commands: retention_has_its_commands_on_sqlite,
        retention_has_its_commands_on_postgres;
}

/// Nothing runs unless it is asked for.
pub fn by_hand() -> Options {
    Options {
        settings: vec![("TRANCHE_RETENTION_AT", "off".to_owned())],
        ..Options::default()
    }
}

/// An event of each severity of January 2020, through the outbox, and then in the tree.
pub async fn old_events(tranche: &Tranche) {
    let mut rows = Vec::new();
    for (number, severity) in ["info", "warning", "critical"].into_iter().enumerate() {
        let id = format!("016f6000-0000-7000-8000-00000000000{number}");
        let (at, salt) = match tranche.store {
            StoreKind::Sqlite => ("1578000000000000", "zeroblob(16)"),
            StoreKind::Postgres => ("'2020-01-02T21:20:00Z'", "decode(repeat('00', 16), 'hex')"),
        };
        rows.push(format!(
            "('{id}', {at}, '{severity}', 'loan.assessed', 'service-7', 'loan', {salt})"
        ));
    }
    let insert = format!(
        "INSERT INTO audit_outbox (id, occurred_at, severity, action, actor_id, resource_type, salt)
         VALUES {}",
        rows.join(", ")
    );
    tranche.sql(&insert).await;
    let sealed = "SELECT count(*) FROM audit_leaves l JOIN audit_events e ON e.id = l.event_id
        WHERE e.action = 'loan.assessed'";
    eventually("the old events are in the tree", async || {
        (tranche.sql(sealed).await == "3").then_some(())
    })
    .await;
}

pub fn of_2020(list: &Value) -> Vec<&Value> {
    let list = list.as_array().expect("a list");
    list.iter()
        .filter(|one| one["month"] == "2020-01")
        .collect()
}

pub fn outcomes(report: &Value) -> Vec<String> {
    let told = of_2020(&report["partitions"]).into_iter().map(|one| {
        let text = |name: &str| one[name].as_str().unwrap_or("?").to_owned();
        format!("{} {} {}", text("work"), text("severity"), text("outcome"))
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

pub async fn run(admin: &Caller, dry_run: bool) -> Value {
    let body = json!({ "dry_run": dry_run });
    admin
        .post("/v1/audit/retention/runs", &body)
        .await
        .json(200)
}

// S7: what is due is told beforehand, done once, and told afterwards.
async fn life(store: StoreKind) {
    let tranche = Tranche::start(store, by_hand());
    let [admin, auditor] = tranche.callers([("ada", "admin"), ("uche", "auditor")]);
    old_events(&tranche).await;
    let shown = auditor.get("/v1/audit/retention").await.json(200);
    let policies = json!([
        { "severity": "info", "archive_after_days": 90, "keep_days": 365 },
        { "severity": "warning", "archive_after_days": 180, "keep_days": 1095 },
        { "severity": "critical", "archive_after_days": 365, "keep_days": 2555 },
    ]);
    assert_eq!(shown["policies"], policies);
    assert_eq!(shown["next_run_at"], Value::Null);
    let due: Vec<&str> = of_2020(&shown["partitions"])
        .iter()
        .filter_map(|part| part["due"].as_str())
        .collect();
    assert_eq!(due, ["archive"; 3]);

    let forbidden = auditor.post("/v1/audit/retention/runs", &json!({})).await;
    forbidden.problem(403, "auth.role_required");
    let dry = run(&admin, true).await;
    let would = [
        "archive critical would",
        "archive info would",
        "archive warning would",
    ];
    assert_eq!(outcomes(&dry), would);
    assert_eq!((&dry["dry_run"], &dry["run"]), (&json!(true), &Value::Null));
    assert_eq!(tranche.sql("SELECT count(*) FROM audit_archive").await, "0");

    let done = run(&admin, false).await;
    // Seven years of critical events: those of 2020 go in January 2027, by the machine's clock.
    let critical = tranche.sql("SELECT count(*) FROM audit_archive").await;
    let expired = outcomes(&done);
    assert!(expired.contains(&"expire info done".to_owned()), "{done}");
    assert!(
        expired.contains(&"expire warning done".to_owned()),
        "{done}"
    );
    assert_eq!(
        critical == "1",
        !expired.contains(&"expire critical done".to_owned())
    );
    assert_eq!(done["run"]["started_by"], "ada");
    let gone = "SELECT count(*) FROM audit_leaf_records";
    assert_ne!(tranche.sql(gone).await, "0");

    let shown = auditor.get("/v1/audit/retention").await.json(200);
    assert_eq!(shown["last_runs"][0], done["run"]);
    assert!(of_2020(&shown["expired"]).len() >= 2, "{shown}");
    assert_eq!(shown["statistics"]["lag_seconds"], 0);
    eventually("the run is in the log", async || {
        let recorded = "SELECT count(*) FROM audit_events WHERE action = 'retention.run'";
        (tranche.sql(recorded).await == "1").then_some(())
    })
    .await;
    let again = run(&admin, false).await;
    assert_eq!(outcomes(&again), Vec::<String>::new());

    let wrong = admin
        .post("/v1/audit/retention/runs", &json!({ "dry_run": "yes" }))
        .await;
    assert_eq!(wrong.refused_fields(), ["dry_run"]);
    let metrics = tranche.with_token(None).get("/metrics").await.text;
    assert!(
        metrics.contains("tranche_audit_retention_lag_seconds"),
        "{metrics}"
    );
}

// S7: a hold keeps what it touches, says who and why, and is lifted with a reason.
async fn holds(store: StoreKind) {
    let tranche = Tranche::start(store, by_hand());
    let [admin, auditor] = tranche.callers([("ada", "admin"), ("uche", "auditor")]);
    old_events(&tranche).await;
    let path = "/v1/audit/retention/holds";
    let body = json!({ "severity": "warning", "from_month": "2020-01", "to_month": "2020-03",
        "reason": "a lawsuit" });
    auditor
        .post(path, &body)
        .await
        .problem(403, "auth.role_required");
    let keyed = admin.keyed("hold-1");
    let hold = keyed.post(path, &body).await.json(201);
    assert_eq!(hold["placed_by"], "ada");
    assert_eq!(hold["lifted_at"], Value::Null);
    assert_eq!(keyed.post(path, &body).await.json(201), hold, "once");
    let other = json!({ "reason": "another" });
    keyed
        .post(path, &other)
        .await
        .problem(422, "idempotency.key_reused");

    let done = run(&admin, false).await;
    assert!(
        outcomes(&done).contains(&"expire warning held".to_owned()),
        "{done}"
    );
    let shown = auditor.get("/v1/audit/retention").await.json(200);
    assert_eq!(shown["holds"], json!([hold]));
    let parts = of_2020(&shown["partitions"]).into_iter();
    let warnings: Vec<&Value> = parts.filter(|part| part["severity"] == "warning").collect();
    assert_eq!(warnings[0]["held_by"], json!([hold["id"]]));

    let this = format!("{path}/{}", hold["id"].as_str().expect("an id"));
    let lift = async |body: &Value| admin.json(Method::DELETE, &this, body).await;
    assert_eq!(lift(&json!({})).await.refused_fields(), ["reason"]);
    let lifted = lift(&json!({ "reason": "settled" })).await.json(200);
    assert_eq!(
        (&lifted["lifted_by"], &lifted["lift_reason"]),
        (&json!("ada"), &json!("settled"))
    );
    lift(&json!({ "reason": "settled" }))
        .await
        .problem(409, "retention.hold_lifted");
    let again = json!({ "severity": "warning", "reason": "another lawsuit" });
    let second = admin.post(path, &again).await.json(201);
    let second = format!("{path}/{}", second["id"].as_str().expect("an id"));
    let keyed = admin.keyed("lift-2");
    let lift_keyed = async |reason: &str| {
        let body = json!({ "reason": reason });
        keyed.json(Method::DELETE, &second, &body).await
    };
    let lifted = lift_keyed("settled").await.json(200);
    assert_eq!(lift_keyed("settled").await.json(200), lifted, "once");
    lift_keyed("another reason")
        .await
        .problem(422, "idempotency.key_reused");
    let unknown = format!("{path}/01890000-0000-7000-8000-000000000001");
    let unknown = admin
        .json(Method::DELETE, &unknown, &json!({ "reason": "x" }))
        .await;
    unknown.problem(404, "not_found");
    let recorded = "SELECT count(*) FROM audit_events WHERE severity = 'critical'
        AND action IN ('retention.hold_placed', 'retention.hold_lifted')";
    assert_eq!(tranche.sql(recorded).await, "4");
    let done = run(&admin, false).await;
    assert!(
        outcomes(&done).contains(&"expire warning done".to_owned()),
        "{done}"
    );

    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": "x", "severity": "fatal" }), "severity"),
        (
            json!({ "reason": "x", "from_month": "2020-13" }),
            "from_month",
        ),
        (json!({ "reason": "x", "to_month": 7 }), "to_month"),
        (
            json!({ "reason": "x", "from_month": "2020-02", "to_month": "2020-01" }),
            "to_month",
        ),
        (json!({ "reason": "x", "project_id": "x" }), "project_id"),
        (
            json!({ "reason": "x", "project_id": "01890000-0000-7000-8000-000000000001" }),
            "project_id",
        ),
        (json!({ "reason": "x", "until": "for ever" }), "until"),
    ] {
        let refused = admin.post(path, &body).await;
        assert_eq!(refused.refused_fields(), [field], "{body}");
    }
}

// S7: the same by command.
async fn commands(store: StoreKind) {
    let tranche = Tranche::start(store, by_hand());
    old_events(&tranche).await;
    let run = |arguments: &[&str], code: i32| {
        let output = tranche.command(&[&["retention"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {told}{errors}"
        );
        told + &errors
    };
    let dry = run(&["run", "--dry-run"], 0);
    assert_eq!(dry.matches("would be done").count(), 3, "{dry}");
    let hold = [
        "hold",
        "place",
        "--severity",
        "info",
        "--reason",
        "a lawsuit",
    ];
    let hold: Value = serde_json::from_str(&run(&hold, 0)).expect("JSON");
    let id = hold["id"].as_str().expect("an id");
    let told = run(&["run"], 0);
    assert!(told.contains(&format!("held by {id}")), "{told}");
    let status: Value = serde_json::from_str(&run(&["status"], 0)).expect("JSON");
    assert_eq!(status["holds"][0]["id"], id);
    run(&["hold", "lift", id, "--reason", " "], 1);
    run(&["hold", "lift", id, "--reason", "settled"], 0);
    assert!(run(&["hold", "lift", id, "--reason", "settled"], 1).contains("lifted already"));
    assert_eq!(run(&["hold", "list"], 0), "");
    assert!(run(&["hold", "list", "--all"], 0).contains("settled"));
    let told = run(&["run"], 0);
    assert!(told.contains("expire"), "{told}");
    run(
        &["hold", "place", "--from-month", "2020-1", "--reason", "x"],
        2,
    );
    run(&["hold", "place"], 2);
}

// S7: a day's run comes by itself, once, though it was missed, and says when the next one is.
#[tokio::test]
async fn a_run_comes_by_itself() {
    let mut tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let [auditor] = tranche.callers([("uche", "auditor")]);
    for _ in 0..2 {
        let shown = eventually("the day's run", async || {
            let shown = auditor.get("/v1/audit/retention").await.json(200);
            let ended = shown["last_runs"][0]["ended_at"].is_string();
            ended.then_some(shown)
        })
        .await;
        let runs = shown["last_runs"].as_array().expect("a list");
        assert_eq!(runs.len(), 1, "{shown}");
        assert_eq!(runs[0]["started_by"], "system");
        let at = |time: &Value| time.as_str().expect("a time").contains("T03:00:00");
        assert!(
            at(&runs[0]["due_at"]) && at(&shown["next_run_at"]),
            "{shown}"
        );
        // What there was to tell of is nothing.
        let told = "SELECT count(*) FROM audit_outbox WHERE action = 'retention.run'";
        assert_eq!(tranche.sql(told).await, "0");
        tranche.restart_after(Some(0));
    }
}
