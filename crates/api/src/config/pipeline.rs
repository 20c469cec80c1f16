//! The audit pipeline: which queue, how many workers, and the bounds of every buffer.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::{ConfigError, number, place, value};

/// What this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything: the embedded default.
    All,
    /// Answers over HTTP and moves money; writes no events from the queue.
    Api,
    /// Writes events from the queue into the log.
    Worker,
}

impl Role {
    /// The role of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        match name {
            "all" => Ok(Self::All),
            "api" => Ok(Self::Api),
            "worker" => Ok(Self::Worker),
            _ => Err(value("TRANCHE_ROLE", "must be all, api or worker")),
        }
    }

    /// Whether it serves the API.
    #[must_use]
    pub const fn answers(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether it takes events from the queue.
    #[must_use]
    pub const fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

/// Settings as they are given.
#[derive(Clone, Default, Args, Deserialize)]
pub struct PipelineSettings {
    /// Where audit events wait: `embedded` (a file in the data folder, for one process) or
    /// `redis://…` (several processes) [default: embedded]
    #[arg(
        long,
        env = "TRANCHE_QUEUE",
        global = true,
        value_name = "QUEUE",
        hide_env_values = true
    )]
    queue: Option<String>,
    /// How many events wait in the queue at most, 100 to 10000000 [default: 10000]
    #[arg(
        long,
        env = "TRANCHE_QUEUE_LIMIT",
        global = true,
        value_name = "EVENTS"
    )]
    queue_limit: Option<String>,
    /// How long a worker may hold events of a queue in Redis before others take it for dead, in
    /// seconds, 5 to 3600 [default: 60]
    #[arg(
        long,
        env = "TRANCHE_QUEUE_CLAIM_SECONDS",
        global = true,
        value_name = "SECONDS"
    )]
    queue_claim_seconds: Option<String>,
    /// How many bytes of events wait on the disk beside the queue at most, 1000000 and more
    /// [default: 1073741824]
    #[arg(long, env = "TRANCHE_SPOOL_LIMIT", global = true, value_name = "BYTES")]
    spool_limit: Option<String>,
    /// How many workers write events from the queue, 1 to 64 [default: 4]
    #[arg(long, env = "TRANCHE_WORKERS", global = true, value_name = "COUNT")]
    workers: Option<String>,
}

/// Where audit events wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queue {
    /// A file in the data folder.
    Embedded,
    /// Redis, by its URL.
    Redis(String),
}

/// The audit pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Where events wait.
    pub queue: Queue,
    /// How many events wait there at most.
    pub queue_limit: u64,
    /// How long a worker may hold events before others take it for dead.
    pub queue_claim: Duration,
    /// How many bytes of events wait on the disk beside it at most.
    pub spool_limit: u64,
    /// How many workers write.
    pub workers: u32,
}

impl PipelineSettings {
    pub(super) fn fill_from(&mut self, file: Self) {
        self.queue = self.queue.take().or(file.queue);
        self.queue_limit = self.queue_limit.take().or(file.queue_limit);
        self.queue_claim_seconds = self.queue_claim_seconds.take().or(file.queue_claim_seconds);
        self.spool_limit = self.spool_limit.take().or(file.spool_limit);
        self.workers = self.workers.take().or(file.workers);
    }

    pub(super) fn resolve(self) -> Result<Pipeline, ConfigError> {
        let queue = match self.queue.as_deref().unwrap_or("embedded") {
            "embedded" => Queue::Embedded,
            url if url.starts_with("redis://") || url.starts_with("rediss://") => {
                Queue::Redis(url.to_owned())
            }
            _ => {
                let why = "must be embedded, or a URL that begins with redis:// or rediss://";
                return Err(value("TRANCHE_QUEUE", why));
            }
        };
        let bound = |setting, given: &Option<String>, default, range| {
            number(setting, given.as_deref(), default, range)
        };
        let claim = &self.queue_claim_seconds;
        let claim = bound("TRANCHE_QUEUE_CLAIM_SECONDS", claim, 60, 5..=3_600)?;
        let workers = bound("TRANCHE_WORKERS", &self.workers, 4, 1..=64)?;
        Ok(Pipeline {
            queue,
            queue_claim: Duration::from_secs(claim),
            queue_limit: bound(
                "TRANCHE_QUEUE_LIMIT",
                &self.queue_limit,
                10_000,
                100..=10_000_000,
            )?,
            spool_limit: bound(
                "TRANCHE_SPOOL_LIMIT",
                &self.spool_limit,
                1 << 30,
                1_000_000..=1 << 50,
            )?,
            workers: u32::try_from(workers).unwrap_or(64),
        })
    }
}

impl Pipeline {
    /// A process that only answers, or only works, shares its queue with others.
    ///
    /// # Errors
    /// When the queue cannot be shared.
    pub fn check(&self, role: Role) -> Result<(), ConfigError> {
        if role == Role::All || self.queue != Queue::Embedded {
            return Ok(());
        }
        let why =
            "is embedded, for one process that does all: give redis://…, or leave TRANCHE_ROLE";
        Err(value("TRANCHE_QUEUE", why))
    }

    /// Every setting in force, a line each, with secrets masked.
    pub(super) fn describe(&self, lines: &mut Vec<String>) {
        lines.push(match &self.queue {
            Queue::Embedded => "TRANCHE_QUEUE=embedded".to_owned(),
            Queue::Redis(url) => format!("TRANCHE_QUEUE={}", place(url)),
        });
        lines.push(format!("TRANCHE_QUEUE_LIMIT={}", self.queue_limit));
        lines.push(format!(
            "TRANCHE_QUEUE_CLAIM_SECONDS={}",
            self.queue_claim.as_secs()
        ));
        lines.push(format!("TRANCHE_SPOOL_LIMIT={}", self.spool_limit));
        lines.push(format!("TRANCHE_WORKERS={}", self.workers));
    }
}
