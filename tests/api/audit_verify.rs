//! `tranche verify` beside the running service, on an altered store, and on one that was put back.

use serde_json::Value;
use tranche_tests::support::service::{Options, StoreKind, Tranche, eventually};

use crate::scene::{Scene, id};

on_both_stores! {
    sound: a_log_with_a_burn_is_verified_while_it_is_served_on_sqlite,
        a_log_with_a_burn_is_verified_while_it_is_served_on_postgres;
    altered: an_altered_row_is_named_on_sqlite, an_altered_row_is_named_on_postgres;
    unchanged: verifying_makes_and_changes_nothing_on_sqlite,
        verifying_makes_and_changes_nothing_on_postgres;
    put_back: an_older_copy_of_the_store_is_found_on_sqlite,
        an_older_copy_of_the_store_is_found_on_postgres;
}

/// Every line that the command writes with `--json`, and its exit code.
fn verify(tranche: &Tranche, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let mut arguments = vec!["verify", "--json"];
    arguments.extend(more);
    let done = tranche.command(&arguments);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    (done.status.code(), lines.collect())
}

async fn sealed(tranche: &Tranche) {
    let waits = "SELECT (SELECT count(*) FROM audit_pending) + (SELECT count(*) FROM audit_outbox)";
    eventually("everything is sealed", async || {
        (tranche.sql(waits).await == "0").then_some(())
    })
    .await;
}

// S8 M14: rows, leaves, tree, statistics, milestones and burns agree.
async fn sound(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    scene.disburse(&milestone, "pay", 30).await.json(200);
    sealed(&scene.tranche).await;
    let (code, lines) = verify(&scene.tranche, &[]);
    assert_eq!((code, lines.len()), (Some(0), 1), "{lines:?}");
    let summary = &lines[0]["summary"];
    assert_eq!(summary["ok"], true, "{summary}");
    assert!(summary["events"].as_u64() >= Some(7), "{summary}");
    assert!(
        summary["checkpoint"]["size"].as_u64() >= Some(7),
        "{summary}"
    );
    let (code, lines) = verify(&scene.tranche, &["--key", "a+b+c"]);
    assert_eq!((code, lines.len()), (Some(2), 0), "a key that is none");
}

// S8: any column of a row; the exit code says it too.
async fn altered(store: StoreKind) {
    let scene = Scene::new(store);
    let project = scene.project().await;
    let milestone = scene.paid(&project, 1, "10").await;
    sealed(&scene.tranche).await;
    let events = scene.events(&milestone).await;
    let event = id(events.last().expect("one"));
    let guard = match store {
        StoreKind::Postgres => "SET session_replication_role = replica",
        StoreKind::Sqlite => "DROP TRIGGER audit_events_no_update",
    };
    let update = format!("UPDATE audit_events SET actor_id = 'forger' WHERE id = '{event}'");
    scene.tranche.sql(&format!("{guard}; {update}")).await;
    let (code, lines) = verify(&scene.tranche, &[]);
    assert_eq!((code, lines.len()), (Some(1), 2), "{lines:?}");
    assert_eq!(lines[0]["finding"]["kind"], "row_altered", "{lines:?}");
    assert_eq!(lines[0]["finding"]["event_id"], Value::String(event));
    assert_eq!(lines[1]["summary"]["findings"], 1);
}

// S8: yesterday's copy is whole in itself; what was kept outside of it says what is missing.
async fn put_back(store: StoreKind) {
    let mut scene = Scene::new(store);
    let project = scene.project().await;
    sealed(&scene.tranche).await;
    assert_eq!(scene.tranche.terminate(), Some(0));
    let backup = scene.tranche.backup();
    scene.tranche.restart();
    scene.paid(&project, 1, "10").await;
    sealed(&scene.tranche).await;
    assert_eq!(scene.tranche.terminate(), Some(0));
    assert_eq!(verify(&scene.tranche, &[]).0, Some(0));
    scene.tranche.restore(&backup);
    let (code, lines) = verify(&scene.tranche, &[]);
    assert_eq!(code, Some(1), "{lines:?}");
    let told = lines
        .iter()
        .any(|line| line["finding"]["kind"] == "checkpoint_beyond");
    assert!(told, "{lines:?}");
}

// S8: whoever verifies makes no key, no file and no schema: an older or a newer one is refused.
async fn unchanged(store: StoreKind) {
    let tranche = Tranche::start(store, Options::default());
    sealed(&tranche).await;
    let mut tranche = tranche;
    assert_eq!(tranche.terminate(), Some(0));
    assert_eq!(verify(&tranche, &[]).0, Some(0), "its own version");

    tranche
        .sql("DELETE FROM secrets WHERE name = 'audit-log-key'")
        .await;
    let done = tranche.command(&["verify"]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("--key: is required"), "{told}");
    assert_eq!(
        tranche
            .sql("SELECT count(*) FROM secrets WHERE name = 'audit-log-key'")
            .await,
        "0"
    );

    let applied = "SELECT max(version) FROM _sqlx_migrations";
    let newest = tranche.sql(applied).await;
    for (change, left) in [
        (
            format!("UPDATE _sqlx_migrations SET version = 9999 WHERE version = {newest}"),
            "9999",
        ),
        (
            "DELETE FROM _sqlx_migrations WHERE version = 9999".to_owned(),
            "older",
        ),
    ] {
        tranche.sql(&change).await;
        let before = tranche.sql(applied).await;
        let done = tranche.command(&["verify"]);
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{left}: {told}");
        assert!(told.contains("the schema is not this program's"), "{told}");
        assert_eq!(tranche.sql(applied).await, before, "{left}");
    }
}
