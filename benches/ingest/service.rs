//! The built service as anybody would run it, on a database of its own for each cell.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tranche_benches::program::Program;
use tranche_benches::server::Server;

use crate::redis::Redis;
use crate::rows::Rows;
use tranche_benches::client::Target;
use tranche_benches::process::Process;

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
    program: Program,
    queue: Queue,
    key: String,
    databases: usize,
}

impl Release {
    pub async fn prepare(program: Program, queue: Queue) -> Result<Self> {
        program.server.create(TEMPLATE).await?;
        let folder = tempfile::tempdir()?;
        program.run(&["migrate"], TEMPLATE, folder.path()).await?;
        let key = program.key("service", TEMPLATE, folder.path()).await?;
        // As a running service makes them; the rows that COPY writes go there as well.
        let mut connection = program.server.connect(TEMPLATE).await?;
        sqlx::raw_sql("SELECT audit_partitions(1)")
            .execute(&mut connection)
            .await?;
        sqlx::Connection::close(connection).await?;
        Ok(Self {
            program,
            queue,
            key,
            databases: 0,
        })
    }

    pub const fn server(&self) -> &Server {
        &self.program.server
    }

    /// An empty database as the service leaves it at its first start.
    pub async fn database(&mut self) -> Result<String> {
        self.databases += 1;
        let database = format!("tranche_{}", self.databases);
        self.server().copy(TEMPLATE, &database).await?;
        self.server().settle().await?;
        Ok(database)
    }

    /// Does something with a service on an empty database.
    pub async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&Service, &mut Rows) -> Result<T>,
    ) -> Result<T> {
        let service = self.start().await?;
        let mut rows = Rows::open(self.server(), &service.database).await?;
        let done = work(&service, &mut rows).await;
        rows.close().await?;
        let done = match service.process.complaint() {
            // What it complained of says more than that it did not answer.
            complaint if !complaint.is_empty() => done.context(complaint)?,
            _ => done?,
        };
        service.stop(self.server()).await?;
        Ok(done)
    }

    async fn start(&mut self) -> Result<Service> {
        let database = self.database().await?;
        let folder = tempfile::tempdir()?;
        let mut serve = self.program.command(&["serve"], &database, folder.path());
        let redis = match self.queue {
            Queue::Embedded => None,
            Queue::Redis => {
                let redis = Redis::start(folder.path(), true).await?;
                serve.env("TRANCHE_QUEUE", redis.url());
                Some(redis)
            }
        };
        let (process, address) = self.program.serve(serve, folder.path()).await?;
        Ok(Service {
            database,
            process,
            address,
            key: self.key.clone(),
            redis,
            folder,
        })
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

    /// Processor time in microseconds.
    pub fn cpu(&self) -> Result<u64> {
        self.process.cpu()
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
