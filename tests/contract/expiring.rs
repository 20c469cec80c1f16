//! What may be missing from the log: what retention let go, when it was time, after the log said so.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::EventRecord;
use tranche_application::audit::retention::announced::Announced;
use tranche_application::audit::retention::{Done, Outlook};
use tranche_application::audit::verify::Trusted;
use tranche_application::audit::verify::finding::Kind;
use tranche_application::audit::verify::key::VerifierKey;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::clock::Clock;
use tranche_application::ports::kept::KeptCheckpoints;
use tranche_domain::{Action, Month, ProjectId, Severity};

use super::StoreUnderTest;
use super::calendar::{Shelf, Times, admin, events_of, log, month, noon, policies, retention};
use super::pipeline::events;
use super::scene::World;
use super::sealed_log::{Sealed, key, kinds, names, range, seal, verified};
use super::tree::{Folder, process_with};

/// The leaf of the event that goes.
const LEAF: usize = 40;

/// The month of an event, and its severity.
fn part_of(event: &EventRecord) -> (Month, Severity) {
    let millis = i64::try_from(event.id.as_u128() >> 80).expect("a time");
    let made = chrono::DateTime::from_timestamp_millis(millis).expect("a time");
    let severity = Severity::named(&event.severity).expect("a severity");
    (Month::of(made), severity)
}

/// The event that says that this part goes.
fn announcement(world: &World, part: &Announced) -> Arc<EventRecord> {
    Arc::new(EventRecord {
        action: Action::RetentionExpiring.as_str().to_owned(),
        severity: "critical".to_owned(),
        resource_type: "audit_part".to_owned(),
        resource_id: Some(part.to_string()),
        ..events(world, 1)[0].as_ref().clone()
    })
}

/// Takes an event out as retention would, past the application: its row gone, its leaf's record
/// kept, the line that says that it expired, and the statistics without it.
async fn forge_expiry(sealed: &Sealed<'_>) {
    let logged = &sealed.events[LEAF];
    let (event, dialect) = (&logged.event, sealed.dialect());
    let recorded_at = logged.recorded_at.expect("it is in the log");
    let record = event.leaf(recorded_at).expect("canonical");
    let ((month, _), id, severity) = (part_of(event), event.id, &event.severity);
    let past = sealed.world.now() - TimeDelta::days(1);
    sealed
        .force(&format!(
            "INSERT INTO audit_leaf_records (leaf_index, record) VALUES ({LEAF}, {})",
            dialect.bytes(&record)
        ))
        .await;
    sealed
        .force(&format!(
            "INSERT INTO audit_expired (id, severity, month, first_id, last_id, events, \
             first_leaf, last_leaf, keep_days, expired_at, run_id) VALUES ('{id}', '{severity}', \
             {}, '{id}', '{id}', 1, {LEAF}, {LEAF}, 1, {}, '{id}')",
            dialect.month(month),
            dialect.time(past)
        ))
        .await;
    for bucket in ["hour", "day"] {
        let width = TimeDelta::hours(if bucket == "hour" { 1 } else { 24 });
        let starts_at = chrono::DurationRound::duration_trunc(event.occurred_at, width);
        sealed
            .force(&format!(
                "INSERT INTO audit_rollups_expired (expired_id, bucket, starts_at, severity, \
                 action, resource_type, events) SELECT '{id}', '{bucket}', {}, severity, action, \
                 resource_type, 1 FROM audit_events WHERE id = '{id}'",
                dialect.time(starts_at.expect("it fits"))
            ))
            .await;
    }
    sealed
        .force(&format!("DELETE FROM audit_events WHERE id = '{id}'"))
        .await;
}

/// Rows that somebody takes out and writes down as expired: too early, or never announced in the log.
/// Only what is neither is taken for expired.
pub async fn a_forged_expiry_does_not_pass(subject: &dyn StoreUnderTest) {
    let mut sealed = Sealed::of(subject).await;
    forge_expiry(&sealed).await;
    let id = sealed.id(LEAF);
    let place = 40..41;
    let findings = sealed.findings().await;
    assert_eq!(
        kinds(&findings),
        [Kind::ExpiredEarly, Kind::ExpiredUnannounced],
        "{findings:?}"
    );
    assert!(names(&findings, id), "{findings:?}");
    assert_eq!(range(&findings, Kind::ExpiredEarly), Some(place.clone()));
    assert_eq!(range(&findings, Kind::ExpiredUnannounced), Some(place));

    // However old: the log would have said so.
    let (month, severity) = part_of(&sealed.events[LEAF].event);
    let keep = tranche_domain::RetentionPolicies::default().of(severity);
    sealed.now = keep.expires_at(month);
    assert_eq!(
        kinds(&sealed.findings().await),
        [Kind::ExpiredUnannounced],
        "{:?}",
        sealed.now
    );
    sealed.now -= TimeDelta::microseconds(1);
    let findings = sealed.findings().await;
    assert!(kinds(&findings).contains(&Kind::ExpiredEarly));
    sealed.now += TimeDelta::microseconds(1);

    let leaf = i64::try_from(LEAF).expect("few");
    let mut named = Announced {
        severity,
        month,
        leaves: leaf + 1..=leaf + 5,
        sha256: None,
    };
    // Anybody may send an event that only looks like it.
    for (severity, action) in [
        ("info", Action::RetentionExpiring.as_str()),
        ("critical", "part.leaves"),
    ] {
        named.leaves = leaf..=leaf;
        let like = Arc::new(EventRecord {
            severity: severity.to_owned(),
            action: action.to_owned(),
            ..announcement(&sealed.world, &named).as_ref().clone()
        });
        let now = sealed.world.now();
        let new = subject.audit_store().append(&[like], now).await;
        assert_eq!(new.expect("it is appended"), 1);
        seal(subject, &sealed.world, 10).await;
        let findings = sealed.findings().await;
        assert_eq!(kinds(&findings), [Kind::ExpiredUnannounced], "{action}");
    }
    for (leaves, expected) in [
        (leaf + 1..=leaf + 5, vec![Kind::ExpiredUnannounced]),
        (leaf - 3..=leaf, vec![]),
    ] {
        named.leaves = leaves;
        let said = announcement(&sealed.world, &named);
        let now = sealed.world.now();
        let new = subject.audit_store().append(&[said], now).await;
        assert_eq!(new.expect("it is appended"), 1);
        let waits = sealed.findings().await;
        assert_eq!(kinds(&waits), [Kind::ExpiredUnannounced], "it has no place");
        seal(subject, &sealed.world, 10).await;
        let (verified, findings) = sealed.verified().await;
        assert_eq!(kinds(&findings), expected, "{findings:?}");
        assert_eq!(verified.expired, 1);
    }
}

/// What retention itself let go is verified by whoever has the same policies, and the same clock.
pub async fn what_expired_is_verified(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let mut events = events_of(&world, month("2023-10"), 5, project);
    events.extend(events_of(&world, month("2024-01"), 4, project));
    log(subject, &world, &events).await;
    let (times, shelf) = (Times::at(noon("2024-06-15")), Shelf::default());
    let plain = retention(subject, &times);
    let report = plain.run(&admin(), None).await.expect("it runs");
    assert_eq!(report.run.expect("it ran").figures.expired_events, 10);
    let late = events_of(&world, month("2023-10"), 2, project);
    log(subject, &world, &late).await;
    let filed = plain.with_archive(Arc::new(shelf.clone()));
    let report = filed.run(&admin(), None).await.expect("it runs");
    assert_eq!(report.run.expect("it ran").figures.expired_events, 4);
    assert_eq!(shelf.files.lock().expect("nobody panics").len(), 2);

    let trusted = |now| Trusted {
        key: VerifierKey::parse(&key(3).verifier()).expect("a key"),
        kept: Vec::new(),
        policies: policies(),
        now,
    };
    let (whole, findings) = verified(subject, trusted(times.now())).await;
    assert_eq!(findings, []);
    assert_eq!(whole.expired, 14);
    let (_, findings) = verified(subject, trusted(noon("2024-03-01"))).await;
    assert_eq!(kinds(&findings), vec![Kind::ExpiredEarly; 14]);
    let announced = "audit_events WHERE action = 'retention.expiring' AND severity = 'critical' \
                     AND resource_type = 'audit_part'";
    assert_eq!(subject.count(announced).await, 4);
    assert_told_whole(subject).await;
}

/// Two parts of five events that were in no file, and then two of two events, each in its file.
async fn assert_told_whole(subject: &dyn StoreUnderTest) {
    let filter = EventFilter {
        actions: vec![Action::RetentionExpiring.as_str().to_owned()],
        ..EventFilter::default()
    };
    let said = subject
        .search()
        .in_order(0, &filter, Scope::All, 1_000)
        .await;
    let said = said.expect("the log").events;
    assert_eq!(said.len(), 4, "{said:?}");
    let sha256 = "07".repeat(32);
    for (logged, (events, is_filed)) in
        said.iter()
            .zip([(5, false), (5, false), (2, true), (2, true)])
    {
        let told = &logged.event.metadata;
        assert_eq!(told["events"], events, "{told}");
        assert_eq!(
            (&told["month"], &told["keep_days"]),
            (&json!("2023-10"), &json!(180))
        );
        let file = told["archive_file"].as_str();
        assert_eq!(
            file.is_some_and(|name| name.starts_with("file ")),
            is_filed,
            "{told}"
        );
        assert_eq!(
            told["archive_sha256"].as_str(),
            is_filed.then_some(&*sha256)
        );
    }
}

/// A part of which a run said that it goes, and then was killed, is not announced again.
pub async fn what_goes_is_announced_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let gone = events_of(&world, month("2023-10"), 3, project);
    log(subject, &world, &gone).await;
    let mut places = Vec::new();
    for event in gone.iter().filter(|event| event.severity == "info") {
        let leaf = subject.numbered_leaf(event.id).await;
        places.push(leaf.expect("it has its place").0);
    }
    let (first, last) = (places.iter().min(), places.iter().max());
    let said = announcement(
        &world,
        &Announced {
            severity: Severity::Info,
            month: month("2023-10"),
            leaves: *first.expect("some")..=*last.expect("some"),
            sha256: None,
        },
    );
    log(subject, &world, &[said]).await;
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    let report = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(report.run.expect("it ran").figures.expired_parts, 2);
    let named = "audit_events WHERE action = 'retention.expiring' AND resource_id LIKE";
    for severity in ["info", "warning"] {
        let of = format!("{named} '{severity}/2023-10/%'");
        assert_eq!(subject.count(&of).await, 1, "{severity}");
    }
}

/// A file of what goes bears a checkpoint that is kept; while the database contradicts what was kept,
/// none is written, and nothing goes.
pub async fn nothing_goes_out_of_another_history(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let gone = events_of(&world, month("2023-10"), 3, project);
    log(subject, &world, &gone).await;
    let (times, shelf) = (Times::at(noon("2024-06-15")), Shelf::default());
    let folder = Arc::new(Folder::default());
    let other = key(3).sign(2, [9; 32], world.now());
    folder.keep(&other).await.expect("it is kept");
    let (_, keeper) = process_with(subject, &world, folder.clone());
    let retention = retention(subject, &times)
        .with_archive(Arc::new(shelf.clone()))
        .with_keeper(keeper);
    let report = retention.run(&admin(), None).await.expect("it runs");
    let stays = |done: &&Done| matches!(&done.outlook, Outlook::Failed(why) if why.contains("another history"));
    assert_eq!(report.done.iter().filter(stays).count(), 2, "{report:?}");
    assert_eq!(subject.count("audit_expired").await, 0);
    assert!(shelf.files.lock().expect("nobody panics").is_empty());

    folder.set_aside().await.expect("it is set aside");
    let report = retention.run(&admin(), None).await.expect("it runs");
    assert_eq!(report.run.expect("it ran").figures.expired_parts, 2);
    let kept = folder.newest().await.expect("it reads");
    let files = shelf.files.lock().expect("nobody panics").clone();
    let last = files.last().expect("some");
    assert_eq!(last.1.checkpoint, kept, "what was given out is kept");
    assert!(kept.is_some());
}
