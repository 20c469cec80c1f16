//! The running ledger: submissions come in, ledgers close, answers are read.
//!
//! A ledger closes in three steps: it is computed from the last one under the lock, written to
//! disk without the lock, installed under the lock. Nothing can be read before it is on disk, and
//! a write that fails leaves everything as it was: the queue keeps its transactions and the next
//! tick tries again. Ledgers close on a timer, and at once when somebody waits for a grant.
//!
//! A test may hold the timer, and skip time: ledgers then close that much later than the machine's
//! clock says. Both are forgotten at a restart, but close times never go back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stellar_xdr::{LedgerEntry, LedgerKey, OperationBody, TransactionResult};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::chain::{Chain, View};
use crate::clock::Clock;
use crate::error::SandboxError;
use crate::faults::{Fault, Faults};
use crate::friendbot;
use crate::keys::Network;
use crate::ledger::close::{Candidate, Close, Closing};
use crate::ledger::fees;
use crate::ledger::frame::Frame;
use crate::ledger::grant::{Grant, GrantRefused, Granted};
use crate::ledger::state::Working;
use crate::queue::{Admission, Nomination, Queue};
use crate::store::{LEASE, Store};
use crate::xdr::Digest32;

/// Operations one ledger takes, unless a test says otherwise.
pub(crate) const OPERATIONS_PER_LEDGER: i64 = 1000;

/// What somebody waits for the next ledger to do.
pub(crate) enum Request {
    /// Give an account what it asks for.
    Grant(Grant, oneshot::Sender<Result<Granted, GrantRefused>>),
    /// Create an account from the root's lumens, by a transaction like any other.
    Friendbot(
        stellar_xdr::AccountId,
        oneshot::Sender<Result<Digest32, friendbot::Refused>>,
    ),
}

/// What the ledger says to a submission.
#[derive(Debug)]
pub(crate) enum Answer {
    Pending,
    Duplicate,
    TryAgainLater,
    Error(Box<TransactionResult>),
}

/// What a node runs with.
pub(crate) struct Parts {
    pub(crate) network: Network,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
    pub(crate) store: Store,
    pub(crate) chain: Chain,
    pub(crate) operations_per_ledger: i64,
    /// Where clients reach it.
    pub(crate) url: String,
}

struct Core {
    chain: Chain,
    queue: Queue,
    requests: Vec<Request>,
    leased_through: u32,
}

/// A ledger and everything around it but the network socket.
pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    pub(crate) stopping: CancellationToken,
    url: String,
    /// Seconds the ledger is ahead of the machine's clock.
    skipped: AtomicU64,
    /// Whether the timer closes no ledgers.
    held: AtomicBool,
    core: Mutex<Core>,
    closing: tokio::sync::Mutex<()>,
    asked: Notify,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A ledger computed but not written, and who waits for it.
struct Prepared {
    closing: Closing,
    invalid: Vec<Arc<Frame>>,
    replies: Vec<Reply>,
    leased_through: u32,
}

enum Reply {
    Grant(
        oneshot::Sender<Result<Granted, GrantRefused>>,
        Result<Granted, GrantRefused>,
    ),
    Friendbot(
        oneshot::Sender<Result<Digest32, friendbot::Refused>>,
        Result<Digest32, friendbot::Refused>,
    ),
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let leased_through = parts.chain.tip().ledger.saturating_add(LEASE);
        Self {
            network: parts.network,
            clock: parts.clock,
            interval: parts.interval,
            store: parts.store,
            faults: Faults::default(),
            stopping: CancellationToken::new(),
            url: parts.url,
            skipped: AtomicU64::new(0),
            held: AtomicBool::new(false),
            core: Mutex::new(Core {
                chain: parts.chain,
                queue: Queue::new(parts.operations_per_ledger),
                requests: Vec::new(),
                leased_through,
            }),
            closing: tokio::sync::Mutex::default(),
            asked: Notify::new(),
        }
    }

    pub(crate) fn friendbot_url(&self) -> String {
        format!("{}/friendbot", self.url)
    }

    /// Closes ledgers until told to stop.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => {
                    // Whoever still waits learns that nothing came of it.
                    self.lock().requests.clear();
                    return;
                }
                _ = ticks.tick() => {}
                () = self.asked.notified() => {}
            }
            if let Err(error) = self.close_on_time().await {
                tracing::error!(%error, "the ledger did not close");
            }
        }
    }

    /// Closes a ledger, unless the timer is held and nobody waits for a grant.
    async fn close_on_time(&self) -> Result<(), SandboxError> {
        let closing = self.closing.lock().await;
        if self.held.load(Ordering::SeqCst) && self.lock().requests.is_empty() {
            return Ok(());
        }
        self.close(&closing).await.map(drop)
    }

    /// Closes one ledger and returns its number.
    pub(crate) async fn close_ledger(&self) -> Result<u32, SandboxError> {
        let closing = self.closing.lock().await;
        self.close(&closing).await
    }

    async fn close(
        &self,
        _one_at_a_time: &tokio::sync::MutexGuard<'_, ()>,
    ) -> Result<u32, SandboxError> {
        let prepared = self.lock().prepare(&self.network, self.now())?;
        let closing = &prepared.closing;
        if !closing.is_empty() {
            self.store.write(closing, prepared.leased_through).await?;
        } else if closing.tip.ledger >= self.lock().leased_through {
            self.store
                .lease(&closing.tip, prepared.leased_through)
                .await?;
        }
        let ledger = closing.tip.ledger;
        let replies = self.lock().install(prepared);
        for reply in replies {
            // Whoever asked may have gone; what was done stays done.
            match reply {
                Reply::Grant(to, answer) => drop(to.send(answer)),
                Reply::Friendbot(to, answer) => drop(to.send(answer)),
            }
        }
        Ok(ledger)
    }

    /// Writes down exactly where the ledger is; the last thing before the end.
    pub(crate) async fn flush(&self) -> Result<(), SandboxError> {
        let _one_at_a_time = self.closing.lock().await;
        let tip = self.lock().chain.tip().clone();
        self.store.lease(&tip, tip.ledger).await
    }

    /// Whole seconds since 1970 as the ledger counts them.
    pub(crate) fn now(&self) -> u64 {
        let skipped = self.skipped.load(Ordering::SeqCst);
        self.clock.now().saturating_add(skipped)
    }

    /// Makes the next ledger close so many seconds after the last one, or later.
    pub(crate) fn skip(&self, seconds: u64) {
        let last = self.lock().chain.tip().close_time;
        let skipped = last
            .max(self.now())
            .saturating_add(seconds)
            .saturating_sub(self.clock.now());
        self.skipped.store(skipped, Ordering::SeqCst);
        self.asked.notify_one();
    }

    /// Holds the timer or lets it go; when this returns, no ledger is being closed by it.
    pub(crate) async fn hold(&self, held: bool) {
        let _not_while_one_closes = self.closing.lock().await;
        self.held.store(held, Ordering::SeqCst);
        self.asked.notify_one();
    }

    /// Whether the timer is held.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Hands the request to the next ledger, which closes at once. A node that is stopping drops it.
    pub(crate) fn ask(&self, request: Request) {
        let mut core = self.lock();
        if !self.stopping.is_cancelled() {
            core.requests.push(request);
            self.asked.notify_one();
        }
    }

    /// Offers a transaction to the queue.
    pub(crate) fn submit(&self, frame: Arc<Frame>) -> Result<Answer, stellar_xdr::Error> {
        let now = self.now();
        let mut core = self.lock();
        let core = &mut *core;
        let tip = core.chain.tip();
        let offset = self.close_time_offset(now, tip.close_time);
        let next = tip.ledger.saturating_add(1);
        let working = Working::new(core.chain.state(), next, tip.close_time);
        let source = frame.source();
        let pays = frame
            .tx
            .operations
            .iter()
            .any(|operation| matches!(operation.body, OperationBody::Payment(_)));
        let pressure = self.faults.take_fee_pressure();
        Ok(match core.queue.admit(frame, &working, offset, pressure)? {
            Admission::Duplicate => Answer::Duplicate,
            Admission::TryAgainLater => Answer::TryAgainLater,
            Admission::Refused(result) => Answer::Error(result),
            Admission::Pending => {
                if pays && self.faults.take(Fault::Evict) {
                    core.queue.evict(&source);
                } else if pays && self.faults.take(Fault::FailIncluded) {
                    core.queue.doom(&source);
                }
                Answer::Pending
            }
        })
    }

    /// The ledger range to answer with; some ledgers ago under [`Fault::Lag`].
    pub(crate) fn view(&self, fault: Option<Fault>) -> View {
        self.lock().chain.view(fault == Some(Fault::Lag))
    }

    /// Entries as of a view taken in the same breath.
    pub(crate) fn entries(
        &self,
        keys: &[LedgerKey],
        fault: Option<Fault>,
    ) -> (View, Vec<Option<LedgerEntry>>) {
        let core = self.lock();
        let lagging = fault == Some(Fault::Lag);
        let found = keys
            .iter()
            .map(|key| core.chain.entry(key, lagging).cloned())
            .collect();
        (core.chain.view(lagging), found)
    }

    /// Reads from the chain as it is.
    pub(crate) fn with_chain<T>(&self, read: impl FnOnce(&Chain) -> T) -> T {
        read(&self.lock().chain)
    }

    /// What is added to the last close time before `maxTime` is held against it at submission:
    /// two ledgers ahead, as on a validator, and the time since the last close. The protocol's
    /// five seconds a ledger become this sandbox's interval, in whole seconds and at least one.
    fn close_time_offset(&self, now: u64, close_time: u64) -> u64 {
        let interval = self.interval.as_millis().div_ceil(1000).max(1);
        u64::try_from(interval)
            .unwrap_or(u64::MAX)
            .saturating_mul(2)
            .saturating_add(now.saturating_sub(close_time))
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Computes the next ledger. The requests it serves leave the list: a ledger that cannot be
    /// written drops them, and whoever asked is told that nothing came of it.
    fn prepare(&mut self, network: &Network, now: u64) -> Result<Prepared, SandboxError> {
        let requests = std::mem::take(&mut self.requests);
        let mut close = Close::begin(self.chain.state(), self.chain.tip(), network, now)
            .ok_or(SandboxError::OutOfLedgers)?;
        let mut replies = Vec::new();
        let mut created = friendbot::Creations::new(network, &close.working);
        for request in requests {
            replies.push(match request {
                Request::Grant(grant, to) => Reply::Grant(to, close.grant(&grant)),
                Request::Friendbot(account, to) => {
                    Reply::Friendbot(to, created.add(&account, &close.working)?)
                }
            });
        }
        let nomination = self.queue.nominate(&close.working);
        let rate = fees::clearing_rate(
            nomination.candidates.iter().map(|chosen| &*chosen.frame),
            nomination.left_out,
        );
        let Nomination {
            candidates,
            invalid,
            ..
        } = nomination;
        let all: Vec<Candidate> = created.into_candidates().chain(candidates).collect();
        close.transactions(&all, rate)?;
        let closing = close.finish()?;
        let leased_through = closing.tip.ledger.saturating_add(LEASE);
        Ok(Prepared {
            closing,
            invalid,
            replies,
            leased_through,
        })
    }

    fn install(&mut self, prepared: Prepared) -> Vec<Reply> {
        let Prepared {
            closing,
            invalid,
            replies,
            leased_through,
        } = prepared;
        if !closing.is_empty() || closing.tip.ledger >= self.leased_through {
            self.leased_through = leased_through;
        }
        self.queue.ledger_closed(&closing.included, &invalid);
        self.chain.install(closing);
        replies
    }
}
