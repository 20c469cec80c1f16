//! The service: everything started in order, everything stopped in order.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tranche_adapters_postgres::{MONTHS_AHEAD, PostgresStore};
use tranche_application::audit::relay::Relay;
use tranche_application::disbursement::Reconciler;

use crate::config::Config;
use crate::sandbox::OwnSandbox;
use crate::state::App;
use crate::supervise::supervise;
use crate::wiring::Stores;
use crate::{routes, sandbox, wiring};

/// A running service.
pub struct Service {
    /// Where it answers.
    pub address: SocketAddr,
    stop: CancellationToken,
    /// Cancelled when HTTP no longer answers.
    deaf: CancellationToken,
    tasks: TaskTracker,
    sandbox: Option<OwnSandbox>,
}

impl Service {
    /// Starts store, ledger, background work and HTTP. When it returns, the service answers.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let stores = wiring::open_store(config).await?;
        let sandbox = sandbox::start(config).await?;
        let at = sandbox.as_ref().map(OwnSandbox::at);
        let app = wiring::app(config, &stores, at.as_ref()).await?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("TRANCHE_LISTEN: {} cannot be used", config.listen))?;
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        background(&tasks, &stop, &app, &stores);
        let router = routes::router(app).into_make_service_with_connect_info::<SocketAddr>();
        let (stopped, deaf) = (stop.clone().cancelled_owned(), CancellationToken::new());
        let no_longer_answers = deaf.clone().drop_guard();
        tasks.spawn(async move {
            let _guard = no_longer_answers;
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
            {
                tracing::error!(%error, "the service stopped answering");
            }
        });
        tasks.close();
        Ok(Self {
            address,
            stop,
            deaf,
            tasks,
            sandbox,
        })
    }

    /// Where the sandbox ledger answers, if it runs here.
    pub fn sandbox_url(&self) -> Option<String> {
        self.sandbox.as_ref().map(|sandbox| sandbox.ledger.url())
    }

    /// Waits until told to stop; an error when the service stops answering by itself.
    pub async fn run_until(&self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            () = signals.stop() => Ok(()),
            () = self.deaf.cancelled() => anyhow::bail!("the service no longer answers"),
        }
    }

    /// Ends requests and background work, then the ledger.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        if tokio::time::timeout(DRAIN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some work did not end in time; it is taken up at the next start");
        }
        if let Some(sandbox) = self.sandbox {
            sandbox.ledger.stop().await?;
        }
        Ok(())
    }
}

/// The longest that stopping waits for requests; a disbursement goes on at the next start.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(20);

/// Everything that goes on beside the requests.
fn background(tasks: &TaskTracker, stop: &CancellationToken, app: &App, stores: &Stores) {
    let monitor = || app.services.monitor.clone();
    let (relay, until) = (Relay::new(app.services.clone()), stop.clone());
    supervise(tasks, stop.clone(), monitor(), "audit.relay", move || {
        relay.clone().run(until.clone())
    });
    let (reconciler, until) = (Reconciler::new(app.disbursements.clone()), stop.clone());
    supervise(
        tasks,
        stop.clone(),
        monitor(),
        "disbursement.reconcile",
        move || reconciler.clone().run(until.clone()),
    );
    let (watch, until) = (app.disbursements.watch().clone(), stop.clone());
    supervise(
        tasks,
        stop.clone(),
        monitor(),
        "disbursement.watch",
        move || watch.clone().run(until.clone()),
    );
    if let Some(postgres) = stores.postgres() {
        let until = stop.clone();
        supervise(
            tasks,
            stop.clone(),
            monitor(),
            "audit.partitions",
            move || make_partitions(postgres.clone(), until.clone()),
        );
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

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

/// SIGTERM and Ctrl-C. Made before anybody is told that the service answers.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on, neither ends the process by itself.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for either.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// `tranche serve`: until SIGTERM or Ctrl-C.
pub async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let service = Service::start(config).await?;
    say(&format!("listening on http://{}", service.address));
    service.run_until(&mut signals).await?;
    tracing::info!("stopping");
    service.stop().await
}

/// `tranche sandbox`: the ledger alone, until SIGTERM or Ctrl-C.
pub async fn serve_sandbox(config: stellar_sandbox::Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let sandbox = OwnSandbox::start(config).await?;
    say(&format!("listening on {}", sandbox.ledger.url()));
    signals.stop().await;
    Ok(sandbox.ledger.stop().await?)
}

/// A line on stdout. Whoever closed the pipe does not want it.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("stdout is closed");
    }
}
