//! The store on Postgres.
//!
//! A unit of work is one transaction and one struct; each of the port's repositories is that struct
//! again. Approving a milestone costs four round trips: begin, lock, record, commit. [`record`]
//! (whatever moves: project, milestone, disbursement, evidence, event) is one statement.
//!
//! The database keeps the rules by itself as well, whoever writes: see `migrations/`. Isolation is
//! read committed; every write is guarded by a row lock or by the version before it.
//!
//! [`record`]: tranche_application::ports::store::UnitOfWork::record

mod audit;
mod audit_store;
mod books;
mod channels;
mod config;
mod credentials;
mod dead_letters;
mod disbursements;
mod errors;
mod idempotency;
mod milestones;
mod numbering;
mod projects;
mod queries;
mod record;
mod reports;
mod rows;
mod settlements;
mod timed;
mod unit_of_work;

use async_trait::async_trait;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{Connection, Postgres, Transaction};
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
    config: PostgresConfig,
}

impl PostgresStore {
    /// Connects, and warns when the database is set up to forget what it has confirmed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the URL is malformed or nobody answers in time.
    pub async fn connect(url: &str, config: PostgresConfig) -> Result<Self, StoreError> {
        let given: PgConnectOptions = url.parse().map_err(failed)?;
        // One connection first: a pool that waits for one does not say what is in its way.
        let first = PgConnection::connect_with(&given);
        let first = tokio::time::timeout(config.acquire_timeout, first).await;
        let first = first.map_err(|_| unavailable("no answer in time"))?;
        first.map_err(failed)?.close().await.map_err(failed)?;
        let pool = config
            .pool()
            .connect_with(config.for_requests(given.clone()))
            .await
            .map_err(failed)?;
        let store = Self {
            pool,
            maintenance: PostgresConfig::for_maintenance(given),
            config,
        };
        store.warn_if_forgetful().await?;
        Ok(store)
    }

    /// Brings the schema up to this program's, and makes audit partitions ahead. Safe to run
    /// from several replicas at once, and again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a migration fails or the schema is newer than the program.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.maintenance_connection().await?;
        MIGRATOR
            .run(&mut connection)
            .await
            .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        connection.close().await.map_err(failed)?;
        self.ensure_partitions(MONTHS_AHEAD).await?;
        Ok(())
    }

    /// Makes the audit partitions of this month and of `months_ahead` more, and says how many were
    /// missing. To be called daily. Until then a missing month's events lie in a default partition,
    /// from which they move when their month is made.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] to try again when writers hold the default partition for too long.
    pub async fn ensure_partitions(&self, months_ahead: u16) -> Result<u32, StoreError> {
        let mut connection = self.maintenance_connection().await?;
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

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    async fn maintenance_connection(&self) -> Result<PgConnection, StoreError> {
        PgConnection::connect_with(&self.maintenance)
            .await
            .map_err(failed)
    }

    /// A signed burn must be on disk before it is sent: a store that loses what it confirmed could
    /// burn twice.
    async fn warn_if_forgetful(&self) -> Result<(), StoreError> {
        let off: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM pg_settings
             WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        if !off.is_empty() {
            tracing::warn!(settings = ?off, "the database may lose commits when it crashes");
        }
        Ok(())
    }

    /// Begins a transaction. A connection that the server closed while it lay idle shows only now,
    /// when nothing has been asked of it yet: the next one is as good.
    async fn transaction(
        &self,
        begin: &'static str,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut dead = 0;
        loop {
            match self.pool.begin_with(begin).await {
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
}

#[async_trait]
impl Store for PostgresStore {
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let transaction = self.transaction("BEGIN").await?;
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
