//! Killed outright at random moments under load: everything acknowledged is in the store, once.

use std::env;
use std::time::Duration;

use tranche_tests::support::redis::Redis;
use tranche_tests::support::service::{Options, StoreKind, Tranche};

use crate::load::{Load, all_are_in_the_log};

/// How often a short run kills.
const SHORT: u64 = 8;

fn settings(redis: Option<&Redis>) -> Options {
    let mut settings = vec![("TRANCHE_RATE_LIMIT", "off".to_owned())];
    // A small queue, so that kills meet a full one and the spool too.
    settings.push(("TRANCHE_QUEUE_LIMIT", "500".to_owned()));
    // What a killed worker held is soon another's.
    settings.push(("TRANCHE_QUEUE_CLAIM_SECONDS", "5".to_owned()));
    settings.extend(redis.map(|redis| ("TRANCHE_QUEUE", redis.url())));
    Options {
        settings,
        log: "warn",
        ..Options::default()
    }
}

/// Moments between kills: from in the middle of the start to well under way.
fn pauses(rounds: u64) -> impl Iterator<Item = Duration> {
    (0..rounds).map(|round| Duration::from_millis(round * 7919 % 400))
}

async fn killed(store: StoreKind, redis: Option<Redis>, rounds: u64) {
    let mut tranche = Tranche::start(store, settings(redis.as_ref()));
    let service = tranche.caller("reports", "service", None);
    let load = Load::start(&service, 4, 25, "info");
    for pause in pauses(rounds) {
        load.more(1).await;
        tokio::time::sleep(pause).await;
        tranche.kill();
        tranche.restart();
    }
    let sent = load.stop().await;
    assert!(sent.acknowledged.len() as u64 > rounds, "there was a load");
    all_are_in_the_log(&tranche, &sent).await;
    assert_eq!(tranche.terminate(), Some(0));
}

/// Two processes on one queue: one answers, the other works, and each is killed in turn.
async fn killed_apart(rounds: u64) {
    let redis = Redis::start().expect("Redis");
    let mut options = settings(Some(&redis));
    options.settings.push(("TRANCHE_ROLE", "api".to_owned()));
    let mut tranche = Tranche::start(StoreKind::Postgres, options);
    let service = tranche.caller("reports", "service", None);
    let worker = [("TRANCHE_ROLE", "worker".to_owned())];
    let mut working = Some(tranche.replica(&worker));
    let load = Load::start(&service, 4, 25, "info");
    for (round, pause) in (0..).zip(pauses(rounds)) {
        load.more(1).await;
        tokio::time::sleep(pause).await;
        if round % 2 == 0 {
            working.take().expect("a worker").kill();
            working = Some(tranche.replica(&worker));
        } else {
            tranche.kill();
            tranche.restart();
        }
    }
    let sent = load.stop().await;
    all_are_in_the_log(&tranche, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_the_embedded_queue_on_postgres() {
    killed(StoreKind::Postgres, None, SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_the_embedded_queue_on_sqlite() {
    killed(StoreKind::Sqlite, None, SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_redis() {
    killed_apart(SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make crash-audit"]
async fn long() {
    let rounds = env::var("ROUNDS").ok().filter(|text| !text.is_empty());
    let rounds = rounds.map_or(100, |text| text.parse().expect("ROUNDS is a whole number"));
    killed(StoreKind::Postgres, None, rounds).await;
    println!("embedded queue, PostgreSQL: {rounds} kills, nothing lost");
    killed(StoreKind::Sqlite, None, rounds).await;
    println!("embedded queue, SQLite: {rounds} kills, nothing lost");
    killed_apart(rounds).await;
    println!("Redis, two processes: {rounds} kills, nothing lost");
    killed(
        StoreKind::Postgres,
        Some(Redis::start().expect("Redis")),
        rounds,
    )
    .await;
    println!("Redis, one process: {rounds} kills, nothing lost");
}
