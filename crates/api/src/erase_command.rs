//! `tranche erase`: what is sealed of a subject, for good.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::Context;
use tranche_application::audit::erasure::Erasure;
use tranche_application::{Call, Outcome};
use tranche_domain::text::Reason;

use crate::config::Config;
use crate::key_commands::operator;
use crate::serve::say;
use crate::wiring;

/// What was asked for on the command line.
pub struct Asked {
    /// Whose data.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// Whether to tell only.
    pub dry_run: bool,
    /// Whether to do it without asking.
    pub yes: bool,
}

/// Tells what it is about, asks, and erases.
pub async fn run(asked: Asked, config: &Config) -> anyhow::Result<ExitCode> {
    let reason = Reason::try_new(asked.reason).context("--reason")?;
    let stores = wiring::open_store(config).await?;
    let sensitive = wiring::sensitive(config, &stores).await?;
    let erasure = Erasure::new(wiring::services(&stores), sensitive);
    if asked.dry_run || !asked.yes {
        eprintln!("looking at every event");
        let (key, mentions) = erasure.look(&asked.subject, None).await?;
        say(&format!(
            "key {key}: {} events hold what it sealed; {} name the subject as their actor, which stays",
            mentions.sealed, mentions.acted
        ));
    }
    if asked.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    if !asked.yes && !is_confirmed()? {
        eprintln!("tranche: nothing was erased");
        return Ok(ExitCode::FAILURE);
    }
    let call = Call {
        caller: operator(),
        idempotency: None,
        expected_version: None,
    };
    if let Outcome::Done(key) = erasure.erase(&asked.subject, &reason, &call).await? {
        say(&format!("key {key} is erased"));
        eprintln!(
            "every process knows it within half a minute; backups hold the key until they expire"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the person there says yes.
fn is_confirmed() -> anyhow::Result<bool> {
    eprint!("This cannot be undone. Erase? Type yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
