//! A database of the former schema, with rows, becomes one of this.

use sqlx::postgres::PgPoolOptions;
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::ports::books::Books;
use tranche_application::ports::queries::Queries;
use tranche_domain::{BurnId, DisbursementId, DisbursementState};
use tranche_tests::contract::tree::number;
use tranche_tests::support::postgres::Database;
use uuid::Uuid;

/// Before accounts were leased, two burns of one wallet could be in flight.
const ROWS: &str = r"
    SET session_replication_role = replica;
    INSERT INTO projects (id, name, nav, nav_reserved, lp_tokens_outstanding, total_milestones,
        completed_milestones, last_milestone_date, wallet_account_id, maker_checker, burn_policy,
        created_at, version)
    VALUES ('00000000-0000-7000-8000-000000000001', 'Wells', 600, 150, 1, 4, 1, now(), 'GWALLET',
        true, 'exact_transfer', now(), 9);
    INSERT INTO disbursements (id, project_id, milestone_id, amount, wallet_account_id,
        ordered_by_id, ordered_by_role, prepared_at, burn_id, envelope, memo, network,
        sequence_account, sequence, valid_until, signed_at_ledger, state, settled_at,
        settled_ledger, failed_at, failure_code, failure_detail, attempts, version)
    SELECT ('00000000-0000-7000-8000-00000000001' || n)::uuid,
        '00000000-0000-7000-8000-000000000001', gen_random_uuid(), amount, 'GWALLET', 'tunde',
        'treasurer', now(), 'burn-' || n, '\x00', decode(repeat('0' || n, 32), 'hex'), 'net',
        'GWALLET', n, now(), 7, state, CASE state WHEN 'settled' THEN now() END,
        CASE state WHEN 'settled' THEN 9 END, CASE state WHEN 'failed' THEN now() END,
        CASE state WHEN 'failed' THEN 'expired' END, CASE state WHEN 'failed' THEN '' END, 1, 2
    FROM (VALUES (1, 400, 'settled'), (2, 100, 'submitted'), (3, 50, 'prepared'), (4, 70, 'failed'))
        former (n, amount, state);
    INSERT INTO audit_events (id, occurred_at, recorded_at, severity, action, actor_id,
        resource_type, salt)
    SELECT ('019aaaaa-0000-7000-8000-00000000000' || n)::uuid, '2026-11-20T10:15:30Z', now(),
        severity, 'milestone.approved', 'ada', 'milestone', decode(repeat('07', 16), 'hex')
    FROM (VALUES (1, 'critical'), (2, 'info')) former (n, severity);
    INSERT INTO audit_pending (event_id, severity, leaf_hash)
    SELECT id, severity, decode(repeat('09', 32), 'hex') FROM audit_events;
";

#[tokio::test]
async fn rows_of_the_former_schema_are_taken_over() {
    let database = Database::create().expect("a throwaway database");
    let past = PgPoolOptions::new()
        .max_connections(1)
        .connect(&database.url)
        .await
        .expect("a superuser connects");
    let migrations = sqlx::migrate!("./migrations");
    let former = migrations.run_to(2, &past).await;
    former.expect("the former schema");
    let made = sqlx::raw_sql(ROWS).execute(&past).await;
    made.expect("the former rows");

    let store = PostgresStore::connect(&database.url, PostgresConfig::default()).await;
    let store = store.expect("the server answers");
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
    let counted = "SELECT string_agg(bucket || ' ' || extract(epoch FROM starts_at)::bigint || ' '
        || severity || ' ' || action || ' ' || resource_type || ' ' || events, ', '
        ORDER BY bucket, severity) FROM audit_rollups";
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
    let third = "UPDATE disbursements SET shares_sequence_account = false WHERE sequence = 3";
    let refused = sqlx::raw_sql(third).execute(&past).await;
    let refused = refused.expect_err("the account is leased").to_string();
    assert!(
        refused.contains("disbursements_sequence_account"),
        "{refused}"
    );
}
