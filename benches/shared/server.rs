//! The throwaway server, reached over its socket.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// Who may do everything there.
pub const USER: &str = "postgres";

/// Where it is.
pub struct Server {
    /// The folder of its socket.
    pub socket: PathBuf,
    /// Its port.
    pub port: u16,
}

/// Tables and their indexes, by the names of the tables.
const WARM: &str = "SELECT sum(pg_prewarm(part)) FROM (
        SELECT oid AS part FROM pg_class WHERE relkind = 'r' AND relname LIKE $1
        UNION ALL SELECT indexrelid FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
        WHERE pg_class.relkind = 'r' AND relname LIKE $1) parts";

impl Server {
    /// Of a database, as the service takes it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let (port, socket) = (self.port, self.socket.display());
        format!("postgres://{USER}@localhost:{port}/{database}?host={socket}")
    }

    /// A connection to a database.
    ///
    /// # Errors
    /// Whatever the server says.
    pub async fn connect(&self, database: &str) -> Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.url(database))?;
        Ok(options.connect().await?)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// Whatever the server says.
    pub async fn create(&self, database: &str) -> Result<()> {
        self.command(format!("CREATE DATABASE {database}")).await
    }

    /// Makes a database with all that another one has, to which nobody may be connected.
    ///
    /// # Errors
    /// Whatever the server says.
    pub async fn copy(&self, template: &str, database: &str) -> Result<()> {
        let text = format!("CREATE DATABASE {database} TEMPLATE {template}");
        self.command(text).await
    }

    /// Takes a database away, whoever is connected to it.
    ///
    /// # Errors
    /// Whatever the server says.
    pub async fn remove(&self, database: &str) -> Result<()> {
        let text = format!("DROP DATABASE {database} WITH (FORCE)");
        self.command(text).await
    }

    /// Gets everything written so far to the disk, so that it is not in the way later.
    ///
    /// # Errors
    /// Whatever the server says.
    pub async fn settle(&self) -> Result<()> {
        self.command("CHECKPOINT".to_owned()).await
    }

    /// Reads these tables with their indexes into the server's cache, as they are on a server that has
    /// been asked for a while.
    ///
    /// # Errors
    /// Whatever the server says.
    pub async fn warm(&self, database: &str, tables: &str) -> Result<()> {
        let mut connection = self.connect(database).await?;
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
            .execute(&mut connection)
            .await?;
        sqlx::query(WARM)
            .bind(tables)
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }

    async fn command(&self, text: String) -> Result<()> {
        let mut connection = self.connect(USER).await?;
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }
}
