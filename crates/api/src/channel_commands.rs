//! `tranche channels`: make and list channel accounts.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tranche_application::ports::channels::Channel;
use tranche_application::ports::custody::SecretSeed;
use zeroize::Zeroizing;

use crate::cli::ChannelsCommand;
use crate::config::Config;
use crate::key_commands::operator;
use crate::serve::say;
use crate::wiring::{Funder, Stores};
use crate::{sandbox, wiring};

/// Runs a channels command.
pub async fn run(command: ChannelsCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    match command {
        ChannelsCommand::Create {
            count,
            funder_seed_file,
            starting_balance,
        } => {
            let funder = funder_seed_file.as_deref().map(seed).transpose()?;
            let funder = funder.map(|seed| Funder {
                seed,
                each: starting_balance,
            });
            create(usize::from(count), funder, config, &stores).await?;
        }
        ChannelsCommand::List => {
            let network = wiring::network(config);
            show(&stores.channels.channels(&network).await?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(
    count: usize,
    funder: Option<Funder>,
    config: &Config,
    stores: &Stores,
) -> anyhow::Result<()> {
    let (at, own) = sandbox::find_or_start(config).await?;
    let pool = wiring::channels(config, stores, at.as_ref(), funder).await?;
    let operator = operator();
    let grown = pool.grow(count, &operator, |funded, all| {
        say(&format!("{funded} of {all} funded"));
    });
    let joined = grown
        .await
        .context("what was made is kept: `tranche channels create --count 0` funds what is left")?;
    say(&format!("{joined} channel accounts joined the pool"));
    if let Some(own) = own {
        own.ledger.stop().await?;
    }
    Ok(())
}

fn show(channels: &[Channel]) {
    if channels.is_empty() {
        say("there are no channel accounts: each wallet burns one at a time");
        return;
    }
    say(&format!("{:<56}  {:<20}  STATE", "ACCOUNT", "CREATED"));
    for channel in channels {
        let state = match (channel.funded_at, channel.leased_by) {
            (None, _) => "not funded yet".to_owned(),
            (Some(_), None) => "free".to_owned(),
            (Some(_), Some(id)) => format!("leased by disbursement {id}"),
        };
        let created = channel.created_at.format("%Y-%m-%dT%H:%M:%SZ");
        let account = &channel.account_id;
        say(&format!("{account:<56}  {created:<20}  {state}"));
    }
}

fn seed(file: &Path) -> anyhow::Result<SecretSeed> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .with_context(|| format!("--funder-seed-file: {} cannot be read", file.display()))?;
    Ok(SecretSeed::new(text.trim().to_owned()))
}
