//! The way from memory to the database while people write: nothing that was acknowledged is lost.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, StoreKind, eventually};

use crate::scene::{Scene, rows};
use crate::trails::{kept_in, message, put, read_at, whole, written_at};

on_both_stores! {
    refused: trails_are_not_left_behind_on_sqlite, trails_are_not_left_behind_on_postgres;
    told: a_copy_that_differs_is_told_on_sqlite, a_copy_that_differs_is_told_on_postgres;
}

// Writers have threads of their own, so that they go on while commands run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_trail_is_lost_on_the_way_on_sqlite() {
    drill(StoreKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_trail_is_lost_on_the_way_on_postgres() {
    drill(StoreKind::Postgres).await;
}

const BACKEND: &str = "/v1/assessment/trails/backend";
/// Writers at once, each with messages of its own.
const WRITERS: u32 = 4;
/// Messages of each writer.
const EACH: u32 = 12;

/// Messages that nobody writes any more: they come over by migration alone.
const QUIET: u32 = 120;

/// What was acknowledged last of each message.
type Acknowledged = BTreeMap<String, Value>;

/// Runs a command on trails as this administrator; it must end with this code.
fn trails(scene: &Scene, admin: &str, arguments: &[&str], code: i32) -> String {
    let server = ["--server", &scene.tranche.url(), "--api-key", admin].map(str::to_owned);
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    let all = [&["trails"], arguments, &server].concat();
    let Output {
        status,
        stdout,
        stderr,
    } = scene.tranche.command(&all);
    let told = [stdout, stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert_eq!(status.code(), Some(code), "{arguments:?}: {told}");
    assert!(!told.contains(admin), "the key is not told");
    told
}

/// Opens, completes and amends its messages until told to stop; gives what was acknowledged.
async fn write(
    service: Caller,
    project: String,
    writer: u32,
    written: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut round = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        for number in 0..EACH {
            let message = message(writer * 1_000 + number);
            let at = written_at(&project, &message);
            let answer = match (round + number) % 3 {
                0 => {
                    let mut body = whole();
                    body["context_layers"] = json!({ "writer": writer, "round": round });
                    put(&service, &at, &body).await
                }
                _ if round == 0 => put(&service, &at, &json!({})).await,
                1 => {
                    let body =
                        json!({ "reasoning_traces": [round], "model": format!("m-{round}") });
                    service.patch(&at, &body).await
                }
                _ => {
                    let body = json!({ "tokens": { "prompt": round, "completion": 1 } });
                    service.patch(&at, &body).await
                }
            };
            assert!([200, 201].contains(&answer.status), "{}", answer.text);
            acknowledged.insert(message, answer.json(answer.status));
            written.fetch_add(1, Ordering::Relaxed);
        }
        round += 1;
    }
    acknowledged
}

/// Waits until so many more writes were acknowledged, so that each step is taken amid them.
async fn more_writes(written: &AtomicU32) {
    let aim = written.load(Ordering::Relaxed) + 60;
    eventually("writers go on", async || {
        (written.load(Ordering::Relaxed) >= aim).then_some(())
    })
    .await;
}

// T2: memory, dual, migrate, compare, database, restart: every acknowledged write is there as it was
// acknowledged last.
async fn drill(store: StoreKind) {
    let mut scene = Scene::with(store, kept_in("memory"));
    let project = scene.project().await;
    let admin = scene.tranche.key("ada", "admin", None);
    let [service, auditor] = scene
        .tranche
        .callers([("assessor", "service"), ("uche", "auditor")]);
    let mut quiet = Acknowledged::new();
    for number in 90_000..90_000 + QUIET {
        let at = written_at(&project, &message(number));
        let view = put(&service, &at, &whole()).await.json(201);
        quiet.insert(message(number), view);
    }
    let (written, stop) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let writers: Vec<_> = (1..=WRITERS)
        .map(|writer| {
            tokio::spawn(write(
                service.clone(),
                project.clone(),
                writer,
                written.clone(),
                stop.clone(),
            ))
        })
        .collect();
    more_writes(&written).await;
    assert!(trails(&scene, &admin, &["backend"], 0).contains("memory"));
    trails(&scene, &admin, &["backend", "dual"], 0);
    more_writes(&written).await;
    let migrated = trails(&scene, &admin, &["migrate"], 0);
    assert!(migrated.contains("trails"), "{migrated}");
    more_writes(&written).await;
    trails(&scene, &admin, &["compare"], 0);
    trails(&scene, &admin, &["backend", "database"], 0);
    more_writes(&written).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = quiet;
    for writer in writers {
        acknowledged.append(&mut writer.await.expect("a writer ends"));
    }
    assert_eq!(
        acknowledged.len(),
        usize::try_from(QUIET + WRITERS * EACH).expect("few")
    );

    scene.tranche.set("TRANCHE_TRAILS", Some("database"));
    scene.tranche.restart_after(Some(0));
    for (message, expected) in &acknowledged {
        let found = service.get(&read_at(message)).await.json(200);
        assert_eq!(&found, expected, "{message}");
    }
    let count = "SELECT count(*) FROM assessment_trails";
    assert_eq!(
        scene.tranche.sql(count).await,
        acknowledged.len().to_string()
    );
    let search = "/v1/audit/events?action=trails.backend_switched";
    let events = eventually("both switches are in the log", async || {
        let events = rows(&auditor.get(search).await.json(200));
        (events.len() == 2).then_some(events)
    })
    .await;
    assert!(events.iter().all(|event| event["severity"] == "warning"));
    let metrics = scene.tranche.with_token(None).get("/metrics").await.text;
    assert!(
        metrics.contains("tranche_trails_mismatches_total 0"),
        "{metrics}"
    );
}

// T2: nobody goes to the database while the memory holds what it lacks; reads mend it one by one.
async fn refused(store: StoreKind) {
    let scene = Scene::with(store, kept_in("memory"));
    let project = scene.project().await;
    let [service, admin] = scene
        .tranche
        .callers([("assessor", "service"), ("ada", "admin")]);
    for number in 0..3 {
        put(&service, &written_at(&project, &message(number)), &whole())
            .await
            .json(201);
    }
    let switch = async |to: &str| put(&admin, BACKEND, &json!({ "backend": to })).await;
    switch("database").await.problem(409, "trails.not_copied");
    switch("redis").await.refused_fields();
    let shown = switch("dual").await.json(200);
    assert_eq!(shown["backend"], "dual");
    assert_eq!(admin.get(BACKEND).await.json(200)["backend"], "dual");
    switch("database").await.problem(409, "trails.not_copied");
    let compare = async || {
        let path = "/v1/assessment/trails/comparison";
        admin.post(path, &json!({})).await.json(200)
    };
    let compared = compare().await;
    assert_eq!(compared["compared"], 3);
    assert_eq!(
        compared["missing"],
        json!([message(0), message(1), message(2)])
    );
    // Whoever reads one brings it over, and so does whoever writes it.
    service.get(&read_at(&message(0))).await.json(200);
    let at = written_at(&project, &message(1));
    let patched = service.patch(&at, &json!({ "model": "m" })).await.json(200);
    assert_eq!(patched["version"], 2);
    let compared = compare().await;
    assert_eq!(
        (&compared["missing"], &compared["differing"]),
        (&json!([message(2)]), &json!([]))
    );
    let migrate = async |body: &Value| {
        let path = "/v1/assessment/trails/migration";
        admin.post(path, body).await
    };
    let first = migrate(&json!({ "limit": 2 })).await.json(200);
    assert_eq!((&first["copied"], &first["total"]), (&json!(0), &json!(3)));
    let after = first["next_after"].clone();
    assert_eq!(after, message(1));
    let rest = migrate(&json!({ "after": after })).await.json(200);
    assert_eq!(
        (&rest["copied"], &rest["next_after"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(
        migrate(&json!({ "limit": 0 })).await.refused_fields(),
        ["limit"]
    );
    assert_eq!(
        migrate(&json!({ "after": "x" })).await.refused_fields(),
        ["after"]
    );
    assert_eq!(switch("database").await.json(200)["backend"], "database");
    for number in 0..3 {
        service.get(&read_at(&message(number))).await.json(200);
    }
}

// T2: what is missing or differs is told by message and field, with an exit code, and never mended
// unasked.
async fn told(store: StoreKind) {
    let scene = Scene::with(store, kept_in("dual"));
    let project = scene.project().await;
    let admin = scene.tranche.key("ada", "admin", None);
    let [service] = scene.tranche.callers([("assessor", "service")]);
    for number in 0..3 {
        put(&service, &written_at(&project, &message(number)), &whole())
            .await
            .json(201);
    }
    trails(&scene, &admin, &["compare"], 0);
    let [one, two] = [message(1), message(2)];
    scene
        .tranche
        .sql(&format!(
            "UPDATE assessment_trails SET model = 'another' WHERE message_id = '{one}';
             DELETE FROM assessment_trails WHERE message_id = '{two}';"
        ))
        .await;
    let compared = trails(&scene, &admin, &["compare"], 1);
    assert!(
        compared.contains(&one) && compared.contains("model"),
        "{compared}"
    );
    assert!(
        compared.contains(&two) && compared.contains("1 missing"),
        "{compared}"
    );
    // Reads go by the database, count what differs, and say so in the log.
    let read = service.get(&read_at(&one)).await.json(200);
    assert_eq!(read["model"], "another");
    let metrics = scene.tranche.with_token(None).get("/metrics").await.text;
    let counted = metrics
        .lines()
        .find(|line| line.starts_with("tranche_trails_mismatches_total "));
    assert!(
        counted.is_some_and(|line| !line.ends_with(" 0")),
        "{metrics}"
    );
    let log = scene.tranche.log();
    let line = log
        .lines()
        .find(|line| line.contains(&one) && line.contains("not the same"));
    let line = line.unwrap_or_else(|| panic!("no line tells of it: {log}"));
    assert!(!line.contains("The roof is on"), "{line}");
    let wrong = trails(&scene, "trk_0_wrong", &["compare"], 1);
    assert!(
        wrong.contains("auth.invalid") || wrong.contains("unknown"),
        "{wrong}"
    );
}
