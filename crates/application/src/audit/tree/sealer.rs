//! Seals the log: gives waiting leaves their places, lets the tree grow over them, and signs what it
//! is then, all in one transaction.
//!
//! Before anything is signed, the tree in the store is compared with what this process has kept or
//! seen ([`Keeper`]): what does not extend it is left alone. The right edge of the tree is remembered
//! from turn to turn and trusted only as far as it gives the root that was signed last.
//!
//! What was sealed may lie dead in the database for as long as somebody reads an old moment of it, so
//! that a look at all that waits takes ever longer. Then it is taken once a second, and in between what
//! waits is looked for where the last ids were sealed: ids rise with time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::keeper::{CompareError, Contradiction, Keeper};
use super::merkle::{Frontier, WIDTH, hashes_at};
use crate::audit::backoff::Backoff;
use crate::audit::bounded::bounded;
use crate::failpoint::failpoint;
use crate::ports::monitor::Incident;
use crate::ports::store::{Conflict, StoreError};
use crate::ports::tree::{Checkpoint, Node, Sealing, Tree};
use crate::services::{Services, with_causes};

/// How many events are sealed in one transaction.
const BATCH: u32 = 10_000;
/// As many when it keeps failing.
const LEAST: u32 = 100;
/// The pause while nothing waits: whoever follows the log sees an event within 50 ms (S6).
const QUIET: Duration = Duration::from_millis(20);
/// The longest that one transaction may take.
const LONGEST_STEP: Duration = Duration::from_mins(1);

/// A look at all that waits that takes longer than this is dear.
const DEAR: Duration = Duration::from_millis(5);
/// How often one that is dear is taken.
const SWEEP: Duration = Duration::from_secs(1);
/// How far below the last id sealed others may still be on their way, in milliseconds.
const MARGIN: i64 = 2_000;

/// What a turn leaves to the next.
#[derive(Debug, Default)]
struct Memory {
    /// The right edge of the tree after the last turn, unless it failed.
    edge: Option<Frontier>,
    /// Where the last ids were sealed.
    floor: Uuid,
    /// When all that waited was taken last.
    swept_at: Option<Instant>,
    /// Whether the last look at all of it was dear.
    is_dear: bool,
}

impl Memory {
    /// From which id on to look now.
    fn from(&self, now: Instant) -> Uuid {
        match self.swept_at {
            Some(swept_at) if self.is_dear && now - swept_at < SWEEP => self.floor,
            _ => Uuid::nil(),
        }
    }

    /// A look took so long.
    fn looked(&mut self, from: Uuid, took: Duration) {
        if from.is_nil() {
            self.is_dear = took > DEAR;
        }
    }

    /// Nothing that waited from this id on is left.
    const fn swept(&mut self, from: Uuid, now: Instant) {
        if from.is_nil() {
            self.swept_at = Some(now);
        }
    }

    /// Ids up to this one were sealed. One of the future says nothing of the others.
    fn reached(&mut self, highest: Uuid, now: DateTime<Utc>) {
        let made = i64::try_from(highest.as_u128() >> 80).unwrap_or(i64::MAX);
        let floor = made.min(now.timestamp_millis()).saturating_sub(MARGIN);
        let floor = Uuid::from_u128(u128::try_from(floor).unwrap_or_default() << 80);
        self.floor = self.floor.max(floor);
    }
}

/// Seals events. Several processes may try: one at a time does it.
#[derive(Clone)]
pub struct Sealer {
    services: Services,
    tree: Arc<dyn Tree>,
    keeper: Keeper,
    memory: Arc<Mutex<Memory>>,
}

impl Sealer {
    /// Seals this store's tree with the keeper's key.
    #[must_use]
    pub fn new(services: Services, tree: Arc<dyn Tree>, keeper: Keeper) -> Self {
        Self {
            services,
            tree,
            keeper,
            memory: Arc::default(),
        }
    }

    /// Seals until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let (mut backoff, mut batch) = (Backoff::default(), BATCH);
        while !stop.is_cancelled() {
            let pause = match self.step(batch).await {
                Ok(sealed) => {
                    backoff.succeeded();
                    let was_full = sealed >= u64::from(batch);
                    batch = (batch * 2).min(BATCH);
                    if was_full {
                        continue;
                    }
                    QUIET
                }
                // The keeper has reported a contradiction; to be asked to try again is no outage.
                Err(
                    CompareError::Contradiction(_)
                    | CompareError::Store(StoreError::Conflict(Conflict::Retry)),
                ) => backoff.failed(),
                Err(error) => {
                    // It may be too much for the time that the store gives it.
                    batch = (batch / 2).max(LEAST);
                    if backoff.tells() {
                        self.report(&error);
                    }
                    backoff.failed()
                }
            };
            let _ = timeout(pause, stop.cancelled()).await;
        }
    }

    fn report(&self, error: &CompareError) {
        self.services.monitor.report(Incident {
            operation: "audit.seal",
            critical: false,
            error: with_causes(error),
            context: json!({ "retrying": true }),
        });
    }

    /// One turn: up to `batch` events. Says how many were sealed; none while another process seals.
    ///
    /// # Errors
    /// [`CompareError`]; nothing was sealed, unless the store did not say.
    pub async fn step(&self, batch: u32) -> Result<u64, CompareError> {
        let this = self.clone();
        let turn = async move { Ok(this.turn(batch).await) };
        bounded(LONGEST_STEP, turn).await?
    }

    async fn turn(&self, batch: u32) -> Result<u64, CompareError> {
        let mut memory = self.memory.lock().await;
        let now = Instant::now();
        let from = memory.from(now);
        if memory.edge.is_some() {
            let look = self.tree.look(from).await?;
            memory.looked(from, look.took);
            if !look.is_waiting {
                memory.swept(from, now);
                return Ok(0);
            }
        }
        let seen = self.keeper.seen().await?;
        let Some(mut sealing) = self.tree.begin_sealing().await? else {
            // Whoever has the turn seals what was seen; what is left is looked for within a second.
            memory.swept(from, now);
            return Ok(0);
        };
        let newest = sealing.checkpoint().await?;
        self.keeper
            .compare(&mut sealing, seen, newest.as_ref())
            .await?;
        let remembered = memory.edge.take();
        let mut grown = Grown::from(remembered, newest.as_ref(), &mut sealing)
            .await
            .map_err(|error| self.broken(error, newest.as_ref()))?;
        self.keeper.sound();
        let sealed = grown.by(from, batch, &mut sealing).await?;
        if sealed == 0 && newest.is_some() {
            // A leaf that had its place waits no more.
            sealing.commit().await?;
            memory.swept(from, now);
            memory.edge = grown.remembered();
            return Ok(0);
        }
        let (size, root) = (grown.edge.size(), grown.edge.root());
        let signed_at = self.services.clock.now();
        let checkpoint = self.keeper.key().sign(size, root, signed_at);
        failpoint!("seal.signed");
        sealing.keep(&grown.nodes, &checkpoint).await?;
        failpoint!("seal.kept");
        sealing.commit().await?;
        failpoint!("seal.committed");
        self.keeper.sealed(&checkpoint);
        if sealed < u64::from(batch) && !grown.may_lag {
            memory.swept(from, now);
        }
        if let Some(highest) = grown.highest {
            memory.reached(highest, signed_at);
        }
        memory.edge = grown.remembered();
        Ok(sealed)
    }

    /// Hashes that are not those that were signed are for people to look at.
    fn broken(&self, error: StoreError, newest: Option<&Checkpoint>) -> CompareError {
        match error {
            StoreError::Inconsistent(_) => self.keeper.contradicted(Contradiction::Altered {
                size: newest.map_or(0, |newest| newest.size),
            }),
            other => other.into(),
        }
    }
}

/// The tree as it grows in one turn.
struct Grown {
    edge: Frontier,
    nodes: Vec<Node>,
    /// Whether leaves may have their places that no checkpoint covers: they were given before
    /// checkpoints were signed.
    may_lag: bool,
    /// The highest id of an event whose leaf got its place.
    highest: Option<Uuid>,
}

impl Grown {
    /// The tree that the newest checkpoint was signed for.
    async fn from(
        remembered: Option<Frontier>,
        newest: Option<&Checkpoint>,
        sealing: &mut Box<dyn Sealing>,
    ) -> Result<Self, StoreError> {
        let (size, root) = match newest {
            Some(newest) => (newest.size, newest.root),
            None => (0, Frontier::default().root()),
        };
        let is_it = |edge: &Frontier| edge.size() == size && edge.root() == root;
        if let Some(edge) = remembered.filter(is_it) {
            return Ok(Self {
                edge,
                nodes: Vec::new(),
                may_lag: false,
                highest: None,
            });
        }
        let mut levels = Vec::new();
        for level in 0_u8.. {
            let count = hashes_at(level, size);
            if count == 0 {
                break;
            }
            let width = u32::try_from(count % WIDTH).unwrap_or_default();
            levels.push(sealing.hashes(level, count - count % WIDTH, width).await?);
        }
        let edge = Frontier::of(size, levels).filter(is_it);
        let edge = edge.ok_or_else(|| {
            StoreError::Inconsistent(format!("the tree of {size} leaves has another root"))
        })?;
        Ok(Self {
            edge,
            nodes: Vec::new(),
            may_lag: true,
            highest: None,
        })
    }

    /// What the next turn may begin with.
    fn remembered(self) -> Option<Frontier> {
        (!self.may_lag).then_some(self.edge)
    }

    /// Lets it grow by up to so many leaves, and says by how many.
    async fn by(
        &mut self,
        from: Uuid,
        batch: u32,
        sealing: &mut Box<dyn Sealing>,
    ) -> Result<u64, StoreError> {
        if self.may_lag {
            let lagging = sealing.hashes(0, self.edge.size(), batch).await?;
            for hash in &lagging {
                self.edge.push(*hash, &mut self.nodes);
            }
            if !lagging.is_empty() {
                return Ok(lagging.len() as u64);
            }
            self.may_lag = false;
        }
        let leaves = sealing.number(from, batch).await?;
        for leaf in &leaves {
            if leaf.index != self.edge.size() {
                return Err(StoreError::Inconsistent(format!(
                    "leaf {} has the place {}, not {}",
                    leaf.event_id,
                    leaf.index,
                    self.edge.size()
                )));
            }
            self.edge.push(leaf.hash, &mut self.nodes);
        }
        self.highest = leaves.iter().map(|leaf| leaf.event_id).max();
        Ok(leaves.len() as u64)
    }
}
