//! Copies of the log: over HTTP, by command, and proven without either.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, Options, StoreKind, Tranche, eventually};

use crate::scene::id;

on_both_stores! {
    proven: a_copy_is_proven_without_the_service_on_sqlite,
        a_copy_is_proven_without_the_service_on_postgres;
    tables: tables_are_for_people_on_sqlite, tables_are_for_people_on_postgres;
    commanded: a_command_copies_without_the_service_on_sqlite,
        a_command_copies_without_the_service_on_postgres;
}

const EXPORT: &str = "/v1/audit/export";

fn start(store: StoreKind) -> Tranche {
    let options = Options {
        settings: vec![("TRANCHE_RATE_LIMIT", "off".to_owned())],
        ..Options::default()
    };
    Tranche::start(store, options)
}

/// Sends so many events, and waits until the whole log is sealed.
async fn filled(tranche: &Tranche, service: &Caller, count: usize) {
    let event = |n: usize| {
        json!({
            "action": format!("invoice.step_{}", n % 3), "resource_type": "invoice",
            "resource_id": format!("=inv-{n}"), "severity": "critical", "actor_id": "clerk",
            "details": { "total": n, "share": 0.25 },
        })
    };
    let entries: Vec<Value> = (0..count).map(event).collect();
    let body = json!({ "entries": entries });
    service.post("/v1/audit/events", &body).await.json(201);
    let waits = "SELECT (SELECT count(*) FROM audit_pending) + (SELECT count(*) FROM audit_outbox)";
    eventually("everything is sealed", async || {
        (tranche.sql(waits).await == "0").then_some(())
    })
    .await;
}

/// The text of a copy, in a file.
fn file(tranche: &Tranche, name: &str, text: &str) -> PathBuf {
    let path = tranche.data_dir().join(name);
    fs::write(&path, text).expect("it is written");
    path
}

/// What the command says of a copy: its exit code, and its lines.
fn verify(tranche: &Tranche, copy: &str, key: Option<&str>) -> (Option<i32>, String, String) {
    let copy = file(tranche, "copy.ndjson", copy);
    let mut arguments = vec!["verify", "--export", copy.to_str().expect("a plain path")];
    if let Some(key) = key {
        arguments.extend(["--key", key]);
    }
    let done = tranche.command(&arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

// S8 S11: on another machine, with no database and no network, and with the key of the log.
async fn proven(store: StoreKind) {
    let mut tranche = start(store);
    let [service, auditor] = tranche.callers([("billing", "service"), ("ada", "auditor")]);
    filled(&tranche, &service, 40).await;
    let whole = auditor.get(&format!("{EXPORT}?format=ndjson")).await;
    let kind = whole.header("content-type").to_owned();
    assert_eq!((whole.status, kind.as_str()), (200, "application/x-ndjson"));
    let part = auditor
        .get(&format!("{EXPORT}?format=ndjson&action=invoice.step_1"))
        .await;
    let end: Value = whole
        .text
        .lines()
        .last()
        .map(|line| serde_json::from_str(line).expect("the end is JSON"))
        .expect("an end");
    let key = end["end"]["verifier_key"]
        .as_str()
        .expect("a key")
        .to_owned();
    assert_eq!(tranche.terminate(), Some(0));
    // Nothing there to be asked.
    tranche.set("TRANCHE_DATABASE_URL", Some("postgres://127.0.0.1:1/none"));

    let (code, words, warned) = verify(&tranche, &whole.text, Some(&key));
    assert_eq!(
        (code, warned.contains("WARNING")),
        (Some(0), false),
        "{words}{warned}"
    );
    let (code, words, _) = verify(&tranche, &part.text, Some(&key));
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains(": 13 events; "), "{words}");
    let (code, _, warned) = verify(&tranche, &whole.text, None);
    assert_eq!(
        (code, warned.contains("WARNING")),
        (Some(0), true),
        "{warned}"
    );

    let line = whole.text.lines().find(|line| line.contains("=inv-7\""));
    let line = line.expect("the event");
    let event: Value = serde_json::from_str(line).expect("it is JSON");
    let altered = whole.text.replace(line, &line.replace("clerk", "clerc"));
    let (code, words, _) = verify(&tranche, &altered, Some(&key));
    assert_eq!(code, Some(1));
    let named = id(&event["event"]);
    assert!(
        words.contains("row_altered") && words.contains(&named),
        "{words}"
    );
    let dropped = whole.text.replace(&format!("{line}\n"), "");
    let (code, words, _) = verify(&tranche, &dropped, Some(&key));
    assert!(
        code == Some(1) && words.contains("line_misplaced"),
        "{words}"
    );
    let cut: String = whole.text.chars().take(whole.text.len() / 2).collect();
    let (code, words, _) = verify(&tranche, &cut, Some(&key));
    assert!(
        code == Some(1) && words.contains("export_cut_off"),
        "{words}"
    );

    let unreadable = tranche.command(&["verify", "--export", "/none/copy.ndjson"]);
    assert_eq!(unreadable.status.code(), Some(2));
}

// S11: who may, what comes, and what is told of it.
async fn tables(store: StoreKind) {
    let tranche = start(store);
    let [service, auditor, viewer] = tranche.callers([
        ("billing", "service"),
        ("ada", "auditor"),
        ("vic", "viewer"),
    ]);
    filled(&tranche, &service, 40).await;
    let csv = auditor
        .get(&format!("{EXPORT}?format=csv&action=invoice.step_1"))
        .await;
    assert_eq!(csv.status, 200);
    let name = csv.header("content-disposition").to_owned();
    assert!(
        name.starts_with("attachment; filename=\"tranche-audit-") && name.ends_with(".csv\""),
        "{name}"
    );
    let lines: Vec<&str> = csv.text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 14, "{}", csv.text);
    assert!(lines[0].starts_with("id,occurred_at,"), "{}", lines[0]);
    assert!(lines[1].contains(",'=inv-"), "no formula: {}", lines[1]);
    let parquet = auditor.get(&format!("{EXPORT}?format=parquet")).await;
    assert!(
        parquet.status == 200 && parquet.text.starts_with("PAR1") && parquet.text.ends_with("PAR1")
    );

    let refused = auditor
        .get(&format!("{EXPORT}?format=xml&severity=grave"))
        .await;
    assert_eq!(refused.refused_fields(), ["format", "severity"]);
    assert_eq!(auditor.get(EXPORT).await.refused_fields(), ["format"]);
    assert_eq!(
        auditor
            .get(&format!("{EXPORT}?format=csv&limit=3"))
            .await
            .refused_fields(),
        ["limit"]
    );
    viewer
        .get(&format!("{EXPORT}?format=csv"))
        .await
        .problem(403, "auth.role_required");

    let recorded = "SELECT count(*) FROM audit_events WHERE action = 'audit.exported'";
    eventually("both copies are in the log", async || {
        (tranche.sql(recorded).await == "2").then_some(())
    })
    .await;
    let all = auditor
        .get("/v1/audit/events?action=audit.exported")
        .await
        .json(200);
    let of_csv = all["data"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|row| row["resource_id"] == "csv");
    let of_csv = of_csv.expect("the copy");
    assert_eq!(of_csv["metadata"]["rows"], 13);
    assert_eq!(of_csv["metadata"]["complete"], "true");
    let filter = of_csv["metadata"]["filter"].as_str().expect("a text");
    assert!(filter.contains("invoice.step_1"), "{filter}");
    assert_eq!(of_csv["actor"]["id"], "ada");
}

// S11: straight from the store; the file appears when it is whole, and is not overwritten.
async fn commanded(store: StoreKind) {
    let mut tranche = start(store);
    let [service] = tranche.callers([("billing", "service")]);
    filled(&tranche, &service, 40).await;
    assert_eq!(tranche.terminate(), Some(0));
    let out = tranche.data_dir().join("copy.csv");
    let path = out.to_str().expect("a plain path");
    let export = |more: &[&str]| {
        let mut arguments = vec!["export", "--format", "csv", "--out", path];
        arguments.extend(more);
        tranche.command(&arguments)
    };
    let done = export(&["--action", "invoice.step_1"]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success() && told.contains("13 rows in ") && told.contains("rows/s"),
        "{told}"
    );
    assert_eq!(
        fs::read_to_string(&out).expect("a file").lines().count(),
        14
    );
    let again = export(&[]);
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && told.contains("--force"),
        "{told}"
    );
    assert_eq!(
        fs::read_to_string(&out).expect("a file").lines().count(),
        14,
        "as it was"
    );
    assert!(export(&["--force"]).status.success());
    assert!(fs::read_to_string(&out).expect("a file").lines().count() > 40);
    let wrong = export(&["--force", "--from", "yesterday", "--severity", "grave"]);
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        told.contains("--from must be") && told.contains("--severity must be"),
        "{told}"
    );
    assert_eq!(parts(&tranche), 0);
    let mode = fs::metadata(&out).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "what it holds is its owner's");

    // A store that cannot be read leaves what was there, and says so in the log when it is back.
    let before = fs::read(&out).expect("a file");
    let rename = "ALTER TABLE audit_events RENAME COLUMN";
    tranche.sql(&format!("{rename} user_agent TO away")).await;
    let broken = export(&["--force"]);
    tranche.sql(&format!("{rename} away TO user_agent")).await;
    let told = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(!broken.status.success(), "{told}");
    assert_eq!(fs::read(&out).expect("a file"), before, "as it was");
    assert_eq!(parts(&tranche), 0);
    tranche.restart();
    let auditor = tranche.caller("ada", "auditor", None);
    let copies = "/v1/audit/events?action=audit.exported&resource_id=csv";
    let newest = eventually("three copies are in the log", async || {
        let copies = auditor.get(copies).await.json(200)["data"].clone();
        let copies = copies.as_array().cloned().unwrap_or_default();
        (copies.len() == 3).then(|| copies[0]["metadata"].clone())
    })
    .await;
    assert_eq!(
        (&newest["complete"], &newest["rows"]),
        (&json!("false"), &json!(0))
    );
    assert!(newest["broke_off"].is_string(), "{newest}");
}

/// How many drafts of copies are in the service's folder.
fn parts(tranche: &Tranche) -> usize {
    let entries = fs::read_dir(tranche.data_dir()).expect("a folder");
    let parts = entries.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".part")
    });
    parts.count()
}
