//! `tranche trails`: clean up, and the way from memory to the database.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tranche_application::trails::Backend;

use crate::cli::{ServerArgs, TrailsCommand};
use crate::client::Client;
use crate::config::Config;
use crate::key_commands::operator;
use crate::progress::Progress;
use crate::serve::say;
use crate::wiring;

const BACKEND: &str = "/v1/assessment/trails/backend";
const MIGRATION: &str = "/v1/assessment/trails/migration";
const COMPARISON: &str = "/v1/assessment/trails/comparison";

/// Runs a command on trails.
pub async fn run(command: TrailsCommand, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        TrailsCommand::Clean { dry_run } => clean(dry_run, config).await,
        TrailsCommand::Backend { to, server } => backend(to, &client(&server, config)?).await,
        TrailsCommand::Migrate { server } => migrate(&client(&server, config)?).await,
        TrailsCommand::Compare { server } => compare(&client(&server, config)?).await,
    }
}

fn client(args: &ServerArgs, config: &Config) -> anyhow::Result<Client> {
    let base = match &args.server {
        Some(server) => server.trim_end_matches('/').to_owned(),
        None => format!("http://{}", config.listen),
    };
    Client::new(&base, args.key.expose_secret())
}

async fn clean(dry_run: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    let clean_up = wiring::trail_clean_up(config, &stores, wiring::services(&stores));
    let outlook = clean_up.outlook().await?;
    if dry_run {
        say(&format!("{} trails would be deleted", outlook.trails));
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Mutex::new((Progress::begin("trails"), 0));
    let tell = |gone| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.1 += gone;
        let deleted = progress.1;
        progress.0.tell(deleted, Some(outlook.trails));
    };
    let stop = CancellationToken::new();
    let until = stop.clone();
    tokio::spawn(async move {
        // What cannot be told to stop is killed, and goes on where it was when it is run again.
        if tokio::signal::ctrl_c().await.is_ok() {
            until.cancel();
        }
    });
    let cleaned = clean_up.clean(&operator(), &tell, &stop).await?;
    let (progress, _) = progress
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    progress.end();
    say(&format!("{} trails deleted", cleaned.trails));
    if cleaned.more {
        say("there are more: run it again");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn backend(to: Option<Backend>, client: &Client) -> anyhow::Result<ExitCode> {
    let shown = match to {
        Some(to) => {
            client
                .put(BACKEND, &json!({ "backend": to.as_str() }))
                .await?
        }
        None => client.get(BACKEND).await?,
    };
    say(shown["backend"]
        .as_str()
        .context("the answer has no backend")?);
    Ok(ExitCode::SUCCESS)
}

async fn migrate(client: &Client) -> anyhow::Result<ExitCode> {
    let (mut copied, mut present, mut gone) = (0, 0, 0);
    batches(client, MIGRATION, |batch| {
        copied += count(batch, "copied");
        present += count(batch, "present");
        gone += count(batch, "gone");
        copied + present + gone
    })
    .await?;
    say(&format!(
        "{copied} trails copied, {present} were there, {gone} of projects that are gone"
    ));
    Ok(ExitCode::SUCCESS)
}

async fn compare(client: &Client) -> anyhow::Result<ExitCode> {
    let (mut compared, mut missing, mut differing) = (0, 0, 0);
    batches(client, COMPARISON, |batch| {
        compared += count(batch, "compared");
        for message in list(batch, "missing") {
            missing += 1;
            say(&format!("{} is missing", message.as_str().unwrap_or("?")));
        }
        for one in list(batch, "differing") {
            differing += 1;
            say(&in_words(one));
        }
        compared
    })
    .await?;
    say(&format!(
        "{compared} trails compared: {missing} missing in the database, {differing} differing"
    ));
    Ok(if missing == 0 && differing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Asks for batch after batch to the end, and tells how far it is by what `take` says.
async fn batches(
    client: &Client,
    path: &str,
    mut take: impl FnMut(&Value) -> u64,
) -> anyhow::Result<()> {
    let mut progress = Progress::begin("trails");
    let mut after = Value::Null;
    loop {
        let batch = client.post(path, &json!({ "after": after })).await?;
        progress.tell(take(&batch), batch["total"].as_u64());
        after = batch["next_after"].clone();
        if after.is_null() {
            progress.end();
            return Ok(());
        }
    }
}

fn count(batch: &Value, name: &str) -> u64 {
    batch[name].as_u64().unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// A trail that differs, in a line.
fn in_words(differing: &Value) -> String {
    let fields = list(differing, "fields").filter_map(Value::as_str);
    let fields: Vec<&str> = fields.collect();
    let message = differing["message_id"].as_str().unwrap_or("?");
    format!("{message} differs in {}", fields.join(", "))
}
