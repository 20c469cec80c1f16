//! A Stellar ledger in one process that speaks the Stellar RPC protocol.
//!
//! It is what a program talks to when no network is configured, and what tests talk to instead of
//! one. The official SDKs drive it unchanged: envelopes, signatures, sequence numbers, fees,
//! results and metadata are real; consensus is not: this process alone decides.
//!
//! What it promises:
//! - checks, effects and result codes of the operations it knows are the protocol's;
//! - what was answered for is on disk and survives SIGKILL; ledger numbers and close times never
//!   go backwards; what only waits in the queue is forgotten at a restart, as on a validator;
//! - faults happen when asked for, and only then.
//!
//! What it does not know: offers, pools, claimable balances, sponsorship, data entries and
//! contracts. Operations on them are refused with `opNOT_SUPPORTED`.

mod chain;
mod clock;
mod error;
mod events;
mod faults;
mod friendbot;
mod http;
mod keys;
mod ledger;
mod node;
mod queue;
mod rpc;
mod store;
mod xdr;

#[cfg(test)]
mod tests_node;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

pub use crate::error::SandboxError;

use crate::chain::Chain;
use crate::clock::{Clock, SystemClock};
use crate::keys::Network;
use crate::node::{Node, OPERATIONS_PER_LEDGER, Parts};
use crate::store::{Opened, Store};

/// The passphrase of a sandbox nobody gave another one.
pub const SANDBOX_PASSPHRASE: &str = "Tranche Sandbox Network ; 2026";

/// How long open connections may take to end at a stop.
const GRACE: Duration = Duration::from_secs(2);

/// What a sandbox runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The folder its state is kept in; made if missing.
    pub data_dir: PathBuf,
    /// The time between two ledgers.
    pub ledger_interval: Duration,
    /// What makes its signatures worthless on any other network.
    pub network_passphrase: String,
}

/// A running sandbox. Dropping it ends it without waiting for open calls; nothing answered for is
/// lost.
#[derive(Debug)]
pub struct Sandbox {
    node: Arc<Node>,
    address: SocketAddr,
    closer: JoinHandle<()>,
    server: JoinHandle<std::io::Result<()>>,
    /// Ends the tasks above when the sandbox is dropped.
    _ends_tasks: DropGuard,
}

/// Opens the state, starts closing ledgers and answers at [`Sandbox::address`].
///
/// # Errors
/// When the address or the folder cannot be used, or the folder holds another network's ledger.
pub async fn start(config: Config) -> Result<Sandbox, SandboxError> {
    let io = |what: String| move |source| SandboxError::Io { what, source };
    let folder = &config.data_dir;
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(io(format!("making the folder {}", folder.display())))?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(io(format!("listening on {}", config.listen)))?;
    let address = listener
        .local_addr()
        .map_err(io("asking for the address".to_owned()))?;
    let network = Network::new(&config.network_passphrase);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Opened {
        store,
        state,
        tip,
        close_times,
    } = Store::open(folder, &network, clock.now()).await?;
    let node = Arc::new(Node::new(Parts {
        network,
        clock,
        interval: config.ledger_interval.max(Duration::from_millis(1)),
        store,
        chain: Chain::new(state, tip, close_times),
        operations_per_ledger: OPERATIONS_PER_LEDGER,
        url: format!("http://{address}"),
    }));
    let closer = tokio::spawn(Arc::clone(&node).run());
    let server = tokio::spawn(http::serve(listener, Arc::clone(&node)));
    tracing::info!(%address, "the sandbox ledger answers");
    let ends_tasks = node.stopping.clone().drop_guard();
    Ok(Sandbox {
        node,
        address,
        closer,
        server,
        _ends_tasks: ends_tasks,
    })
}

impl Sandbox {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its JSON-RPC.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The passphrase its transactions are signed for.
    #[must_use]
    pub fn network_passphrase(&self) -> &str {
        &self.node.network.passphrase
    }

    /// The account that issues NGNTS here, `G…`; the same for every sandbox with this passphrase.
    #[must_use]
    pub fn issuer_account(&self) -> String {
        self.node.network.issuer_account().to_string()
    }

    /// Closes a ledger now, beside those the timer closes, and returns its number.
    ///
    /// # Errors
    /// When the ledger cannot be written; then nothing has changed.
    pub async fn close_ledger(&self) -> Result<u32, SandboxError> {
        self.node.close_ledger().await
    }

    /// Stops taking calls, ends the open ones and writes the state down.
    ///
    /// # Errors
    /// When the state cannot be written. What was answered for is on disk even then.
    pub async fn stop(self) -> Result<(), SandboxError> {
        self.node.stopping.cancel();
        let server = self.server.abort_handle();
        if tokio::time::timeout(GRACE, self.server).await.is_err() {
            // A client that keeps its connection open does not keep the sandbox.
            server.abort();
        }
        if let Err(error) = self.closer.await {
            tracing::error!(%error, "the ledger's task ended badly");
        }
        self.node.flush().await?;
        self.node.store.close().await;
        Ok(())
    }
}
