//! Opens the queue and the spools of this process.
//!
//! A file of the embedded queue is one process's. Processes that share a data folder take the first
//! number that is free, and what a dead one left under another number is worked off as well.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tranche_adapters_redis::RedisQueue;
use tranche_adapters_spool::{Limits, OpenError, SpoolQueue};
use tranche_application::audit::health::Reach;
use tranche_application::audit::monitoring::{Monitoring, Part};
use tranche_application::audit::pipeline::Pipeline;
use tranche_application::ports::queue::AuditQueue;

use crate::config::{Config, Queue, Role};
use crate::wiring::{Stores, services};

/// How many processes may share a data folder.
const MOST: u32 = 64;

/// Queue and spool of this process, and what waits to be worked off.
pub struct Opened {
    /// Names this process, anew at each start.
    pub process: String,
    /// What every part of the pipeline stands on.
    pub pipeline: Pipeline,
    /// Files to be closed at the end.
    files: Vec<Arc<SpoolQueue>>,
    /// What dead processes of this folder left.
    pub left: Vec<Arc<dyn AuditQueue>>,
}

impl Opened {
    /// Opens what the configuration says.
    pub async fn open(config: &Config, stores: &Stores) -> anyhow::Result<Self> {
        let settings = &config.pipeline;
        let services = services(stores);
        let process = services.entropy.id().to_string();
        let bytes = Limits {
            events: None,
            bytes: Some(settings.spool_limit),
        };
        let mut spools = files(&config.data_dir, "spool", bytes).await?;
        let spool = spools.remove(0);
        let mut files_open = vec![spool.clone()];
        let mut left = spools;
        let queue: Arc<dyn AuditQueue> = match &settings.queue {
            Queue::Embedded => {
                let events = Limits {
                    events: Some(settings.queue_limit),
                    bytes: None,
                };
                let mut queues = files(&config.data_dir, "queue", events).await?;
                let queue = queues.remove(0);
                files_open.push(queue.clone());
                left.extend(queues);
                queue
            }
            Queue::Redis(url) => {
                let redis = tranche_adapters_redis::Settings {
                    limit: settings.queue_limit,
                    claim_after: settings.queue_claim,
                    ..Default::default()
                };
                let queue = RedisQueue::connect(url, &process, redis).await;
                // The embedded queue may have been in use before Redis.
                left.extend(left_behind(&config.data_dir, "queue").await);
                Arc::new(queue.context("TRANCHE_QUEUE")?)
            }
        };
        files_open.extend(left.iter().cloned());
        Ok(Self {
            process,
            pipeline: Pipeline {
                services,
                log: stores.audit.clone(),
                letters: stores.letters.clone(),
                queue,
                spool,
                availability: Arc::default(),
                meters: Arc::default(),
            },
            files: files_open,
            left: left
                .into_iter()
                .map(|file| file as Arc<dyn AuditQueue>)
                .collect(),
        })
    }

    /// Lets the files go when all that was asked of them is done.
    pub async fn close(&self) {
        for file in &self.files {
            file.close().await;
        }
    }
}

/// The files of this name in the data folder, whoever uses them.
pub fn all_files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let numbered = (1..=MOST).map(|number| folder.join(format!("{name}.{number}.db")));
    numbered.filter(|file| file.exists()).collect()
}

/// The first file of this name that is free, made if need be, and then every other one that is there
/// and free.
async fn files(folder: &Path, name: &str, limits: Limits) -> anyhow::Result<Vec<Arc<SpoolQueue>>> {
    let mut opened = Vec::new();
    for number in 1..=MOST {
        let file = folder.join(format!("{name}.{number}.db"));
        if opened.is_empty() {
            opened.extend(free(file, limits).await?);
        } else if file.exists() {
            opened.extend(left(file, limits).await);
        }
    }
    anyhow::ensure!(
        !opened.is_empty(),
        "TRANCHE_DATA_DIR: {MOST} processes share this folder already"
    );
    Ok(opened)
}

/// The files of this name that are there and free. Nobody pushes to them any more.
async fn left_behind(folder: &Path, name: &str) -> Vec<Arc<SpoolQueue>> {
    let mut found = Vec::new();
    for file in all_files(folder, name) {
        found.extend(left(file, Limits::default()).await);
    }
    found
}

/// What a dead process left in this file. One that cannot be read stops nobody, and stays.
async fn left(file: PathBuf, limits: Limits) -> Option<Arc<SpoolQueue>> {
    let named = file.display().to_string();
    free(file, limits).await.unwrap_or_else(|error| {
        tracing::error!(
            file = named,
            error = format!("{error:#}"),
            "events are left behind"
        );
        None
    })
}

/// The queue in this file, unless another process has it.
async fn free(file: PathBuf, limits: Limits) -> anyhow::Result<Option<Arc<SpoolQueue>>> {
    let settings = tranche_adapters_spool::Settings {
        limits,
        ..Default::default()
    };
    match SpoolQueue::open(file, settings).await {
        Ok(queue) => Ok(Some(Arc::new(queue))),
        Err(OpenError::InUse { .. }) => Ok(None),
        Err(error) => Err(error).context("TRANCHE_DATA_DIR"),
    }
}

/// How the pipeline is, as this process has it.
pub fn monitoring(config: &Config, role: Role, stores: &Stores, opened: &Opened) -> Monitoring {
    let part = Part {
        process: opened.process.clone(),
        workers: if role.works() {
            config.pipeline.workers
        } else {
            0
        },
        reach: match config.pipeline.queue {
            Queue::Embedded => Reach::Own,
            Queue::Redis(_) => Reach::Shared,
        },
        limits: config.alerting.limits,
        pages: config.alerting.pages(),
    };
    Monitoring::new(opened.pipeline.clone(), stores.reports.clone(), part)
        .with_left(opened.left.clone())
}
