//! The built service as anybody would run it, on a database of its own for each cell.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tranche_benches::server::Server;

use crate::client::Target;
use crate::content::{Moment, Random};
use crate::process::Process;
use crate::redis::Redis;
use crate::rows::Rows;

/// Migrated, with a key in it, and otherwise empty: what every cell begins with.
const TEMPLATE: &str = "template_tranche";

/// Which queue the service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Queue {
    /// Its own spool on the disk.
    Embedded,
    /// Redis Streams, with every write of Redis flushed to the disk.
    Redis,
}

/// How services are started.
pub struct Release {
    server: Server,
    program: PathBuf,
    queue: Queue,
    settings: Vec<(String, String)>,
    key: String,
    databases: usize,
}

impl Release {
    pub async fn prepare(
        server: Server,
        program: PathBuf,
        queue: Queue,
        more: Vec<(String, String)>,
    ) -> Result<Self> {
        server.create(TEMPLATE).await?;
        let mut random = Random::new(Moment::now().0);
        let master = [(); 4].map(|()| format!("{:016x}", random.next())).concat();
        let mut settings: Vec<(String, String)> = [
            ("TRANCHE_LISTEN", "127.0.0.1:0"),
            ("TRANCHE_LOG", "warn"),
            ("TRANCHE_MASTER_KEY", &master),
            ("TRANCHE_RATE_LIMIT", "off"),
            // Its sandbox ledger has nothing to do here.
            ("TRANCHE_SANDBOX_LEDGER_MS", "60000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.extend(more);
        let mut release = Self {
            server,
            program,
            queue,
            settings,
            key: String::new(),
            databases: 0,
        };
        let folder = tempfile::tempdir()?;
        release.command(&["migrate"], TEMPLATE, &folder).await?;
        let issue = ["key", "issue", "--subject", "bench", "--role", "service"];
        release.key = release.command(&issue, TEMPLATE, &folder).await?;
        ensure!(!release.key.is_empty(), "no key was issued");
        // As a running service makes them; the rows that COPY writes go there as well.
        let mut connection = release.server.connect(TEMPLATE).await?;
        sqlx::raw_sql("SELECT audit_partitions(1)")
            .execute(&mut connection)
            .await?;
        sqlx::Connection::close(connection).await?;
        Ok(release)
    }

    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// An empty database as the service leaves it at its first start.
    pub async fn database(&mut self) -> Result<String> {
        self.databases += 1;
        let database = format!("tranche_{}", self.databases);
        self.server.copy(TEMPLATE, &database).await?;
        self.server.settle().await?;
        Ok(database)
    }

    /// Does something with a service on an empty database.
    pub async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&Service, &mut Rows) -> Result<T>,
    ) -> Result<T> {
        let service = self.start().await?;
        let mut rows = Rows::open(&self.server, &service.database).await?;
        let done = work(&service, &mut rows).await;
        rows.close().await?;
        let done = match service.process.complaint() {
            // What it complained of says more than that it did not answer.
            complaint if !complaint.is_empty() => done.context(complaint)?,
            _ => done?,
        };
        service.stop(&self.server).await?;
        Ok(done)
    }

    async fn start(&mut self) -> Result<Service> {
        let database = self.database().await?;
        let folder = tempfile::tempdir()?;
        let mut command = self.program(&["serve"], &database, folder.path());
        let redis = match self.queue {
            Queue::Embedded => None,
            Queue::Redis => {
                let redis = Redis::start(folder.path(), true).await?;
                command.env("TRANCHE_QUEUE", redis.url());
                Some(redis)
            }
        };
        let mut process = Process::start("tranche", &mut command, folder.path())?;
        let address = process
            .says(|line| line.strip_prefix("listening on http://")?.parse().ok())
            .await?;
        Ok(Service {
            database,
            process,
            address,
            key: self.key.clone(),
            redis,
            folder,
        })
    }

    fn program(&self, arguments: &[&str], database: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("TRANCHE_DATABASE_URL", self.server.url(database))
            .env("TRANCHE_DATA_DIR", folder.join("data"))
            .current_dir(folder);
        command
    }

    /// What a command says.
    async fn command(
        &self,
        arguments: &[&str],
        database: &str,
        folder: &TempDir,
    ) -> Result<String> {
        let mut command = self.program(arguments, database, folder.path());
        let output = command.kill_on_drop(true).output().await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "tranche {arguments:?}: {complaint}"
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// A running service.
pub struct Service {
    database: String,
    process: Process,
    address: SocketAddr,
    key: String,
    redis: Option<Redis>,
    folder: TempDir,
}

impl Service {
    pub fn target(&self) -> Target {
        Target {
            address: self.address,
            key: self.key.clone(),
        }
    }

    /// Its memory in kB.
    pub fn memory(&self) -> Result<u64> {
        self.process.memory()
    }

    /// How many bytes it has on the disk: the spool, and little else.
    pub fn disk(&self) -> u64 {
        size(&self.folder.path().join("data"))
    }

    /// Asks it to end, which it must do well, and takes its database away.
    async fn stop(self, server: &Server) -> Result<()> {
        self.process.stop().await?;
        if let Some(redis) = self.redis {
            redis.stop().await?;
        }
        server.remove(&self.database).await.context(self.database)
    }
}

/// Of all files below a folder. What goes away meanwhile has none.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
