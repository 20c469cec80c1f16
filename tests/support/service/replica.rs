//! A second process on a service's store and ledger.

use std::os::unix::process::ExitStatusExt;

use super::process::Process;
use super::{Caller, Tranche, Wire};

/// Another `tranche serve` beside a [`Tranche`], with the same settings but its own address.
#[derive(Debug)]
pub struct Replica {
    process: Process,
    wire: Wire,
}

impl Tranche {
    /// Starts one, with these settings on top. When this returns, it answers.
    pub fn replica(&mut self, more: &[(&'static str, String)]) -> Replica {
        let log = self.log_file(self.starts);
        self.starts += 1;
        let settings = [self.settings.as_slice(), more].concat();
        let folder = self.folder.path();
        let process = Process::start(&self.binary, &["serve"], &settings, folder, &log);
        let wire = Wire::default();
        wire.moved_to(process.url());
        Replica { process, wire }
    }
}

impl Replica {
    /// Somebody with this token who calls this process.
    pub fn with_token(&self, token: &str) -> Caller {
        self.wire.caller(Some(token))
    }

    /// Waits for it to end by itself; gives the signal that ended it.
    pub fn wait(self) -> Option<i32> {
        self.process.wait().signal()
    }

    /// Kills it outright.
    pub fn kill(self) {
        self.process.kill();
    }
}
