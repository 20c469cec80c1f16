//! Log, queue and spool around the intake: what each was given and what it answers.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::audit::availability::Availability;
use tranche_application::audit::intake::Intake;
use tranche_application::audit::meters::{Meters, Totals};
use tranche_application::audit::pipeline::Pipeline;
use tranche_application::audit::record::EventRecord;
use tranche_application::mocks::{MockAuditQueue, MockAuditStore, MockDeadLetters, MockMonitor};
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::monitor::{Fallback, Fate, Incident};
use tranche_application::ports::queue::{AuditQueue, Depth, QueueError, Receipt, Taken};
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use super::scene::{bare_event, time};
use super::stage::Stage;

/// What every sink was given, in order: its name and the events' numbers.
pub type Given = Arc<Mutex<Vec<(&'static str, Vec<u128>)>>>;

fn numbers(events: &[Arc<EventRecord>]) -> Vec<u128> {
    events.iter().map(|event| event.id.as_u128()).collect()
}

fn event(number: u128, severity: &str) -> Arc<EventRecord> {
    Arc::new(EventRecord {
        severity: severity.to_owned(),
        ..bare_event(Uuid::from_u128(number))
    })
}

/// Events numbered from 0: `c`ritical, `w`arning, `i`nfo.
pub fn events(severities: &str) -> Vec<Arc<EventRecord>> {
    let named = |severity| match severity {
        'c' => "critical",
        'w' => "warning",
        _ => "info",
    };
    (0..)
        .zip(severities.chars())
        .map(|(number, severity)| event(number, named(severity)))
        .collect()
}

/// A sink that never answers.
pub struct Hanging;

#[async_trait]
impl AuditStore for Hanging {
    async fn append(&self, _: &[Arc<EventRecord>], _: DateTime<Utc>) -> Result<u64, StoreError> {
        pending().await
    }

    async fn probe(&self, _: &EventRecord, _: DateTime<Utc>) -> Result<(), StoreError> {
        pending().await
    }
}

#[async_trait]
impl AuditQueue for Hanging {
    async fn push(&self, _: &[Arc<EventRecord>], _: DateTime<Utc>) -> Result<usize, QueueError> {
        pending().await
    }

    async fn take(&self, _: usize, _: Duration) -> Result<Option<Taken>, QueueError> {
        pending().await
    }

    async fn done(&self, _: &Receipt) -> Result<(), QueueError> {
        pending().await
    }

    async fn give_back(&self, _: &Receipt) -> Result<(), QueueError> {
        pending().await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        pending().await
    }
}

/// A pipeline of mocks: whatever is not expected fails the test.
#[derive(Default)]
pub struct Sinks {
    pub log: MockAuditStore,
    queue: MockAuditQueue,
    spool: MockAuditQueue,
    given: Given,
    fallbacks: Arc<Mutex<Vec<Fallback>>>,
    incidents: Arc<Mutex<Vec<Incident>>>,
    pub availability: Arc<Availability>,
    meters: Arc<Meters>,
}

/// What a sink does with a push.
#[derive(Clone, Copy)]
pub enum Push {
    /// It takes so many.
    Takes(usize),
    /// It fails.
    Fails,
}

pub const ALL: Push = Push::Takes(usize::MAX);
pub const TWO: Push = Push::Takes(2);
pub const NONE: Push = Push::Takes(0);
pub const FAILS: Push = Push::Fails;

impl Sinks {
    fn pushes(sink: &mut MockAuditQueue, name: &'static str, given: &Given, answers: &[Push]) {
        let (given, answers, mut count) = (given.clone(), answers.to_vec(), 0);
        sink.expect_push()
            .times(answers.len())
            .returning(move |events, at| {
                assert_eq!(at, time(0));
                given.lock().unwrap().push((name, numbers(events)));
                count += 1;
                match answers[count - 1] {
                    Push::Takes(room) => Ok(room.min(events.len())),
                    Push::Fails => Err(QueueError("the connection is gone".into())),
                }
            });
    }

    pub fn queue(&mut self, answers: &[Push]) {
        Self::pushes(&mut self.queue, "queue", &self.given, answers);
    }

    pub fn spool(&mut self, answers: &[Push]) {
        Self::pushes(&mut self.spool, "spool", &self.given, answers);
    }

    /// What the log answers to each batch.
    pub fn log(&mut self, times: usize, answer: fn(&[u128]) -> Result<u64, StoreError>) {
        let given = self.given.clone();
        self.log
            .expect_append()
            .times(times)
            .returning(move |events, at| {
                assert_eq!(at, time(0));
                let numbers = numbers(events);
                let answer = answer(&numbers);
                given.lock().unwrap().push(("log", numbers));
                answer
            });
    }

    /// The log takes every batch.
    pub fn log_takes(&mut self, times: usize) {
        self.log(times, |numbers| Ok(numbers.len() as u64));
    }

    /// So many probes, each of every severity until one fails.
    pub fn probes(&mut self, times: usize, answer: fn() -> Result<(), StoreError>) {
        let asked = if answer().is_ok() { 3 } else { 1 };
        self.log
            .expect_probe()
            .times(times * asked)
            .returning(move |_, _| answer());
    }

    pub fn pipeline(&mut self) -> Pipeline {
        let mut monitor = MockMonitor::new();
        let (fallbacks, incidents) = (self.fallbacks.clone(), self.incidents.clone());
        monitor
            .expect_fallback()
            .returning(move |fallback| fallbacks.lock().unwrap().push(fallback));
        monitor
            .expect_report()
            .returning(move |incident| incidents.lock().unwrap().push(incident));
        let mut services = Stage::new().services();
        services.monitor = Arc::new(monitor);
        Pipeline {
            services,
            log: Arc::new(std::mem::take(&mut self.log)),
            letters: Arc::new(MockDeadLetters::new()),
            queue: Arc::new(std::mem::take(&mut self.queue)),
            spool: Arc::new(std::mem::take(&mut self.spool)),
            availability: self.availability.clone(),
            meters: self.meters.clone(),
        }
    }

    pub fn intake(&mut self) -> Intake {
        Intake::new(self.pipeline())
    }

    pub fn given(&self) -> Vec<(&'static str, Vec<u128>)> {
        std::mem::take(&mut self.given.lock().unwrap())
    }

    /// What became of events that could not go their way, how many, and why.
    pub fn told(&self) -> Vec<(Fate, Vec<u128>, String)> {
        let told = std::mem::take(&mut *self.fallbacks.lock().unwrap());
        told.into_iter()
            .map(|told| (told.fate, numbers(&told.events), told.error))
            .collect()
    }

    /// How many incidents were reported, and whether each was critical.
    pub fn incidents(&self) -> Vec<bool> {
        self.incidents
            .lock()
            .unwrap()
            .iter()
            .map(|incident| incident.critical)
            .collect()
    }

    pub fn totals(&self) -> Totals {
        self.meters.totals()
    }
}
