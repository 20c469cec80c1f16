//! This test binary once more, as a process of its own that may be killed, starved or measured.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where a child finds its file.
const FILE: &str = "SPOOL_TEST_FILE";

/// The command that runs one ignored test of this binary on a file. The process does not die of a
/// write beyond its limit: the write fails, as on a full disk.
pub fn child(test: &str, file: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("a binary"))
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FILE, file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The file that the parent named; `None` where nobody did and there is nothing to do.
pub fn file() -> Option<PathBuf> {
    std::env::var_os(FILE).map(PathBuf::from)
}

/// Runs a child to its end, which is a good one.
pub fn run(test: &str, file: &Path) {
    let output = child(test, file).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("1 passed"), "{said}");
}
