//! The public log over HTTP, checked from outside by a judge that shares no code with it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Options, StoreKind, Tranche, eventually};
use uuid::{NoContext, Timestamp, Uuid};

use crate::scene::{Scene, text};

on_both_stores! {
    judged: an_outsider_verifies_the_log_on_sqlite, an_outsider_verifies_the_log_on_postgres;
    guarded: records_are_for_auditors_on_sqlite, records_are_for_auditors_on_postgres;
    asked_too_early: what_is_not_sealed_is_said_so_on_sqlite,
        what_is_not_sealed_is_said_so_on_postgres;
    forged: an_outsider_finds_what_was_altered_on_sqlite,
        an_outsider_finds_what_was_altered_on_postgres;
}

fn start(store: StoreKind) -> Tranche {
    let options = Options {
        settings: vec![
            ("TRANCHE_RATE_LIMIT", "off".to_owned()),
            ("TRANCHE_LOG_ORIGIN", "audit.example.com/tranche".to_owned()),
        ],
        ..Options::default()
    };
    Tranche::start(store, options)
}

/// Sends so many critical events, and gives their ids.
async fn send(tranche: &Tranche, count: usize) -> Vec<String> {
    let service = tranche.caller("billing", "service", None);
    let mut ids = Vec::new();
    let entries: Vec<Value> = (0..count)
        .map(|number| {
            let id = Uuid::new_v7(Timestamp::now(NoContext)).to_string();
            ids.push(id.clone());
            json!({
                "id": id, "action": "invoice.sent", "resource_type": "invoice",
                "resource_id": format!("inv-{number} “Ọ̀nà”"), "severity": "critical",
                "actor_id": "ada", "details": { "total": "12.50" },
            })
        })
        .collect();
    for entries in entries.chunks(500) {
        let body = json!({ "entries": entries });
        let sent = service.post("/v1/audit/events", &body).await;
        sent.json(201);
    }
    ids
}

/// The checkpoint that is served, once it covers every leaf there is.
async fn checkpoint(tranche: &Tranche) -> String {
    let caller = tranche.caller("ada", "auditor", None);
    eventually("everything is sealed and kept", async || {
        let waiting = tranche.sql("SELECT count(*) FROM audit_pending").await;
        let leaves = tranche.sql("SELECT count(*) FROM audit_leaves").await;
        let served = caller.get("/checkpoint").await;
        let all = waiting == "0" && served.text.lines().nth(1) == Some(leaves.as_str());
        all.then_some(served.text)
    })
    .await
}

fn key(tranche: &Tranche) -> String {
    let told = tranche.command(&["log", "key"]);
    assert!(told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).expect("text");
    told.trim().to_owned()
}

fn judge(tranche: &Tranche, key: &str, more: &[&str]) -> Output {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = tests.join("../.judges/venv/bin/python");
    assert!(python.exists(), "the judge is missing: run make setup");
    Command::new(python)
        .arg(tests.join("judges/python_log.py"))
        .args([&tranche.url(), key])
        .args(more)
        .output()
        .expect("python runs")
}

fn told(output: &Output) -> (bool, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

// S8: with the key alone an outsider checks the signature, every tile and record, the place of an
// event, and that the log extends the checkpoint of before.
async fn judged(store: StoreKind) {
    let tranche = start(store);
    let before = checkpoint(&tranche).await;
    let mut ids = send(&tranche, 300).await;
    let middle = checkpoint(&tranche).await;
    ids.extend(send(&tranche, 300).await);
    let last = checkpoint(&tranche).await;
    let key = key(&tranche);
    assert!(key.starts_with("audit.example.com/tranche+"), "{key}");
    let caller = tranche.caller("ada", "auditor", None);
    let view = caller.get("/v1/audit/log").await.json(200);
    assert_eq!(text(&view, "verifier_key"), key);
    assert_eq!(text(&view, "standing"), "sound");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let file_name = file.path().display().to_string();
    let auditor = tranche.key("ada", "auditor", None);
    for former in [before, middle, last] {
        std::fs::write(file.path(), former).expect("it is written");
        let asked = [
            &auditor, &ids[0], &ids[299], &ids[599], "--former", &file_name,
        ];
        let (sound, found) = told(&judge(&tranche, &key, &asked));
        assert!(sound, "{found}");
        let found: Value = serde_json::from_str(&found).expect("JSON");
        assert!(found["size"].as_u64() >= Some(600), "{found}");
        assert_eq!(found["size"], found["records"]);
        assert_eq!(
            found["events"].as_object().map(serde_json::Map::len),
            Some(3)
        );
    }
    let (sound, found) = told(&judge(&tranche, &key, &[]));
    assert!(sound, "without a credential, all but the records: {found}");
}

// S8: who alters a hash, a row or the checkpoint in the database is found out from outside.
async fn forged(store: StoreKind) {
    let tranche = start(store);
    let ids = send(&tranche, 300).await;
    checkpoint(&tranche).await;
    let (key, auditor) = (key(&tranche), tranche.key("ada", "auditor", None));
    let all = |ids: &[String]| {
        let asked = [auditor.as_str(), ids[7].as_str()];
        told(&judge(&tranche, &key, &asked))
    };
    let (sound, found) = all(&ids);
    assert!(sound, "{found}");
    // Nobody else's key will do.
    let other = key.replace("audit.example.com", "audit.example.org");
    let (sound, found) = told(&judge(&tranche, &other, &[]));
    assert!(!sound && found.contains("id is not its own"), "{found}");

    let column = "UPDATE audit_events SET resource_id = 'inv-8' WHERE id = ";
    let update = format!("{column}'{}'", ids[7]);
    forge(&tranche, "audit_events", &update).await;
    let (sound, found) = all(&ids);
    assert!(
        !sound && found.contains("is not what was hashed"),
        "{found}"
    );
    let caller = tranche.caller("ada", "auditor", None);
    let refused = caller
        .get(&format!("/v1/audit/events/{}/proof", ids[7]))
        .await;
    refused.problem(500, "audit.altered");
    let sound = caller
        .get(&format!("/v1/audit/events/{}/proof", ids[8]))
        .await;
    sound.json(200);

    let hash = match store {
        StoreKind::Sqlite => "UPDATE audit_nodes SET hash = zeroblob(32)",
        StoreKind::Postgres => "UPDATE audit_nodes SET hash = decode(repeat('00', 32), 'hex')",
    };
    forge(&tranche, "audit_nodes", hash).await;
    let (sound, found) = all(&ids);
    // The service may have come upon it too, and gives no tiles then.
    let is_found = ["is not of those below", "audit.contradicted"].map(|why| found.contains(why));
    assert!(!sound && is_found.contains(&true), "{found}");
}

/// How many bytes the answer has.
fn length(answer: &Answer) -> usize {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/octet-stream");
    assert!(answer.header("cache-control").contains("immutable"));
    answer.header("content-length").parse().expect("a length")
}

/// Past every rule of the schema, as whoever owns the database can.
async fn forge(tranche: &Tranche, table: &str, update: &str) {
    let without_rules = match tranche.store {
        StoreKind::Sqlite => format!("DROP TRIGGER {table}_no_update;"),
        StoreKind::Postgres => "SET session_replication_role = replica;".to_owned(),
    };
    tranche.sql(&format!("{without_rules} {update};")).await;
}

// S8 S9: hashes are for everybody; records, which name resources, are for auditors of everything.
async fn guarded(store: StoreKind) {
    let scene = Scene::new(store);
    let (tranche, project) = (&scene.tranche, scene.project().await);
    let ids = send(tranche, 300).await;
    checkpoint(tranche).await;
    let nobody = tranche.with_token(None);
    assert_eq!(length(&nobody.get("/tile/0/000").await), 256 * 32);
    assert_eq!(length(&nobody.get("/tile/0/001.p/3").await), 3 * 32);
    assert_eq!(length(&nobody.get("/tile/1/000.p/1").await), 32);
    for none in [
        "/tile/0/002",
        "/tile/0/001",
        "/tile/1/000",
        "/tile/9/000",
        "/tile/0/0",
        "/tile/00/000",
        "/tile/x",
        "/tile/255/000.p/1",
        "/tile/-1/000",
    ] {
        nobody.get(none).await.problem(404, "not_found");
    }
    let records = "/tile/entries/000";
    nobody.get(records).await.problem(401, "auth.missing");
    let viewer = tranche.caller("vera", "viewer", None);
    viewer.get(records).await.problem(403, "auth.role_required");
    let auditor = tranche.caller("ada", "auditor", None);
    let given = auditor.get(records).await;
    assert!(length(&given) > 256 * 100);
    assert_eq!(given.header("ratelimit-limit"), "100");
    let confined = tranche.caller("paul", "auditor", Some(&project));
    let refused = confined.get(records).await;
    refused.problem(403, "auth.out_of_scope");
    // Somebody who sees one project sees no proof of another's event.
    let proof = format!("/v1/audit/events/{}/proof", ids[0]);
    confined.get(&proof).await.problem(404, "not_found");
    let shown = viewer.get(&proof).await.json(200);
    assert_eq!(shown["leaf_record"], Value::Null);
    let given = auditor.get(&proof).await;
    assert_eq!(given.header("ratelimit-limit"), "100");
    let shown = given.json(200);
    assert!(text(&shown, "leaf_record").contains(&ids[0]), "{shown}");
    for (what, readers) in [("tile/entries/000", "1"), (ids[0].as_str(), "2")] {
        let reads = format!(
            "SELECT count(*) FROM audit_events
             WHERE action = 'audit.read' AND resource_id = '{what}'"
        );
        eventually("it is on record who read it", async || {
            (tranche.sql(&reads).await == readers).then_some(())
        })
        .await;
    }
    let unknown = format!("/v1/audit/events/{project}/proof");
    auditor.get(&unknown).await.problem(404, "not_found");
    let beyond = auditor.get("/v1/audit/consistency?from=1&to=100000").await;
    beyond.problem(422, "request.invalid");
    let backwards = auditor.get("/v1/audit/consistency?from=9&to=3").await;
    backwards.problem(422, "request.invalid");
    auditor
        .get("/v1/audit/consistency")
        .await
        .problem(422, "request.invalid");
}

// S8: an event that is stored and not sealed has no proof yet, and its answer says so.
async fn asked_too_early(store: StoreKind) {
    let tranche = start(store);
    checkpoint(&tranche).await;
    let refuse = match store {
        StoreKind::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON audit_leaves
             BEGIN SELECT RAISE(ABORT, 'away'); END"
        }
        StoreKind::Postgres => {
            "ALTER TABLE audit_leaves ADD CONSTRAINT refuse CHECK (false) NOT VALID"
        }
    };
    tranche.sql(refuse).await;
    let ids = send(&tranche, 1).await;
    let caller = tranche.caller("ada", "auditor", None);
    let proof = format!("/v1/audit/events/{}/proof", ids[0]);
    caller.get(&proof).await.problem(409, "audit.not_sealed");
    let allow = match store {
        StoreKind::Sqlite => "DROP TRIGGER refuse",
        StoreKind::Postgres => "ALTER TABLE audit_leaves DROP CONSTRAINT refuse",
    };
    tranche.sql(allow).await;
    eventually("it is proven", async || {
        (caller.get(&proof).await.status == 200).then_some(())
    })
    .await;
}
