//! `tranche log`: the audit log's key, and what to do with a database that contradicts it.

use std::process::ExitCode;

use anyhow::Context;
use tranche_application::audit::incoming::read_details;
use tranche_application::audit::search_terms::SearchTerms;
use tranche_application::audit::tree::accepting::accept;

use crate::cli::{LogCommand, SearchTermArgs};
use crate::config::Config;
use crate::custody::Keyholder;
use crate::key_commands::operator;
use crate::serve::say;
use crate::wiring;

/// Runs a log command.
pub async fn run(command: LogCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    let keys = Keyholder::of(config).await?;
    match command {
        LogCommand::Key => say(&keys.log_key(config, &stores).await?.verifier()),
        LogCommand::SearchTerm(which) => {
            let terms = SearchTerms::new(&keys.key_ring(&stores).await?);
            say(&hash(&terms, which)?);
        }
        LogCommand::Accept { reason } => {
            let keeper = wiring::keeper(config, &stores, &keys).await?;
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

/// A search term as the log has it.
fn hash(terms: &SearchTerms, which: SearchTermArgs) -> anyhow::Result<String> {
    let Some(details) = which.details else {
        return Ok(terms.of_text(&which.q.unwrap_or_default()));
    };
    let details = read_details(&details).map_err(|why| anyhow::anyhow!("--details: {why}"))?;
    Ok(terms.of_details(&details))
}
