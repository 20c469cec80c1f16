//! The binary's other commands.

use std::process::Output;

use serde_json::json;
use tranche_tests::support::postgres::Database;
use tranche_tests::support::service::{MASTER_KEY, StoreKind, Tranche, eventually, run};

use crate::scene::Scene;

on_both_stores! {
    keys: keys_are_issued_listed_and_revoked_on_sqlite,
        keys_are_issued_listed_and_revoked_on_postgres;
    migrate: migrating_twice_is_migrating_once_on_sqlite,
        migrating_twice_is_migrating_once_on_postgres;
    reconcile: reconciling_with_nothing_open_says_so_on_sqlite,
        reconciling_with_nothing_open_says_so_on_postgres;
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Settings for a command on an empty store, and the database that must outlive it.
fn settings(store: StoreKind) -> (Vec<(&'static str, String)>, Option<Database>) {
    let mut settings = vec![
        ("TRANCHE_LISTEN", "127.0.0.1:0".to_owned()),
        ("TRANCHE_SANDBOX_LEDGER_MS", "100".to_owned()),
    ];
    if store == StoreKind::Sqlite {
        return (settings, None);
    }
    let database = Database::create().expect("a database");
    settings.push(("TRANCHE_DATABASE_URL", database.url.clone()));
    settings.push(("TRANCHE_MASTER_KEY", MASTER_KEY.to_owned()));
    (settings, Some(database))
}

#[test]
fn the_demo_agrees_with_itself_on_sqlite() {
    demo(StoreKind::Sqlite);
}

#[test]
fn the_demo_agrees_with_itself_on_postgres() {
    demo(StoreKind::Postgres);
}

// M1 to M9: the walk of the demo ends with books that agree, twice on the same data.
fn demo(store: StoreKind) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, _database) = settings(store);
    for _ in 0..2 {
        let told = succeeded(&run(&["demo", "--exit"], &settings, folder.path()));
        assert!(told.matches('✓').count() >= 6, "{told}");
        assert!(!told.contains('✗'), "{told}");
        assert!(
            told.contains("3,749,999.5000000"),
            "the NAV after the burn:\n{told}"
        );
        assert!(
            !told.contains("trk_"),
            "a key of a demo that has ended:\n{told}"
        );
    }
}

// API contract: a key is printed alone; lists show no secret; a revoked key is gone at once.
async fn keys(store: StoreKind) {
    let tranche = Tranche::start(store, tranche_tests::support::service::Options::default());
    let issued = tranche.command(&[
        "key",
        "issue",
        "--subject",
        "ada lovelace",
        "--role",
        "viewer,auditor",
    ]);
    let token = succeeded(&issued);
    assert_eq!(token.lines().count(), 1, "the key alone");
    let token = token.trim();
    let (id, secret) = token["trk_".len()..]
        .split_once('_')
        .expect("an id and a secret");
    let ada = tranche.with_token(Some(token));
    ada.get("/v1/projects").await.json(200);

    let listed = succeeded(&tranche.command(&["key", "list"]));
    let line = listed
        .lines()
        .find(|line| line.contains(id))
        .expect("the key is listed");
    for part in ["ada lovelace", "viewer,auditor", "in force"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!listed.contains(secret), "{listed}");
    assert_eq!(
        succeeded(&tranche.command(&["key", "revoke", id])).trim(),
        format!("revoked {id}")
    );
    ada.get("/v1/projects").await.problem(401, "auth.invalid");
    let listed = succeeded(&tranche.command(&["key", "list"]));
    assert!(
        listed
            .lines()
            .any(|line| line.contains(id) && line.contains("revoked")),
        "{listed}"
    );
    for again in [id, "0000000000000000", token] {
        let output = tranche.command(&["key", "revoke", again]);
        assert!(!output.status.success(), "{again} is revoked again");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(!told.contains(secret), "{told}");
    }
    for wrong in [
        ["--subject", "x", "--role", "king"],
        ["--subject", "", "--role", "viewer"],
    ] {
        let output = tranche.command(&[&["key", "issue"], &wrong[..]].concat());
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{wrong:?}"
        );
    }
    // Issuing and revoking are in the log, with who and for whom, and without the secret.
    let query = "SELECT action || ' ' || resource_id || ' ' || actor_id FROM audit_events
        WHERE action LIKE 'key.%' ORDER BY id";
    let events = eventually("both events", async || {
        let events = tranche.sql(query).await;
        (events.lines().count() == 2).then_some(events)
    })
    .await;
    let lines: Vec<&str> = events.lines().collect();
    assert!(
        lines[0].starts_with(&format!("key.issued {id} cli:")),
        "{events}"
    );
    assert!(
        lines[1].starts_with(&format!("key.revoked {id} cli:")),
        "{events}"
    );
}

// API contract: the schema is brought up to date once, whoever asks how often, also at once.
async fn migrate(store: StoreKind) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, database) = settings(store);
    let migrate = || run(&["migrate"], &settings, folder.path());
    std::thread::scope(|scope| {
        for process in [scope.spawn(migrate), scope.spawn(migrate)] {
            let told = succeeded(&process.join().expect("it ends"));
            assert!(told.contains("is up to date"), "{told}");
        }
    });
    succeeded(&migrate());
    if let Some(database) = database {
        let tables = database
            .run("SELECT count(*) FROM milestones")
            .expect("the schema");
        assert_eq!(tables, "0");
    }
    // A schema of a newer program is left alone.
    let scene = Tranche::start(store, tranche_tests::support::service::Options::default());
    scene
        .sql("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1")
        .await;
    let output = scene.command(&["migrate"]);
    assert!(
        !output.status.success(),
        "it takes a schema that it does not know"
    );
}

// M8: `tranche reconcile` beside a running service says what is open.
async fn reconcile(store: StoreKind) {
    let mut scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    scene.disburse(&milestone, "done", 30).await.json(200);
    assert_eq!(scene.tranche.terminate(), Some(0));
    let told = succeeded(&scene.tranche.command(&["reconcile"]));
    let said: Vec<&str> = told.lines().collect();
    assert_eq!(said[0], "0 ended, 0 still open, 0 could not be looked at");
    assert!(said[1].starts_with("books and ledger agree"), "{told}");
    assert_eq!(said.len(), 2, "{told}");
}

// API contract: `tranche config` shows what is in force and masks every secret.
#[test]
fn the_configuration_is_shown_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [
        (
            "TRANCHE_DATABASE_URL",
            "postgres://ada:hunter2hunter2@db.example/tranche?sslmode=require",
        ),
        ("TRANCHE_MASTER_KEY", MASTER_KEY),
        (
            "TRANCHE_SENTRY_DSN",
            "https://0123456789abcdef@sentry.example/1",
        ),
        ("TRANCHE_LISTEN", "127.0.0.1:9999"),
    ];
    let settings = settings.map(|(name, value)| (name, value.to_owned()));
    let told = succeeded(&run(&["config"], &settings, folder.path()));
    for secret in ["hunter2", MASTER_KEY, "0123456789abcdef"] {
        assert!(!told.contains(secret), "{told}");
    }
    assert!(told.contains("TRANCHE_LISTEN=127.0.0.1:9999"), "{told}");
    assert!(told.contains("postgres://db.example/"), "{told}");
    let other = [(
        "TRANCHE_DATABASE_URL",
        "postgres://db.example/tranche?user=ada&password=hunter2hunter2".to_owned(),
    )];
    let told = succeeded(&run(&["config"], &other, folder.path()));
    assert!(!told.contains("hunter2"), "{told}");
    let empty = succeeded(&run(&["config"], &[], folder.path()));
    assert!(empty.contains("TRANCHE_LISTEN=127.0.0.1:8080"), "{empty}");
    let entries = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(
        json!(entries),
        json!(0),
        "showing the configuration makes nothing"
    );
}
