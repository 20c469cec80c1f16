//! What is recorded stays, whoever asks.

use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::scene::World;

use super::subject::{Subject, fresh};

async fn with_history() -> (Subject, World) {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await;
    world.payable(project.id, 1, 100).await;
    let mut work = world.begin().await;
    let now = world.now();
    work.audit().relay(100, now).await.expect("the log is open");
    work.commit().await.expect("it is committed");
    (subject, world)
}

#[tokio::test]
async fn a_superuser_can_neither_change_nor_remove_an_event() {
    let (subject, _) = with_history().await;
    let before = subject.count("audit_events").await;
    assert!(before >= 5, "{before} events");
    let partitions = subject.partitions().await;
    assert!(partitions.len() >= 4 + 3 + 3 * 4, "{partitions:?}");
    for table in partitions {
        let refused = subject.execute(&format!("TRUNCATE {table}")).await;
        let why = refused.expect_err(&table);
        assert!(why.contains("TRUNCATE on"), "{why}");
        assert!(why.contains("append-only"), "{why}");
        if subject.count(&table).await == 0 {
            continue;
        }
        for statement in [
            format!("UPDATE {table} SET actor_id = 'somebody else'"),
            format!("DELETE FROM {table}"),
        ] {
            let why = subject.execute(&statement).await.expect_err(&statement);
            assert!(why.contains("append-only"), "{why}");
        }
    }
    assert_eq!(subject.count("audit_events").await, before);
}

#[tokio::test]
async fn a_superuser_can_neither_change_nor_remove_evidence() {
    let (subject, _) = with_history().await;
    for statement in [
        "UPDATE milestone_evidence SET event_id = milestone_id",
        "DELETE FROM milestone_evidence",
        "TRUNCATE milestone_evidence CASCADE",
    ] {
        let why = subject.execute(statement).await.expect_err(statement);
        assert!(why.contains("append-only"), "{why}");
    }
}

#[tokio::test]
async fn a_milestone_written_past_the_store_needs_evidence() {
    let (subject, _) = with_history().await;
    for statement in [
        "UPDATE milestones SET version = version + 1",
        "UPDATE milestones SET title = 'Another'",
        "DELETE FROM milestones",
        "INSERT INTO milestones (id, project_id, number, title, target_amount, status, created_at,
             updated_at, version)
         SELECT gen_random_uuid(), id, 77, 'Past the store', 1, 'draft', now(), now(), 1
         FROM projects",
    ] {
        let why = subject.execute(statement).await.expect_err(statement);
        assert!(
            why.contains("milestones_evidence") || why.contains("is refused"),
            "{why}"
        );
    }
    assert_eq!(
        subject.count("milestones WHERE title LIKE 'Wells%'").await,
        1
    );
}
