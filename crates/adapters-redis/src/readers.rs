//! Who takes: each `take` that runs is a consumer of the group with a connection of its own, because
//! a blocking read holds up whatever comes after it on the same connection.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Seat, OwnedMutexGuard};

use crate::link::Link;

/// A consumer of the group.
pub(crate) struct Reader {
    /// Its name in the group.
    pub(crate) consumer: String,
    /// Its own connection.
    pub(crate) link: Link,
    /// Whether Redis may have given it something that never arrived.
    pub(crate) unsure: bool,
}

/// The readers of a process: as many as takes ever ran at a time.
pub(crate) struct Readers {
    process: String,
    seats: Mutex<Vec<Arc<Seat<Reader>>>>,
}

impl Readers {
    pub(crate) fn new(process: &str) -> Self {
        Self {
            process: process.to_owned(),
            seats: Mutex::default(),
        }
    }

    /// A reader that nobody else has, which connects as `link` does.
    pub(crate) fn check_out(&self, link: &Link) -> CheckedOut {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let free = |seat: &Arc<Seat<Reader>>| Arc::clone(seat).try_lock_owned().ok();
            if let Some(reader) = seats.iter().find_map(free) {
                return CheckedOut {
                    reader,
                    heard_out: false,
                };
            }
            let consumer = format!("{}:{}", self.process, seats.len() + 1);
            seats.push(Arc::new(Seat::new(Reader {
                consumer,
                link: link.another(),
                // A process of the same name may have been here before.
                unsure: true,
            })));
        }
    }
}

/// A reader in use. Dropped before [`CheckedOut::finish`], somebody was interrupted: the connection is
/// given up at once, and whoever uses the reader next asks what did not arrive.
pub(crate) struct CheckedOut {
    reader: OwnedMutexGuard<Reader>,
    heard_out: bool,
}

impl CheckedOut {
    /// The reader itself.
    pub(crate) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Everything that Redis gave has arrived.
    pub(crate) fn finish(mut self) {
        self.heard_out = true;
    }
}

impl Drop for CheckedOut {
    fn drop(&mut self) {
        if !self.heard_out {
            self.reader.link.hang_up();
            self.reader.unsure = true;
        }
    }
}
