//! A throwaway Redis whose every write is on the disk before it answers.
//!
//! Each value is a server of its own, which a test may kill, restart on the same files and pause. It
//! is tied to this process by a pipe: when the process ends, however it ends, the server and its
//! files go.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/keep-redis.sh");

/// A server that goes with this value.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    keeper: Mutex<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    process: Child,
    /// `None` once it was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Redis {
    /// An empty server, ready to answer.
    ///
    /// # Errors
    /// When Redis is not installed or does not start, with what to do about it.
    pub fn start() -> io::Result<Self> {
        let mut process = Command::new(SCRIPT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Outlives a signal to this process's group, so that it can still clean up.
            .process_group(0)
            .spawn()?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the keeper of Redis has no pipes"));
        };
        let mut keeper = Keeper {
            process,
            orders: Some(orders),
            answers: BufReader::new(answers),
        };
        let port = keeper.answer()?.parse().map_err(io::Error::other)?;
        Ok(Self {
            port,
            keeper: Mutex::new(keeper),
        })
    }

    /// Where to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    /// When its keeper is gone; so too below.
    pub fn kill(&self) -> io::Result<()> {
        self.order("kill")
    }

    /// Ends it with SIGTERM, as an operator would.
    ///
    /// # Errors
    /// As [`Redis::kill`].
    pub fn stop(&self) -> io::Result<()> {
        self.order("stop")
    }

    /// Starts it again on the same port and the same files.
    ///
    /// # Errors
    /// As [`Redis::kill`], and when it does not start.
    pub fn restart(&self) -> io::Result<()> {
        self.order("start")
    }

    /// Leaves it alive but silent: connections are accepted, nothing is answered.
    ///
    /// # Errors
    /// As [`Redis::kill`].
    pub fn pause(&self) -> io::Result<()> {
        self.order("pause")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// As [`Redis::kill`].
    pub fn resume(&self) -> io::Result<()> {
        self.order("resume")
    }

    /// Runs a command past the application and gives what `redis-cli` prints.
    ///
    /// # Errors
    /// With what the server says when it refuses.
    pub fn run(&self, command: &[&str]) -> io::Result<String> {
        let output = Command::new("redis-cli")
            .args(["-e", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(command)
            .output()
            .map_err(|error| {
                io::Error::other(format!("redis-cli does not run: {error}; run make setup"))
            })?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() {
            return Ok(said);
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("{said}{}", why.trim())))
    }

    fn order(&self, order: &str) -> io::Result<()> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &mut keeper.orders {
            writeln!(orders, "{order}")?;
        }
        keeper.answer().map(drop)
    }
}

impl Keeper {
    /// The next line that it writes; what went wrong when it writes none.
    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.trim().is_empty() {
            let mut why = String::new();
            if let Some(stderr) = &mut self.process.stderr {
                stderr.read_to_string(&mut why)?;
            }
            return Err(io::Error::other(format!(
                "no throwaway Redis: {}",
                why.trim()
            )));
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The end of its input is the order to go.
        self.orders = None;
        // A test's verdict is not changed by what it leaves behind.
        let _ = self.process.wait();
    }
}
