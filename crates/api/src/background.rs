//! Everything that goes on beside the requests, each under supervision.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tranche_adapters_postgres::{MONTHS_AHEAD, PostgresStore};
use tranche_application::Services;
use tranche_application::audit::alerts::Alerts;
use tranche_application::audit::failsafe::Failsafe;
use tranche_application::audit::follower::Follower;
use tranche_application::audit::losses::Losses;
use tranche_application::audit::prober::Prober;
use tranche_application::audit::relay::Relay;
use tranche_application::audit::reporter::Reporter;
use tranche_application::audit::retention::Retention;
use tranche_application::audit::retention::daily::DailyRuns;
use tranche_application::audit::tree::keeper::Keeper;
use tranche_application::audit::tree::sealer::Sealer;
use tranche_application::audit::worker::Worker;
use tranche_application::daily::Daily;
use tranche_application::disbursement::{Disbursements, Reconciler};
use tranche_application::ports::monitor::Monitor;
use tranche_application::ports::queue::AuditQueue;
use tranche_application::trails::clean_up::DailyCleanUp;
use tranche_application::webhooks::Dispatcher;

use crate::alerting::{LogSink, pagers};
use crate::config::{Config, Role};
use crate::pipeline::Opened;
use crate::state::Operations;
use crate::supervise::supervise;
use crate::wiring::Stores;

/// How long workers go on emptying the queue when the process ends. What is left lies on a disk.
const DRAIN: Duration = Duration::from_secs(10);
/// How often partitions are made ahead.
const DAY: Duration = Duration::from_hours(24);

/// What goes on in the background until told to stop.
pub struct Background<'a> {
    /// Who is waited for at the end.
    pub tasks: &'a TaskTracker,
    /// Ends everything.
    pub stop: &'a CancellationToken,
    /// Where a panic is reported.
    pub monitor: Arc<dyn Monitor>,
}

impl Background<'_> {
    /// Starts work that is started again whenever it ends by itself.
    fn start<F: Future<Output = ()> + Send + 'static>(
        &self,
        operation: &'static str,
        work: impl Fn(CancellationToken) -> F + Send + 'static,
    ) {
        let until = self.stop.clone();
        let monitor = self.monitor.clone();
        let again = move || work(until.clone());
        supervise(self.tasks, self.stop.clone(), monitor, operation, again);
    }

    /// What moves money to its end.
    pub fn disburse(&self, disbursements: &Disbursements) {
        let reconciler = Reconciler::new(disbursements.clone());
        self.start("disbursement.reconcile", move |stop| {
            reconciler.clone().run(stop)
        });
        let watch = disbursements.watch().clone();
        self.start("disbursement.watch", move |stop| watch.clone().run(stop));
    }

    /// What brings events into the log: from the outbox and from this process's spool everywhere,
    /// from the queue where the process works.
    pub fn record(&self, opened: &Opened, stores: &Stores, config: &Config, role: Role) {
        let pipeline = &opened.pipeline;
        let relay = Relay::new(pipeline.clone());
        self.start("audit.relay", move |stop| relay.clone().run(stop));
        let prober = Prober::new(pipeline.clone());
        self.start("audit.prober", move |stop| prober.clone().run(stop));
        let losses = Losses::new(pipeline.clone(), &opened.process);
        self.start("audit.losses", move |stop| losses.clone().run(stop));
        self.work(opened, pipeline.spool.clone(), "spool");
        for left in &opened.left {
            self.work(opened, left.clone(), "spool");
        }
        if role.works() {
            for _ in 0..config.pipeline.workers {
                self.work(opened, pipeline.queue.clone(), "queue");
            }
            if let Some(postgres) = stores.postgres() {
                self.start("audit.partitions", move |stop| {
                    make_partitions(postgres.clone(), stop)
                });
            }
        }
    }

    /// What archives old events and lets go what has expired, daily.
    pub fn retain(&self, opened: &Opened, retention: &Retention, at: Daily) {
        let meters = opened.pipeline.meters.clone();
        let runs = DailyRuns::new(retention.clone(), meters, at);
        self.start("audit.retention", move |stop| runs.clone().run(stop));
    }

    /// What deletes assessment trails that are past their time.
    pub fn clean_up(&self, daily: DailyCleanUp<Tz>) {
        self.start("trails.clean_up", move |stop| daily.clone().run(stop));
    }

    /// What seals the log, and keeps its checkpoints. Only who has the master key does, so that
    /// processes that only work need none.
    pub fn seal(&self, services: &Services, stores: &Stores, keeper: &Keeper) {
        let sealer = Sealer::new(services.clone(), stores.tree.clone(), keeper.clone());
        self.start("audit.sealer", move |stop| sealer.clone().run(stop));
        let keeper = keeper.clone();
        self.start("audit.keeper", move |stop| keeper.clone().run(stop));
    }

    /// What keeps the service's own events from memory.
    pub fn keep(&self, failsafe: &Failsafe) {
        let failsafe = failsafe.clone();
        self.start("audit.failsafe", move |stop| {
            failsafe.clone().run(stop, DRAIN)
        });
    }

    /// What hands events on as they come into the log.
    pub fn hand_on(&self, follower: &Follower, dispatcher: &Dispatcher) {
        let follower = follower.clone();
        self.start("audit.follow", move |stop| follower.clone().run(stop));
        let dispatcher = dispatcher.clone();
        self.start("webhook.dispatch", move |stop| dispatcher.clone().run(stop));
    }

    /// A worker on a queue.
    fn work(&self, opened: &Opened, source: Arc<dyn AuditQueue>, name: &'static str) {
        let worker = Worker::new(opened.pipeline.clone(), source, name);
        self.start("audit.worker", move |stop| worker.clone().run(stop, DRAIN));
    }

    /// What tells other processes, people and Prometheus how the pipeline is.
    ///
    /// # Errors
    /// When a sink of alerts cannot be set up.
    pub fn look_out(&self, operations: &Operations, config: &Config) -> anyhow::Result<()> {
        let monitoring = &operations.monitoring;
        let reporter = Reporter::new(monitoring.clone());
        self.start("audit.report", move |stop| reporter.clone().run(stop));
        let pagers = pagers(&config.alerting)?;
        let alerts = Alerts::new(monitoring.clone(), Arc::new(LogSink), pagers);
        self.start("audit.alerts", move |stop| alerts.clone().run(stop));
        let metrics = operations.metrics.clone();
        self.start("metrics.upkeep", move |stop| metrics.clone().upkeep(stop));
        Ok(())
    }
}

/// Makes the coming months' partitions, daily.
async fn make_partitions(store: PostgresStore, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(DAY) => {}
        }
        match store.ensure_partitions(MONTHS_AHEAD).await {
            Ok(made) => tracing::info!(made, "partitions made ahead"),
            Err(error) => tracing::error!(%error, "partitions were not made; tried again tomorrow"),
        }
    }
}
