//! How a crash test says where the process ends. Only in a binary built with the feature
//! `failpoints`.
//!
//! - `TRANCHE_KILL_AT=NAME[:N]`: the process kills itself (SIGKILL) when it comes to the place of
//!   that name for the N-th time, the first if N is absent.
//! - `FAILPOINTS=NAME=1*panic`: as the crate `fail` has it; the step at that place fails once.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use fail::FailScenario;
use rustix::process::{Signal, getpid, kill_process};

/// Arms the places for as long as the result lives.
pub fn arm() -> anyhow::Result<FailScenario<'static>> {
    let scenario = FailScenario::setup();
    let Ok(wanted) = std::env::var("TRANCHE_KILL_AT") else {
        return Ok(scenario);
    };
    let (name, passage) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    let passage: u32 = passage.parse().context("TRANCHE_KILL_AT: NAME[:N]")?;
    let passed = AtomicU32::new(0);
    let kill = move || {
        if passed.fetch_add(1, Ordering::SeqCst).saturating_add(1) == passage {
            // It cannot fail, and nothing runs after it.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    };
    fail::cfg_callback(name, kill).map_err(|error| anyhow::anyhow!("TRANCHE_KILL_AT: {error}"))?;
    Ok(scenario)
}
