//! What the database says becomes what the caller can act on.

use std::time::Duration;

use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::ports::queries::Queries;
use tranche_application::ports::store::{Conflict, Store, StoreError};
use tranche_domain::{MilestoneStatus, Role};
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::scene::World;

use super::subject::fresh;

fn is_retry<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(Conflict::Retry)))
}

#[tokio::test]
async fn a_broken_log_stops_what_is_critical_and_nothing_else() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await;
    let milestone = world.draft(project.id, 1).await.id;
    subject.break_audit_log().await;

    world.submit(milestone).await.expect("it is not critical");
    let refused = world.approve(milestone).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let read = subject
        .store
        .milestone(milestone)
        .await
        .expect("it is read");
    let status = read.map(|milestone| milestone.status());
    assert_eq!(status, Some(MilestoneStatus::Submitted));
    assert_eq!(subject.evidence(milestone.0).await.len(), 2);
    assert_eq!(subject.count("audit_pending").await, 0);
    let mut work = world.begin().await;
    let relayed = work.audit().relay(10, world.now()).await;
    assert!(
        matches!(relayed, Err(StoreError::Unavailable(_))),
        "{relayed:?}"
    );
    drop(work);
    assert_eq!(subject.count("audit_outbox").await, 3);

    subject.heal_audit_log().await;
    let mut work = world.begin().await;
    let relayed = work.audit().relay(10, world.now()).await;
    assert_eq!(relayed.expect("the log is healed"), 3);
    work.commit().await.expect("it is committed");
    assert_eq!(subject.count("audit_outbox").await, 0);
    assert_eq!(subject.count("audit_events").await, 3);
    assert_eq!(subject.count("audit_pending").await, 3);
    world
        .approve(milestone)
        .await
        .expect("it is possible again");
    assert_eq!(subject.count("audit_events").await, 4);
}

#[tokio::test]
async fn a_unit_of_work_that_failed_does_nothing_more() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await;
    let milestone = world.draft(project.id, 1).await;
    world.submit(milestone.id).await.expect("it is submitted");
    let late = milestone.submit(&world.act("late", Role::Manager));

    let mut work = world.begin().await;
    let stale = work.record(&late.expect("it was a draft")).await;
    assert!(
        matches!(stale, Err(StoreError::Conflict(Conflict::Stale))),
        "{stale:?}"
    );
    let locked = work.projects().lock(project.id).await;
    assert!(
        matches!(locked, Err(StoreError::Unavailable(_))),
        "{locked:?}"
    );
    let committed = work.commit().await;
    assert!(
        matches!(committed, Err(StoreError::Unavailable(_))),
        "{committed:?}"
    );
    assert_eq!(subject.count("audit_outbox").await, 3);
}

#[tokio::test]
async fn a_unit_of_work_that_was_cancelled_cannot_be_committed() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await;
    let change = world.drafting(1, project.clone());

    let mut holder = world.begin().await;
    holder.projects().lock(project.id).await.expect("it locks");
    let mut work = world.begin().await;
    let waiting = work.record(&change);
    let cancelled = tokio::time::timeout(Duration::from_millis(100), waiting).await;
    assert!(cancelled.is_err(), "it waits for the lock");
    drop(holder);
    let committed = work.commit().await;
    assert!(
        matches!(committed, Err(StoreError::Unavailable(_))),
        "{committed:?}"
    );
    world.record(&change).await.expect("nothing is in the way");
}

#[tokio::test]
async fn a_lock_that_is_not_had_in_time_is_worth_another_try() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await.id;
    let config = PostgresConfig {
        lock_timeout: Duration::from_millis(100),
        ..PostgresConfig::default()
    };
    let hasty = PostgresStore::connect(&subject.database.url, config)
        .await
        .expect("the server answers");

    let mut holder = world.begin().await;
    holder.projects().lock(project).await.expect("it locks");
    let mut work = hasty.begin().await.expect("the server answers");
    let waited = work.projects().lock(project).await;
    assert!(is_retry(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_deadlock_is_worth_another_try() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let one = world.project(1_000).await.id;
    let two = world.project(1_000).await.id;

    let mut left = world.begin().await;
    let mut right = world.begin().await;
    left.projects().lock(one).await.expect("it locks");
    right.projects().lock(two).await.expect("it locks");
    let crossed = tokio::join!(
        async {
            let locked = left.projects().lock(two).await;
            drop(left);
            locked
        },
        async {
            let locked = right.projects().lock(one).await;
            drop(right);
            locked
        }
    );
    assert!(
        is_retry(&crossed.0) != is_retry(&crossed.1),
        "one of them: {crossed:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable() {
    let config = PostgresConfig {
        acquire_timeout: Duration::from_millis(300),
        ..PostgresConfig::default()
    };
    // A reserved port, where nobody listens.
    let nobody = PostgresStore::connect("postgres://nobody@127.0.0.1:1/nothing", config).await;
    assert!(
        matches!(nobody, Err(StoreError::Unavailable(_))),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn connections_that_the_server_closed_are_replaced() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await.id;
    // Several idle connections, all of which the server closes.
    let (a, b, c) = tokio::join!(world.begin(), world.begin(), world.begin());
    drop((a, b, c));
    subject
        .value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'tranche'",
        )
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut work = subject.store.begin().await.expect("a living connection");
    let locked = work.projects().lock(project).await;
    assert!(locked.expect("it locks").is_some());
}

#[tokio::test]
async fn a_schema_that_is_not_ours_is_not_ready() {
    let subject = fresh().await;
    subject.store.ready().await.expect("it is ours");
    subject
        .execute("UPDATE _sqlx_migrations SET checksum = 'another' WHERE version = 2")
        .await
        .expect("a different schema");
    let ready = subject.store.ready().await;
    assert!(
        matches!(ready, Err(StoreError::Unavailable(_))),
        "{ready:?}"
    );
}
