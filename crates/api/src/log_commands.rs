//! `tranche log`: the audit log's key, and what to do with a database that contradicts it.

use std::process::ExitCode;

use anyhow::Context;
use tranche_application::audit::tree::accepting::accept;

use crate::cli::LogCommand;
use crate::config::Config;
use crate::key_commands::operator;
use crate::serve::say;
use crate::wiring;

/// Runs a log command.
pub async fn run(command: LogCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    let keeper = wiring::keeper(config, &stores).await?;
    match command {
        LogCommand::Key => say(&keeper.key().verifier()),
        LogCommand::Accept { reason } => {
            let services = wiring::services(&stores);
            let log = stores.audit.as_ref();
            let accepted = accept(&services, log, &keeper, &operator(), &reason).await?;
            say(&format!("accepted: {}", accepted.contradiction));
            let aside = accepted.set_aside.context("no checkpoint was kept")?;
            say(&format!("the checkpoint that was kept is now {aside}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
