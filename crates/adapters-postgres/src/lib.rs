//! The store on Postgres.
//!
//! A unit of work is one transaction and one struct; each of the port's repositories is that struct
//! again. Approving a milestone costs four round trips: begin, lock, record, commit. [`record`]
//! (whatever moves: project, milestone, disbursement, evidence, event) is one statement.
//!
//! The database keeps the rules by itself as well, whoever writes: see `migrations/`. Isolation is
//! read committed; every write is guarded by a row lock or by the version before it.
//!
//! Every connection but those that change the schema takes a role that may do what the service needs
//! and no more, and every transaction says how far it sees the audit log: see [`scope`].
//!
//! [`record`]: tranche_application::ports::store::UnitOfWork::record

mod actors;
mod audit;
mod audit_search;
mod audit_store;
mod books;
mod channels;
mod config;
mod credentials;
mod dead_letters;
mod disbursements;
mod errors;
mod growth;
mod idempotency;
mod milestones;
mod projects;
mod queries;
mod record;
mod reports;
mod retention;
mod rows;
mod scope;
mod settlements;
mod subject_keys;
mod timed;
mod trails;
mod tree;
mod unit_of_work;
mod verification;
mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{Connection, Postgres, SqlSafeStr, Transaction};
use tokio::sync::Mutex;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::{Store, StoreError, UnitOfWork};

pub use config::PostgresConfig;
use errors::{failed, unavailable};
use unit_of_work::PostgresUnitOfWork;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How many months of audit partitions [`PostgresStore::migrate`] makes ahead.
pub const MONTHS_AHEAD: u16 = 3;

/// Waits for its locks no longer than any request would, because requests queue up behind it.
const ENSURE_PARTITIONS: &str =
    "SELECT audit_partitions($1) FROM set_config('lock_timeout', $2, true)";

/// The store: a pool of connections to one database. Cloning shares the pool.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    /// For schema work, which may take longer than any request.
    maintenance: PgConnectOptions,
    /// As [`Self::maintenance`], in the role of requests.
    upkeep: PgConnectOptions,
    /// Held by who looks at the parts of the log.
    looking: Arc<Mutex<()>>,
    config: PostgresConfig,
}

impl PostgresStore {
    /// Connects, and warns when the database is set up to forget what it has confirmed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the URL is malformed or nobody answers in time.
    pub async fn connect(url: &str, config: PostgresConfig) -> Result<Self, StoreError> {
        let given: PgConnectOptions = url.parse().map_err(failed)?;
        let maintenance = PostgresConfig::for_maintenance(given.clone());
        // One connection first: a pool that waits for one does not say what is in its way, and the
        // role that the pool's connections take may have to be made yet.
        let first = PgConnection::connect_with(&maintenance);
        let first = tokio::time::timeout(config.acquire_timeout, first).await;
        let mut first = first
            .map_err(|_| unavailable("no answer in time"))?
            .map_err(failed)?;
        warn_if_forgetful(&mut first).await?;
        first.close().await.map_err(failed)?;
        Ok(Self {
            pool: config
                .pool()
                .connect_lazy_with(config.for_requests(given.clone())),
            maintenance,
            upkeep: PostgresConfig::for_upkeep(given),
            looking: Arc::default(),
            config,
        })
    }

    /// Brings the schema up to this program's, and makes audit partitions ahead. Safe to run
    /// from several replicas at once, and again; where the schema is this program's already, without
    /// any privilege but the service's.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a migration fails, when the schema is newer than the program,
    /// or when connections do not come in the restricted role.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if check_schema(&self.pool).await.is_err() {
            let mut connection = PgConnection::connect_with(&self.maintenance)
                .await
                .map_err(failed)?;
            MIGRATOR
                .run(&mut connection)
                .await
                .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            connection.close().await.map_err(failed)?;
        }
        self.check_role().await?;
        self.ensure_partitions(MONTHS_AHEAD).await?;
        Ok(())
    }

    /// A pooler may drop what the start-up message asks for: then nobody would be restricted.
    async fn check_role(&self) -> Result<(), StoreError> {
        let role: String = sqlx::query_scalar("SELECT current_user::text")
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
        if role == scope::ROLE {
            return Ok(());
        }
        Err(unavailable(format!(
            "connections come as {role} and not in the role {}: a pooler between must pass `options`",
            scope::ROLE
        )))
    }

    /// Makes the audit partitions of this month and of `months_ahead` more, and says how many were
    /// missing. To be called daily. Until then a missing month's events lie in a default partition,
    /// from which they move when their month is made.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] to try again when writers hold the default partition for too long.
    pub async fn ensure_partitions(&self, months_ahead: u16) -> Result<u32, StoreError> {
        let mut connection = self.upkeep_connection().await?;
        let made: i32 = sqlx::query_scalar(ENSURE_PARTITIONS)
            .bind(i32::from(months_ahead))
            .bind(self.config.lock_timeout.as_millis().to_string())
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)?;
        Ok(u32::try_from(made).unwrap_or_default())
    }

    /// Closes every connection, once the units of work in flight are over.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A connection in the role of requests, without their limits.
    pub(crate) async fn upkeep_connection(&self) -> Result<PgConnection, StoreError> {
        PgConnection::connect_with(&self.upkeep)
            .await
            .map_err(failed)
    }

    /// A connection in the one role by which events leave the log.
    pub(crate) async fn retention_connection(&self) -> Result<PgConnection, StoreError> {
        let options = PostgresConfig::for_retention(self.maintenance.clone());
        PgConnection::connect_with(&options).await.map_err(|error| {
            if errors::is_forbidden(&error) {
                return unavailable(format!(
                    "this login may not take the role {0}, by which alone events leave the \
                         log: an administrator must run GRANT {0} TO it",
                    scope::RETENTION
                ));
            }
            failed(error)
        })
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction. A connection that the server closed while it lay idle shows only now,
    /// when nothing has been asked of it yet: the next one is as good.
    async fn transaction(
        &self,
        begin: impl SqlSafeStr,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begin = begin.into_sql_str();
        let mut dead = 0;
        loop {
            match self.pool.begin_with(begin.clone()).await {
                Ok(transaction) => return Ok(transaction),
                Err(error)
                    if dead < self.config.max_connections && errors::is_dead_connection(&error) =>
                {
                    dead += 1;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Begins to read for somebody who sees so far. Dropped when it is read.
    pub(crate) async fn reading(
        &self,
        scope: Scope,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.transaction(scope::begin_reading(scope)).await
    }
}

/// A signed burn must be on disk before it is sent: a store that loses what it confirmed could burn
/// twice.
async fn warn_if_forgetful(connection: &mut PgConnection) -> Result<(), StoreError> {
    let off: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM pg_settings
         WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'",
    )
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    if !off.is_empty() {
        tracing::warn!(settings = ?off, "the database may lose commits when it crashes");
    }
    Ok(())
}

#[async_trait]
impl Store for PostgresStore {
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let transaction = self.transaction(scope::BEGIN).await?;
        Ok(Box::new(PostgresUnitOfWork::new(transaction)))
    }
}

/// Whether the applied migrations are exactly this program's.
async fn check_schema(pool: &PgPool) -> Result<(), StoreError> {
    let applied: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version",
    )
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let ours = MIGRATOR
        .iter()
        .map(|migration| (migration.version, migration.checksum.as_ref()));
    if ours.eq(applied
        .iter()
        .map(|(version, checksum)| (*version, checksum.as_slice())))
    {
        Ok(())
    } else {
        Err(unavailable(
            "the schema is not this program's: run tranche migrate with the newest program",
        ))
    }
}
