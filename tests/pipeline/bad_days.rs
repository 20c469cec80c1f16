//! Everything else that goes wrong around the service.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tranche_tests::support::redis::Redis;
use tranche_tests::support::service::{Options, StoreKind, Tranche, eventually};

use crate::load::{ACTION, Load, all_are_in_the_log, event, id};

fn start(store: StoreKind, more: &[(&'static str, &str)]) -> Tranche {
    let mut settings = vec![("TRANCHE_RATE_LIMIT", "off".to_owned())];
    settings.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let options = Options {
        settings,
        log: "warn",
        ..Options::default()
    };
    Tranche::start(store, options)
}

/// Something is wrong with the log for a while, and then it is not.
async fn through(tranche: &Tranche, wrong: impl Fn(), right: impl Fn()) {
    let service = tranche.caller("reports", "service", None);
    let load = Load::start(&service, 2, 20, "info");
    load.more(100).await;
    tokio::task::block_in_place(wrong);
    load.more(400).await;
    tokio::task::block_in_place(right);
    let sent = load.stop().await;
    assert_eq!(sent.refused, 0, "ordinary events are taken throughout");
    all_are_in_the_log(tranche, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_locked_is_waited_for() {
    let tranche = start(StoreKind::Postgres, &[]);
    let database = tranche.database();
    let lock = "BEGIN; LOCK TABLE audit_events; SELECT pg_sleep(4); COMMIT";
    let obey = |sql: &str| drop(database.run(sql).expect("the server obeys"));
    through(&tranche, || obey(lock), || ()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_read_only_is_waited_for() {
    let tranche = start(StoreKind::Postgres, &[]);
    let database = tranche.database();
    let name = database.name();
    let set = |value: &str| {
        // The session that says so may write, whatever it says.
        let sql = format!(
            "BEGIN; SET TRANSACTION READ WRITE;
             ALTER DATABASE {name} SET default_transaction_read_only = {value}; COMMIT;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
        drop(database.run(&sql).expect("the server obeys"));
    };
    through(&tranche, || set("on"), || set("off")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_disk_is_full_is_waited_for() {
    let tranche = start(StoreKind::Postgres, &[]);
    let database = tranche.database();
    let obey = |sql: &str| drop(database.run(sql).expect("the server obeys"));
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON audit_events FOR EACH ROW
        EXECUTE FUNCTION full_disk()";
    let free = "DROP TRIGGER full_disk ON audit_events";
    through(&tranche, || obey(full), || obey(free)).await;
    let letters = tranche.command(&["dead-letters", "list"]);
    assert_eq!(
        String::from_utf8_lossy(&letters.stdout),
        "",
        "nobody is to blame"
    );
}

/// P2, F2: queue and spool full, and the log away: refused, counted, on stderr, and told in the log
/// once it is back.
#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_place_is_refused_and_told() {
    let small = [
        ("TRANCHE_QUEUE_LIMIT", "100"),
        ("TRANCHE_SPOOL_LIMIT", "1000000"),
    ];
    let tranche = start(StoreKind::Sqlite, &small);
    let service = tranche.caller("reports", "service", None);
    let auditor = tranche.caller("ada", "auditor", None);
    tranche.break_audit().await;
    let acknowledged = AtomicU64::new(0);
    let refused = eventually("everything is full", async || {
        let mut entries: Vec<Value> = (0..200).map(|_| event(id(), "info")).collect();
        for entry in &mut entries {
            entry["details"] = json!({ "note": "n".repeat(2000) });
        }
        let answer = service
            .post("/v1/audit/events", &json!({ "entries": entries }))
            .await;
        let told: Value = serde_json::from_str(&answer.text).expect("JSON");
        let accepted = told["accepted"].as_u64().unwrap_or(0);
        acknowledged.fetch_add(accepted, Ordering::SeqCst);
        (answer.status == 503).then_some(answer)
    })
    .await;
    let acknowledged = acknowledged.into_inner();
    refused.problem(503, "audit.queue_full");
    assert!(!refused.header("retry-after").is_empty());
    assert!(acknowledged > 100, "queue and spool took {acknowledged}");
    let metrics = auditor.get("/v1/monitoring/audit-metrics").await.json(200);
    let dropped = metrics["dropped"].as_u64().expect("a count");
    assert!(dropped >= 200, "{metrics}");
    assert!(
        metrics["spool_bytes"].as_u64() <= Some(1_000_000),
        "{metrics}"
    );
    let log = tranche.log();
    let lost = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["kind"] == "audit.fallback" && line["fate"] == "lost")
        .expect("a line tells what was lost");
    assert_eq!(lost["event"]["action"], ACTION, "{lost}");
    assert_eq!(
        lost["event"]["details"]["note"].as_str().map(str::len),
        Some(2000)
    );

    tranche.heal_audit().await;
    let stored = format!("SELECT count(*) FROM audit_events WHERE action = '{ACTION}'");
    eventually("what was accepted is in the log", async || {
        (tranche.sql(&stored).await == acknowledged.to_string()).then_some(())
    })
    .await;
    let told = "SELECT metadata FROM audit_events WHERE action = 'audit.events_lost'";
    let metadata = eventually("the loss is told", async || {
        let metadata = tranche.sql(told).await;
        (!metadata.is_empty()).then_some(metadata)
    })
    .await;
    let counted: u64 = metadata
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["count"].clone())
        .map(|count| count.as_u64().expect("a count"))
        .sum();
    assert!(counted >= dropped, "{metadata}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_the_spool_takes_what_comes() {
    let redis = Redis::start().expect("Redis");
    let tranche = start(StoreKind::Postgres, &[("TRANCHE_QUEUE", &redis.url())]);
    let service = tranche.caller("reports", "service", None);
    let load = Load::start(&service, 2, 20, "info");
    load.more(200).await;
    redis.kill().expect("it is killed");
    load.more(400).await;
    redis.restart().expect("it starts");
    load.more(200).await;
    let sent = load.stop().await;
    assert_eq!(sent.refused, 0);
    all_are_in_the_log(&tranche, &sent).await;
}

/// What was acknowledged stays owed when the queue is another one from the next start on.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_embedded_queue_held_comes_into_the_log_after_a_change_to_redis() {
    let redis = Redis::start().expect("Redis");
    let mut tranche = start(StoreKind::Postgres, &[]);
    let service = tranche.caller("reports", "service", None);
    let obey = |tranche: &Tranche, sql: &str| {
        drop(tranche.database().run(sql).expect("the server obeys"));
    };
    obey(&tranche, "ALTER TABLE audit_events RENAME TO away");
    let load = Load::start(&service, 1, 10, "info");
    load.more(50).await;
    let sent = load.stop().await;
    tranche.kill();
    obey(&tranche, "ALTER TABLE away RENAME TO audit_events");
    tranche.restart_with(&[("TRANCHE_QUEUE", redis.url())]);
    all_are_in_the_log(&tranche, &sent).await;
}

/// F1: a Sentry that never answers holds nobody up.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentry_that_is_silent_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let dsn = format!("http://key@{address}/1");
    let mut tranche = start(StoreKind::Sqlite, &[("TRANCHE_SENTRY_DSN", &dsn)]);
    let service = tranche.caller("reports", "service", None);
    tranche.break_audit().await;
    let entries: Vec<Value> = (0..100).map(|_| event(id(), "critical")).collect();
    for entry in &entries {
        let began = Instant::now();
        let body = json!({ "entries": [entry] });
        service.post("/v1/audit/events", &body).await.json(503);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    tranche.heal_audit().await;
    let began = Instant::now();
    assert_eq!(tranche.terminate(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(45),
        "{:?}",
        began.elapsed()
    );
}
