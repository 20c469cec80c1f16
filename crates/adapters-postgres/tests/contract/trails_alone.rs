//! What only Postgres can be asked of trails: who sees them in plain SQL, which indexes are used, who
//! waits for whom.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::{Instant, sleep, timeout};
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::ports::trails::{TrailCleanUps, TrailStore};
use tranche_domain::trail::sums::TimeRange;
use tranche_domain::{Project, Role};
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::scene::World;
use tranche_tests::contract::trails::world::{
    adopt, amended, at, completion, message, opened, placeholder, whole,
};

use super::sessions::{count, refusal, service, session};
use super::subject::{Subject, fresh};

/// Longer than figures take to be seen by others, and than anything but a deadlock takes.
const FOR_EVER: Duration = Duration::from_secs(30);
/// Long enough for whatever does not wait for a lock.
const A_WHILE: Duration = Duration::from_millis(250);
const TABLES: [&str; 2] = ["assessment_trails", "trail_rollups"];

/// Two projects with a completed trail and a placeholder each, in the first two hours.
async fn two_projects(subject: &Subject) -> (Project, Project) {
    let world = World::of(subject);
    let (one, other) = (world.project(1_000).await, world.project(1_000).await);
    for (n, project) in [(10, one.id), (20, other.id)] {
        let saved = [
            opened(n, project, whole(7, "large-2", "0.000315")),
            opened(n + 1, project, placeholder(67)),
        ];
        for change in &saved {
            subject.store.save(change).await.expect("it is saved");
        }
    }
    (one, other)
}

async fn execute(session: &mut PgConnection, sql: &str) -> u64 {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(session)
        .await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"))
        .rows_affected()
}

#[tokio::test]
async fn a_project_sees_and_changes_its_own_trails_alone() {
    let subject = fresh().await;
    let (own, other) = two_projects(&subject).await;
    let url = service(&subject).await;
    let nobody = "00000000-0000-7000-8000-000000000000".to_owned();
    for table in TABLES {
        let seen = format!("SELECT count(*) FROM {table}");
        let all = subject.count(table).await;
        for (scope, expected) in [
            (None, 0),
            (Some(String::new()), 0),
            (Some(nobody.clone()), 0),
            (Some(own.id.to_string()), all / 2),
            (Some("all".to_owned()), all),
        ] {
            let mut session = session(&url, scope.as_deref()).await;
            assert_eq!(
                count(&mut session, &seen).await,
                expected,
                "{table} {scope:?}"
            );
        }
        let mut session = session(&url, Some(&own.id.to_string())).await;
        let foreign = format!("{seen} WHERE project_id <> '{}'", own.id);
        assert_eq!(count(&mut session, &foreign).await, 0);
        // What it may delete at all is the clean-up's.
        assert_eq!(
            execute(&mut session, &format!("DELETE FROM {table}")).await,
            0
        );
    }
    let mut session = session(&url, Some(&own.id.to_string())).await;
    let updated = execute(&mut session, "UPDATE assessment_trails SET version = 9").await;
    assert_eq!(updated, 2, "its own");
    let updated = execute(&mut session, "UPDATE trail_rollups SET open = 9").await;
    assert_eq!(updated, 4, "its own");
    let foreign = format!(
        "INSERT INTO assessment_trails (message_id, project_id, created_at, updated_at, version)
        VALUES (gen_random_uuid(), '{}', now(), now(), 1)",
        other.id
    );
    let why = refusal(&mut session, &foreign).await;
    assert!(why.contains("row-level security"), "{why}");
}

#[tokio::test]
async fn a_trail_stays_its_messages_and_its_projects() {
    let subject = fresh().await;
    let (own, other) = two_projects(&subject).await;
    let url = service(&subject).await;
    for (sql, expected) in [
        (
            format!("UPDATE assessment_trails SET project_id = '{}'", other.id),
            "permission denied",
        ),
        (
            "UPDATE assessment_trails SET message_id = gen_random_uuid()".to_owned(),
            "permission denied",
        ),
        ("TRUNCATE assessment_trails".to_owned(), "permission denied"),
        (
            format!("UPDATE trail_rollups SET project_id = '{}'", other.id),
            "row-level security",
        ),
    ] {
        let mut session = session(&url, Some(&own.id.to_string())).await;
        let why = refusal(&mut session, &sql).await;
        assert!(why.contains(expected), "{sql}: {why}");
    }
}

#[tokio::test]
async fn the_schema_refuses_what_no_trail_can_be() {
    let subject = fresh().await;
    two_projects(&subject).await;
    for set in [
        "version = 0",
        "completed_at = NULL",
        "model = NULL",
        "prompt_tokens = NULL",
        "prompt_tokens = -1",
        "prompt_tokens = 9007199254740991",
        "completion_cost = NULL",
        "prompt_cost = -0.000000000001",
        "prompt_cost = 999999999999999999.999999999999, completion_cost = 0.000000000001",
    ] {
        let sql = format!("UPDATE assessment_trails SET {set} WHERE completed_at IS NOT NULL");
        let why = subject.execute(&sql).await.expect_err(set);
        assert!(why.contains("violates check constraint"), "{set}: {why}");
    }
}

/// How often a table was read whole, and how often by each of its indexes.
async fn scans(subject: &Subject) -> (i64, Vec<(String, i64)>) {
    let whole = "SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables
        WHERE relname IN ('assessment_trails', 'trail_rollups')";
    let by_index = "SELECT indexrelname::text, idx_scan FROM pg_stat_user_indexes
        WHERE relname IN ('assessment_trails', 'trail_rollups') ORDER BY 1";
    let by_index: Vec<(String, i64)> = sqlx::query_as(by_index)
        .fetch_all(&subject.past)
        .await
        .expect("the figures");
    (subject.value(whole).await, by_index)
}

/// Whatever the planner believes: nothing was analysed here.
#[tokio::test]
async fn every_statement_has_its_index() {
    let subject = fresh().await;
    let (one, _) = two_projects(&subject).await;
    let store = &subject.store;
    let everything = TimeRange::try_new(at(-60), at(3 * 24 * 60 + 7)).expect("a range");
    let read = store
        .read(message(10), Scope::All)
        .await
        .expect("it is read");
    let read = read.expect("it is there");
    for n in 0..8 {
        // Statements that are prepared get a plan for all later times after the fifth.
        let change = amended(
            store
                .read(message(10), Scope::Project(one.id))
                .await
                .expect("it is read")
                .expect("it is there"),
            completion(40 + n),
            n,
        );
        store.save(&change).await.expect("it is saved");
        assert!(!adopt(store, &read).await);
        let copy = opened(100 + u128::from(n), one.id, whole(9, "large-2", "1"));
        assert!(adopt(store, copy.trail()).await);
        let copy = amended(copy.into_trail(), completion(31), 100 + n);
        assert!(adopt(store, copy.trail()).await);
        store.page(None, 10).await.expect("a page");
        store.page(Some(message(10)), 10).await.expect("a page");
        store.several(&[message(10)]).await.expect("trails");
        store.count(Some(at(0))).await.expect("a number");
        let counted = store.counted(one.id, everything, 10).await;
        let recent = counted.expect("it is counted").recent.len();
        assert_eq!(recent, 3 + usize::try_from(n).expect("few"));
        store.expire(at(0), 10).await.expect("nothing expires");
        store
            .expire_sums(at(61), 10)
            .await
            .expect("nothing expires");
    }
    subject.store.close().await;
    let until = Instant::now() + FOR_EVER;
    loop {
        let (whole, by_index) = scans(&subject).await;
        if by_index.iter().all(|(_, scans)| *scans > 0) {
            assert_eq!(whole, 0, "{by_index:?}");
            assert_eq!(by_index.len(), 5, "{by_index:?}");
            return;
        }
        assert!(
            Instant::now() < until,
            "an index is of no use: {by_index:?}"
        );
        sleep(A_WHILE).await;
    }
}

/// What somebody else holds is passed over, and nobody waits for it.
#[tokio::test]
async fn a_clean_up_passes_over_what_is_held() {
    let subject = fresh().await;
    two_projects(&subject).await;
    let mut holder = PgConnection::connect(&subject.database.url)
        .await
        .expect("a superuser connects");
    let hold = format!(
        "BEGIN; SELECT FROM assessment_trails WHERE message_id = '{}' FOR UPDATE;
        SELECT FROM trail_rollups WHERE bucket = 'hour' AND open = 0 FOR UPDATE",
        message(10)
    );
    execute(&mut holder, &hold).await;
    let expire = async |limit| {
        let expired = timeout(FOR_EVER / 10, subject.store.expire(at(200), limit)).await;
        expired.expect("nobody waits").expect("it expires")
    };
    assert_eq!(expire(1).await, 1);
    assert_eq!(expire(10).await, 2);
    assert_eq!(expire(10).await, 0);
    let sums = timeout(FOR_EVER / 10, subject.store.expire_sums(at(200), 10)).await;
    let sums = sums.expect("nobody waits").expect("they expire");
    assert_eq!(sums, 2, "the placeholders' hours");
    holder.close().await.expect("it lets go");
    assert_eq!(expire(10).await, 1);
    let sums = subject.store.expire_sums(at(200), 10).await;
    assert_eq!(sums.expect("they expire"), 2);
    assert_eq!(
        subject.count("trail_rollups").await,
        0,
        "days go with their hours"
    );
}

/// Whoever saves while the project is deleted waits, and finds it gone; its trails and sums are.
#[tokio::test]
async fn a_save_waits_for_the_deletion_of_its_project() {
    let subject = fresh().await;
    let (gone, kept) = two_projects(&subject).await;
    let world = World::of(&subject);
    let read = subject.store.read(message(10), Scope::All).await;
    let there = read.expect("it is read").expect("it is there");
    let mut work = world.begin().await;
    let locked = work.projects().lock(gone.id).await.expect("it locks");
    let act = world.act("somebody", Role::Admin);
    let change = locked.expect("it is there").delete(&act);
    let change = change.expect("it never had a milestone");
    work.record(&change).await.expect("it is recorded");

    let first = opened(12, gone.id, whole(8, "large-2", "1"));
    let next = amended(there, completion(31), 1);
    let saves = [first, next].map(|change| {
        let store = subject.store.clone();
        tokio::spawn(async move { store.save(&change).await })
    });
    sleep(A_WHILE).await;
    assert!(saves.iter().all(|save| !save.is_finished()), "they wait");
    work.commit().await.expect("it is committed");
    let mut outcomes = Vec::new();
    for save in saves {
        let outcome = timeout(FOR_EVER, save).await.expect("it ends");
        outcomes.push(outcome.expect("no panic"));
    }
    assert!(
        matches!(
            outcomes[..],
            [
                Err(StoreError::Conflict(Conflict::ProjectGone)),
                Err(StoreError::Conflict(Conflict::ProjectGone)),
            ]
        ),
        "{outcomes:?}"
    );
    while subject
        .store
        .clear_removed(10)
        .await
        .expect("it is cleared")
        > 0
    {}
    for table in TABLES {
        let of = |project: &Project| format!("{table} WHERE project_id = '{}'", project.id);
        assert_eq!(subject.count(&of(&gone)).await, 0, "{table}");
        assert!(subject.count(&of(&kept)).await > 0, "{table}");
    }
}

/// Waits until so many statements wait for a lock here.
async fn until_waiting(subject: &Subject, statements: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let until = Instant::now() + FOR_EVER;
    while subject.value(waiting).await < statements {
        assert!(Instant::now() < until, "they do not wait");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A save that began first goes first, and the deletion after it: neither is turned away to try again.
#[tokio::test]
async fn a_save_and_the_deletion_of_its_project_take_turns() {
    let subject = fresh().await;
    let (gone, _) = two_projects(&subject).await;
    let world = World::of(&subject);
    let mut holder = PgConnection::connect(&subject.database.url)
        .await
        .expect("a superuser connects");
    let hold = "BEGIN; SELECT FROM trail_rollups WHERE bucket = 'hour' FOR UPDATE";
    execute(&mut holder, hold).await;
    let store = subject.store.clone();
    let first = opened(12, gone.id, whole(8, "large-2", "1"));
    let save = tokio::spawn(async move { store.save(&first).await });
    until_waiting(&subject, 1).await;
    let delete = tokio::spawn(async move {
        let mut work = world.begin().await;
        let act = world.act("somebody", Role::Admin);
        let change = gone.delete(&act).expect("it never had a milestone");
        work.record(&change).await?;
        work.commit().await
    });
    until_waiting(&subject, 2).await;
    holder.close().await.expect("it lets go");
    let saved = timeout(FOR_EVER, save).await.expect("it ends");
    saved.expect("no panic").expect("it came first");
    let deleted = timeout(FOR_EVER, delete).await.expect("it ends");
    deleted.expect("no panic").expect("it comes after");
    let read = subject.store.read(message(12), Scope::All).await;
    assert_eq!(read.expect("it is read"), None, "it went with its project");
}
