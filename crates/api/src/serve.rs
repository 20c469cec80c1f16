//! The service: everything started in order, everything stopped in order.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tranche_application::audit::relay::Relay;
use tranche_application::disbursement::Reconciler;

use crate::config::Config;
use crate::wiring::OwnSandbox;
use crate::{routes, wiring};

/// A running service.
pub struct Service {
    /// Where it answers.
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    sandbox: Option<OwnSandbox>,
}

impl Service {
    /// Starts store, ledger, background work and HTTP. When it returns, the service answers.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let stores = wiring::open_store(config).await?;
        let sandbox = wiring::start_sandbox(config).await?;
        let app = wiring::app(config, &stores, sandbox.as_ref())?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("TRANCHE_LISTEN: {} cannot be used", config.listen))?;
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(Relay::new(app.services.clone()).run(stop.clone()));
        tasks.spawn(Reconciler::new(app.disbursements.clone()).run(stop.clone()));
        let router = routes::router(app).into_make_service_with_connect_info::<SocketAddr>();
        let stopped = stop.clone().cancelled_owned();
        tasks.spawn(async move {
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
            tasks,
            sandbox,
        })
    }

    /// Where the sandbox ledger answers, if it runs here.
    pub fn sandbox_url(&self) -> Option<String> {
        self.sandbox.as_ref().map(|sandbox| sandbox.ledger.url())
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

/// `tranche serve`: until SIGTERM or Ctrl-C.
pub async fn serve(config: &Config) -> anyhow::Result<()> {
    let service = Service::start(config).await?;
    say(&format!("listening on http://{}", service.address));
    until_told_to_stop().await?;
    tracing::info!("stopping");
    service.stop().await
}

/// `tranche sandbox`: the ledger alone, until SIGTERM or Ctrl-C.
pub async fn sandbox(config: stellar_sandbox::Config) -> anyhow::Result<()> {
    let sandbox = OwnSandbox::start(config).await?;
    say(&format!("listening on {}", sandbox.ledger.url()));
    until_told_to_stop().await?;
    Ok(sandbox.ledger.stop().await?)
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn until_told_to_stop() -> anyhow::Result<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}

/// A line on stdout. Whoever closed the pipe does not want it.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("stdout is closed");
    }
}
