//! The application service over the real store, as the binary wires it, with a ledger that has
//! burned everything already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures::future::try_join_all;
use tokio::sync::Notify;
use tokio::time::timeout;
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::disbursement::{Disbursements, Progress, Reads};
use tranche_application::milestones::Milestones;
use tranche_application::ports::burner::{BurnsSeen, LedgerBurner, LedgerError, SubmitHint};
use tranche_application::ports::clock::Clock;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::monitor::{Fallback, Incident, Monitor};
use tranche_application::ports::store::Store;
use tranche_application::{Call, Caller, Outcome, Services};
use tranche_domain::disbursement::{BurnOrder, PreparedBurn, Replacement, Verdict};
use tranche_domain::{Actor, DisbursementId, DisbursementState, MilestoneId, Origin, Role};
use uuid::Uuid;

use crate::figures::{Cell, Done};
use crate::plan::Act;

/// Who approves.
pub const APPROVER: &str = "usr_000001";

/// No cell takes so long, however busy the machine is.
const TOO_LONG: Duration = Duration::from_mins(1);

/// The commands that are measured, and the connections below them.
#[derive(Clone)]
pub struct Service {
    milestones: Milestones,
    disbursements: Disbursements,
    store: PostgresStore,
}

impl Service {
    /// Wires the service, with an open connection for each client.
    pub async fn connect(url: &str, clients: u32) -> Result<Self> {
        let config = PostgresConfig {
            max_connections: clients,
            ..PostgresConfig::default()
        };
        let store = PostgresStore::connect(url, config).await?;
        let all = (0..clients).map(|_| store.begin());
        drop(try_join_all(all).await?);
        let shared = Arc::new(store.clone());
        let services = Services {
            store: shared.clone(),
            clock: Arc::new(Machine),
            entropy: Arc::new(Machine),
            monitor: Arc::new(Machine),
            outbox: Arc::new(Notify::new()),
        };
        let reads = Reads {
            queries: shared.clone(),
            channels: shared.clone(),
            books: shared.clone(),
        };
        Ok(Self {
            milestones: Milestones::new(services.clone(), shared.clone()),
            disbursements: Disbursements::new(services, reads, Arc::new(Burned)),
            store,
        })
    }

    pub async fn close(&self) {
        self.store.close().await;
    }

    /// Each client works through its share, one after another, all clients at once.
    pub async fn run(&self, act: Act, work: &[Vec<Uuid>]) -> Result<Cell> {
        let started = Instant::now();
        let clients = work.iter().map(|share| {
            let (service, share) = (self.clone(), share.clone());
            tokio::spawn(async move { service.client(act, &share, started).await })
        });
        let clients = timeout(TOO_LONG, try_join_all(clients)).await;
        let clients = clients.context("the service hangs")??;
        let clients: Vec<_> = clients.into_iter().collect::<Result<_>>()?;
        Cell::of(&clients).context("the cell is too small")
    }

    async fn client(&self, act: Act, share: &[Uuid], started: Instant) -> Result<Vec<Done>> {
        let call = call();
        let mut all = Vec::with_capacity(share.len());
        for &id in share {
            let begun = Instant::now();
            match act {
                Act::Approve => self.approve(id, &call).await?,
                Act::Settle | Act::SettleHot => self.settle(id).await?,
            }
            let (ended, took) = (started.elapsed(), begun.elapsed());
            all.push((
                u64::try_from(ended.as_micros())?,
                u64::try_from(took.as_micros())?,
            ));
        }
        Ok(all)
    }

    async fn approve(&self, id: Uuid, call: &Call) -> Result<()> {
        let outcome = self.milestones.approve(MilestoneId(id), call).await?;
        ensure!(
            matches!(outcome, Outcome::Done(_)),
            "{id} was approved before"
        );
        Ok(())
    }

    async fn settle(&self, id: Uuid) -> Result<()> {
        match self.disbursements.advance(DisbursementId(id)).await? {
            Progress::Ended(ended) => ensure!(
                matches!(ended.state, DisbursementState::Settled { .. }),
                "{id} ended as {}",
                ended.state.as_str()
            ),
            Progress::Open(_) => bail!("{id} is still open"),
        }
        Ok(())
    }
}

/// An approver's call, as it comes over HTTP.
fn call() -> Call {
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
    Call {
        caller: Caller {
            actor: Actor {
                id: APPROVER.to_owned(),
                role: Role::Approver,
            },
            origin: Origin {
                ip_address: Some([10, 1, 2, 3].into()),
                user_agent: Some(browser.to_owned()),
                request_id: Some("ce463c942d4305c9".to_owned()),
                sealed: None,
            },
            scope: None,
        },
        idempotency: None,
        expected_version: None,
    }
}

/// The machine's clock and randomness. Incidents need no report: they end the benchmark.
struct Machine;

impl Clock for Machine {
    #[expect(clippy::disallowed_methods, reason = "the benchmark's Clock")]
    fn now(&self) -> DateTime<Utc> {
        let now = Utc::now();
        now.duration_trunc(TimeDelta::microseconds(1))
            .unwrap_or(now)
    }
}

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "the benchmark's Entropy")]
    fn bytes<const N: usize>() -> [u8; N] {
        let mut bytes = [0; N];
        if getrandom::fill(&mut bytes).is_err() {
            std::process::abort();
        }
        bytes
    }
}

impl Entropy for Machine {
    #[expect(clippy::disallowed_methods, reason = "the benchmark's Entropy")]
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn salt(&self) -> [u8; 16] {
        Self::bytes()
    }

    fn secret(&self) -> [u8; 32] {
        Self::bytes()
    }
}

impl Monitor for Machine {
    fn report(&self, incident: Incident) {
        eprintln!("{}: {}", incident.operation, incident.error);
    }

    fn fallback(&self, fallback: Fallback) {
        eprintln!(
            "{} events {}: {}",
            fallback.events.len(),
            fallback.fate.as_str(),
            fallback.error
        );
    }
}

/// A ledger that needs no time: every burn is in it.
struct Burned;

#[async_trait]
impl LedgerBurner for Burned {
    fn network(&self) -> &'static str {
        "benchmark"
    }

    async fn prepare(&self, _: &BurnOrder) -> Result<PreparedBurn, LedgerError> {
        Err(LedgerError::Misconfigured(
            "nothing is prepared here".to_owned(),
        ))
    }

    async fn submit(&self, _: &PreparedBurn) -> Result<SubmitHint, LedgerError> {
        Err(LedgerError::Misconfigured(
            "nothing is sent here".to_owned(),
        ))
    }

    async fn outbid(&self, _: &PreparedBurn, _: u64) -> Result<Option<Replacement>, LedgerError> {
        Ok(None)
    }

    async fn burns_since(&self, _: Option<u32>, _: &[String]) -> Result<BurnsSeen, LedgerError> {
        Ok(BurnsSeen::default())
    }

    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
        Ok(Verdict::Burned {
            burn: burn.id.clone(),
            ledger: burn.signed_at_ledger + 1,
        })
    }

    async fn ready(&self) -> Result<(), LedgerError> {
        Ok(())
    }
}
