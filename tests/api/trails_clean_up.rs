//! Old trails go: by command, over time by themselves, once over processes; and with their project.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tranche_tests::support::service::{Caller, Options, Sandbox, StoreKind, eventually};

use crate::scene::{Scene, rows};
use crate::trails::{kept_in, message, now, put, read_at, whole, written_at};

on_both_stores! {
    command: old_trails_are_deleted_by_command_on_sqlite,
        old_trails_are_deleted_by_command_on_postgres;
    daily: old_trails_are_deleted_daily_and_once_on_sqlite,
        old_trails_are_deleted_daily_and_once_on_postgres;
    memory: old_trails_leave_the_memory_on_sqlite, old_trails_leave_the_memory_on_postgres;
}

/// A whole trail of a message so many hours ago.
async fn aged(service: &Caller, project: &str, number: u32, hours: i64) {
    let mut body = whole();
    let at = now() - TimeDelta::hours(hours);
    body["created_at"] = json!(at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let at = written_at(project, &message(number));
    put(service, &at, &body).await.json(201);
}

/// The events that tell of clean-ups.
async fn cleaned(auditor: &Caller) -> Vec<Value> {
    let search = "/v1/audit/events?action=trails.cleaned";
    rows(&auditor.get(search).await.json(200))
}

// T5: seven days; a dry run tells, a run does and tells, the second has nothing to do.
async fn command(store: StoreKind) {
    let scene = Scene::with(store, kept_in("database"));
    let project = scene.project().await;
    let [service, auditor] = scene
        .tranche
        .callers([("assessor", "service"), ("uche", "auditor")]);
    for number in 0..5 {
        aged(&service, &project, number, 7 * 24 + 1 + i64::from(number)).await;
    }
    aged(&service, &project, 9, 7 * 24 - 1).await;
    let run = |arguments: &[&str], code: i32| {
        let output = scene
            .tranche
            .command(&[&["trails", "clean"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}{errors}");
        told
    };
    let dry = run(&["--dry-run"], 0);
    assert!(dry.contains("5 trails"), "{dry}");
    service.get(&read_at(&message(0))).await.json(200);
    let done = run(&[], 0);
    assert!(done.contains("5 trails"), "{done}");
    for number in 0..5 {
        let gone = service.get(&read_at(&message(number))).await;
        gone.problem(404, "not_found");
    }
    service.get(&read_at(&message(9))).await.json(200);
    let none = run(&[], 0);
    assert!(none.contains("0 trails"), "{none}");
    let events = eventually("both clean-ups are in the log", async || {
        let events = cleaned(&auditor).await;
        (events.len() == 2).then_some(events)
    })
    .await;
    let told = |event: &Value| {
        (
            event["severity"].clone(),
            event["metadata"]["trails"].clone(),
        )
    };
    assert_eq!(told(&events[0]), (json!("info"), json!(0)));
    assert_eq!(told(&events[1]), (json!("info"), json!(5)));
    // What they cost is still known.
    let from = (now() - TimeDelta::days(20)).format("%Y-%m-%dT%H:00:00Z");
    let path = format!("/v1/projects/{project}/assessment/analytics?from={from}");
    let told = service.get(&path).await.json(200);
    assert_eq!(told["message_count"], 6, "{told}");
}

// T5: at its time of day in its time zone, by one of several processes, not again after a restart.
async fn daily(store: StoreKind) {
    let sandbox = Sandbox::start(200);
    let options = Options {
        ledger: Some(sandbox.settings().await),
        ..kept_in("database")
    };
    let mut scene = Scene::with(store, options);
    let project = scene.project_on(&sandbox.client()).await;
    let [service, auditor] = scene
        .tranche
        .callers([("assessor", "service"), ("uche", "auditor")]);
    aged(&service, &project, 1, 49).await;
    aged(&service, &project, 2, 47).await;
    // A minute ago in Lagos, which is an hour ahead of UTC all year.
    let lagos = now() + TimeDelta::minutes(59);
    let at = lagos.format("%H:%M").to_string();
    scene.tranche.set("TRANCHE_TRAILS_CLEANUP_AT", Some(&at));
    scene
        .tranche
        .set("TRANCHE_TRAILS_TIME_ZONE", Some("Africa/Lagos"));
    scene
        .tranche
        .set("TRANCHE_TRAILS_RETENTION_DAYS", Some("2"));
    for _ in 0..2 {
        scene.tranche.restart_after(Some(0));
        let beside = (store == StoreKind::Postgres).then(|| scene.tranche.replica(&[]));
        eventually("the old trail is gone", async || {
            let read = service.get(&read_at(&message(1))).await;
            (read.status == 404).then_some(())
        })
        .await;
        service.get(&read_at(&message(2))).await.json(200);
        let events = eventually("the clean-up is in the log", async || {
            let events = cleaned(&auditor).await;
            (!events.is_empty()).then_some(events)
        })
        .await;
        assert_eq!(events.len(), 1, "{events:?}");
        drop(beside);
    }
    // One that is old by now waits for the next day.
    aged(&service, &project, 3, 49).await;
    scene.tranche.restart_after(Some(0));
    let metrics = eventually("a scrape", async || {
        let text = scene.tranche.with_token(None).get("/metrics").await.text;
        text.contains("tranche_trails_deleted_total")
            .then_some(text)
    })
    .await;
    assert!(metrics.contains("# HELP tranche_trails_deleted_total"));
    service.get(&read_at(&message(3))).await.json(200);
    assert_eq!(cleaned(&auditor).await.len(), 1);
}

// T5: what is too old is not in the memory either, whoever asks first; the newest stay.
async fn memory(store: StoreKind) {
    let mut options = kept_in("memory");
    options
        .settings
        .push(("TRANCHE_TRAILS_MEMORY_COUNT", "3".to_owned()));
    let scene = Scene::with(store, options);
    let project = scene.project().await;
    let [service] = scene.tranche.callers([("assessor", "service")]);
    aged(&service, &project, 1, 7 * 24 + 1).await;
    let old = service.get(&read_at(&message(1))).await;
    old.problem(404, "not_found");
    for number in 2..7 {
        aged(&service, &project, number, 10 - i64::from(number)).await;
    }
    let mut there = Vec::new();
    for number in 2..7 {
        let read = service.get(&read_at(&message(number))).await;
        if read.status == 200 {
            there.push(number);
        }
    }
    assert_eq!(there, [4, 5, 6], "the oldest go");
    let metrics = scene.tranche.with_token(None).get("/metrics").await.text;
    let figure = |name: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.split(' ').nth(1))
            .map(str::to_owned)
    };
    assert_eq!(
        figure("tranche_trails_memory_entries").as_deref(),
        Some("3")
    );
    let evicted = figure("tranche_trails_evicted_total");
    let evicted: u32 = evicted
        .and_then(|count| count.parse().ok())
        .expect("a count");
    assert!(evicted >= 2, "{metrics}");
    let log = scene.tranche.log();
    assert!(
        log.contains("the oldest are gone before their time"),
        "{log}"
    );
}
