//! The service: everything started in order, everything stopped in order.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tranche_application::audit::failsafe::{Failsafe, RING};
use tranche_application::audit::follower::Follower;
use tranche_application::audit::intake::Intake;
use tranche_application::audit::reads::Reads;
use tranche_application::audit::search_terms::SearchTerms;
use tranche_application::audit::tree::keeper::Keeper;
use tranche_application::audit::tree::public::PublicLog;
use tranche_application::daily::Daily;
use tranche_application::ports::entropy::Entropy;
use tranche_application::trails::Trails;
use tranche_application::trails::clean_up::DailyCleanUp;
use tranche_application::webhooks::{Dispatcher, Rules, WebhookDesk};

use crate::background::Background;
use crate::config::{Config, Role};
use crate::copies::Copies;
use crate::custody::Keyholder;
use crate::listening::{PatientListener, Peer};
use crate::metrics::Metrics;
use crate::pipeline::Opened;
use crate::rate_limit::RateLimits;
use crate::receivers::HttpSender;
use crate::receivers::address::Reach;
use crate::sandbox::OwnSandbox;
use crate::state::{App, Operations, Served};
use crate::streams::Streams;
use crate::system::SystemEntropy;
use crate::views::webhook_body;
use crate::wiring::Stores;
use crate::{pipeline, routes, sandbox, wiring};

/// A running service.
pub struct Service {
    /// Where it answers.
    pub address: SocketAddr,
    /// Ends requests.
    quiet: CancellationToken,
    /// Ends background work.
    stop: CancellationToken,
    /// Cancelled when HTTP no longer answers.
    deaf: CancellationToken,
    requests: TaskTracker,
    tasks: TaskTracker,
    opened: Opened,
    sandbox: Option<OwnSandbox>,
}

impl Service {
    /// Starts store, ledger, background work and HTTP. When it returns, the service answers.
    pub async fn start(config: &Config, role: Role) -> anyhow::Result<Self> {
        config.pipeline.check(role)?;
        let stores = wiring::open_store(config).await?;
        let (mut sandbox, mut answering) = (None, None);
        if role.answers() {
            let keys = Keyholder::of(config).await?;
            sandbox = sandbox::start(config).await?;
            let at = sandbox.as_ref().map(OwnSandbox::at);
            let app = wiring::app(config, &stores, &keys, at.as_ref()).await?;
            let copies = wiring::copies(&stores, &keys, &app.keeper).await?;
            answering = Some(Answering { app, copies, keys });
        }
        let keeper = match &answering {
            Some(it) => Some(it.app.keeper.clone()),
            None => wiring::exporters_keeper(config, &stores).await?,
        };
        let opened = Opened::open(config, &stores).await?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("TRANCHE_LISTEN: {} cannot be used", config.listen))?;
        let address = listener.local_addr()?;
        let (quiet, stop) = (CancellationToken::new(), CancellationToken::new());
        let (requests, tasks) = (TaskTracker::new(), TaskTracker::new());
        let router = {
            let background = Background {
                tasks: &tasks,
                stop: &stop,
                monitor: opened.pipeline.services.monitor.clone(),
            };
            let of = Process {
                config,
                role,
                stores: &stores,
                opened: &opened,
                quiet: &quiet,
            };
            of.begin(&background, answering, keeper)?
        };
        tasks.close();
        let router = router.into_make_service_with_connect_info::<Peer>();
        let listener = PatientListener::new(listener, config.realtime.stall).tap_io(|_| ());
        let (stopped, deaf) = (quiet.clone().cancelled_owned(), CancellationToken::new());
        let no_longer_answers = deaf.clone().drop_guard();
        requests.spawn(async move {
            let _guard = no_longer_answers;
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
            {
                tracing::error!(%error, "the service stopped answering");
            }
        });
        requests.close();
        Ok(Self {
            address,
            quiet,
            stop,
            deaf,
            requests,
            tasks,
            opened,
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

    /// Ends requests, then background work, then the ledger.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.quiet.cancel();
        let requests = tokio::time::timeout(DRAIN, self.requests.wait()).await;
        self.stop.cancel();
        let tasks = tokio::time::timeout(DRAIN, self.tasks.wait()).await;
        if requests.is_err() || tasks.is_err() {
            tracing::warn!("some work did not end in time; it is taken up at the next start");
        }
        if tokio::time::timeout(CLOSING, self.opened.close())
            .await
            .is_err()
        {
            tracing::warn!(
                "the disk does not answer; what lies on it is taken up at the next start"
            );
        }
        if let Some(sandbox) = self.sandbox {
            sandbox.ledger.stop().await?;
        }
        Ok(())
    }
}

/// What a process that answers has besides, over the master keys as they were read once.
struct Answering {
    app: App,
    copies: Copies,
    keys: Keyholder,
}

/// What a process is made of.
struct Process<'a> {
    config: &'a Config,
    role: Role,
    stores: &'a Stores,
    opened: &'a Opened,
    /// Ends requests that would not end by themselves.
    quiet: &'a CancellationToken,
}

impl Process<'_> {
    /// Starts what goes on beside the requests, and gives what is served.
    fn begin(
        &self,
        background: &Background<'_>,
        answering: Option<Answering>,
        keeper: Option<Keeper>,
    ) -> anyhow::Result<Router> {
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let failsafe = Failsafe::new(self.opened.pipeline.clone(), RING);
        background.keep(&failsafe);
        let operations = Operations {
            queries: self.stores.queries.clone(),
            burner: answering.as_ref().map(|it| it.app.burner.clone()),
            monitoring: pipeline::monitoring(self.config, self.role, self.stores, self.opened)
                .with_keeper(answering.as_ref().map(|it| it.app.keeper.clone())),
            trails: self.keep_trails(background, failsafe.clone()),
            metrics: Arc::new(Metrics::try_new()?),
            entropy,
        };
        background.record(self.opened, self.stores, self.config, self.role);
        let services = self.opened.pipeline.services.clone();
        let retention = wiring::retention(self.config, self.stores, services, keeper)?;
        let retention_at = Daily::in_utc(self.config.retention.at);
        if self.role.works() {
            background.retain(self.opened, &retention, retention_at);
        }
        background.look_out(&operations, self.config)?;
        let Some(Answering { app, copies, keys }) = answering else {
            return Ok(routes::operations_router(operations));
        };
        background.disburse(&app.disbursements);
        background.seal(&app.services, self.stores, &app.keeper);
        let metrics = operations.metrics.clone();
        let handed = self.hand_on(background, &app, &keys, &metrics)?;
        Ok(routes::router(Served {
            public_log: PublicLog::new(
                self.stores.tree.clone(),
                self.stores.search.clone(),
                app.keeper.clone(),
            ),
            copies,
            intake: Intake::new(self.opened.pipeline.clone()).sealing(app.sensitive.clone()),
            reads: Reads::new(app.services.clone(), failsafe, SearchTerms::new(&app.ring)),
            retention,
            retention_at,
            limits: Arc::new(RateLimits::new(self.config.rate_limits.clone())),
            streams: handed.streams,
            webhooks: handed.desk,
            reach: handed.reach,
            known_keys: Arc::default(),
            operations,
            app,
        }))
    }
}

impl Process<'_> {
    /// Assessment trails, and what cleans them up.
    fn keep_trails(&self, background: &Background<'_>, failsafe: Failsafe) -> Trails {
        let services = self.opened.pipeline.services.clone();
        let clean_up = wiring::trail_clean_up(self.config, self.stores, services.clone());
        let trails = wiring::trails(self.config, self.stores, services, failsafe);
        // Every process sweeps its own memory.
        let at = self.config.trails.cleanup(self.role.works());
        background.clean_up(DailyCleanUp::new(clean_up, trails.clone(), at));
        trails
    }
}

/// What hands events on.
struct HandedOn {
    streams: Streams,
    desk: WebhookDesk,
    reach: Reach,
}

impl Process<'_> {
    /// Starts what hands events on as they come into the log.
    fn hand_on(
        &self,
        background: &Background<'_>,
        app: &App,
        keys: &Keyholder,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<HandedOn> {
        let (services, realtime) = (&app.services, &self.config.realtime);
        let follower = Follower::new(
            services.clone(),
            self.stores.search.clone(),
            self.stores.growth.clone(),
        );
        let reach = if realtime.webhook_private_addresses {
            Reach::Any
        } else {
            Reach::Public
        };
        let desk = WebhookDesk::new(
            services.clone(),
            self.stores.webhooks.clone(),
            keys.local.clone(),
            follower.clone(),
        );
        let dispatcher = Dispatcher::new(
            &desk,
            Arc::new(HttpSender::try_new(reach, metrics.clone())?),
            webhook_body,
            Rules {
                disable_after: realtime.webhook_disable_after,
            },
            self.opened.pipeline.meters.clone(),
            &self.opened.process,
        );
        background.hand_on(&follower, &dispatcher);
        let streams = Streams::new(follower, realtime, self.quiet.clone(), metrics.clone());
        Ok(HandedOn {
            streams,
            desk,
            reach,
        })
    }
}

/// The longest that stopping waits for requests, and then for other work; a disbursement goes on at
/// the next start.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(20);

/// The longest that closing queue and spool may take.
const CLOSING: std::time::Duration = std::time::Duration::from_secs(5);

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
pub async fn serve(config: &Config, role: Role) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let service = Service::start(config, role).await?;
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
