//! What is kept for how long (S7): months leave when it is time, whole, and leave their proofs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tranche_application::audit::retention::{
    HoldError, Outlook, Report, Retention, RunError, Work,
};
use tranche_application::idempotency::IdempotencyKey;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::queries::{Page, Timeline};
use tranche_application::ports::retention::Figures;
use tranche_application::{Call, Outcome};
use tranche_domain::text::Reason;
use tranche_domain::{Held, Hold, ProjectId, Severity};
use uuid::Uuid;

use super::StoreUnderTest;
use super::calendar::{
    Shelf, Times, admin, assert_provable, call, counted, events_of, left, log, month, noon, put,
    retention,
};
use super::scene::World;
use super::tools::{census, ended};

fn reason(text: &str) -> Reason {
    Reason::try_new(text).expect("a short text")
}

fn figures(report: &Report) -> Figures {
    report.run.as_ref().expect("it ran").figures
}

/// Tables that retention changes, beyond those of every census.
async fn all(subject: &dyn StoreUnderTest) -> Vec<(&'static str, i64)> {
    let mut rows = census(subject).await;
    for table in [
        "audit_archive",
        "audit_leaf_records",
        "audit_expired",
        "audit_holds",
        "audit_retention_runs",
        "audit_rollups_expired",
    ] {
        rows.push((table, subject.count(table).await));
    }
    rows
}

/// A month goes to the archive, and then for good, each severity by its own policy; the statistics
/// tell of what there is, leaves stay, and nothing else moves (S7).
pub async fn months_leave_when_it_is_time(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let mut events = events_of(&world, month("2023-10"), 5, project);
    events.extend(events_of(&world, month("2024-01"), 4, project));
    events.extend(events_of(&world, month("2024-05"), 3, project));
    log(subject, &world, &events).await;
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);

    let report = retention.run(&admin(), None).await.expect("it runs");
    // October is over for more than 180 days, January for more than 60.
    let expected = Figures {
        archived_parts: 6,
        archived_events: 27,
        expired_parts: 2,
        expired_events: 10,
        held_parts: 0,
        failed_parts: 0,
    };
    assert_eq!(figures(&report), expected, "{report:?}");
    assert_eq!(left(subject, "audit_events").await, 9);
    assert_eq!(left(subject, "audit_archive").await, 17);
    // Two of them say what goes.
    assert_eq!(subject.count("audit_leaves").await, 36 + 2);
    assert_eq!(subject.count("audit_leaf_records").await, 10);
    let gone = "audit_archive WHERE severity <> 'critical' AND occurred_at IS NOT NULL";
    assert_eq!(subject.count(gone).await, 8);
    for (severity, left) in [("info", 7), ("warning", 7), ("critical", 12)] {
        assert_eq!(counted(subject, severity).await, left, "{severity}");
    }
    assert_provable(subject, &events).await;

    let overview = retention.overview().await.expect("it is read");
    assert_eq!(overview.runs.len(), 1);
    assert_eq!(Some(&overview.runs[0]), report.run.as_ref());
    let expired: u64 = overview.expired.iter().map(|gone| gone.events).sum();
    assert_eq!(expired, 10);
    for gone in &overview.expired {
        assert_eq!(gone.month, month("2023-10"));
        assert!(gone.first_id <= gone.last_id && gone.first_leaf <= gone.last_leaf);
        assert_eq!(gone.expiry.run, overview.runs[0].id);
        let of = events.iter().filter(|event| {
            event.severity == gone.severity.as_str()
                && Some(event.id) >= gone.first_id
                && Some(event.id) <= gone.last_id
        });
        assert_eq!(of.count(), 5);
    }
    let page = Page {
        after: None,
        limit: 1_000,
    };
    let timeline = world
        .queries
        .timeline(Timeline::Project(project), Scope::All, page);
    assert_eq!(
        timeline.await.expect("it is read").len(),
        26,
        "archived too"
    );
    let run = "audit_outbox WHERE action = 'retention.run'";
    assert_eq!(subject.count(run).await, 1);

    // All that there was to do is done; a year later everything is gone.
    let again = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(figures(&again), Figures::default());
    for _ in 0..80 {
        times.pass(7);
        retention.run(&admin(), None).await.expect("it runs");
    }
    assert_eq!(left(subject, "audit_events").await, 0);
    assert_eq!(left(subject, "audit_archive").await, 0);
    assert_eq!(counted(subject, "critical").await, 0);
    assert_provable(subject, &events).await;
}

/// What came when its month's part had gone already is not forgotten: it follows.
pub async fn stragglers_follow_their_month(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let mut events = events_of(&world, month("2024-01"), 4, project);
    log(subject, &world, &events).await;
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(left(subject, "audit_archive").await, 12);

    for _ in 0..2 {
        let late = events_of(&world, month("2024-01"), 3, project);
        put(subject, &world, &late).await;
        events.extend(late);
        let report = retention.run(&admin(), None).await.expect("it runs");
        assert_eq!(figures(&report).archived_events, 9, "{report:?}");
        assert_eq!(left(subject, "audit_events").await, 0);
    }
    // Those of a month that is gone go as well, each remembered.
    times.set(noon("2024-08-05"));
    while retention
        .run(&admin(), None)
        .await
        .expect("it runs")
        .leapt
        .is_some()
    {}
    assert_eq!(left(subject, "audit_archive").await, 10);
    let late = events_of(&world, month("2024-01"), 2, project);
    put(subject, &world, &late).await;
    events.extend(late);
    let report = retention.run(&admin(), None).await.expect("it runs");
    let incidents = times.incidents.lock().expect("nobody panics").clone();
    assert_eq!(
        figures(&report).expired_events,
        4,
        "{incidents:?} {report:?}"
    );
    assert_eq!(figures(&report).failed_parts, 0, "{report:?}");
    assert_eq!(counted(subject, "info").await, 0);
    assert_eq!(counted(subject, "critical").await, 12);
    assert_provable(subject, &events).await;
}

/// A dry run tells what a run does, and changes nothing at all.
pub async fn a_dry_run_changes_nothing(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let events = events_of(&world, month("2024-01"), 4, project);
    log(subject, &world, &events).await;
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    let before = all(subject).await;
    let dry = retention.dry_run().await.expect("it looks");
    assert_eq!(all(subject).await, before);
    assert_eq!(dry.run, None);
    let told = |report: &Report| -> Vec<_> {
        let done = report.done.iter();
        done.map(|done| (done.part.clone(), done.work)).collect()
    };
    let is_told = |done: &tranche_application::audit::retention::Done| {
        done.outlook == Outlook::Would && done.part.events == 4
    };
    assert!(
        dry.done.len() == 3 && dry.done.iter().all(is_told),
        "{dry:?}"
    );
    let real = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(told(&dry), told(&real));
}

/// Lifts a hold by a call with a key. The same call again is done and does nothing; another one with its
/// key is refused.
async fn lifted_once(retention: &Retention, hold: Uuid) -> Hold {
    let lift = async |why: &str, fingerprint| {
        let key = IdempotencyKey {
            subject: "the-admin".to_owned(),
            key: format!("lift {hold}"),
            fingerprint: [fingerprint; 32],
        };
        let call = Call {
            idempotency: Some(key),
            ..call()
        };
        retention.lift(hold, &reason(why), &call).await
    };
    let lifted = match lift("settled", 1).await.expect("it is lifted") {
        Outcome::Done(hold) => hold,
        Outcome::AlreadyApplied(_) => unreachable!("the key is new"),
    };
    let made = match lift("settled", 1).await.expect("it was lifted") {
        Outcome::AlreadyApplied(answered) => answered.made,
        Outcome::Done(_) => unreachable!("it is lifted already"),
    };
    assert_eq!(made, Some(hold));
    let refused = lift("another reason", 2).await;
    assert!(matches!(refused, Err(HoldError::KeyMisused)), "{refused:?}");
    lifted
}

/// A hold keeps the parts that it touches, by severity, months or project, whole, until it is lifted
/// with a reason. Both are in the log with it, or not at all.
pub async fn a_hold_keeps_what_it_touches(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let theirs = world.project(1_000).await.id;
    let others = world.project(1_000).await.id;
    let mut events = events_of(&world, month("2023-08"), 2, others);
    events.extend(events_of(&world, month("2023-09"), 2, others));
    events.extend(events_of(&world, month("2023-10"), 2, others));
    // One event of theirs among many.
    let one = events_of(&world, month("2023-10"), 1, theirs);
    events.push(one[0].clone());
    log(subject, &world, &events).await;
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    let place = async |held: Held| -> Hold {
        let placed = retention.place(held, reason("a lawsuit"), &call()).await;
        match placed.expect("it is placed") {
            Outcome::Done(hold) => hold,
            Outcome::AlreadyApplied(_) => unreachable!("there is no key"),
        }
    };
    let warnings = place(Held {
        severity: Some(Severity::Warning),
        from: Some(month("2023-08")),
        to: Some(month("2023-08")),
        project: None,
    });
    let warnings = warnings.await;
    let project = place(Held {
        project: Some(theirs),
        ..Held::default()
    });
    let project = project.await;
    let placed = "audit_events WHERE action = 'retention.hold_placed' AND severity = 'critical'";
    assert_eq!(subject.count(placed).await, 2);

    let report = retention.run(&admin(), None).await.expect("it runs");
    let done = figures(&report);
    assert_eq!((done.expired_parts, done.held_parts), (4, 2), "{report:?}");
    for (from, left) in [
        ("severity = 'warning'", 2),
        ("severity = 'info'", 3),
        ("severity = 'critical'", 6),
    ] {
        let left_there = subject.count(&format!("audit_archive WHERE {from}")).await;
        assert_eq!(left_there, left, "{from}: {report:?}");
    }
    let dry = retention.dry_run().await.expect("it looks");
    let held: Vec<_> = dry.done.iter().map(|done| done.outlook.clone()).collect();
    assert_eq!(held, [Outlook::Held, Outlook::Held]);

    let unknown = retention.lift(world.id(), &reason("?"), &call()).await;
    assert!(matches!(unknown, Err(HoldError::Unknown)), "{unknown:?}");
    for hold in [&warnings, &project] {
        let lifted = lifted_once(&retention, hold.id).await;
        assert_eq!(lifted.lifted.as_ref().expect("lifted").by, "the-admin");
        assert_eq!(retention.hold(hold.id).await.expect("read"), Some(lifted));
        let again = retention.lift(hold.id, &reason("settled"), &call()).await;
        assert!(matches!(again, Err(HoldError::Lifted)), "{again:?}");
    }
    let lifted = "audit_events WHERE action = 'retention.hold_lifted' AND severity = 'critical'";
    assert_eq!(subject.count(lifted).await, 2);
    let report = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(figures(&report).expired_parts, 2, "{report:?}");
    assert_provable(subject, &events).await;
}

/// What expires is in the archive's file first, each event once, or it stays.
pub async fn what_expires_is_exported_first(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let events = events_of(&world, month("2023-10"), 30, project);
    log(subject, &world, &events).await;
    let (times, shelf) = (Times::at(noon("2024-06-15")), Shelf::default());
    let retention = retention(subject, &times).with_archive(Arc::new(shelf.clone()));
    shelf.is_full.store(true, Ordering::SeqCst);
    let report = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(figures(&report).failed_parts, 2, "{report:?}");
    assert_eq!(subject.count("audit_archive").await, 90);
    assert_eq!(subject.count("audit_expired").await, 0);

    shelf.is_full.store(false, Ordering::SeqCst);
    let report = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(figures(&report).expired_parts, 2, "{report:?}");
    let files = shelf.files.lock().expect("nobody panics").clone();
    assert_eq!(files.len(), 2);
    for (ids, contents) in &files {
        let severity = contents.severity.as_str();
        let of = events.iter().filter(|event| event.severity == severity);
        let expected: Vec<_> = of.map(|event| event.id).collect();
        assert_eq!(ids, &expected);
        assert_eq!(contents.events, 30);
        let (first, last) = contents.leaves.expect("there are events");
        assert!(last - first >= 29, "{contents:?}");
    }
    let expired = subject.retention().expired(10).await.expect("it is read");
    for gone in &expired {
        let file = gone.expiry.file.as_ref().expect("it is named");
        assert!(file.name.starts_with("file ") && file.sha256 == [7; 32]);
    }
    assert_provable(subject, &events).await;
}

/// No event, no hold: a log that refuses the event refuses the hold.
pub async fn a_hold_needs_its_event(subject: &dyn StoreUnderTest) {
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    let before = all(subject).await;
    subject.break_audit_log().await;
    let call = call();
    let placed = retention.place(Held::default(), reason("a lawsuit"), &call);
    placed.await.expect_err("the log is broken");
    subject.heal_audit_log().await;
    assert_eq!(all(subject).await, before);
    let backwards = Held {
        from: Some(month("2024-02")),
        to: Some(month("2024-01")),
        ..Held::default()
    };
    let refused = retention.place(backwards, reason("x"), &call).await;
    assert!(matches!(refused, Err(HoldError::Backwards)), "{refused:?}");
    let nowhere = Held {
        project: Some(ProjectId(tranche_application::ports::entropy::Entropy::id(
            times.as_ref(),
        ))),
        ..Held::default()
    };
    let refused = retention.place(nowhere, reason("x"), &call).await;
    assert!(
        matches!(refused, Err(HoldError::UnknownProject)),
        "{refused:?}"
    );
    assert_eq!(all(subject).await, before);
}

/// Two leaders: one at a time, and the run of a day once.
pub async fn one_runs_at_a_time(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let events = events_of(&world, month("2023-10"), 4, project);
    log(subject, &world, &events).await;
    let times = Times::at(noon("2024-06-15"));
    let one = retention(subject, &times);
    let turn = subject.retention().take_turn().await.expect("it answers");
    let turn = turn.expect("nobody else has it");
    let refused = one.run(&admin(), None).await;
    assert!(matches!(refused, Err(RunError::UnderWay)), "{refused:?}");
    turn.release().await.expect("it is given back");

    let due_at = Some(noon("2024-06-15"));
    let leaders: Vec<_> = (0..4)
        .map(|_| {
            let one = one.clone();
            tokio::spawn(async move { one.run(&admin(), due_at).await.is_ok() })
        })
        .collect();
    let mut ran = 0;
    for leader in leaders {
        ran += i32::from(ended(leader).await);
    }
    assert_eq!(ran, 1);
    one.run(&admin(), due_at).await.expect_err("it ran already");
    assert_eq!(subject.count("audit_retention_runs").await, 1);
    assert_eq!(subject.count("audit_leaf_records").await, 8);
    assert_eq!(counted(subject, "info").await, 0);
    assert_provable(subject, &events).await;
}

/// A clock that leaps takes nothing young along: the first run after a leap only looks, and what the
/// store's own clock finds young stays, whatever the application's says.
pub async fn nothing_young_is_touched(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let old = events_of(&world, month("2024-01"), 4, project);
    let month_now = tranche_domain::Month::of(subject.now().await);
    let mut young = events_of(&world, month_now, 2, project);
    young.extend(events_of(&world, month_now.next(), 2, project));
    log(subject, &world, &old).await;
    log(subject, &world, &young).await;
    let times = Times::at(noon("2024-02-15"));
    let retention = retention(subject, &times);
    let report = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(figures(&report), Figures::default());

    times.set(noon("2199-01-01"));
    let before = left(subject, "audit_events").await;
    let leapt = retention.run(&admin(), None).await.expect("it runs");
    assert!(leapt.leapt.is_some() && leapt.done.is_empty(), "{leapt:?}");
    assert_eq!(left(subject, "audit_events").await, before);

    let report = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(report.leapt, None);
    assert_eq!(left(subject, "audit_events").await, 12, "{report:?}");
    let failed = report.done.iter().filter(|done| {
        matches!(&done.outlook, Outlook::Failed(why) if why.contains("is not over for"))
            && done.work == Work::Archive
            && done.part.month >= month_now
            && done.part.events > 0
    });
    assert_eq!(failed.count(), 6, "{report:?}");
    times.set(noon("2020-01-01"));
    let back = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(figures(&back), Figures::default(), "{back:?}");
}
