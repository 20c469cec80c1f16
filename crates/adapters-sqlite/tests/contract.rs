//! The rules of the store, on SQLite files in a throwaway folder.
#![expect(
    clippy::expect_used,
    reason = "hooks of the rules: tests in all but name"
)]

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Months, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};
use tempfile::TempDir;
use tranche_adapters_sqlite::SqliteStore;
use tranche_application::audit::filter::lowest_id;
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
use tranche_application::ports::trails::{TrailCleanUps, TrailStore};
use tranche_application::ports::tree::Tree;
use tranche_application::ports::verification::Verifiable;
use tranche_application::ports::webhooks::Webhooks;
use tranche_tests::contract::trails::TrailsOnStore;
use tranche_tests::contract::{Dialect, Refused, RollUp, StoreUnderTest};
use uuid::Uuid;

/// A migrated store on a file of its own, and two doors past it.
struct Subject {
    store: SqliteStore,
    /// A connection as any other program opens one, with foreign keys as the schema means them.
    owner: SqlitePool,
    /// As many rules off as SQLite lets its owner turn off.
    forger: SqlitePool,
    file: PathBuf,
    _folder: TempDir,
}

async fn fresh() -> Subject {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("data").join("tranche.db");
    let store = open(&file).await;
    store.migrate().await.expect("the schema is made");
    let options = SqliteConnectOptions::new().filename(&file);
    let one = || SqlitePoolOptions::new().max_connections(1);
    let owner = one().connect_with(options.clone()).await;
    let forger = one()
        .connect_with(
            options
                .foreign_keys(false)
                .pragma("ignore_check_constraints", "ON"),
        )
        .await;
    Subject {
        store,
        owner: owner.expect("it opens"),
        forger: forger.expect("it opens"),
        file,
        _folder: folder,
    }
}

async fn open(file: &std::path::Path) -> SqliteStore {
    SqliteStore::open(file.to_str().expect("a plain path"))
        .await
        .expect("the store opens")
}

async fn execute(pool: &SqlitePool, sql: &str) -> Result<u64, Refused> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
        .map_err(|error| error.to_string())
}

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
        let end = month.checked_add_months(Months::new(1)).expect("a month");
        let ids = format!("id >= '{}' AND id < '{}'", lowest_id(month), lowest_id(end));
        let guard = "SELECT sql FROM sqlite_schema WHERE name = 'audit_events_no_delete'";
        let guard: String = sqlx::query_scalar(guard)
            .fetch_one(&self.owner)
            .await
            .expect("the guard");
        let moved = self.count(&format!("audit_events WHERE {ids}")).await;
        self.execute(&format!(
            "INSERT INTO audit_archive SELECT * FROM audit_events WHERE {ids}; \
             DROP TRIGGER audit_events_no_delete; \
             DELETE FROM audit_events WHERE {ids}; {guard}"
        ))
        .await
        .expect("they move over");
        u64::try_from(moved).expect("a count")
    }

    fn verifiable(&self) -> Arc<dyn Verifiable> {
        Arc::new(self.store.clone())
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn drop_triggers(&self) {
        let names: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
                .fetch_all(&self.forger)
                .await
                .expect("the triggers");
        for name in names {
            self.force(&format!("DROP TRIGGER {name}"))
                .await
                .expect("it goes");
        }
    }

    async fn columns(&self, table: &str) -> Vec<(String, String)> {
        sqlx::query_as("SELECT name, type FROM pragma_table_info(?1) ORDER BY cid")
            .bind(table)
            .fetch_all(&self.forger)
            .await
            .expect("the columns")
    }

    async fn second_store(&self) -> Arc<dyn Store> {
        Arc::new(open(&self.file).await)
    }

    async fn execute(&self, sql: &str) -> Result<u64, Refused> {
        execute(&self.owner, sql).await
    }

    async fn force(&self, sql: &str) -> Result<u64, Refused> {
        execute(&self.forger, sql).await
    }

    async fn count(&self, from: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {from}")))
            .fetch_one(&self.owner)
            .await
            .expect("it counts")
    }

    async fn pending_leaf(&self, event: Uuid) -> Option<Vec<u8>> {
        sqlx::query_scalar("SELECT leaf FROM audit_pending WHERE event_id = ?")
            .bind(event.to_string())
            .fetch_optional(&self.owner)
            .await
            .expect("it reads")
    }

    async fn numbered_leaf(&self, event: Uuid) -> Option<(i64, Vec<u8>)> {
        sqlx::query_as("SELECT leaf_index, leaf FROM audit_leaves WHERE event_id = ?")
            .bind(event.to_string())
            .fetch_optional(&self.owner)
            .await
            .expect("it reads")
    }

    async fn leaf_record(&self, leaf_index: i64) -> Option<Vec<u8>> {
        sqlx::query_scalar("SELECT record FROM audit_leaf_records WHERE leaf_index = ?")
            .bind(leaf_index)
            .fetch_optional(&self.owner)
            .await
            .expect("it reads")
    }

    async fn make_month(&self, _: DateTime<Utc>) {}

    async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.owner)
            .await
            .expect("it reads")
    }

    async fn now(&self) -> DateTime<Utc> {
        let seconds = sqlx::query_scalar("SELECT unixepoch()")
            .fetch_one(&self.owner)
            .await
            .expect("it reads");
        DateTime::from_timestamp_secs(seconds).expect("a time")
    }

    async fn roll_ups(&self) -> Vec<RollUp> {
        let rows: Vec<(String, i64, String, String, String, i64)> = sqlx::query_as(
            "SELECT bucket, starts_at, severity, action, resource_type, events \
             FROM audit_rollups ORDER BY 1, 2, 3, 4, 5",
        )
        .fetch_all(&self.owner)
        .await
        .expect("it reads");
        rows.into_iter()
            .map(
                |(bucket, starts_at, severity, action, resource_type, events)| RollUp {
                    bucket,
                    starts_at: DateTime::from_timestamp_micros(starts_at).expect("a time"),
                    severity,
                    action,
                    resource_type,
                    events,
                },
            )
            .collect()
    }

    async fn evidence(&self, milestone: Uuid) -> Vec<(i64, Uuid)> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT version, event_id FROM milestone_evidence WHERE milestone_id = ? \
             ORDER BY version",
        )
        .bind(milestone.to_string())
        .fetch_all(&self.owner)
        .await
        .expect("it reads");
        rows.into_iter()
            .map(|(version, event)| (version, event.parse().expect("a UUID")))
            .collect()
    }

    async fn break_audit_log(&self) {
        let broken = "CREATE TRIGGER broken BEFORE INSERT ON audit_events \
                      BEGIN SELECT RAISE(ABORT, 'the audit log is broken'); END";
        self.execute(broken).await.expect("it breaks");
    }

    async fn heal_audit_log(&self) {
        self.execute("DROP TRIGGER broken").await.expect("it heals");
    }

    fn other_ways_to_alter(&self, table: &str, id: Uuid) -> Vec<String> {
        let key = match table {
            "milestone_evidence" => "milestone_id",
            "audit_leaves" => "event_id",
            _ => "id",
        };
        vec![
            format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table} WHERE {key} = '{id}'"),
            format!("REPLACE INTO {table} SELECT * FROM {table}"),
            format!("UPDATE OR IGNORE {table} SET {key} = {key}"),
            format!("UPDATE OR REPLACE {table} SET {key} = {key} WHERE {key} = '{id}'"),
        ]
    }
}

tranche_tests::store_contract!(fresh);

impl TrailsOnStore for Subject {
    fn trails(&self) -> Arc<dyn TrailStore> {
        Arc::new(self.store.clone())
    }

    fn trail_clean_ups(&self) -> Arc<dyn TrailCleanUps> {
        Arc::new(self.store.clone())
    }
}

mod trails {
    use super::fresh;

    tranche_tests::trail_clean_ups_contract!(fresh);

    mod alone {
        use tranche_tests::contract::trails::{OnStore, TrailsUnderTest};

        async fn fresh() -> impl TrailsUnderTest {
            OnStore::new(super::fresh().await)
        }

        tranche_tests::trails_contract!(fresh);
    }

    mod over_memory {
        use tranche_tests::contract::trails::{OnStore, OverBoth, TrailsUnderTest};

        async fn fresh() -> impl TrailsUnderTest {
            OverBoth::new(OnStore::new(super::fresh().await))
        }

        tranche_tests::trails_contract!(fresh);
    }
}
