//! Many events at a time into the log: all or none, each once.

use std::slice::from_ref;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tranche_application::audit::meters::{Evidence, Rates, Report, Totals};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::queries::{Page, Timeline};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::ProjectId;

use super::StoreUnderTest;
use super::scene::World;
use super::tools::{an_event, census, conflicts, ended};
use super::tree::number;

const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];

/// Events of every severity, in order.
pub fn events(world: &World, count: usize) -> Vec<Arc<EventRecord>> {
    let project = world.id();
    let severities = SEVERITIES.iter().cycle().take(count);
    let event = |severity: &&str| {
        Arc::new(EventRecord {
            severity: (*severity).to_owned(),
            ..an_event(world, project)
        })
    };
    severities.map(event).collect()
}

/// What is appended reads back as it was, and the leaf that waits is the one of its row (S8).
pub async fn what_is_appended_is_there_with_its_leaf(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut events = events(&world, 30);
    let recorded_at = world.now();
    events.rotate_left(7);
    let new = subject.audit_store().append(&events, recorded_at).await;
    assert_eq!(new.expect("it is appended"), 30);
    events.rotate_right(7);

    let of = Timeline::Project(ProjectId(events[0].project_id.expect("it has one")));
    let page = Page {
        after: None,
        limit: 1_000,
    };
    let mut logged = world
        .queries
        .timeline(of, Scope::All, page)
        .await
        .expect("it is read");
    logged.reverse();
    assert_eq!(logged.len(), 30);
    for (logged, event) in logged.iter().zip(&events) {
        assert_eq!(&logged.event, event.as_ref());
        assert_eq!(logged.recorded_at, Some(recorded_at));
        assert_eq!(logged.leaf_index, None);
        let leaf = logged.event.leaf_hash(recorded_at).expect("canonical");
        assert_eq!(subject.pending_leaf(event.id).await, Some(leaf.to_vec()));
    }
    assert_eq!(subject.count("audit_pending").await, 30);
    let none = subject.audit_store().append(&[], recorded_at).await;
    assert_eq!(none.expect("nothing to do"), 0);
}

/// One that is in the log, numbered or not, is passed over, as is one that comes twice (F5).
pub async fn what_is_in_the_log_is_passed_over(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let log = subject.audit_store();
    let events = events(&world, 12);
    let new = log.append(&events[..4], world.now()).await;
    assert_eq!(new.expect("it is appended"), 4);
    let numbered = number(subject.tree().as_ref(), 100).await;
    assert_eq!(numbered.expect("it numbers"), Some(4));
    let new = log.append(&events[2..8], world.now()).await;
    assert_eq!(new.expect("two are there"), 4);
    let again = [&events[4..], &events[6..]].concat();
    let new = log.append(&again, world.now()).await;
    assert_eq!(new.expect("four are new, each once"), 4);
    assert_eq!(subject.count("audit_events").await, 12);
    assert_eq!(subject.count("audit_pending").await, 8);
}

/// One that the log refuses takes the others along; a log that refuses takes nothing.
pub async fn an_append_is_all_or_none(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let log = subject.audit_store();
    let good = events(&world, 9);
    let mut bad = good.clone();
    bad[5] = Arc::new(EventRecord {
        severity: "fatal".to_owned(),
        ..an_event(&world, world.id())
    });
    let before = census(subject).await;
    log.append(&bad, world.now())
        .await
        .expect_err("it is refused");
    assert_eq!(census(subject).await, before);

    subject.break_audit_log().await;
    let broken = log.append(&good, world.now()).await;
    assert!(
        matches!(broken, Err(StoreError::Unavailable(_))),
        "{broken:?}"
    );
    assert_eq!(census(subject).await, before);

    subject.heal_audit_log().await;
    let new = log.append(&good, world.now()).await;
    assert_eq!(new.expect("it is healed"), 9);
}

/// The same id with another severity is another event, and refused, whether the one in the log waits
/// for its number or has it.
pub async fn an_id_has_one_severity(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let log = subject.audit_store();
    let events = events(&world, 3);
    let other = |severity: &str| {
        Arc::new(EventRecord {
            severity: severity.to_owned(),
            ..events[0].as_ref().clone()
        })
    };
    let new = log.append(&events[..1], world.now()).await;
    assert_eq!(new.expect("it is appended"), 1);
    for _ in ["waiting", "numbered"] {
        let before = census(subject).await;
        for severity in ["warning", "critical"] {
            let batch = [events[1].clone(), other(severity), events[2].clone()];
            let refused = log.append(&batch, world.now()).await;
            assert!(conflicts(&refused, Conflict::Stale), "{refused:?}");
        }
        assert_eq!(census(subject).await, before);
        let passed = log.append(&[other("info")], world.now()).await;
        assert_eq!(passed.expect("it is the same"), 0, "the control");
        let numbered = number(subject.tree().as_ref(), 10).await;
        numbered.expect("it numbers");
    }
    let both = [other("info"), other("warning")].map(|event| {
        Arc::new(EventRecord {
            id: events[1].id,
            ..event.as_ref().clone()
        })
    });
    let refused = log.append(&both, world.now()).await;
    assert!(conflicts(&refused, Conflict::Stale), "{refused:?}");
    assert_eq!(subject.count("audit_events").await, 1);
}

/// Four writers at once, each with the same events in another order: no deadlock, and each event
/// once.
pub async fn writers_of_the_same_events_store_each_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut all = 0;
    for _ in 0..4 {
        let events = events(&world, 500);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (log, recorded_at) = (subject.audit_store(), world.now());
                let mut events = events.clone();
                events.rotate_left(123 * writer);
                if writer % 2 == 0 {
                    events.reverse();
                }
                tokio::spawn(async move { log.append(&events, recorded_at).await })
            })
            .collect();
        for writer in writers {
            all += ended(writer).await.expect("no deadlock");
        }
    }
    assert_eq!(all, 2_000);
    assert_eq!(subject.count("audit_events").await, 2_000);
    assert_eq!(subject.count("audit_pending").await, 2_000);
}

/// A probe says whether the log takes events, and takes its own back (F1).
pub async fn a_probe_leaves_nothing_behind(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let log = subject.audit_store();
    let before = census(subject).await;
    for event in events(&world, 3) {
        let probed = log.probe(&event, world.now()).await;
        probed.expect("the log takes it");
    }
    subject.break_audit_log().await;
    let event = an_event(&world, world.id());
    let broken = log.probe(&event, world.now()).await;
    assert!(
        matches!(broken, Err(StoreError::Unavailable(_))),
        "{broken:?}"
    );
    subject.heal_audit_log().await;
    log.probe(&event, world.now()).await.expect("it is healed");
    assert_eq!(census(subject).await, before);
    let new = log.append(&[Arc::new(event)], world.now()).await;
    assert_eq!(new.expect("it was taken back"), 1);
}

/// What a process may tell of itself.
pub fn report(process: &str, at: DateTime<Utc>, inserted: u64) -> Report {
    Report {
        process: process.to_owned(),
        at,
        workers: 4,
        totals: Totals {
            inserted,
            ..Totals::default()
        },
        rates: Rates::default(),
        queue_length: Some(7),
        oldest: Some(at),
        spool_events: 0,
        spool_bytes: u64::MAX,
        store_available: true,
        pages: true,
        evidence: Evidence::NotKept,
    }
}

/// Each process's last report, as long as it is young enough; after a day it is forgotten.
pub async fn reports_are_those_of_late(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let reports = subject.reports();
    let now = world.now();
    let since = async |moment| reports.since(moment).await.expect("it is read");
    assert_eq!(since(now).await, []);
    let day = TimeDelta::days(1);
    let micro = TimeDelta::microseconds(1);
    let old = report("old", now - day, 1);
    let forgotten = report("forgotten", now - day - micro, 1);
    let one = report("one", now, 1);
    let two = report("two", now - micro, 2);
    for report in [&old, &forgotten, &one, &two, &report("one", now, 5)] {
        reports.publish(report).await.expect("it is kept");
    }
    let one = report("one", now, 5);
    assert_eq!(since(now - micro).await, [one.clone(), two]);
    assert_eq!(subject.count("audit_reports").await, 4);
    assert_eq!(since(now).await, from_ref(&one));
    assert_eq!(subject.count("audit_reports").await, 3);
    assert_eq!(since(now).await, [one]);
}
