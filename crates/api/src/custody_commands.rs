//! `tranche custody`: which master key seals what, and re-wrapping it all under the one in force.

use std::process::ExitCode;

use anyhow::Context;
use tranche_adapters_stellar::custody::LOCAL;
use tranche_application::ports::custody::Sealer;
use tranche_application::rotation::Rotation;

use crate::cli::CustodyCommand;
use crate::config::Config;
use crate::custody::Keyholder;
use crate::master_key::kept;
use crate::sandbox;
use crate::serve::say;
use crate::system::SystemEntropy;
use crate::wiring::{self, Stores};

/// Runs a custody command.
pub async fn run(command: CustodyCommand, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        CustodyCommand::Status => status(config).await,
        CustodyCommand::Rotate { new_key } => rotate(config, new_key).await,
    }
}

fn rotation(stores: &Stores, keys: &Keyholder) -> Rotation {
    Rotation::new(
        stores.store.clone(),
        stores.secrets.clone(),
        keys.local.clone(),
        LOCAL,
        stores.webhooks.clone(),
    )
}

/// A line for each master key and custodian; fails when something is sealed under a key that is not
/// given.
async fn status(config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    let keys = Keyholder::of(config).await?;
    let mut census = rotation(&stores, &keys).census().await?;
    let in_force = keys.local.key_id();
    census.sealed.entry(in_force.to_owned()).or_default();
    say(&format!("{:<16}  {:<12}  SEALS", "KEY", "STATE"));
    let mut missing = 0;
    for (key, sealed) in &census.sealed {
        let state = if key == in_force {
            "in force"
        } else if keys.local.has(key) {
            "opens"
        } else {
            missing += sealed;
            "not given"
        };
        say(&format!("{key:<16}  {state:<12}  {sealed}"));
    }
    for (custodian, wallets) in &census.outside {
        say(&format!("{custodian:<16}  {:<12}  {wallets}", "outside"));
    }
    if missing == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tranche: {missing} cannot be opened: give their master key too");
    Ok(ExitCode::FAILURE)
}

/// Re-wraps; fails when something was left because no key opens it.
async fn rotate(config: &Config, new_key: bool) -> anyhow::Result<ExitCode> {
    let is_kept = config.custody.master_key.is_none() && config.is_embedded();
    if new_key && !is_kept {
        anyhow::bail!(
            "--new-key: is for the key file that tranche keeps itself; give the new key before the former one instead"
        );
    }
    // A service that runs does not know the new key: it would find wallets that it cannot open.
    let _claim = if is_kept {
        let folder = config.data_dir.join("sandbox");
        Some(sandbox::claim(&folder).context("stop the service first")?)
    } else {
        None
    };
    let stores = wiring::open_store(config).await?;
    if new_key {
        // First what there is gets its pepper, which may come from the former key.
        Keyholder::of(config).await?.key_ring(&stores).await?;
        kept::add_new(config, &SystemEntropy)?;
    }
    let keys = Keyholder::of(config).await?;
    keys.key_ring(&stores).await?;
    let done = rotation(&stores, &keys)
        .run(|done| {
            let seen = done.rewrapped + done.in_place + done.outside;
            eprintln!("{seen} seen, {} re-wrapped", done.rewrapped);
        })
        .await?;
    for name in &done.unopened {
        eprintln!("tranche: {name}: no master key given opens it");
    }
    say(&format!(
        "{} re-wrapped under {}, {} there already, {} held outside, {} not opened",
        done.rewrapped,
        keys.local.key_id(),
        done.in_place,
        done.outside,
        done.unopened.len()
    ));
    if !done.unopened.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    if is_kept && kept::drop_former(config, &SystemEntropy)? {
        say(&format!(
            "{} holds the key in force alone",
            kept::path(config).display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
