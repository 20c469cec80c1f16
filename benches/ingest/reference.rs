//! The design that is usual for this: Node, a row a request, or a Redis list and a worker.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;
use tranche_benches::server::{Server, USER};

use crate::figures::Outcome;
use crate::plan::{NODE_CLIENTS, PRODUCERS};
use crate::redis::Redis;
use tranche_benches::process::Process;

const DATABASE: &str = "reference";

/// Connections of its HTTP service.
const POOL: usize = 10;

/// No cell takes so long, however busy the machine is.
const TOO_LONG: Duration = Duration::from_mins(2);

/// What a script reports.
#[derive(Deserialize)]
struct Report {
    events: u64,
    micros: u64,
    p50: u64,
    p99: u64,
}

pub struct Reference {
    scripts: PathBuf,
    environment: Vec<(&'static str, String)>,
    connection: PgConnection,
    folder: TempDir,
}

impl Reference {
    /// `scripts`: where the Node programs are, with what they need.
    pub async fn prepare(server: &Server, scripts: PathBuf) -> Result<Self> {
        server.create(DATABASE).await?;
        let mut connection = server.connect(DATABASE).await?;
        sqlx::raw_sql(include_str!("../reference/audit_log.sql"))
            .execute(&mut connection)
            .await?;
        Ok(Self {
            scripts,
            environment: vec![
                ("PGHOST", server.socket.display().to_string()),
                ("PGPORT", server.port.to_string()),
                ("PGUSER", USER.to_owned()),
                ("PGDATABASE", DATABASE.to_owned()),
            ],
            connection,
            folder: tempfile::tempdir()?,
        })
    }

    /// A row a request, from as many keep-alive clients as it likes.
    pub async fn http(&mut self, events: usize) -> Result<Outcome> {
        self.empty().await?;
        let mut command = self.node("http_service.mjs");
        command.args(["--port=0", &format!("--pool={POOL}")]);
        let mut service = Process::start("http_service", &mut command, self.folder.path())?;
        let port: u16 = service.says(|line| line.parse().ok()).await?;
        let arguments = [("port", usize::from(port)), ("clients", NODE_CLIENTS)];
        // The clients compile themselves in the measured time, as the service does: warm both.
        self.script("http_load.mjs", &arguments, events / 10)
            .await?;
        self.empty().await?;
        let report = self.script("http_load.mjs", &arguments, events).await?;
        drop(service);
        self.check(events).await?;
        Ok(Outcome::answered(report.rate(), (report.p50, report.p99)))
    }

    /// Pushed onto a list and inserted by a worker.
    pub async fn list(&mut self, events: usize, batch: usize) -> Result<Outcome> {
        self.empty().await?;
        let redis = Redis::start(self.folder.path(), false).await?;
        let arguments = [
            ("port", usize::from(redis.port)),
            ("batch", batch),
            ("producers", PRODUCERS),
        ];
        let report = self.script("redis_queue.mjs", &arguments, events).await?;
        redis.stop().await?;
        self.check(events).await?;
        Ok(Outcome::queued(report.rate(), (report.p50, report.p99)))
    }

    async fn script(
        &self,
        name: &str,
        arguments: &[(&str, usize)],
        events: usize,
    ) -> Result<Report> {
        let mut command = self.node(name);
        command.arg(format!("--events={events}"));
        for (name, value) in arguments {
            command.arg(format!("--{name}={value}"));
        }
        let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(TOO_LONG, run)
            .await
            .with_context(|| format!("{name} hangs"))??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {complaint}");
        let report: Report = serde_json::from_slice(&output.stdout)?;
        ensure!(
            report.events == u64::try_from(events)?,
            "{name} did not do all"
        );
        Ok(report)
    }

    fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command
            .arg(self.scripts.join(script))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    async fn empty(&mut self) -> Result<()> {
        for text in ["TRUNCATE a_full", "CHECKPOINT"] {
            sqlx::raw_sql(text).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn check(&mut self, events: usize) -> Result<()> {
        let count = sqlx::query_scalar("SELECT count(*) FROM a_full");
        let rows: i64 = count.fetch_one(&mut self.connection).await?;
        ensure!(
            rows == i64::try_from(events)?,
            "{rows} rows of {events} events"
        );
        Ok(())
    }

    pub async fn close(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }
}

impl Report {
    fn rate(&self) -> u64 {
        self.events * 1_000_000 / self.micros.max(1)
    }
}
