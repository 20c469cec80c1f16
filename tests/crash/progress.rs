//! How far a long run is: one line that changes in place, or a line now and then where nobody looks.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

const WIDTH: usize = 40;
/// Lines of a run that nobody looks at.
const LINES: usize = 20;

pub struct Progress {
    total: usize,
    done: AtomicUsize,
    failed: AtomicUsize,
}

impl Progress {
    pub fn of(total: usize) -> Self {
        Self {
            total,
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }
    }

    /// One more is done.
    pub fn done(&self, what: &str, good: bool) {
        let failed =
            self.failed.fetch_add(usize::from(!good), Ordering::SeqCst) + usize::from(!good);
        let done = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        let full = done * WIDTH / self.total.max(1);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(WIDTH - full));
        let line = format!("[{bar}] {done}/{} {failed} failed  {what}", self.total);
        let mut out = std::io::stderr().lock();
        // A run does not end because nobody can see how far it is.
        let _ = if std::io::stderr().is_terminal() {
            let end = if done == self.total { "\n" } else { "" };
            write!(out, "\r\x1b[2K{line}{end}").and_then(|()| out.flush())
        } else if !good || done.is_multiple_of((self.total / LINES).max(1)) || done == self.total {
            writeln!(out, "{line}")
        } else {
            Ok(())
        };
    }
}
