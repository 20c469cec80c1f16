//! What the database itself can do: the transactions as pgbench runs them, with no program around
//! them and with a smaller schema.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;
use tranche_benches::server::{Server, USER};

use crate::figures::{Cell, Done};

const DATABASE: &str = "reference";

/// No cell takes so long, however busy the machine is.
const TOO_LONG: Duration = Duration::from_mins(1);

/// A transaction for pgbench.
pub struct Script {
    name: &'static str,
    text: &'static str,
    settles: bool,
}

macro_rules! script {
    ($name:literal, settles: $settles:literal) => {
        Script {
            name: $name,
            text: include_str!(concat!("reference/", $name, ".pgb")),
            settles: $settles,
        }
    };
}

pub const APPROVE: Script = script!("approve_multi", settles: false);
pub const PIPELINED: Script = script!("approve_pipe", settles: false);
pub const SETTLE: Script = script!("finalize_multi_rand", settles: true);
pub const HOT: Script = script!("finalize_multi_hot", settles: true);

pub struct Reference {
    pgbench: PathBuf,
    arguments: Vec<String>,
    /// Scripts and logs.
    folder: TempDir,
    connection: PgConnection,
}

/// Events, completed milestones, entries.
type Counts = (i64, i64, i64);

impl Reference {
    pub async fn init(server: &Server, pgbench: PathBuf) -> Result<Self> {
        server.create(DATABASE).await?;
        let mut connection = server.connect(DATABASE).await?;
        for tables in [
            include_str!("../reference/audit_log.sql"),
            include_str!("reference/tables.sql"),
        ] {
            sqlx::raw_sql(tables).execute(&mut connection).await?;
        }
        let folder = tempfile::tempdir()?;
        for script in [APPROVE, PIPELINED, SETTLE, HOT] {
            std::fs::write(folder.path().join(script.name), script.text)?;
        }
        let (host, port) = (server.socket.display(), server.port);
        let arguments = vec![
            format!("--host={host}"),
            format!("--port={port}"),
            format!("--username={USER}"),
            "--no-vacuum".to_owned(),
            "--protocol=prepared".to_owned(),
            "--log".to_owned(),
        ];
        Ok(Self {
            pgbench,
            arguments,
            folder,
            connection,
        })
    }

    /// Clears away what former rounds left behind.
    pub async fn tidy(&mut self) -> Result<()> {
        let tables = "VACUUM ANALYZE milestones, projects, lp_prices, ledger_entries, a_full";
        sqlx::raw_sql(tables).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Runs a cell, and fails unless every transaction left what it should have.
    pub async fn run(&mut self, script: &Script, clients: u32, each: u32) -> Result<Cell> {
        let before = self.counts().await?;
        let cell = self.pgbench(script, clients, each).await?;
        let after = self.counts().await?;
        let made = i64::from(clients * each);
        let settled = if script.settles { made } else { 0 };
        let counted = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
        ensure!(
            counted == (made, settled, settled),
            "{} left {counted:?} where {made} transactions were to run",
            script.name
        );
        Ok(cell)
    }

    async fn counts(&mut self) -> Result<Counts> {
        let text = "SELECT (SELECT count(*) FROM a_full), (SELECT sum(completed) FROM projects),
            (SELECT count(*) FROM ledger_entries)";
        Ok(sqlx::query_as(text).fetch_one(&mut self.connection).await?)
    }

    async fn pgbench(&self, script: &Script, clients: u32, each: u32) -> Result<Cell> {
        let logs = tempfile::tempdir_in(self.folder.path())?;
        let run = Command::new(&self.pgbench)
            .args(&self.arguments)
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={}", clients.min(2)))
            .arg(format!("--transactions={each}"))
            .arg(format!(
                "--log-prefix={}",
                logs.path().join("log").display()
            ))
            .arg(format!(
                "--file={}",
                self.folder.path().join(script.name).display()
            ))
            .arg(DATABASE)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(TOO_LONG, run).await.context("pgbench hangs")??;
        let (said, complained) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        ensure!(
            output.status.success(),
            "pgbench failed: {said}{complained}"
        );
        let mut clients: BTreeMap<u32, Vec<Done>> = BTreeMap::new();
        for log in std::fs::read_dir(logs.path())? {
            let log = std::fs::read_to_string(log?.path())?;
            for line in log.lines() {
                let (client, done) = logged(line).with_context(|| line.to_owned())?;
                clients.entry(client).or_default().push(done);
            }
        }
        let clients: Vec<_> = clients.into_values().collect();
        Cell::of(&clients).context("the cell is too small")
    }
}

/// A line of the log: client, transaction, microseconds it took, script, and the time of its end in
/// seconds and microseconds.
fn logged(line: &str) -> Option<(u32, Done)> {
    let mut fields = line.split(' ');
    let client = fields.next()?.parse().ok()?;
    let took = fields.nth(1)?.parse().ok()?;
    let seconds: u64 = fields.nth(1)?.parse().ok()?;
    let micros: u64 = fields.next()?.parse().ok()?;
    Some((client, (seconds * 1_000_000 + micros, took)))
}
