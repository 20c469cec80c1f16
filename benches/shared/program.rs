//! The built service as anybody would run it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::content::{Moment, Random};
use crate::process::Process;
use crate::server::Server;

/// The service's program, its settings, and the server that its databases are on.
pub struct Program {
    pub server: Server,
    path: PathBuf,
    settings: Vec<(String, String)>,
}

impl Program {
    /// With settings that no measurement wants otherwise, unless `more` has them.
    #[must_use]
    pub fn new(server: Server, path: PathBuf, more: Vec<(String, String)>) -> Self {
        let mut random = Random::new(Moment::now().0);
        let master = [(); 4].map(|()| format!("{:016x}", random.next())).concat();
        let mut settings: Vec<(String, String)> = [
            ("TRANCHE_LISTEN", "127.0.0.1:0"),
            ("TRANCHE_LOG", "warn"),
            ("TRANCHE_MASTER_KEY", &master),
            ("TRANCHE_RATE_LIMIT", "off"),
            // Nothing expires by itself.
            ("TRANCHE_RETENTION_AT", "off"),
            // Its sandbox ledger has nothing to do here.
            ("TRANCHE_SANDBOX_LEDGER_MS", "60000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.extend(more);
        Self {
            server,
            path,
            settings,
        }
    }

    /// A command on a database, with its data in this folder.
    #[must_use]
    pub fn command(&self, arguments: &[&str], database: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.path);
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
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, arguments: &[&str], database: &str, folder: &Path) -> Result<String> {
        let mut command = self.command(arguments, database, folder);
        let output = command.kill_on_drop(true).output().await?;
        let said = String::from_utf8(output.stdout)?.trim().to_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "tranche {arguments:?}: {complaint}{said}"
        );
        Ok(said)
    }

    /// Issues a key.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn key(&self, role: &str, database: &str, folder: &Path) -> Result<String> {
        let issue = ["key", "issue", "--subject", "bench", "--role", role];
        let key = self.run(&issue, database, folder).await?;
        ensure!(!key.is_empty(), "no key was issued");
        Ok(key)
    }

    /// Starts the service and says where it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn serve(&self, mut serve: Command, folder: &Path) -> Result<(Process, SocketAddr)> {
        let mut process = Process::start("tranche", &mut serve, folder)?;
        let address = process
            .says(|line| line.strip_prefix("listening on http://")?.parse().ok())
            .await?;
        Ok((process, address))
    }
}
