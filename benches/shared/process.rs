//! Programs that the benchmark starts: each is killed with the value that stands for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::cpu;

/// No program takes longer to start, or to end.
const TOO_LONG: Duration = Duration::from_mins(1);

pub struct Process {
    name: &'static str,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose errors go to a file in the folder.
    pub fn start(name: &'static str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let stdout = child.stdout.take().context("its output is piped")?;
        let lines = BufReader::new(stdout).lines();
        Ok(Self {
            name,
            child,
            lines,
            log,
        })
    }

    /// The first line that means something, as soon as it says it.
    pub async fn says<T>(&mut self, meaning: impl Fn(&str) -> Option<T>) -> Result<T> {
        let look = async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(found) = meaning(&line) {
                    return Ok::<_, anyhow::Error>(Some(found));
                }
            }
            Ok(None)
        };
        match timeout(TOO_LONG, look).await {
            Ok(Ok(Some(found))) => Ok(found),
            Ok(Err(error)) => Err(error),
            Ok(Ok(None)) => bail!("{} ended: {}", self.name, self.complaint()),
            Err(_) => bail!("{} does not start: {}", self.name, self.complaint()),
        }
    }

    /// Asks it to end, and fails unless it does so well.
    pub async fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.id()?)?).context("it has a number")?;
        kill_process(pid, Signal::TERM)?;
        let status = timeout(TOO_LONG, self.child.wait()).await;
        let status = status.with_context(|| format!("{} does not end", self.name))??;
        let complaint = self.complaint();
        ensure!(status.success(), "{}: {status}: {complaint}", self.name);
        Ok(())
    }

    fn id(&self) -> Result<u32> {
        let name = self.name;
        self.child.id().with_context(|| format!("{name} ended"))
    }

    /// How much processor time it took, in microseconds.
    pub fn cpu(&self) -> Result<u64> {
        cpu::of_process(self.id()?)
    }

    /// How much memory it has, in kB.
    pub fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        Ok(number.context("no VmRSS")?.parse()?)
    }

    /// The end of what it wrote to its log.
    pub fn complaint(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}
