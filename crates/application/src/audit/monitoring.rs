//! Tells how the pipeline is, from any of its processes, whatever else is down.
//!
//! Each part is asked with a deadline of its own, all at once: what hangs is told as not answering
//! and keeps nobody waiting for longer than [`DEADLINE`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::health::{Health, Known, Limits, REMEMBERED, Reach, Snapshot};
use super::meters::Report;
use super::pipeline::Pipeline;
use super::tree::keeper::Keeper;
use crate::ports::queue::{AuditQueue, Depth};
use crate::ports::reports::Reports;
use crate::ports::store::StoreError;

/// The longest that any part is waited for.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How this process takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Names the process, anew at each start: a UUID of version 7, so that names are in the order
    /// of the starts.
    pub process: String,
    /// How many workers it runs.
    pub workers: u32,
    /// Whether its queue is everybody's.
    pub reach: Reach,
    /// Where it stops being right.
    pub limits: Limits,
    /// Whether it tells people in a way that reaches them, beyond its own log.
    pub pages: bool,
}

/// Tells how the pipeline is; cheap to clone.
#[derive(Clone)]
pub struct Monitoring {
    pipeline: Pipeline,
    reports: Arc<dyn Reports>,
    part: Arc<Part>,
    /// Files of processes that are gone, which this one works off.
    left: Arc<[Arc<dyn AuditQueue>]>,
    /// Keeps the log's checkpoints, where this process seals.
    keeper: Option<Keeper>,
    /// What the spool said last, for when it does not answer.
    spool: Arc<Mutex<Depth>>,
}

impl Monitoring {
    /// For this process's part in the pipeline.
    #[must_use]
    pub fn new(pipeline: Pipeline, reports: Arc<dyn Reports>, part: Part) -> Self {
        Self {
            pipeline,
            reports,
            part: Arc::new(part),
            left: Arc::default(),
            keeper: None,
            spool: Arc::default(),
        }
    }

    /// Counts these with the spool.
    #[must_use]
    pub fn with_left(mut self, left: Vec<Arc<dyn AuditQueue>>) -> Self {
        self.left = left.into();
        self
    }

    /// Tells how the log's evidence is as well.
    #[must_use]
    pub fn with_keeper(mut self, keeper: Option<Keeper>) -> Self {
        self.keeper = keeper;
        self
    }

    /// What keeps the log's checkpoints, where this process seals.
    #[must_use]
    pub const fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }

    /// This process's part in the pipeline.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// The pipeline as this process has it.
    #[must_use]
    pub const fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// What this process tells of itself now.
    pub async fn own(&self) -> Report {
        let (queue, spool) =
            tokio::join!(depth(self.pipeline.queue.as_ref()), self.waiting_on_disk());
        let spool = {
            let mut last = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
            *last = spool.unwrap_or(*last);
            *last
        };
        let mut report = self.pipeline.meters.report(
            &self.part.process,
            self.part.workers,
            queue,
            spool,
            self.pipeline.availability.is_available(),
            self.pipeline.services.clock.now(),
        );
        report.pages = self.part.pages;
        let standing = self.keeper.as_ref().map(Keeper::standing);
        report.evidence = standing.unwrap_or_default().evidence();
        report
    }

    /// What waits in the spool and in what others left; `None` when one does not answer in time.
    async fn waiting_on_disk(&self) -> Option<Depth> {
        let sum = async {
            let mut sum = self.pipeline.spool.depth().await.ok()?;
            for left in self.left.iter() {
                let Depth {
                    events,
                    bytes,
                    oldest,
                } = left.depth().await.ok()?;
                sum.events = sum.events.saturating_add(events);
                sum.bytes = sum.bytes.saturating_add(bytes);
                sum.oldest = [sum.oldest, oldest].into_iter().flatten().min();
            }
            Some(sum)
        };
        timeout(DEADLINE, sum).await.ok()?
    }

    /// How many dead letters there are; `None` when the store does not say.
    pub async fn dead_letters(&self) -> Option<u64> {
        let counted = timeout(DEADLINE, self.pipeline.letters.count()).await;
        counted.ok()?.ok()
    }

    /// The figures of all processes. When the store does not answer, those of this one alone.
    pub async fn snapshot(&self) -> Snapshot {
        let now = self.pipeline.services.clock.now();
        let (own, others, dead_letters) = tokio::join!(
            self.own(),
            timeout(DEADLINE, self.reports.since(now - REMEMBERED)),
            self.dead_letters()
        );
        let others = others.unwrap_or_else(|_| Err(StoreError::timeout()));
        let store_answers = others.is_ok();
        let mut reports = others.unwrap_or_default();
        reports.retain(|report| report.process != own.process);
        reports.push(own);
        let known = Known {
            reports,
            dead_letters,
            retention_lag: self.pipeline.meters.retention_lag(),
            store_answers,
        };
        let now = self.pipeline.services.clock.now();
        Snapshot::of(known, self.part.reach, now)
    }

    /// The verdict on a snapshot.
    #[must_use]
    pub fn health(&self, snapshot: &Snapshot) -> Health {
        Health::of(snapshot, self.part.limits)
    }

    /// Tells the others of this process. `leaving`: it works no more.
    ///
    /// # Errors
    /// [`StoreError`]; the report that there was stays.
    pub async fn publish(&self, leaving: bool) -> Result<(), StoreError> {
        let mut report = self.own().await;
        if leaving {
            (report.workers, report.pages) = (0, false);
        }
        let told = timeout(DEADLINE, self.reports.publish(&report)).await;
        told.unwrap_or_else(|_| Err(StoreError::timeout()))
    }
}

async fn depth(queue: &dyn AuditQueue) -> Option<Depth> {
    timeout(DEADLINE, queue.depth()).await.ok()?.ok()
}
