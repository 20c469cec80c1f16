//! Partitions: made ahead, missed without harm.

use tranche_application::audit::record::EventRecord;
use tranche_domain::{EventId, Milestone, Role};
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::scene::World;
use uuid::Builder;

use super::subject::{connect, fresh};

/// The first partition of the month after the last one made, as SQL writes its bounds.
const MISSING_MONTH: &str =
    "(date_trunc('month', now() AT TIME ZONE 'UTC') + interval '4 months') AT TIME ZONE 'UTC'";

#[tokio::test]
async fn months_are_made_once_whoever_asks() {
    let subject = fresh().await;
    let before = subject.partitions().await;
    let made = subject.store.ensure_partitions(3).await;
    assert_eq!(made.expect("it answers"), 0);
    let other = connect(&subject.database).await;
    let (one, two) = tokio::join!(
        subject.store.ensure_partitions(5),
        other.ensure_partitions(5)
    );
    assert_eq!(one.expect("it answers") + two.expect("it answers"), 6);
    assert_eq!(subject.partitions().await.len(), before.len() + 6);
    let default = subject
        .value("SELECT count(*) FROM audit_events_info_default")
        .await;
    assert_eq!(default, 0);
}

#[tokio::test]
async fn a_month_that_nobody_made_fails_no_write_and_is_made_later() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await;
    let milestone = world.draft(project.id, 1).await.id;
    world.submit(milestone).await.expect("it is submitted");

    let millis = subject
        .value(&format!(
            "SELECT (extract(epoch FROM {MISSING_MONTH}) * 1000)::bigint"
        ))
        .await;
    let millis = u64::try_from(millis).expect("after 1970");
    let mut act = world.act("checker", Role::Approver);
    act.event_id = EventId(Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid());
    let approve = |milestone: Milestone| milestone.approve(&act).expect("submitted");
    world
        .change(milestone, approve)
        .await
        .expect("no partition, no harm");

    let critical = "SELECT count(*) FROM audit_events_critical_default";
    assert_eq!(subject.value(critical).await, 1);
    let made = subject.store.ensure_partitions(4).await;
    assert_eq!(made.expect("it answers"), 3);
    assert_eq!(subject.value(critical).await, 0);
    assert_eq!(subject.count("audit_events").await, 1);
    for statement in [
        "DELETE FROM audit_events",
        "UPDATE audit_events SET actor_id = 'x'",
        "DELETE FROM audit_events_critical",
    ] {
        subject.execute(statement).await.expect_err(statement);
    }
    let again = world.change(milestone, |milestone| {
        let mut act = world.act("treasurer", Role::Treasurer);
        act.event_id = EventId(Builder::from_unix_timestamp_millis(millis, &[8; 10]).into_uuid());
        let paid = tranche_tests::contract::scene::transfer("REF", 5);
        milestone.record_transfer(paid, &act).expect("approved")
    });
    again.await.expect("the new partition takes it");
    assert_eq!(subject.value(critical).await, 0);
    assert_eq!(subject.count("audit_events").await, 2);
}

#[tokio::test]
async fn what_is_read_back_has_the_leaf_that_was_written() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000).await;
    let milestone = world.payable(project.id, 1, 100).await;
    let mut work = world.begin().await;
    let now = world.now();
    assert_eq!(work.audit().relay(100, now).await.expect("it is open"), 3);
    work.commit().await.expect("it is committed");

    let page = tranche_application::ports::queries::Page {
        after: None,
        limit: 100,
    };
    let of = tranche_application::ports::queries::Timeline::Milestone(milestone.id);
    let events = world
        .queries
        .timeline(
            of,
            tranche_application::ports::audit_search::Scope::All,
            page,
        )
        .await
        .expect("it is read");
    assert_eq!(events.len(), 4);
    for logged in events {
        let recorded_at = logged.recorded_at.expect("it is in the log");
        let event: EventRecord = logged.event;
        let leaf = event.leaf_hash(recorded_at).expect("it is canonical");
        let pending = subject.pending_leaf(event.id).await;
        assert_eq!(pending.as_deref(), Some(leaf.as_slice()), "{event:?}");
    }
}
