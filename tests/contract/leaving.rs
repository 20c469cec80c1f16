//! How a part leaves, step by step: each whole or not at all, each only when it may.

use tranche_application::Outcome;
use tranche_application::ports::retention::{
    Expiry, Figures, LeafRecord, Leaving, Part, Run, Step, Term, Turn,
};
use tranche_application::ports::store::StoreError;
use tranche_domain::text::Reason;
use tranche_domain::{Held, ProjectId};
use uuid::Uuid;

use super::calendar::{
    Times, admin, assert_provable, call, counted, events_of, left, log, month, noon, put,
    retention, seal,
};
use super::scene::World;
use super::{Dialect, StoreUnderTest};
use crate::support::service::eventually;

const TERM: Term = Term {
    days: 60,
    as_of: chrono::DateTime::UNIX_EPOCH,
};

fn term() -> Term {
    Term {
        as_of: noon("2024-06-15"),
        ..TERM
    }
}

fn expiry() -> Expiry {
    Expiry {
        run: Uuid::from_u128(7),
        at: noon("2024-06-15"),
        file: None,
    }
}

/// The turn of whoever died is free as soon as the store has noticed.
async fn turn(subject: &dyn StoreUnderTest) -> Box<dyn Turn> {
    eventually("nobody else has the turn", async || {
        subject.retention().take_turn().await.expect("it answers")
    })
    .await
}

/// The part of a severity in January 2024.
async fn part(subject: &dyn StoreUnderTest, severity: &str, archived: bool) -> Part {
    let parts = subject.retention().parts().await.expect("they are read");
    let found = parts.into_iter().find(|part| {
        part.severity.as_str() == severity
            && part.archived == archived
            && part.month == month("2024-01")
    });
    found.expect("there is such a part")
}

fn records(leaving: &[Leaving]) -> Vec<LeafRecord> {
    let record = |leaving: &Leaving| {
        let recorded_at = leaving.event.recorded_at.expect("it is in the log");
        let leaf = leaving.event.event.leaf(recorded_at).expect("canonical");
        LeafRecord {
            leaf_index: leaving.event.leaf_index.expect("it has its place"),
            event_id: leaving.event.event.id,
            record: leaf,
        }
    };
    leaving.iter().map(record).collect()
}

async fn archived(subject: &dyn StoreUnderTest, turn: &mut dyn Turn) -> Part {
    let whole = part(subject, "info", false).await;
    while let Step::More(_) = turn.archive(&whole, term()).await.expect("it moves") {}
    part(subject, "info", true).await
}

fn refuses<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(
        matches!(answer, Err(StoreError::Inconsistent(_))),
        "{answer:?}"
    );
}

/// Killed between any two steps, the next run finishes: nothing is lost, doubled or counted twice.
pub async fn a_killed_run_is_finished_by_the_next(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let events = events_of(&world, month("2024-01"), 40, project);
    let times = Times::at(noon("2024-08-15"));
    let next = retention(subject, &times);
    log(subject, &world, &events).await;
    for killed_after in 0..4 {
        let mut dying = turn(subject).await;
        let run = Run {
            id: Uuid::from_u128(100 + killed_after),
            due_at: Some(noon("2024-08-15")),
            started_at: noon("2024-08-15"),
            ended_at: None,
            by: "system".to_owned(),
            figures: Figures::default(),
        };
        dying.begin(&run).await.expect("it begins");
        if killed_after == 1 {
            archived(subject, dying.as_mut()).await;
        }
        if killed_after >= 2 {
            let part = part(subject, "info", true).await;
            for _ in 1..killed_after {
                let some = dying.unkept(&part, 7).await.expect("it reads");
                let kept = dying.keep(&part, &records(&some)).await;
                kept.expect("it is kept");
            }
        }
        // No word of release: its process is gone.
        drop(dying);
    }
    let due_at = Some(noon("2024-08-15"));
    let mut tries = 0;
    let report = loop {
        // The database may take a moment to see that somebody is gone.
        match next.run(&admin(), due_at).await {
            Ok(report) => break report,
            Err(error) => assert!(tries < 200, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let figures = report.run.as_ref().expect("it ran").figures;
    assert_eq!(
        (figures.expired_parts, figures.failed_parts),
        (2, 0),
        "{report:?}"
    );
    assert_eq!(left(subject, "audit_events").await, 0);
    assert_eq!(left(subject, "audit_archive").await, 40);
    assert_eq!(counted(subject, "info").await, 0);
    assert_eq!(counted(subject, "critical").await, 40);
    assert_provable(subject, &events).await;
    let overview = next.overview().await.expect("it is read");
    let gone: u64 = overview.expired.iter().map(|gone| gone.events).sum();
    assert_eq!(gone, 80);
}

/// Nothing leaves that is not wholly in the tree.
pub async fn what_is_not_sealed_stays(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let events = events_of(&world, month("2024-01"), 3, project);
    subject.make_month(month("2024-01").starts_at()).await;
    let new = subject.audit_store().append(&events, world.now()).await;
    assert_eq!(new.expect("it is appended"), 9);
    let mut one = turn(subject).await;
    let whole = part(subject, "info", false).await;
    refuses(&one.archive(&whole, term()).await);
    assert_eq!(subject.count("audit_events").await, 9);
    seal(subject).await;
    archived(subject, one.as_mut()).await;
    assert_eq!(subject.count("audit_archive").await, 3);
}

/// A part goes only from the archive, when it is old, when nobody holds it, and when the records of
/// all its leaves are kept, each the one that its leaf is the hash of.
pub async fn a_part_goes_only_when_it_may(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let events = events_of(&world, month("2024-01"), 10, project);
    log(subject, &world, &events).await;
    let mut one = turn(subject).await;
    let archived = archived(subject, one.as_mut()).await;
    assert_eq!(archived.events, 10);

    refuses(&one.expire(&archived, term(), &expiry()).await);
    let some = one.unkept(&archived, 4).await.expect("it reads");
    assert_eq!(some.len(), 4);
    one.keep(&archived, &records(&some)).await.expect("kept");
    refuses(&one.expire(&archived, term(), &expiry()).await);
    let rest = one.unkept(&archived, 100).await.expect("it reads");
    assert_eq!(rest.len(), 6);
    one.keep(&archived, &records(&rest)).await.expect("kept");
    assert_eq!(one.unkept(&archived, 100).await.expect("it reads"), []);
    one.keep(&archived, &[]).await.expect("there are no more");

    for young in [
        Term {
            days: 200,
            ..term()
        },
        Term {
            as_of: noon("2024-02-01"),
            ..term()
        },
    ] {
        refuses(&one.expire(&archived, young, &expiry()).await);
        let warnings = part(subject, "warning", false).await;
        refuses(&one.archive(&warnings, young).await);
    }
    subject
        .execute(
            "INSERT INTO audit_holds (id, reason, placed_by, placed_at, severity) \
             SELECT id, 'past the service', 'owner', recorded_at, 'info' FROM audit_archive \
             LIMIT 1",
        )
        .await
        .expect("a hold is placed");
    refuses(&one.expire(&archived, term(), &expiry()).await);
    assert_eq!(subject.count("audit_archive").await, 10);
    assert_eq!(counted(subject, "info").await, 10);
    subject
        .execute(
            "UPDATE audit_holds SET lifted_by = 'owner', lift_reason = 'over', \
             lifted_at = placed_at",
        )
        .await
        .expect("it is lifted");
    while let Step::More(_) = one
        .expire(&archived, term(), &expiry())
        .await
        .expect("it goes")
    {}
    assert_eq!(subject.count("audit_archive").await, 0);
    assert_eq!(counted(subject, "info").await, 0);
    assert_provable(subject, &events).await;
}

/// What was altered is not what its leaf says: it stays, and people hear of it.
pub async fn what_was_altered_stays(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let events = events_of(&world, month("2023-10"), 4, project);
    log(subject, &world, &events).await;
    let victim = events[1].id;
    let alter = format!("UPDATE audit_events SET actor_id = 'x' WHERE id = '{victim}'");
    if subject.force(&alter).await.is_err() {
        // An owner may drop what no setting turns off.
        let owner = format!("DROP TRIGGER audit_events_no_update; {alter}");
        subject.force(&owner).await.expect("it is altered");
    }
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    let report = retention.run(&admin(), None).await.expect("it runs");
    let figures = report.run.as_ref().expect("it ran").figures;
    assert_eq!(
        (figures.expired_parts, figures.failed_parts),
        (1, 1),
        "{report:?}"
    );
    let here = format!("audit_archive WHERE id = '{victim}'");
    assert_eq!(subject.count(&here).await, 1);
    let incidents = times.incidents.lock().expect("nobody panics");
    assert!(
        incidents
            .iter()
            .any(|incident| incident.critical && incident.error.contains(&victim.to_string()))
    );
}

/// The archive and the memory of what is gone are append-only for every ordinary statement.
pub async fn what_is_archived_is_append_only(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = ProjectId(world.id());
    let mut events = events_of(&world, month("2023-10"), 2, project);
    events.extend(events_of(&world, month("2024-01"), 2, project));
    log(subject, &world, &events).await;
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    retention.run(&admin(), None).await.expect("it runs");
    assert!(subject.count("audit_archive").await > 0);
    assert!(subject.count("audit_expired").await > 0);
    for table in ["audit_archive", "audit_expired"] {
        let before = subject.count(table).await;
        for statement in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET severity = 'info'"),
            format!("INSERT INTO {table} SELECT * FROM {table}"),
            match subject.dialect() {
                Dialect::Postgres => format!("TRUNCATE {table}"),
                Dialect::Sqlite => format!("REPLACE INTO {table} SELECT * FROM {table}"),
            },
        ] {
            subject.execute(&statement).await.expect_err(&statement);
        }
        assert_eq!(subject.count(table).await, before);
    }
    let late = events_of(&world, month("2024-01"), 1, project);
    put(subject, &world, &late).await;
    let statement = "INSERT INTO audit_archive SELECT * FROM audit_events";
    if subject.execute(statement).await.is_ok() {
        // A copy takes nothing away, and nothing of it goes.
        subject
            .execute("DELETE FROM audit_archive")
            .await
            .expect_err("append-only");
    }
}

/// A hold is as it was placed until it is lifted, once; it is never deleted or replaced, whoever writes.
pub async fn a_hold_stays_as_it_was_placed(subject: &dyn StoreUnderTest) {
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(subject, &times);
    let reason = || Reason::try_new("a lawsuit").expect("a short text");
    for number in 0..2 {
        let placed = retention.place(Held::default(), reason(), &call()).await;
        let Outcome::Done(hold) = placed.expect("it is placed") else {
            unreachable!("there is no key")
        };
        if number == 0 {
            let lifted = retention.lift(hold.id, &reason(), &call()).await;
            lifted.expect("it is lifted");
        }
    }
    let whole = match subject.dialect() {
        Dialect::Postgres => "TRUNCATE audit_holds",
        Dialect::Sqlite => "REPLACE INTO audit_holds SELECT * FROM audit_holds",
    };
    for statement in [
        "UPDATE audit_holds SET reason = 'another'",
        "UPDATE audit_holds SET severity = 'info' WHERE lifted_at IS NULL",
        "UPDATE audit_holds SET placed_by = 'somebody else' WHERE lifted_at IS NULL",
        "UPDATE audit_holds SET lifted_by = 'x', lifted_at = placed_at, lift_reason = 'x', \
         reason = 'another' WHERE lifted_at IS NULL",
        "UPDATE audit_holds SET lifted_by = 'somebody else' WHERE lifted_at IS NOT NULL",
        "UPDATE audit_holds SET lifted_by = NULL, lifted_at = NULL, lift_reason = NULL \
         WHERE lifted_at IS NOT NULL",
        "DELETE FROM audit_holds WHERE lifted_at IS NOT NULL",
        "DELETE FROM audit_holds WHERE lifted_at IS NULL",
        whole,
    ] {
        subject.execute(statement).await.expect_err(statement);
    }
    assert_eq!(subject.count("audit_holds").await, 2);
}
