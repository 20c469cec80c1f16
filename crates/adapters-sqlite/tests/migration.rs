//! A file of the former schema, with rows, becomes one of this.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tranche_adapters_sqlite::SqliteStore;
use tranche_application::ports::books::Books;
use tranche_application::ports::queries::Queries;
use tranche_domain::{BurnId, DisbursementId, DisbursementState};
use tranche_tests::contract::tree::number;
use uuid::Uuid;

/// Before accounts were leased, two burns of one wallet could be in flight.
const ROWS: &str = "
    INSERT INTO projects (id, name, nav, nav_reserved, lp_tokens_outstanding, total_milestones,
        completed_milestones, last_milestone_date, wallet_account_id, maker_checker, burn_policy,
        created_at, version)
    VALUES ('00000000-0000-7000-8000-000000000001', 'Wells', 600, 150, 1, 4, 1, 1, 'GWALLET', 1,
        'exact_transfer', 1, 9);
    INSERT INTO disbursements (id, project_id, milestone_id, amount, wallet_account_id,
        ordered_by_id, ordered_by_role, prepared_at, burn_id, envelope, memo, network,
        sequence_account, sequence, valid_until, signed_at_ledger, state, settled_at,
        settled_ledger, failed_at, failure_code, failure_detail, attempts, version)
    SELECT '00000000-0000-7000-8000-00000000001' || column1,
        '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-00000000002' || column1, column2, 'GWALLET',
        'tunde', 'treasurer', 1, 'burn-' || column1, x'00', CAST(printf('%032d', column1) AS BLOB),
        'net', 'GWALLET', column1, 1, 7, column3, CASE column3 WHEN 'settled' THEN 1 END,
        CASE column3 WHEN 'settled' THEN 9 END, CASE column3 WHEN 'failed' THEN 1 END,
        CASE column3 WHEN 'failed' THEN 'expired' END, CASE column3 WHEN 'failed' THEN '' END, 1, 2
    FROM (VALUES (1, 400, 'settled'), (2, 100, 'submitted'), (3, 50, 'prepared'),
        (4, 70, 'failed'));
    INSERT INTO audit_events (id, occurred_at, recorded_at, severity, action, actor_id,
        resource_type, salt)
    SELECT '019aaaaa-0000-7000-8000-00000000000' || column1, 1795169730000000, 1, column2,
        'milestone.approved', 'ada', 'milestone', zeroblob(16)
    FROM (VALUES (1, 'critical'), (2, 'info'));
    INSERT INTO audit_pending (event_id, leaf) SELECT id, zeroblob(32) FROM audit_events;
";

#[tokio::test]
async fn rows_of_the_former_schema_are_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tranche.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .foreign_keys(false);
    let past = SqlitePoolOptions::new().max_connections(1);
    let past = past.connect_with(options).await.expect("it opens");
    let migrations = sqlx::migrate!("./migrations");
    let former = migrations.run_to(2, &past).await;
    former.expect("the former schema");
    let made = sqlx::raw_sql(ROWS).execute(&past).await;
    made.expect("the former rows");

    let store = SqliteStore::open(file.to_str().expect("a plain path")).await;
    let store = store.expect("it opens");
    store.migrate().await.expect("it migrates");
    store.ready().await.expect("it is this program's");
    let opening: i64 = sqlx::query_scalar("SELECT opening_nav FROM projects")
        .fetch_one(&past)
        .await
        .expect("a project");
    assert_eq!(opening, 1_000);
    let found = store.differences("net", 10).await;
    assert_eq!(found.expect("it is compared"), []);

    let id = "00000000-0000-7000-8000-000000000011";
    let id = DisbursementId(Uuid::parse_str(id).expect("an id"));
    let settled = store.disbursement(id).await.expect("it is read");
    let settled = settled.expect("it is there");
    let burn = BurnId("burn-1".to_owned());
    assert!(settled.burn.replacements.is_empty());
    assert!(
        matches!(&settled.state, DisbursementState::Settled { burn: named, .. } if *named == burn)
    );
    // Leaves that waited before there were roll-ups get their numbers and are counted.
    let numbered = number(&store, 10).await.expect("it numbers");
    assert_eq!(numbered, Some(2));
    let counted = "SELECT group_concat(bucket || ' ' || (starts_at / 1000000) || ' ' || severity \
        || ' ' || action || ' ' || resource_type || ' ' || events, ', ') FROM \
        (SELECT * FROM audit_rollups ORDER BY bucket, severity)";
    let counted: String = sqlx::query_scalar(counted)
        .fetch_one(&past)
        .await
        .expect("the roll-ups");
    let expected = "day 1795132800 critical milestone.approved milestone 1, \
        day 1795132800 info milestone.approved milestone 1, \
        hour 1795168800 critical milestone.approved milestone 1, \
        hour 1795168800 info milestone.approved milestone 1";
    assert_eq!(counted, expected);
    // The first of the two in flight has the account; the other one goes its own way.
    let third = "UPDATE disbursements SET shares_sequence_account = 0 WHERE sequence = 3";
    let refused = sqlx::raw_sql(third).execute(&past).await;
    refused.expect_err("the account is leased");
}
