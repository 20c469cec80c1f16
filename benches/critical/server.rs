//! The throwaway server, reached over its socket.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

pub const USER: &str = "postgres";

pub struct Server {
    pub socket: PathBuf,
    pub port: u16,
}

impl Server {
    pub fn url(&self, database: &str) -> String {
        let (port, socket) = (self.port, self.socket.display());
        format!("postgres://{USER}@localhost:{port}/{database}?host={socket}")
    }

    pub async fn connect(&self, database: &str) -> Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.url(database))?;
        Ok(options.connect().await?)
    }

    /// Makes an empty database.
    pub async fn create(&self, database: &str) -> Result<()> {
        let mut connection = self.connect(USER).await?;
        let text = format!("CREATE DATABASE {database}");
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }
}
