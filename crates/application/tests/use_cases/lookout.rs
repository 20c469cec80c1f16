//! A pipeline as monitoring sees it: a queue, a spool, letters and reports that answer, refuse or
//! hang as a test says, and a clock that follows the paused time.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;
use tranche_application::Services;
use tranche_application::audit::availability::Availability;
use tranche_application::audit::health::{Limits, Reach};
use tranche_application::audit::meters::{Meters, Report};
use tranche_application::audit::monitoring::{Monitoring, Part};
use tranche_application::audit::pipeline::Pipeline;
use tranche_application::mocks::{
    MockAuditStore, MockDeadLetters, MockEntropy, MockMonitor, MockStore,
};
use tranche_application::ports::alerts::{Alert, AlertError, AlertSink};
use tranche_application::ports::clock::Clock;
use tranche_application::ports::queue::{AuditQueue, Depth, QueueError, Receipt, Taken};
use tranche_application::ports::reports::Reports;
use tranche_application::ports::store::StoreError;

use super::scene::time;

/// How a part of the outside behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Answers,
    Refuses,
    Hangs,
}

/// A switch that a test turns.
#[derive(Clone, Default)]
pub struct Switch(Arc<Mutex<Mood>>);

impl Switch {
    pub fn set(&self, mood: Mood) {
        *self.0.lock().unwrap() = mood;
    }

    async fn pass<E>(&self, refusal: impl FnOnce() -> E) -> Result<(), E> {
        let mood = *self.0.lock().unwrap();
        match mood {
            Mood::Answers => Ok(()),
            Mood::Refuses => Err(refusal()),
            Mood::Hangs => pending().await,
        }
    }
}

/// The time of day that runs with tokio's.
struct Running(Instant);

impl Clock for Running {
    fn now(&self) -> DateTime<Utc> {
        time(0) + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

/// A queue of which only the depth is asked.
#[derive(Clone, Default)]
pub struct Deep {
    pub mood: Switch,
    pub depth: Arc<Mutex<Depth>>,
}

#[async_trait]
impl AuditQueue for Deep {
    async fn push(
        &self,
        _: &[Arc<tranche_application::audit::record::EventRecord>],
        _: DateTime<Utc>,
    ) -> Result<usize, QueueError> {
        unreachable!("monitoring pushes nothing")
    }

    async fn take(&self, _: usize, _: Duration) -> Result<Option<Taken>, QueueError> {
        unreachable!("monitoring takes nothing")
    }

    async fn done(&self, _: &Receipt) -> Result<(), QueueError> {
        unreachable!("monitoring takes nothing")
    }

    async fn give_back(&self, _: &Receipt) -> Result<(), QueueError> {
        unreachable!("monitoring takes nothing")
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.mood.pass(|| QueueError("gone".into())).await?;
        Ok(*self.depth.lock().unwrap())
    }
}

/// The board on which processes tell of themselves.
#[derive(Clone, Default)]
pub struct Board {
    pub mood: Switch,
    pub reports: Arc<Mutex<BTreeMap<String, Report>>>,
}

#[async_trait]
impl Reports for Board {
    async fn publish(&self, report: &Report) -> Result<(), StoreError> {
        self.mood.pass(down).await?;
        let mut reports = self.reports.lock().unwrap();
        reports.insert(report.process.clone(), report.clone());
        Ok(())
    }

    async fn since(&self, moment: DateTime<Utc>) -> Result<Vec<Report>, StoreError> {
        self.mood.pass(down).await?;
        let reports = self.reports.lock().unwrap();
        let kept = reports.values().filter(|report| report.at >= moment);
        Ok(kept.cloned().collect())
    }
}

pub fn down() -> StoreError {
    StoreError::Unavailable("down".into())
}

/// What one process watches.
pub struct Lookout {
    pub queue: Deep,
    pub spool: Deep,
    pub board: Board,
    pub letters: Arc<AtomicU64>,
    pub availability: Arc<Availability>,
    pub meters: Arc<Meters>,
    pub monitoring: Monitoring,
    pub clock: Arc<dyn Clock>,
}

impl Lookout {
    /// A process with four workers that pages.
    pub fn new(process: &str) -> Self {
        Self::on(Board::default(), process, 4)
    }

    pub fn on(board: Board, process: &str, workers: u32) -> Self {
        let (queue, spool) = (Deep::default(), Deep::default());
        let letters = Arc::new(AtomicU64::new(0));
        let (counted, mood) = (letters.clone(), board.mood.clone());
        let mut buried = MockDeadLetters::new();
        buried.expect_count().returning(move || {
            let mood = *mood.0.lock().unwrap();
            (mood == Mood::Answers)
                .then(|| counted.load(Ordering::SeqCst))
                .ok_or_else(down)
        });
        let clock: Arc<dyn Clock> = Arc::new(Running(Instant::now()));
        let services = Services {
            store: Arc::new(MockStore::new()),
            clock: clock.clone(),
            entropy: Arc::new(MockEntropy::new()),
            monitor: Arc::new(MockMonitor::new()),
            outbox: Arc::new(Notify::new()),
        };
        let availability = Arc::new(Availability::default());
        let meters = Arc::new(Meters::default());
        let pipeline = Pipeline {
            services,
            log: Arc::new(MockAuditStore::new()),
            letters: Arc::new(buried),
            queue: Arc::new(queue.clone()),
            spool: Arc::new(spool.clone()),
            availability: availability.clone(),
            meters: meters.clone(),
        };
        let part = Part {
            process: process.to_owned(),
            workers,
            reach: Reach::Shared,
            limits: Limits::default(),
            pages: true,
        };
        let monitoring = Monitoring::new(pipeline, Arc::new(board.clone()), part);
        Self {
            queue,
            spool,
            board,
            letters,
            availability,
            meters,
            monitoring,
            clock,
        }
    }

    /// So many events wait in the queue.
    pub fn queued(&self, events: u64) {
        self.queue.depth.lock().unwrap().events = events;
    }
}

/// A report of a process that lives and has nothing to tell.
pub fn quiet(process: &str, at: DateTime<Utc>) -> Report {
    let mut report = Meters::default().report(
        process,
        4,
        Some(Depth::default()),
        Depth::default(),
        true,
        at,
    );
    report.pages = true;
    report
}

/// A sink that notes what it was told, or does not.
#[derive(Clone, Default)]
pub struct Notes {
    pub mood: Switch,
    pub tries: Arc<Mutex<Vec<Instant>>>,
    pub told: Arc<Mutex<Vec<Alert>>>,
}

impl Notes {
    /// Keys told so far, with `!` for what is wrong and `.` for what is over.
    pub fn keys(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let mark = |alert: &Alert| {
            if alert.resolved_at.is_some() {
                '.'
            } else {
                '!'
            }
        };
        told.iter()
            .map(|alert| format!("{}{}", alert.key, mark(alert)))
            .collect()
    }
}

#[async_trait]
impl AlertSink for Notes {
    fn name(&self) -> &'static str {
        "notes"
    }

    async fn deliver(&self, alert: &Alert) -> Result<(), AlertError> {
        self.tries.lock().unwrap().push(Instant::now());
        self.mood.pass(|| AlertError("refused".into())).await?;
        self.told.lock().unwrap().push(alert.clone());
        Ok(())
    }
}
