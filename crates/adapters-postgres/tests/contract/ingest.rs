//! How fast events come into the log and get their numbers, beside COPY of the same rows into the
//! same table: a measurement on a server that flushes every commit. Trust the ratios.
//!
//! ```sh
//! tests/support/with-postgres.sh cargo test --release --locked -p tranche-adapters-postgres \
//!     ingest -- --ignored --nocapture
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tranche_adapters_postgres::PostgresStore;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_store::AuditStore;
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::pipeline::events;
use tranche_tests::contract::scene::World;
use tranche_tests::contract::tree::number;

use super::subject::{Subject, fresh};

const ROUNDS: usize = 3;
/// Rows of one writer in one cell.
const ROWS: usize = 12_000;
/// How many leaves get their numbers at a time.
const AT_ONCE: u32 = 10_000;

type Batch = Vec<Arc<EventRecord>>;

/// The row as COPY reads it. The events here hold nothing but backslashes to escape.
fn line(event: &EventRecord, recorded_at: &str) -> String {
    let none = || "\\N".to_owned();
    let escaped = |text: String| text.replace('\\', "\\\\");
    let json = |value: &serde_json::Value| match value {
        serde_json::Value::Null => none(),
        some => escaped(some.to_string()),
    };
    [
        event.id.to_string(),
        none(),
        event.project_id.map_or_else(none, |id| id.to_string()),
        event.occurred_at.to_rfc3339(),
        event.severity.clone(),
        event.action.clone(),
        event.actor.id.clone(),
        none(),
        event.resource_type.clone(),
        none(),
        none(),
        none(),
        json(&event.changes),
        json(&event.metadata),
        json(&event.details),
        event.ip_address.map_or_else(none, |ip| ip.to_string()),
        event.user_agent.clone().unwrap_or_else(none),
        event.request_id.clone().unwrap_or_else(none),
        format!("\\\\x{}", hex::encode(event.salt)),
        recorded_at.to_owned(),
    ]
    .join("\t")
}

const COPY: &str = "COPY audit_events (id, milestone_id, project_id, occurred_at, severity, action, \
    actor_id, actor_role, resource_type, resource_id, previous_status, new_status, changes, \
    metadata, details, ip_address, user_agent, request_id, salt, recorded_at) FROM STDIN";

/// What each writer writes, in batches.
fn stock(world: &World, writers: usize, batch: usize) -> Vec<Vec<Batch>> {
    let one = |_| (0..ROWS / batch).map(|_| events(world, batch)).collect();
    (0..writers).map(one).collect()
}

fn rate(rows: usize, took: Duration) -> u128 {
    rows as u128 * 1_000_000 / took.as_micros().max(1)
}

async fn copy(subject: &Subject, world: &World, writers: usize) -> u128 {
    let recorded_at = world.now().to_rfc3339();
    let text = |batch: &Batch| {
        let lines: Vec<_> = batch
            .iter()
            .map(|event| line(event, &recorded_at))
            .collect();
        lines.join("\n") + "\n"
    };
    let stock: Vec<Vec<String>> = stock(world, writers, 1_000)
        .iter()
        .map(|batches| batches.iter().map(text).collect())
        .collect();
    let mut connections = Vec::new();
    for _ in 0..writers {
        use sqlx::Connection;
        let connection = sqlx::PgConnection::connect(&subject.database.url).await;
        connections.push(connection.expect("a superuser connects"));
    }
    let began = Instant::now();
    let writing = connections
        .iter_mut()
        .zip(stock)
        .map(|(to, batches)| async {
            for batch in batches {
                let mut rows = to.copy_in_raw(COPY).await.expect("it begins");
                rows.send(batch.as_bytes()).await.expect("it takes them");
                rows.finish().await.expect("it is committed");
            }
        });
    join_all(writing).await;
    rate(writers * ROWS, began.elapsed())
}

async fn append(subject: &Subject, world: &World, writers: usize, batch: usize) -> u128 {
    let stock = stock(world, writers, batch);
    let began = Instant::now();
    let writing = stock.into_iter().map(|batches| {
        let (store, recorded_at) = (subject.store.clone(), world.now());
        tokio::spawn(async move {
            for batch in batches {
                let new = store.append(&batch, recorded_at).await;
                assert_eq!(new.expect("it is appended"), batch.len() as u64);
            }
        })
    });
    for writer in join_all(writing).await {
        writer.expect("it ends");
    }
    rate(writers * ROWS, began.elapsed())
}

/// Numbers until it is told to stop, as often as the service would.
async fn sealer(store: PostgresStore, stop: Arc<AtomicBool>) -> u64 {
    let mut all = 0;
    while !stop.load(Ordering::Relaxed) {
        let numbered = number(&store, AT_ONCE).await.expect("it numbers");
        all += numbered.unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    all
}

async fn drain(subject: &Subject) -> (u64, Duration) {
    let began = Instant::now();
    let mut all = 0;
    loop {
        match number(&subject.store, AT_ONCE).await.expect("it numbers") {
            Some(0) | None => return (all, began.elapsed()),
            Some(some) => all += some,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it alone, with --release and --nocapture"]
async fn append_against_copy() {
    let subject = fresh().await;
    let world = World::of(&subject);
    append(&subject, &world, 1, 1_000).await;
    drain(&subject).await;
    for round in 0..ROUNDS {
        for writers in [1, 2, 4] {
            let copied = copy(&subject, &world, writers).await;
            let percent = |rate: u128| rate * 100 / copied;
            let thousand = append(&subject, &world, writers, 1_000).await;
            let (rows, took) = drain(&subject).await;
            let numbered = rate(usize::try_from(rows).expect("a few"), took);
            let two = append(&subject, &world, writers, 2_000).await;
            drain(&subject).await;
            let stop = Arc::new(AtomicBool::new(false));
            let beside = tokio::spawn(sealer(subject.store.clone(), stop.clone()));
            let together = append(&subject, &world, writers, 1_000).await;
            stop.store(true, Ordering::Relaxed);
            let meanwhile = beside.await.expect("it ends");
            drain(&subject).await;
            println!(
                "round {round}, {writers} writers: COPY {copied} rows/s; append of 1,000 {thousand} \
                 ({} %), of 2,000 {two} ({} %), of 1,000 beside a sealer {together} ({} %, \
                 {meanwhile} numbered); numbered {numbered} rows/s",
                percent(thousand),
                percent(two),
                percent(together),
            );
        }
    }
    let dense = "SELECT count(*) = max(leaf_index) + 1 FROM audit_leaves";
    let dense: bool = sqlx::query_scalar(dense)
        .fetch_one(&subject.past)
        .await
        .expect("it counts");
    assert!(dense);
    assert_eq!(subject.count("audit_pending").await, 0);
}
