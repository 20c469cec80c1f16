//! `tranche queue show`: what waits, without taking it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;
use tranche_adapters_redis::{RedisQueue, Settings};
use tranche_adapters_spool::Peek;

use crate::cli::QueueCommand;
use crate::config::{Config, Queue};
use crate::pipeline::all_files;
use crate::serve::say;

/// Runs a command on the queue.
pub async fn run(command: QueueCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let QueueCommand::Show { limit } = command;
    let mut shown = 0;
    // The embedded queue may hold something although Redis has taken its place.
    for name in ["queue", "spool"] {
        for file in all_files(&config.data_dir, name) {
            shown += show_file(&file, limit).await?;
        }
    }
    // Last: when Redis is away, the rest was shown.
    if let Queue::Redis(url) = &config.pipeline.queue {
        shown += show_redis(url, limit).await?;
    }
    if shown == 0 {
        eprintln!("nothing waits");
    }
    Ok(ExitCode::SUCCESS)
}

async fn show_file(file: &Path, limit: usize) -> anyhow::Result<usize> {
    let mut peek = Peek::open(file).await?;
    let mut shown = 0;
    while shown < limit
        && let Some(entry) = peek.next().await?
    {
        say(&serde_json::to_string(&entry)?);
        shown += 1;
    }
    Ok(shown)
}

async fn show_redis(url: &str, limit: usize) -> anyhow::Result<usize> {
    let queue = RedisQueue::connect(url, "show", Settings::default()).await;
    let queue = queue.context("TRANCHE_QUEUE")?;
    let waiting = queue.peek(limit).await?;
    for entry in &waiting {
        let mut line = json!({ "position": entry.id, "pushed_at": entry.at });
        match &entry.event {
            Ok(event) => line["event"] = json!(event),
            Err(unreadable) => {
                line["unreadable"] = json!(unreadable.content);
                line["error"] = json!(unreadable.error);
            }
        }
        say(&line.to_string());
    }
    Ok(waiting.len())
}
