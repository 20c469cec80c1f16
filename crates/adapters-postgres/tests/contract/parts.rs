//! Parts of the log leave without anybody waiting for it, however large they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::retention::{RetentionStore, Step, Term};
use tranche_domain::ProjectId;
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::calendar::{
    Times, admin, events_of, log, month, noon, put, retention,
};
use tranche_tests::contract::pipeline::events;
use tranche_tests::contract::scene::World;

use super::subject::{Subject, fresh};

/// What a scan of the part, or a new index on it, takes far longer than.
const CATALOGUE: Duration = Duration::from_millis(300);
/// What a writer may wait for a lock that a run asks for, and for a machine that is busy.
const BEARABLE: Duration = Duration::from_millis(1_500);
const ROWS: i64 = 60_000;

/// A part of many events of January 2024, all of them in the tree.
async fn large_part(subject: &Subject) {
    subject.make_month(noon("2024-01-15")).await;
    let many = format!(
        "INSERT INTO audit_events (id, project_id, occurred_at, recorded_at, severity, action,
            actor_id, resource_type, resource_id, details, salt)
        SELECT (left(audit_id_floor(at)::text, 13) || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
            '01890000-0000-7000-8000-000000000001', at, at, 'info', 'loan.assessed', 'service-7',
            'loan', n::text, '{{\"score\": 1}}', decode(repeat('00', 16), 'hex')
        FROM (SELECT n, '2024-01-01T00:00:00Z'::timestamptz + n * interval '30 seconds' AS at
            FROM generate_series(1, {ROWS}) n) one;
        INSERT INTO audit_leaves (leaf_index, event_id, leaf_hash)
        SELECT row_number() OVER (ORDER BY id) - 1, id, sha256(id::text::bytea) FROM audit_events;
        ANALYZE audit_events"
    );
    subject.execute(&many).await.expect("they are there");
}

async fn took(subject: &Subject, statement: &str) -> Duration {
    let mut session = PgConnection::connect(&subject.database.url)
        .await
        .expect("a superuser connects");
    let began = Instant::now();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut session)
        .await
        .expect(statement);
    began.elapsed()
}

// S7: archiving and expiry change the catalogue, not rows.
#[tokio::test]
async fn a_large_part_leaves_as_quickly_as_a_small_one() {
    let subject = fresh().await;
    large_part(&subject).await;
    let january = "'info', '2024-01-15T12:00:00Z'";
    for function in ["audit_part_bounds", "audit_part_bounds_hold"] {
        let statement = format!("SELECT {function}({january})");
        subject.execute(&statement).await.expect("it says so");
    }
    let statement = format!("SELECT audit_archive_part({january}, 60, now())");
    let archived = took(&subject, &statement).await;
    assert!(archived < CATALOGUE, "{archived:?}");
    assert_eq!(subject.count("audit_archive").await, ROWS);
    assert_eq!(subject.count("audit_events").await, 0);
    subject
        .execute(
            "INSERT INTO audit_expiring (part, kept_to, events, complete)
             VALUES ('audit_archive_info_2024_01', '01890000-0000-7000-8000-000000000001', 1, true)",
        )
        .await
        .expect("it is ready");
    let statement = format!(
        "SELECT audit_expire_part({january}, 60, now(), now(),
            '01890000-0000-7000-8000-000000000001', NULL, NULL)"
    );
    let expired = took(&subject, &statement).await;
    assert!(expired < CATALOGUE, "{expired:?}");
    assert_eq!(subject.count("audit_archive").await, 0);
    println!("{ROWS} events: archived in {archived:?}, expired in {expired:?}");
}

// S7: whoever writes waits for a moment at most, even when somebody keeps the run waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_do_not_wait_for_a_run() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let old = events_of(&world, month("2024-01"), 50, ProjectId(world.id()));
    log(&subject, &world, &old).await;

    // Somebody reads the part, and goes on and on.
    let mut reader = PgConnection::connect(&subject.database.url)
        .await
        .expect("a superuser connects");
    let mut reading = reader.begin().await.expect("it begins");
    sqlx::query("SELECT count(*) FROM audit_events")
        .execute(&mut *reading)
        .await
        .expect("it is read");

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let (store, world, stop) = (subject.store.clone(), world.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut longest, mut writes) = (Duration::ZERO, 0_u32);
                while !stop.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    let new = store.append(&events(&world, 3), world.now()).await;
                    assert_eq!(new.expect("it is appended"), 3);
                    longest = longest.max(began.elapsed());
                    writes += 1;
                }
                (longest, writes)
            })
        })
        .collect();
    let times = Times::at(noon("2024-06-15"));
    let retention = retention(&subject, &times);
    let run = tokio::spawn(async move { retention.run(&admin(), None).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!run.is_finished(), "the reader is in its way");
    reading.rollback().await.expect("it ends");
    let report = run.await.expect("no panic").expect("it runs");
    stop.store(true, Ordering::SeqCst);
    let figures = report.run.as_ref().expect("it ran").figures;
    assert_eq!(figures.archived_parts, 3, "{report:?}");
    for writer in writers {
        let (longest, count) = writer.await.expect("no panic");
        assert!(longest < BEARABLE, "{longest:?}");
        assert!(count > 10, "{count}");
    }
}

// S7: what fell into the default part while its own was missing is archived all the same.
#[tokio::test]
async fn events_without_a_part_of_their_own_are_archived() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let strays = events_of(&world, month("2023-12"), 700, ProjectId(world.id()));
    put(&subject, &world, &strays).await;
    let parts = subject.store.parts().await.expect("they are read");
    let stray = parts.iter().find(|part| part.month == month("2023-12"));
    let stray = stray.expect("there is one").clone();
    assert_eq!((stray.events, stray.bytes), (700, None));
    let mut turn = subject
        .store
        .take_turn()
        .await
        .expect("it answers")
        .expect("ours");
    let term = Term {
        days: 60,
        as_of: noon("2024-06-15"),
    };
    let moved = turn.archive(&stray, term).await.expect("it moves");
    assert_eq!(moved, Step::Done(700));
    assert_eq!(subject.count("audit_archive").await, 700);
    assert_eq!(subject.count("audit_events").await, 1_400);
    for statement in [
        "DELETE FROM audit_events_info_default",
        "DELETE FROM audit_archive",
        "INSERT INTO audit_archive_critical_2023_12 SELECT * FROM audit_archive_critical_2023_12",
        "TRUNCATE audit_archive_critical_2023_12",
    ] {
        subject.execute(statement).await.expect_err(statement);
    }
}
