//! Only one numbers, and waits for nobody.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::store::Store;
use tranche_application::ports::tree::Tree;
use tranche_domain::Role;
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::pipeline::events;
use tranche_tests::contract::scene::{CHECKER, World};
use tranche_tests::contract::tree::number;
use uuid::Uuid;

use super::subject::fresh;

/// Far longer than anything but a lock takes.
const LONG: Duration = Duration::from_secs(8);

#[tokio::test]
async fn what_is_not_committed_is_not_waited_for() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await.id;
    let milestone = world.draft(project, 1).await.id;
    world.submit(milestone).await.expect("it is submitted");
    let mut late = world.begin().await;
    let locked = late.milestones().lock(milestone).await.expect("it locks");
    let act = world.act(CHECKER, Role::Approver);
    let approval = locked.expect("it is there").approve(&act);
    let approval = approval.expect("it is submitted");
    late.record(&approval).await.expect("it is recorded");

    let new = subject.store.append(&events(&world, 5), world.now()).await;
    new.expect("it is appended");
    let numbered = timeout(LONG, number(&subject.store, 100)).await;
    let numbered = numbered.expect("it does not wait").expect("it numbers");
    assert_eq!(numbered, Some(5));
    late.commit().await.expect("it is committed");
    let numbered = number(&subject.store, 100).await.expect("it numbers");
    assert_eq!(numbered, Some(1), "the late one");
    let index = subject.numbered_leaf(approval.event().id.0).await;
    assert_eq!(index.expect("it has its number").0, 5);
}

#[tokio::test]
async fn another_process_is_told_to_leave_it() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let new = subject.store.append(&events(&world, 2), world.now()).await;
    new.expect("it is appended");
    let mut other = subject.past.begin().await.expect("it begins");
    sqlx::query("SELECT pg_advisory_xact_lock(7236273650213)")
        .execute(&mut *other)
        .await
        .expect("it locks");
    let numbered = number(&subject.store, 10).await.expect("it answers");
    assert_eq!(numbered, None);
    assert_eq!(subject.count("audit_pending").await, 2);
    other.rollback().await.expect("it dies");
    let numbered = number(&subject.store, 10).await.expect("it numbers");
    assert_eq!(numbered, Some(2));
}

/// Requests may have every connection: waiting for one says nothing of what a look costs.
#[tokio::test]
async fn a_look_is_timed_without_its_wait_for_a_connection() {
    let subject = fresh().await;
    let config = PostgresConfig {
        max_connections: 1,
        ..PostgresConfig::default()
    };
    let store = PostgresStore::connect(&subject.database.url, config).await;
    let store = store.expect("the server answers");
    let held = store.begin().await.expect("the only connection");
    let began = Instant::now();
    let free = async {
        sleep(Duration::from_secs(1)).await;
        drop(held);
    };
    let (look, ()) = tokio::join!(store.look(Uuid::nil()), free);
    let look = look.expect("it looks");
    assert!(look.took * 2 < began.elapsed(), "{look:?}");
}
