//! One RPC server of the network: believed only after it named that network, and never when its
//! ledger runs backwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tranche_application::ports::burner::LedgerError;
use tranche_domain::disbursement::verdict::ClosedLedger;

use crate::entries::Snapshot;
use crate::http::Endpoint;
use crate::network::Network;
use crate::rpc::Rpc;
use crate::rpc::wire::GetTransaction;

/// How many ledgers a node may lie behind the newest one seen before its answers are refused: ten
/// minutes, which no load balancer should hide and every reset of a network exceeds.
const TOLERATED_LAG: u32 = 120;
/// Asked for to learn the ledger's time: no transaction has this hash.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The newest ledger that any answer showed.
#[derive(Default)]
pub struct Tip(AtomicU32);

impl Tip {
    /// The newest ledger so far.
    pub fn newest(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Remembers that a ledger was seen, and refuses one from long before: ledgers never run
    /// backwards, so the node is stuck, or the network was reset and nothing it says concerns our
    /// burns. Lasts until a restart, and then the burns' own `signed_at_ledger` keeps watch.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] for a ledger from long before.
    pub fn saw(&self, ledger: u32) -> Result<(), LedgerError> {
        let newest = self.0.fetch_max(ledger, Ordering::Relaxed);
        if ledger.saturating_add(TOLERATED_LAG) >= newest {
            return Ok(());
        }
        Err(LedgerError::Unavailable(format!(
            "the ledger runs backwards: {ledger} after {newest}; the node lags, or the network was reset"
        )))
    }
}

/// One server.
pub struct Node {
    /// Transport.
    pub rpc: Rpc,
    /// The network it must belong to.
    pub network: Arc<Network>,
    /// The newest ledger seen, here or at another node that shares it.
    pub tip: Arc<Tip>,
    host: String,
    /// Whether it named the network once.
    known: AtomicBool,
}

impl Node {
    /// Connects to nothing yet.
    pub fn new(endpoint: Endpoint, network: Arc<Network>, tip: Arc<Tip>) -> Self {
        Self {
            host: endpoint.host(),
            rpc: Rpc::new(endpoint),
            network,
            tip,
            known: AtomicBool::new(false),
        }
    }

    /// Where it is, without what may hold a key.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Believes nothing of a server that never named its network.
    ///
    /// # Errors
    /// As [`Node::check_network`].
    pub async fn admit(&self) -> Result<(), LedgerError> {
        if self.known.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.check_network().await
    }

    /// # Errors
    /// [`LedgerError::Misconfigured`] when the server belongs to another network.
    pub async fn check_network(&self) -> Result<(), LedgerError> {
        let served = self.rpc.get_network().await?.passphrase;
        if served == self.network.passphrase() {
            self.known.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(LedgerError::Misconfigured(format!(
            "the RPC server {} belongs to {served:?}, not to {:?}",
            self.host,
            self.network.passphrase()
        )))
    }

    /// # Errors
    /// [`LedgerError::Unavailable`] when the server does not follow its network.
    pub async fn check_health(&self) -> Result<(), LedgerError> {
        let health = self.rpc.get_health().await?;
        if health.status == "healthy" {
            return Ok(());
        }
        Err(LedgerError::Unavailable(format!(
            "the RPC server says it is {:?}",
            health.status
        )))
    }

    /// Whether it follows its network, and that is the right one.
    ///
    /// # Errors
    /// As [`Node::check_health`] and [`Node::check_network`].
    pub async fn ready(&self) -> Result<(), LedgerError> {
        self.check_health().await?;
        self.check_network().await
    }

    /// What the node knows of a transaction, and which ledgers it keeps.
    pub async fn transaction(&self, hash: &str) -> Result<GetTransaction, LedgerError> {
        let answer = self.rpc.get_transaction(hash).await?;
        self.tip.saw(answer.latest_ledger)?;
        Ok(answer)
    }

    /// Which ledgers the node keeps, and when the newest closed.
    pub async fn ledgers(&self) -> Result<GetTransaction, LedgerError> {
        self.transaction(NOBODY).await
    }

    /// The newest closed ledger, and when it closed.
    pub async fn ledger_time(&self) -> Result<ClosedLedger, LedgerError> {
        self.ledgers().await?.closed().ok_or_else(|| {
            LedgerError::Unavailable("the server does not say when a ledger closed".to_owned())
        })
    }

    /// Reads ledger entries together.
    pub async fn read(
        &self,
        keys: Result<Vec<String>, stellar_xdr::Error>,
    ) -> Result<Snapshot, LedgerError> {
        let keys = keys.map_err(|error| LedgerError::Misconfigured(error.to_string()))?;
        let answer = self.rpc.get_ledger_entries(&keys).await?;
        self.tip.saw(answer.latest_ledger)?;
        Snapshot::of(&answer).map_err(LedgerError::Unavailable)
    }
}
