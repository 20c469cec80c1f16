//! Who may do what in the database itself (S9): asked in plain SQL, as the application's role.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{Datelike, DurationRound, TimeDelta};
use futures::TryStreamExt;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPoolCopyExt, PgPoolOptions};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::dead_letters::{DeadLetter, DeadLetters};
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::pipeline::events;
use tranche_tests::contract::scene::World;
use tranche_tests::contract::tree::number;
use uuid::Uuid;

use super::sessions::{count, refusal, service, session};
use super::subject::{Subject, fresh};

/// What the application needs, and nothing else: a table that is new has its privileges here too.
const APPLICATION: [(&str, &str); 39] = [
    ("_sqlx_migrations", "SELECT"),
    ("actors", "INSERT SELECT UPDATE"),
    ("api_keys", "INSERT SELECT UPDATE"),
    (
        "assessment_trails",
        "DELETE INSERT SELECT UPDATE(completed_at) UPDATE(completion_cost) \
         UPDATE(completion_tokens) UPDATE(context_layers) UPDATE(created_at) UPDATE(model) \
         UPDATE(prompt_cost) UPDATE(prompt_tokens) UPDATE(reasoning_traces) UPDATE(updated_at) \
         UPDATE(version)",
    ),
    ("audit_archive", "SELECT"),
    ("audit_checkpoints", "INSERT SELECT"),
    ("audit_counts", "SELECT"),
    ("audit_dead_letters", "DELETE INSERT SELECT UPDATE(id)"),
    ("audit_events", "INSERT SELECT"),
    ("audit_expired", "SELECT"),
    ("audit_expiring", "SELECT"),
    ("audit_holds", "INSERT SELECT UPDATE"),
    ("audit_leaf_records", "SELECT"),
    ("audit_leaves", "INSERT SELECT"),
    ("audit_nodes", "INSERT SELECT"),
    ("audit_outbox", "DELETE INSERT SELECT UPDATE(id)"),
    ("audit_pending", "DELETE INSERT SELECT"),
    ("audit_reports", "DELETE INSERT SELECT UPDATE"),
    ("audit_retention_runs", "SELECT"),
    ("audit_retention_runs_begun_seq", ""),
    ("audit_rollups", "INSERT SELECT UPDATE"),
    ("audit_rollups_expired", "SELECT"),
    ("audit_subject_keys", "INSERT SELECT UPDATE"),
    ("audit_tree", "INSERT SELECT UPDATE"),
    ("channel_accounts", "INSERT SELECT UPDATE"),
    ("disbursements", "DELETE INSERT SELECT UPDATE"),
    ("idempotency_keys", "INSERT SELECT UPDATE"),
    ("ledger_burns", "INSERT SELECT"),
    ("ledger_watch", "INSERT SELECT UPDATE"),
    ("milestone_evidence", "INSERT SELECT"),
    ("milestones", "DELETE INSERT SELECT UPDATE"),
    ("projects", "DELETE INSERT SELECT UPDATE"),
    ("secrets", "INSERT SELECT UPDATE"),
    ("trail_clean_ups", "DELETE INSERT SELECT UPDATE"),
    ("trail_removals", "DELETE INSERT SELECT UPDATE"),
    ("trail_rollups", "DELETE INSERT SELECT UPDATE"),
    ("wallets", "INSERT SELECT UPDATE"),
    ("webhook_secrets", "DELETE INSERT SELECT UPDATE"),
    ("webhooks", "DELETE INSERT SELECT UPDATE"),
];

/// Two projects, each with events in the log and in the outbox, a dead letter, and roll-ups.
async fn two_projects(subject: &Subject) -> (Uuid, Uuid) {
    let world = World::of(subject);
    let (one, other) = (world.project(1_000).await.id, world.project(1_000).await.id);
    for project in [one, other] {
        world.payable(project, 1, 100).await;
        let sent: Vec<_> = events(&world, 6)
            .into_iter()
            .map(|event| EventRecord {
                project_id: Some(project.0),
                ..(*event).clone()
            })
            .map(Arc::new)
            .collect();
        let new = subject.store.append(&sent, world.now()).await;
        assert_eq!(new.expect("they are appended"), 6);
    }
    let numbered = number(&subject.store, 5).await.expect("it numbers");
    assert_eq!(numbered, Some(5));
    for kept in [
        "INSERT INTO audit_leaf_records SELECT leaf_index, '\\x7b7d' FROM audit_leaves",
        "INSERT INTO audit_rollups_expired SELECT gen_random_uuid(), r.* FROM audit_rollups r",
    ] {
        subject.execute(kept).await.expect(kept);
    }
    let letter = DeadLetter {
        id: world.id(),
        event_id: None,
        content: "unreadable".to_owned(),
        error: "it is no event".to_owned(),
        source: "queue".to_owned(),
        buried_at: world.now(),
    };
    subject.store.bury(&[letter]).await.expect("it is buried");
    (one.0, other.0)
}

const TOLD: [&str; 7] = [
    "audit_events",
    "audit_outbox",
    "audit_dead_letters",
    "audit_leaf_records",
    "audit_pending",
    "audit_rollups",
    "audit_rollups_expired",
];

#[tokio::test]
async fn nothing_is_seen_or_written_without_a_scope() {
    let subject = fresh().await;
    two_projects(&subject).await;
    let url = service(&subject).await;
    for scope in [None, Some(""), Some("00000000-0000-7000-8000-000000000000")] {
        let mut session = session(&url, scope).await;
        for table in TOLD {
            assert!(subject.count(table).await > 0, "{table}");
            let seen = count(&mut session, &format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(seen, 0, "{table} in {scope:?}");
        }
    }
    let mut all = session(&url, Some("all")).await;
    for table in TOLD {
        let seen = count(&mut all, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(seen, subject.count(table).await, "{table}");
    }
    let mut without = session(&url, None).await;
    let copied =
        "INSERT INTO audit_events (id, occurred_at, recorded_at, severity, action, actor_id,
        resource_type, salt) VALUES (gen_random_uuid(), now(), now(), 'info', 'a', 'b', 'c',
        decode(repeat('00', 16), 'hex'))";
    let why = refusal(&mut without, copied).await;
    assert!(why.contains("row-level security"), "{why}");
    let mut without = session(&url, None).await;
    let waiting = "INSERT INTO audit_pending
            (event_id, leaf_hash, severity, occurred_at, action, resource_type)
        VALUES (gen_random_uuid(), sha256('x'), 'info', now(), 'a', 'b')";
    let why = refusal(&mut without, waiting).await;
    assert!(why.contains("row-level security"), "{why}");
    // What a transaction could see ends with it.
    sqlx::raw_sql("COMMIT")
        .execute(&mut all)
        .await
        .expect("it ends");
    assert_eq!(
        count(&mut all, "SELECT count(*) FROM audit_events").await,
        0
    );
}

#[tokio::test]
async fn a_project_sees_its_own_whatever_is_asked() {
    let subject = fresh().await;
    let (own, other) = two_projects(&subject).await;
    let url = service(&subject).await;
    let mut session = session(&url, Some(&own.to_string())).await;
    for table in ["audit_events", "audit_outbox"] {
        let visible = format!("{table} WHERE project_id = '{own}'");
        let expected = subject.count(&visible).await;
        assert!(expected > 0, "{table}");
        let all = count(&mut session, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(all, expected, "{table}");
        for sql in [
            format!("SELECT count(*) FROM {table} WHERE project_id = '{other}'"),
            format!("SELECT count(*) FROM {table} WHERE project_id IS DISTINCT FROM '{own}'"),
            format!("SELECT count(*) FROM (SELECT DISTINCT project_id FROM {table} OFFSET 1) t"),
            format!(
                "SELECT count(*) FROM {table} one JOIN {table} two USING (severity)
                WHERE two.project_id <> '{own}' OR one.project_id <> '{own}'"
            ),
            format!(
                "SELECT count(*) FROM generate_series(1, 9) LEFT JOIN LATERAL
                (SELECT * FROM {table}) t ON true WHERE t.project_id <> '{own}'"
            ),
        ] {
            assert_eq!(count(&mut session, &sql).await, 0, "{sql}");
        }
        let view = format!("CREATE TEMP VIEW seen AS SELECT * FROM {table}");
        sqlx::raw_sql(AssertSqlSafe(view))
            .execute(&mut session)
            .await
            .expect("a view");
        assert_eq!(
            count(&mut session, "SELECT count(*) FROM seen").await,
            expected
        );
        sqlx::raw_sql("DROP VIEW seen")
            .execute(&mut session)
            .await
            .expect("no view");
    }
    for table in [
        "audit_dead_letters",
        "audit_leaf_records",
        "audit_pending",
        "audit_rollups",
        "audit_rollups_expired",
    ] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(
            count(&mut session, &sql).await,
            0,
            "{table} tells of every project"
        );
    }
    let foreign = format!(
        "INSERT INTO audit_outbox (id, occurred_at, severity, action, actor_id,
        resource_type, salt, project_id) VALUES (gen_random_uuid(), now(), 'info', 'a', 'b', 'c',
        decode(repeat('00', 16), 'hex'), '{other}')"
    );
    let why = refusal(&mut session, &foreign).await;
    assert!(why.contains("row-level security"), "{why}");
}

#[tokio::test]
async fn a_copy_shows_a_project_its_own() {
    let subject = fresh().await;
    let (own, other) = two_projects(&subject).await;
    let url = service(&subject).await;
    let options: PgConnectOptions = url.parse().expect("a URL");
    let scoped = [
        ("role", "tranche_application".to_owned()),
        ("tranche.scope", own.to_string()),
    ];
    let pool = PgPoolOptions::new()
        .connect_with(options.options(scoped))
        .await;
    let pool = pool.expect("it connects");
    for sql in [
        "COPY audit_events TO STDOUT",
        "COPY (TABLE audit_events) TO STDOUT",
    ] {
        let copied = pool.copy_out_raw(sql).await.expect("it copies");
        let copied: Vec<_> = copied.try_collect().await.expect("it is whole");
        let text = String::from_utf8(copied.concat()).expect("text");
        // A partitioned table itself, without its partitions, holds nothing.
        assert_eq!(
            text.contains(&own.to_string()),
            sql.contains("(TABLE"),
            "{sql}"
        );
        assert!(!text.contains(&other.to_string()), "{sql}");
    }
}

#[tokio::test]
async fn partitions_are_reached_through_the_log_alone() {
    let subject = fresh().await;
    two_projects(&subject).await;
    let url = service(&subject).await;
    let partitions = subject.partitions().await;
    assert!(partitions.len() > 10, "{partitions:?}");
    for partition in partitions.iter().filter(|name| *name != "audit_events") {
        for sql in [
            format!("SELECT * FROM {partition}"),
            format!("SELECT count(*) FROM ONLY {partition}"),
            format!("COPY {partition} TO STDOUT"),
            format!("INSERT INTO {partition} SELECT * FROM audit_events"),
            format!("LOCK TABLE {partition} IN ACCESS SHARE MODE"),
        ] {
            let mut session = session(&url, Some("all")).await;
            let why = refusal(&mut session, &sql).await;
            assert!(why.contains("permission denied"), "{sql}: {why}");
        }
    }
}

#[tokio::test]
async fn the_archive_is_walled_as_the_log_is() {
    let subject = fresh().await;
    let (own, _) = two_projects(&subject).await;
    let now = World::of(&subject).now();
    let month = now.duration_trunc(TimeDelta::days(1)).expect("a day");
    let month = month.with_day(1).expect("each month has one");
    assert!(subject.archive(month).await > 10);
    let url = service(&subject).await;
    let of_own = format!("audit_archive WHERE project_id = '{own}'");
    let seen = "SELECT count(*) FROM audit_archive";
    for (scope, expected) in [
        (None, 0),
        (Some(own.to_string()), subject.count(&of_own).await),
        (Some("all".to_owned()), subject.count("audit_archive").await),
    ] {
        let mut session = session(&url, scope.as_deref()).await;
        assert_eq!(count(&mut session, seen).await, expected, "{scope:?}");
    }
    let part = month
        .format("SELECT * FROM audit_events_info_%Y_%m")
        .to_string();
    let mut all = session(&url, Some("all")).await;
    let why = refusal(&mut all, &part).await;
    assert!(why.contains("permission denied"), "{why}");
    let mut all = session(&url, Some("all")).await;
    let why = refusal(
        &mut all,
        "INSERT INTO audit_archive SELECT * FROM audit_archive",
    )
    .await;
    assert!(why.contains("permission denied"), "{why}");
}

#[tokio::test]
async fn the_application_may_not_change_what_is_recorded() {
    let subject = fresh().await;
    two_projects(&subject).await;
    let low = service(&subject).await;
    for url in [low.as_str(), subject.database.url.as_str()] {
        for sql in [
            "UPDATE audit_events SET actor_id = 'nobody'",
            "DELETE FROM audit_events",
            "TRUNCATE audit_events",
            "UPDATE audit_leaves SET leaf_index = leaf_index + 1",
            "DELETE FROM audit_nodes",
            "INSERT INTO audit_leaf_records VALUES (11, '\\x7b7d')",
            "DELETE FROM audit_leaf_records",
            "UPDATE audit_pending SET action = 'forged'",
            "INSERT INTO audit_rollups_expired SELECT * FROM audit_rollups_expired",
            "UPDATE audit_checkpoints SET note = ''",
            "DELETE FROM milestone_evidence",
            "UPDATE audit_outbox SET id = gen_random_uuid()",
            "UPDATE audit_outbox SET salt = ''",
            "UPDATE audit_dead_letters SET id = gen_random_uuid()",
            "INSERT INTO audit_rollups SELECT * FROM audit_rollups ON CONFLICT DO NOTHING; DELETE FROM audit_rollups",
            "SELECT * FROM audit_events FOR UPDATE",
            "ALTER TABLE audit_events DISABLE TRIGGER ALL",
            "ALTER TABLE audit_events DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE audit_events ADD COLUMN x int",
            "DROP TABLE audit_events",
            "DROP POLICY read_in_scope ON audit_events",
            "CREATE POLICY mine ON audit_events USING (true)",
            "DROP TRIGGER audit_events_append_only ON audit_events",
            "CREATE OR REPLACE FUNCTION tranche_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "CREATE TRIGGER mine BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION tranche_append_only()",
            "CREATE TABLE mine (x int)",
            "SELECT audit_partition('info', now())",
            "SET session_replication_role = replica",
            "SET row_security = off; SELECT * FROM audit_events",
            "GRANT SELECT ON audit_events_info TO tranche_application",
            "SET LOCAL ROLE tranche_retention; ALTER TABLE audit_events DISABLE TRIGGER ALL",
            "COPY audit_events FROM PROGRAM 'true'",
            "VACUUM FULL audit_events",
        ] {
            let mut session = session(url, Some("all")).await;
            let why = refusal(&mut session, sql).await;
            let known = [
                "permission denied",
                "must be owner",
                "row-level security",
                "VACUUM cannot",
                "must be superuser",
                "query would be affected",
            ];
            assert!(known.iter().any(|one| why.contains(one)), "{sql}: {why}");
        }
    }
    for sql in [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET ROLE pg_monitor",
    ] {
        let mut session = session(&low, Some("all")).await;
        let why = refusal(&mut session, sql).await;
        assert!(why.contains("permission denied"), "{sql}: {why}");
    }
    // Whoever lets go of the role has it again.
    let mut session = session(&subject.database.url, Some("all")).await;
    sqlx::raw_sql("RESET ROLE")
        .execute(&mut session)
        .await
        .expect("it is reset");
    let why = refusal(&mut session, "DELETE FROM audit_events").await;
    assert!(why.contains("permission denied"), "{why}");
}

#[tokio::test]
async fn every_table_has_the_privileges_that_are_written_here() {
    let subject = fresh().await;
    let sql = "SELECT c.relname || ' ' || coalesce((SELECT string_agg(what, ' ' ORDER BY what) FROM (
            SELECT DISTINCT privilege_type FROM aclexplode(c.relacl)
            WHERE grantee = 'tranche_application'::regrole
            UNION SELECT privilege_type || '(' || attname || ')' FROM pg_attribute a,
                aclexplode(a.attacl) WHERE attrelid = c.oid AND grantee = 'tranche_application'::regrole
        ) held (what)), '')
        FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            AND NOT relispartition ORDER BY 1";
    let held: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&subject.past)
        .await
        .expect("the privileges");
    let held: BTreeMap<String, String> = held
        .iter()
        .map(|line| line.split_once(' ').expect("a table and what is held"))
        .map(|(table, what)| (table.to_owned(), what.to_owned()))
        .collect();
    let expected: BTreeMap<String, String> = APPLICATION
        .iter()
        .map(|(table, what)| ((*table).to_owned(), (*what).to_owned()))
        .collect();
    assert_eq!(held, expected);
    let on_partitions =
        "SELECT count(*) FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')
        AND relacl IS NOT NULL";
    assert_eq!(subject.value(on_partitions).await, 0);
    let open =
        "SELECT count(*) FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        WHERE pronamespace = 'public'::regnamespace AND prosecdef AND grantee = 0";
    assert_eq!(
        subject.value(open).await,
        0,
        "nobody but who is named becomes the owner"
    );
}
