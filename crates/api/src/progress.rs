//! How far a long command is: one line on stderr that is written over, where a person looks, and one
//! line at the end.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often it is told.
const EVERY: Duration = Duration::from_millis(500);

/// Tells how far a command is.
pub struct Progress {
    what: &'static str,
    began: Instant,
    told: Instant,
    is_watched: bool,
    count: u64,
}

impl Progress {
    /// Begins to count what is named here.
    pub fn begin(what: &'static str) -> Self {
        let now = Instant::now();
        Self {
            what,
            began: now,
            told: now,
            is_watched: stderr().is_terminal(),
            count: 0,
        }
    }

    /// So many by now, of so many.
    pub fn tell(&mut self, count: u64, of: Option<u64>) {
        self.count = count;
        if self.is_watched && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
            write(&format!("\r{}{of}\u{1b}[K", self.line()));
        }
    }

    /// All of them.
    pub fn end(self) {
        let start = if self.is_watched { "\r\u{1b}[K" } else { "" };
        write(&format!("{start}{}\n", self.line()));
    }

    fn line(&self) -> String {
        let millis = self.began.elapsed().as_millis().max(1);
        let pace = u128::from(self.count) * 1_000 / millis;
        let (seconds, tenths) = (millis / 1_000, millis % 1_000 / 100);
        let (count, what) = (self.count, self.what);
        format!("{count} {what} in {seconds}.{tenths} s ({pace} {what}/s)")
    }
}

fn write(text: &str) {
    // Nobody has to look.
    let _ = stderr().write_all(text.as_bytes());
}
