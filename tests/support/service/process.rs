//! One process of the binary.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// The longest that a start or an end may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test: `TRANCHE_BIN`, or what cargo built beside this test.
pub fn binary() -> PathBuf {
    if let Some(given) = env::var_os("TRANCHE_BIN") {
        return PathBuf::from(given);
    }
    built("tranche", "cargo build -p tranche-api")
}

/// The same with failpoints, as `scripts/test.sh` and `scripts/crash.sh` leave it beside the other.
pub fn failpoints_binary() -> PathBuf {
    built("tranche-failpoints", "scripts/failpoints.sh")
}

fn built(name: &str, how: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows its own file");
    let profile = test.parent().and_then(Path::parent);
    let binary = profile.expect("tests lie in target/*/deps").join(name);
    assert!(
        binary.exists(),
        "{} is missing: {how} first",
        binary.display()
    );
    binary
}

/// A binary with these settings and no others, whatever the environment says.
fn command(
    binary: &Path,
    arguments: &[&str],
    settings: &[(&'static str, String)],
    folder: &Path,
) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["TRANCHE_", "AWS_"]
            .iter()
            .any(|ours| text.starts_with(ours))
            || text == "FAILPOINTS"
        {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(folder);
    command.envs(settings.iter().map(|(name, value)| (*name, value.as_str())));
    command.stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end, which must come.
pub fn run(arguments: &[&str], settings: &[(&'static str, String)], folder: &Path) -> Output {
    let file = || tempfile::tempfile().expect("a temporary file");
    let (mut out, mut err) = (file(), file());
    let share = |file: &File| file.try_clone().expect("a file can be shared");
    let binary = binary();
    let mut child = command(&binary, arguments, settings, folder)
        .stdout(share(&out))
        .stderr(share(&err))
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let status = wait(&mut child).unwrap_or_else(|| {
        // Nothing more can be done about it.
        let _ = child.kill();
        panic!("{arguments:?} did not end in {PATIENCE:?}");
    });
    let read = |file: &mut File| {
        let mut text = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut text));
        read.map(|_| text).expect("a file can be read")
    };
    Output {
        status,
        stdout: read(&mut out),
        stderr: read(&mut err),
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// A command of the binary that listens. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    url: String,
}

impl Process {
    /// Starts it and waits until it says where it listens. Its log goes to a file.
    pub fn start(
        binary: &Path,
        arguments: &[&str],
        settings: &[(&'static str, String)],
        folder: &Path,
        log: &Path,
    ) -> Self {
        let stderr = File::create(log).expect("a file for the log");
        let mut child = command(binary, arguments, settings, folder)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let lines = read_lines(&mut child);
        let mut process = Self {
            child,
            url: String::new(),
        };
        let first = lines.recv_timeout(PATIENCE).unwrap_or_default();
        let Some(url) = first.strip_prefix("listening on ") else {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            process.kill_now();
            panic!("{arguments:?} does not listen but says {first:?}; its log:\n{log}");
        };
        url.clone_into(&mut process.url);
        process
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> ExitStatus {
        let status = wait(&mut self.child);
        status.unwrap_or_else(|| panic!("it did not end in {PATIENCE:?}"))
    }

    /// Whether it has ended by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it outright (SIGKILL).
    pub fn kill(mut self) {
        self.kill_now();
    }

    /// Asks it to end (SIGTERM) and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let kill = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIGTERM was not sent"
        );
        let status = wait(&mut self.child);
        status
            .unwrap_or_else(|| panic!("it did not end in {PATIENCE:?}"))
            .code()
    }

    fn kill_now(&mut self) {
        match self.child.kill() {
            Err(error) if error.kind() != ErrorKind::InvalidInput => panic!("no SIGKILL: {error}"),
            _ => drop(self.child.wait()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it says on stdout, read to the end so that it never blocks.
fn read_lines(child: &mut Child) -> Receiver<String> {
    let (lines, read) = mpsc::channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        for line in stdout
            .into_iter()
            .flat_map(|out| BufReader::new(out).lines())
        {
            // The receiver wants the first line only.
            let _ = line.map(|line| lines.send(line));
        }
    });
    read
}
