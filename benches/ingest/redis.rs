//! A Redis of the benchmark's own.

use std::net::TcpListener;
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use tranche_benches::process::Process;

pub struct Redis {
    process: Process,
    pub port: u16,
}

impl Redis {
    /// Starts one on a free port: in memory alone, or with every write flushed to the disk.
    pub async fn start(folder: &Path, durable: bool) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
            .args(["--port", &port.to_string()])
            .args(["--appendonly", if durable { "yes" } else { "no" }])
            .args(["--appendfsync", "always"])
            .arg("--dir")
            .arg(folder);
        let mut process = Process::start("redis", &mut command, folder)?;
        process
            .says(|line| line.contains("Ready to accept connections").then_some(()))
            .await?;
        Ok(Self { process, port })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
