//! Sensitive parts of events over HTTP: sealed wherever they lie, opened for auditors, gone after an
//! erasure; and what a key for one project sees of the log (S9).

use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Caller, Options, StoreKind, Tranche};

use crate::scene::{Scene, rows};

on_both_stores! {
    sealed: sensitive_details_are_sealed_and_erased_on_sqlite,
        sensitive_details_are_sealed_and_erased_on_postgres;
    origins: where_a_request_came_from_is_sealed_on_sqlite,
        where_a_request_came_from_is_sealed_on_postgres;
    commanded: a_subject_is_erased_by_command_on_sqlite,
        a_subject_is_erased_by_command_on_postgres;
    confined: a_key_for_one_project_sees_its_events_alone_on_sqlite,
        a_key_for_one_project_sees_its_events_alone_on_postgres;
}

const EVENTS: &str = "/v1/audit/events";
const ERASURES: &str = "/v1/audit/erasures";
const NAME: &str = "Grace Brewster Hopper";
const EMAIL: &str = "grace.hopper@navy.example";

fn sealing() -> Options {
    let rules = "$.email,$.patient.*@$.patient.id,ip_address,user_agent";
    Options {
        settings: vec![
            ("TRANCHE_AUDIT_SEAL", rules.to_owned()),
            ("TRANCHE_RATE_LIMIT", "off".to_owned()),
        ],
        ..Options::default()
    }
}

fn visit(project: &str, patient: &str) -> Value {
    json!({
        "action": "visit.made", "resource_type": "visit", "severity": "critical",
        "project_id": project, "actor_id": "dr-ada", "ip_address": "198.51.100.77",
        "user_agent": "ward tablet", "details": {
            "email": EMAIL, "ward": 7, "patient": { "id": patient, "name": NAME },
        },
    })
}

async fn send(service: &Caller, entries: &[Value]) -> Answer {
    service.post(EVENTS, &json!({ "entries": entries })).await
}

/// The visits in a project's timeline, oldest first, as somebody sees them.
async fn visits(caller: &Caller, project: &str) -> Vec<Value> {
    let timeline = caller
        .get(&format!("/v1/projects/{project}/activity"))
        .await;
    let mut seen = rows(&timeline.json(200));
    seen.retain(|event| event["action"] == "visit.made");
    seen.reverse();
    seen
}

// S9: from the way in to the erasure, and back for what comes later.
async fn sealed(store: StoreKind) {
    let scene = Scene::with(store, sealing());
    let tranche = &scene.tranche;
    let project = scene.project().await;
    let [service, viewer, auditor] = tranche.callers([
        ("clinic", "service"),
        ("vera", "viewer"),
        ("ola", "auditor"),
    ]);
    let entries = [visit(&project, "p-1"), visit(&project, "p-2")];
    let answer = send(&service, &entries).await.json(201);
    assert_eq!(answer["stored"], 2, "{answer}");
    let log = String::from_utf8_lossy(&tranche.database_bytes().await).into_owned();
    for secret in [NAME, EMAIL, "198.51.100.77", "ward tablet", "p-1"] {
        assert!(!log.contains(secret), "{secret}");
    }
    assert!(log.contains("$sealed"), "the control");

    let hidden = json!({ "sealed": true });
    for event in visits(&viewer, &project).await {
        assert_eq!(event["details"]["email"], hidden);
        assert_eq!(
            event["details"]["patient"],
            json!({ "id": hidden, "name": hidden })
        );
        assert_eq!(event["details"]["ward"], 7);
        assert_eq!(event["metadata"]["origin"], hidden);
        assert_eq!(
            (&event["ip_address"], &event["user_agent"]),
            (&json!(null), &json!(null))
        );
    }
    let open = visits(&auditor, &project).await;
    for (event, sent) in open.iter().zip(&entries) {
        for field in ["details", "ip_address", "user_agent"] {
            assert_eq!(event[field], sent[field], "{field}");
        }
        assert_eq!(event["metadata"], json!({ "sent_by": "clinic" }));
    }

    erase_over_http(&scene, &project).await;
    let erased = json!({ "erased": true });
    for caller in [&auditor, &viewer] {
        let seen = visits(caller, &project).await;
        assert_eq!(
            seen[0]["details"]["patient"],
            json!({ "id": erased, "name": erased })
        );
    }
    let seen = visits(&auditor, &project).await;
    assert_eq!(seen[1]["details"], open[1]["details"], "another subject");
    assert_eq!(seen[0]["details"]["email"], EMAIL, "the actor's");
    // Who comes again has a key of its own.
    send(&service, &entries[..1]).await.json(201);
    let seen = visits(&auditor, &project).await;
    assert_eq!(seen[2]["details"], entries[0]["details"]);
    assert_eq!(seen[0]["details"]["patient"]["name"], erased);
}

async fn erase_over_http(scene: &Scene, project: &str) {
    let tranche = &scene.tranche;
    let body = json!({ "subject": "p-1", "reason": "asked to" });
    let confined = tranche.caller("local", "admin", Some(project));
    confined
        .post(ERASURES, &body)
        .await
        .problem(403, "auth.out_of_scope");
    let auditor = tranche.caller("olu", "auditor", None);
    auditor
        .post(ERASURES, &body)
        .await
        .problem(403, "auth.role_required");
    let none = json!({ "subject": "p-9", "reason": "asked to" });
    scene
        .admin
        .post(ERASURES, &none)
        .await
        .problem(404, "subject.no_key");
    let empty = scene.admin.post(ERASURES, &json!({ "subject": "" })).await;
    assert_eq!(empty.refused_fields(), ["reason", "subject"]);

    let mut look = body.clone();
    look["dry_run"] = json!(true);
    let told = scene.admin.post(ERASURES, &look).await.json(200);
    assert_eq!(told["events"], json!({ "sealed": 1, "acted": 0 }));
    for round in 0..2 {
        let admin = scene.admin.keyed("erase p-1");
        let done = admin.post(ERASURES, &body).await.json(200);
        assert_eq!(done["key_id"], told["key_id"], "{round}");
    }
    scene
        .admin
        .post(ERASURES, &body)
        .await
        .problem(404, "subject.no_key");
    let recorded = tranche
        .sql("SELECT resource_id, severity FROM audit_events WHERE action = 'subject.erased'")
        .await;
    let key = told["key_id"].as_str().expect("an id");
    assert_eq!(recorded, format!("{key}|critical"));
    let left = tranche
        .sql("SELECT count(*) FROM audit_subject_keys WHERE erased_at IS NOT NULL AND sealed IS NULL AND subject IS NULL")
        .await;
    assert_eq!(left, "1");
    assert!(!tranche.log().contains("p-1"), "the log of the service");
}

// S9 M10: the service's own events, those of a disbursement that ends later included.
async fn origins(store: StoreKind) {
    let scene = Scene::with(store, sealing());
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    scene.disburse(&milestone, "once", 30).await.json(200);
    let kept = scene.tranche.database_bytes().await;
    let kept = String::from_utf8_lossy(&kept);
    assert!(!kept.contains(Caller::USER_AGENT));
    let open = "SELECT count(*) FROM audit_events WHERE ip_address IS NOT NULL";
    assert_eq!(scene.tranche.sql(open).await, "0");

    let auditor = scene.tranche.caller("ola", "auditor", None);
    let timeline = format!("/v1/milestones/{milestone}/activity");
    let seen = rows(&auditor.get(&timeline).await.json(200));
    let actions: Vec<_> = seen.iter().map(|event| &event["action"]).collect();
    assert!(
        actions.contains(&&json!("milestone.disbursed")),
        "{actions:?}"
    );
    for event in &seen {
        assert_eq!(event["ip_address"], "127.0.0.1", "{event}");
        assert_eq!(event["user_agent"], Caller::USER_AGENT, "{event}");
        assert_eq!(event["metadata"].get("origin"), None, "{event}");
    }
    for event in rows(&scene.manager.get(&timeline).await.json(200)) {
        assert_eq!(event["ip_address"], json!(null));
        assert_eq!(event["metadata"]["origin"], json!({ "sealed": true }));
    }
}

// S9: told first, asked, done.
async fn commanded(store: StoreKind) {
    let scene = Scene::with(store, sealing());
    let tranche = &scene.tranche;
    let project = scene.project().await;
    let service = tranche.caller("clinic", "service", None);
    send(&service, &[visit(&project, "p-1"), visit(&project, "p-2")])
        .await
        .json(201);
    let run = |more: &[&str]| {
        let command = ["erase", "--subject", "dr-ada", "--reason", "left"];
        let output = tranche.command(&[&command[..], more].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    };
    let in_force = "SELECT count(*) FROM audit_subject_keys WHERE erased_at IS NULL";
    let before = tranche.sql(in_force).await;
    let (done, said) = run(&["--dry-run"]);
    assert!(
        done && said.contains("2 events hold what it sealed; 2 name the subject"),
        "{said}"
    );
    let (done, said) = run(&[]);
    assert!(!done, "nobody says yes: {said}");
    assert_eq!(tranche.sql(in_force).await, before);
    let (done, said) = run(&["--yes"]);
    assert!(done && said.contains("is erased"), "{said}");
    assert_ne!(tranche.sql(in_force).await, before);
    assert!(!run(&["--yes"]).0, "there is nothing left to erase");
    let by = tranche
        .sql("SELECT erased_by FROM audit_subject_keys WHERE erased_at IS NOT NULL")
        .await;
    assert!(by.starts_with("cli:"), "{by}");
    // Before this process looked at it, so that it knows nothing older.
    let auditor = tranche.caller("ola", "auditor", None);
    let seen = visits(&auditor, &project).await;
    assert_eq!(seen[0]["details"]["email"], json!({ "erased": true }));
    assert_eq!(seen[0]["details"]["patient"]["name"], NAME);
}

// S9: each project's key sees its own.
async fn confined(store: StoreKind) {
    let scene = Scene::with(store, sealing());
    let (one, other) = (scene.project().await, scene.project().await);
    let service = scene.tranche.caller("clinic", "service", None);
    send(&service, &[visit(&one, "p-1"), visit(&other, "p-2")])
        .await
        .json(201);
    let (of_one, of_other) = (
        scene.submitted(&one, 1, "5").await,
        scene.submitted(&other, 1, "5").await,
    );
    for (own, foreign, milestone, hidden) in [
        (&one, &other, &of_one, &of_other),
        (&other, &one, &of_other, &of_one),
    ] {
        let auditor = scene.tranche.caller("ola", "auditor", Some(own));
        let own_events = rows(
            &auditor
                .get(&format!("/v1/projects/{own}/activity"))
                .await
                .json(200),
        );
        assert!(own_events.len() >= 4, "{own_events:?}");
        assert!(own_events.iter().all(|event| event["project_id"] == **own));
        auditor
            .get(&format!("/v1/milestones/{milestone}/activity"))
            .await
            .json(200);
        for path in [
            format!("/v1/projects/{foreign}/activity"),
            format!("/v1/milestones/{hidden}/activity"),
        ] {
            assert_eq!(auditor.get(&path).await.status, 404, "{path}");
        }
    }
}

// S9: what cannot be sealed is not kept in clear.
#[tokio::test]
async fn a_rule_that_is_none_stops_the_start() {
    let tranche = Tranche::start(StoreKind::Sqlite, sealing());
    let shown = String::from_utf8(tranche.command(&["config"]).stdout).expect("text");
    let line = "TRANCHE_AUDIT_SEAL=$.email,$.patient.*@$.patient.id,ip_address,user_agent";
    assert!(shown.lines().any(|told| told == line), "{shown}");
    for rules in ["email", "$", "$.a..b", "$.a@$.*", "$.a b", "$.[0]", "phone"] {
        let output = tranche.command(&["config", "--audit-seal", rules]);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{rules}");
        assert!(why.contains("TRANCHE_AUDIT_SEAL"), "{rules}: {why}");
    }
    let service = tranche.caller("clinic", "service", None);
    let mut forged = visit("00000000-0000-7000-8000-000000000000", "p-1");
    forged["details"]["ward"] = json!({ "$sealed": "x", "box": "y" });
    let refused = send(&service, &[forged]).await;
    assert_eq!(refused.refused_fields(), ["entries[0].details"]);
}
