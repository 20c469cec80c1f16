//! A Postgres store on a database of its own.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::ports::actors::Actors;
use tranche_application::ports::audit_search::AuditSearch;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::books::Books;
use tranche_application::ports::channels::Channels;
use tranche_application::ports::custody::{SealedSecrets, SealedWallets};
use tranche_application::ports::dead_letters::DeadLetters;
use tranche_application::ports::growth::LogGrowth;
use tranche_application::ports::queries::Queries;
use tranche_application::ports::reports::Reports;
use tranche_application::ports::retention::RetentionStore;
use tranche_application::ports::store::Store;
use tranche_application::ports::subject_keys::SubjectKeys;
use tranche_application::ports::tree::Tree;
use tranche_application::ports::verification::Verifiable;
use tranche_application::ports::webhooks::Webhooks;
use tranche_tests::contract::{Dialect, Refused, RollUp, StoreUnderTest};
use tranche_tests::support::postgres::Database;
use uuid::Uuid;

/// The store, and a superuser's way past it.
pub struct Subject {
    pub store: PostgresStore,
    pub past: PgPool,
    pub database: Database,
}

/// A store on an empty, migrated database.
pub async fn fresh() -> Subject {
    let database = Database::with_schema(&schema(), migrate)
        .await
        .expect("a throwaway database");
    let store = connect(&database).await;
    let past = PgPoolOptions::new()
        .max_connections(2)
        .connect(&database.url)
        .await
        .expect("a superuser connects");
    Subject {
        store,
        past,
        database,
    }
}

/// Names the schema by its contents.
fn schema() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let entries = fs::read_dir(folder).expect("a folder of migrations");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write(&fs::read(file).expect("a migration"));
    }
    format!("{:016x}", hasher.finish())
}

async fn migrate(url: String) -> io::Result<()> {
    let store = PostgresStore::connect(&url, PostgresConfig::default())
        .await
        .map_err(io::Error::other)?;
    store.migrate().await.map_err(io::Error::other)?;
    store.close().await;
    Ok(())
}

pub async fn connect(database: &Database) -> PostgresStore {
    PostgresStore::connect(&database.url, PostgresConfig::default())
        .await
        .expect("the server answers")
}

impl Subject {
    /// What the database says to a statement in a session of its own, rules in force or not.
    async fn say(&self, before: &str, sql: &str) -> Result<u64, Refused> {
        let mut session = PgConnection::connect(&self.database.url)
            .await
            .expect("a superuser connects");
        sqlx::raw_sql(AssertSqlSafe(before))
            .execute(&mut session)
            .await
            .expect("the rules are set");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut session)
            .await
            .map(|done| done.rows_affected())
            .map_err(|refused| refused.to_string())
    }

    /// One value, past the store.
    pub async fn value(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&self.past)
            .await
            .expect("a count")
    }

    /// Every table that belongs to the audit log.
    pub async fn partitions(&self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT relid::regclass::text FROM pg_partition_tree('audit_events') ORDER BY 1",
        )
        .fetch_all(&self.past)
        .await
        .expect("the partitions")
    }
}

const WITHOUT_RULES: &str = "SET session_replication_role = replica;
    DO $$
    DECLARE
        rule record;
    BEGIN
        FOR rule IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint
            WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conislocal
                AND conrelid::regclass::text NOT LIKE 'audit_events_%'
        LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rule.owner, rule.conname);
        END LOOP;
    END
    $$";

#[async_trait]
impl StoreUnderTest for Subject {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn queries(&self) -> Arc<dyn Queries> {
        Arc::new(self.store.clone())
    }

    fn wallets(&self) -> Arc<dyn SealedWallets> {
        Arc::new(self.store.clone())
    }

    fn books(&self) -> Arc<dyn Books> {
        Arc::new(self.store.clone())
    }

    fn channels(&self) -> Arc<dyn Channels> {
        Arc::new(self.store.clone())
    }

    fn secrets(&self) -> Arc<dyn SealedSecrets> {
        Arc::new(self.store.clone())
    }

    fn audit_store(&self) -> Arc<dyn AuditStore> {
        Arc::new(self.store.clone())
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(self.store.clone())
    }

    fn reports(&self) -> Arc<dyn Reports> {
        Arc::new(self.store.clone())
    }

    fn retention(&self) -> Arc<dyn RetentionStore> {
        Arc::new(self.store.clone())
    }

    fn growth(&self) -> Arc<dyn LogGrowth> {
        Arc::new(self.store.clone())
    }

    fn webhooks(&self) -> Arc<dyn Webhooks> {
        Arc::new(self.store.clone())
    }

    fn tree(&self) -> Arc<dyn Tree> {
        Arc::new(self.store.clone())
    }

    fn subject_keys(&self) -> Arc<dyn SubjectKeys> {
        Arc::new(self.store.clone())
    }

    fn search(&self) -> Arc<dyn AuditSearch> {
        Arc::new(self.store.clone())
    }

    fn actors(&self) -> Arc<dyn Actors> {
        Arc::new(self.store.clone())
    }

    async fn archive(&self, month: DateTime<Utc>) -> u64 {
        let mut moved = 0;
        for severity in ["critical", "warning", "info"] {
            let part = format!("audit_events_{severity}_{}", month.format("%Y_%m"));
            self.execute(&format!("SELECT audit_partition('{severity}', '{month}')"))
                .await
                .expect("it is made");
            let count = self.value(&format!("SELECT count(*) FROM {part}")).await;
            moved += u64::try_from(count).expect("a count");
            let bound = format!(
                "SELECT replace(pg_get_expr(relpartbound, oid), 'FOR VALUES ', '') FROM pg_class
                 WHERE oid = '{part}'::regclass"
            );
            let bound: String = sqlx::query_scalar(AssertSqlSafe(bound))
                .fetch_one(&self.past)
                .await
                .expect("its bound");
            self.execute(&format!(
                "ALTER TABLE audit_events_{severity} DETACH PARTITION {part};
                 ALTER TABLE audit_archive_{severity} ATTACH PARTITION {part} FOR VALUES {bound}"
            ))
            .await
            .expect("it moves over");
        }
        moved
    }

    fn verifiable(&self) -> Arc<dyn Verifiable> {
        Arc::new(self.store.clone())
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn drop_triggers(&self) {
        // A forging session runs without them.
    }

    async fn columns(&self, table: &str) -> Vec<(String, String)> {
        sqlx::query_as(
            "SELECT column_name::text, udt_name::text FROM information_schema.columns
             WHERE table_name = $1 ORDER BY ordinal_position",
        )
        .bind(table)
        .fetch_all(&self.past)
        .await
        .expect("the columns")
    }

    async fn second_store(&self) -> Arc<dyn Store> {
        Arc::new(connect(&self.database).await)
    }

    async fn execute(&self, sql: &str) -> Result<u64, Refused> {
        self.say("", sql).await
    }

    async fn force(&self, sql: &str) -> Result<u64, Refused> {
        self.say(WITHOUT_RULES, sql).await
    }

    async fn count(&self, from: &str) -> i64 {
        self.value(&format!("SELECT count(*) FROM {from}")).await
    }

    async fn pending_leaf(&self, event: Uuid) -> Option<Vec<u8>> {
        sqlx::query_scalar("SELECT leaf_hash FROM audit_pending WHERE event_id = $1")
            .bind(event)
            .fetch_optional(&self.past)
            .await
            .expect("a leaf or none")
    }

    async fn numbered_leaf(&self, event: Uuid) -> Option<(i64, Vec<u8>)> {
        sqlx::query_as("SELECT leaf_index, leaf_hash FROM audit_leaves WHERE event_id = $1")
            .bind(event)
            .fetch_optional(&self.past)
            .await
            .expect("a leaf or none")
    }

    async fn leaf_record(&self, leaf_index: i64) -> Option<Vec<u8>> {
        sqlx::query_scalar("SELECT record FROM audit_leaf_records WHERE leaf_index = $1")
            .bind(leaf_index)
            .fetch_optional(&self.past)
            .await
            .expect("a record or none")
    }

    async fn make_month(&self, moment: DateTime<Utc>) {
        sqlx::query(
            "SELECT audit_partition(severity, $1)
             FROM unnest(ARRAY['info', 'warning', 'critical']) severity",
        )
        .bind(moment)
        .execute(&self.past)
        .await
        .expect("the month is made");
    }

    async fn number(&self, sql: &str) -> i64 {
        self.value(sql).await
    }

    async fn now(&self) -> DateTime<Utc> {
        sqlx::query_scalar("SELECT now()")
            .fetch_one(&self.past)
            .await
            .expect("a time")
    }

    async fn roll_ups(&self) -> Vec<RollUp> {
        type Row = (String, DateTime<Utc>, String, String, String, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT bucket, starts_at, severity, action, resource_type, events FROM audit_rollups
             ORDER BY 1, 2, 3, 4, 5",
        )
        .fetch_all(&self.past)
        .await
        .expect("the roll-ups");
        rows.into_iter()
            .map(
                |(bucket, starts_at, severity, action, resource_type, events)| RollUp {
                    bucket,
                    starts_at,
                    severity,
                    action,
                    resource_type,
                    events,
                },
            )
            .collect()
    }

    async fn evidence(&self, milestone: Uuid) -> Vec<(i64, Uuid)> {
        sqlx::query_as(
            "SELECT version, event_id FROM milestone_evidence WHERE milestone_id = $1
             ORDER BY version",
        )
        .bind(milestone)
        .fetch_all(&self.past)
        .await
        .expect("the evidence")
    }

    async fn break_audit_log(&self) {
        self.execute(
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'the audit log is broken'; END $$;
             CREATE TRIGGER broken BEFORE INSERT ON audit_events
                 FOR EACH ROW EXECUTE FUNCTION broken()",
        )
        .await
        .expect("the log breaks");
    }

    async fn heal_audit_log(&self) {
        self.execute("DROP FUNCTION broken CASCADE")
            .await
            .expect("the log heals");
    }

    fn other_ways_to_alter(&self, table: &str, id: Uuid) -> Vec<String> {
        let (key, unique, column) = match table {
            "milestone_evidence" => ("milestone_id", "milestone_id, version", "event_id"),
            "milestones" => ("id", "id", "title"),
            "audit_leaves" => ("event_id", "event_id", "leaf_hash"),
            _ => ("id", "severity, id", "salt"),
        };
        vec![
            format!("TRUNCATE {table}"),
            format!("TRUNCATE {table} CASCADE"),
            format!(
                "INSERT INTO {table} SELECT * FROM {table} WHERE {key} = '{id}'
                 ON CONFLICT ({unique}) DO UPDATE SET {column} = EXCLUDED.{column}"
            ),
            format!(
                "MERGE INTO {table} old USING (SELECT '{id}'::uuid AS id) gone
                 ON old.{key} = gone.id WHEN MATCHED THEN DELETE"
            ),
            format!(
                "WITH gone AS (DELETE FROM {table} WHERE {key} = '{id}' RETURNING *)
                 SELECT count(*) FROM gone"
            ),
        ]
    }
}
