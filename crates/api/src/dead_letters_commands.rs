//! `tranche dead-letters`: list and redrive.

use std::process::ExitCode;

use serde_json::{Value, json};
use tranche_application::audit::letters::Letters;
use tranche_application::ports::dead_letters::{DeadLetter, Redriven};
use tranche_application::ports::queries::Page;

use crate::cli::DeadLettersCommand;
use crate::config::Config;
use crate::key_commands::operator;
use crate::serve::say;
use crate::wiring;

/// Runs a command on dead letters.
pub async fn run(command: DeadLettersCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    let letters = Letters::new(wiring::services(&stores), stores.letters.clone());
    match command {
        DeadLettersCommand::List { limit } => list(&letters, limit).await,
        DeadLettersCommand::Redrive { id: Some(id), .. } => {
            match letters.redrive(id, &operator()).await? {
                Redriven::Stored => say(&format!("{id} is in the log")),
                Redriven::Unknown => {
                    anyhow::bail!(
                        "there is no dead letter {id}; `tranche dead-letters list` shows them"
                    )
                }
                Redriven::Unreadable => {
                    anyhow::bail!("{id} stays: its content is no event")
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        DeadLettersCommand::Redrive { id: None, .. } => all(&letters).await,
    }
}

async fn list(letters: &Letters, limit: u32) -> anyhow::Result<ExitCode> {
    let page = Page { after: None, limit };
    let listed = letters.list(page).await?;
    for letter in &listed {
        say(&line(letter).to_string());
    }
    let all = letters.count().await?;
    match listed.len() as u64 {
        0 => eprintln!("no dead letters"),
        shown if shown < all => eprintln!("{shown} of {all}, the newest; --limit shows more"),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(letters: &Letters) -> anyhow::Result<ExitCode> {
    let redrive = letters.redrive_all(&operator()).await?;
    for (id, why) in &redrive.failed {
        eprintln!("tranche: {id} stays: {why}");
    }
    say(&format!(
        "{} in the log, {} stay",
        redrive.stored,
        redrive.failed.len()
    ));
    Ok(if redrive.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A letter as a line of JSON: its event where it is one, else what is left of it as text.
fn line(letter: &DeadLetter) -> Value {
    let event = serde_json::from_str(&letter.content).unwrap_or(json!(letter.content));
    json!({
        "id": letter.id,
        "event_id": letter.event_id,
        "buried_at": letter.buried_at,
        "source": letter.source,
        "error": letter.error,
        "event": event,
    })
}
