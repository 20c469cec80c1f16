//! Numbers: dense, each event one, and counted once.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tranche_application::audit::record::EventRecord;
use tranche_domain::Role;
use uuid::Uuid;

use super::pipeline::events;
use super::scene::{CHECKER, World};
use super::tools::{census, ended};
use super::{RollUp, StoreUnderTest, tree};

async fn append(subject: &dyn StoreUnderTest, world: &World, events: &[Arc<EventRecord>]) {
    let new = subject.audit_store().append(events, world.now()).await;
    assert_eq!(new.expect("it is appended"), events.len() as u64);
}

async fn number(subject: &dyn StoreUnderTest, limit: u32) -> u64 {
    let numbered = tree::number(subject.tree().as_ref(), limit).await;
    numbered.expect("it numbers").expect("nobody else does")
}

/// Every event has one leaf, every leaf an event and the numbers are those from 0.
async fn assert_dense(subject: &dyn StoreUnderTest, events: i64) {
    assert_eq!(subject.count("audit_pending").await, 0);
    assert_eq!(subject.count("audit_events").await, events);
    assert_eq!(subject.count("audit_leaves").await, events);
    let dense = format!("audit_leaves WHERE leaf_index BETWEEN 0 AND {}", events - 1);
    assert_eq!(subject.count(&dense).await, events);
    let joined = "audit_leaves l JOIN audit_events e ON e.id = l.event_id";
    assert_eq!(subject.count(joined).await, events);
}

/// In batches, oldest first within each; the leaf is the one that waited (S8).
pub async fn events_are_numbered_without_a_gap(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    assert_eq!(number(subject, 10).await, 0);
    let events = events(&world, 25);
    append(subject, &world, &events).await;
    let mut waited = Vec::new();
    for event in &events {
        waited.push(subject.pending_leaf(event.id).await.expect("it waits"));
    }
    for batch in [10, 10, 5, 0] {
        assert_eq!(number(subject, 10).await, batch);
    }
    for ((event, leaf), index) in events.iter().zip(waited).zip(0..) {
        assert_eq!(subject.numbered_leaf(event.id).await, Some((index, leaf)));
    }
    assert_dense(subject, 25).await;
}

/// Two sealers beside writers: each event one number, no gap.
pub async fn two_sealers_number_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (log, world) = (subject.audit_store(), world.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    let new = log.append(&events(&world, 20), world.now()).await;
                    assert_eq!(new.expect("it is appended"), 20);
                }
            })
        })
        .collect();
    let sealers: Vec<_> = (0..2)
        .map(|_| {
            let of = subject.tree();
            tokio::spawn(async move {
                let mut numbered = 0;
                for _ in 0..40 {
                    let some = tree::number(of.as_ref(), 33).await.expect("it numbers");
                    numbered += some.unwrap_or_default();
                }
                numbered
            })
        })
        .collect();
    for writer in writers {
        ended(writer).await;
    }
    let mut numbered = 0;
    for one in sealers {
        numbered += ended(one).await;
    }
    numbered += number(subject, 1_000).await;
    assert_eq!(numbered, 400);
    assert_dense(subject, 400).await;
    let counted: i64 = day_counts(&subject.roll_ups().await);
    assert_eq!(counted, 400);
}

fn day_counts(roll_ups: &[RollUp]) -> i64 {
    let days = roll_ups.iter().filter(|row| row.bucket == "day");
    days.map(|row| row.events).sum()
}

/// An act that began before the numbering and commits after it gets the next number.
pub async fn a_late_commit_is_numbered_later(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let milestone = world.draft(project, 1).await.id;
    world.submit(milestone).await.expect("it is submitted");
    // Its event's id is older than the ones below.
    let act = world.act(CHECKER, Role::Approver);
    append(subject, &world, &events(&world, 5)).await;

    let mut late = world.begin().await;
    let locked = late.milestones().lock(milestone).await.expect("it locks");
    let approval = locked.expect("it is there").approve(&act);
    let approval = approval.expect("it is submitted");
    late.record(&approval).await.expect("it is recorded");
    let of = subject.tree();
    let beside = tokio::spawn(async move { tree::number(of.as_ref(), 100).await });
    tokio::task::yield_now().await;
    late.commit().await.expect("it is committed");
    let early = ended(beside).await.expect("it numbers");
    let numbered = early.expect("nobody else does") + number(subject, 100).await;
    assert_eq!(numbered, 6);
    assert_dense(subject, 6).await;
}

/// A leaf that waits although it has its number takes none, leaves no gap and stops nobody.
pub async fn a_numbered_event_is_not_numbered_again(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let events = events(&world, 9);
    append(subject, &world, &events[..3]).await;
    subject
        .execute("CREATE TABLE kept AS SELECT * FROM audit_pending")
        .await
        .expect("it is copied");
    assert_eq!(number(subject, 10).await, 3);
    let before = subject.roll_ups().await;
    let again = "INSERT INTO audit_pending SELECT * FROM kept";
    assert_eq!(subject.execute(again).await, Ok(3));
    assert_eq!(number(subject, 2).await, 0, "dropped");
    assert_eq!(subject.roll_ups().await, before, "not counted twice");
    append(subject, &world, &events[3..]).await;
    assert_eq!(number(subject, 100).await, 6);
    assert_dense(subject, 9).await;
}

/// Hours, days and ends of months, years and leap days, by the time of the event (S5).
pub async fn roll_ups_are_what_a_recount_gives(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let turns = [
        "2026-11-30T23:59:59.999999Z",
        "2026-12-01T00:00:00Z",
        "2026-12-31T23:59:59.999999Z",
        "2027-01-01T00:00:00Z",
        "2028-02-29T00:00:00Z",
        "2028-02-29T12:59:59.999999Z",
        "2028-02-29T13:00:00.000001Z",
        "1969-12-31T23:59:59.999999Z",
    ];
    let turn = |n: usize| -> DateTime<Utc> {
        let text = turns[n % turns.len()];
        DateTime::parse_from_rfc3339(text).expect("a time").to_utc()
    };
    let mut expected: BTreeMap<_, i64> = BTreeMap::new();
    let batch: Vec<_> = events(&world, 120)
        .iter()
        .enumerate()
        .map(|(n, event)| {
            let event = EventRecord {
                occurred_at: turn(n / 2),
                action: format!("act.{}", n % 2),
                resource_type: format!("thing-{}", n % 5 / 3),
                ..event.as_ref().clone()
            };
            for (bucket, length) in [("hour", TimeDelta::hours(1)), ("day", TimeDelta::days(1))] {
                let starts_at = event.occurred_at.duration_trunc(length).expect("it fits");
                let row = (
                    bucket.to_owned(),
                    starts_at,
                    event.severity.clone(),
                    event.action.clone(),
                    event.resource_type.clone(),
                );
                *expected.entry(row).or_default() += 1;
            }
            Arc::new(event)
        })
        .collect();
    append(subject, &world, &batch).await;
    while number(subject, 17).await > 0 {}
    let expected: Vec<_> = expected
        .into_iter()
        .map(
            |((bucket, starts_at, severity, action, resource_type), events)| RollUp {
                bucket,
                starts_at,
                severity,
                action,
                resource_type,
                events,
            },
        )
        .collect();
    assert_eq!(subject.roll_ups().await, expected);
}

/// A leaf that has its number keeps it (F6, S8).
pub async fn leaves_are_append_only(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let events = events(&world, 2);
    append(subject, &world, &events).await;
    number(subject, 10).await;
    let mut statements = vec![
        "UPDATE audit_leaves SET leaf_index = leaf_index + 10".to_owned(),
        "DELETE FROM audit_leaves".to_owned(),
    ];
    statements.extend(subject.other_ways_to_alter("audit_leaves", events[0].id));
    let before = (census(subject).await, leaves(subject, &events).await);
    for statement in statements {
        let done = subject.execute(&statement).await;
        assert!(done.is_err(), "taken: {statement}");
        let after = (census(subject).await, leaves(subject, &events).await);
        assert_eq!(after, before, "refused but done: {statement}");
    }
}

async fn leaves(
    subject: &dyn StoreUnderTest,
    events: &[Arc<EventRecord>],
) -> Vec<(Uuid, Option<(i64, Vec<u8>)>)> {
    let mut leaves = Vec::new();
    for event in events {
        leaves.push((event.id, subject.numbered_leaf(event.id).await));
    }
    leaves
}
