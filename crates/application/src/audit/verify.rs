//! Verifies the audit store: that nothing in it was altered, put in behind, taken out or cut off
//! (S8), and that books and log bear each other out (M14).
//!
//! Every leaf is computed anew from the columns that people query. Leaves are held against the tree,
//! the tree against every checkpoint, in the database and outside it. Everything that is wrong is
//! told as it is found, so that memory does not grow with the damage either.

pub mod archived;
mod checkpoints;
mod cursor;
pub mod exported;
pub mod finding;
pub mod key;
mod let_go;
mod nodes;
mod range;
mod recount;
mod rows;
mod seals;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tranche_domain::RetentionPolicies;
use uuid::Uuid;

pub use checkpoints::KeptCheckpoint;
pub use range::{GrowingTree, tallest};

use crate::ports::store::StoreError;
use crate::ports::tree::Hash;
use crate::ports::verification::{Disagreement, Snapshot, Unborne, Verifiable};
use checkpoints::Statements;
use cursor::Cursor;
use finding::{Finding, Kind};
use key::VerifierKey;
use let_go::LetGo;
use recount::Recount;
use rows::Rows;

/// How many disagreements of books and log are told, and how many rows without a key.
const MOST_TOLD: u32 = 10_000;

/// How far a verification is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows read.
    pub events: AtomicU64,
    /// Leaves read in the order of the tree.
    pub leaves: AtomicU64,
    /// Leaves that there are.
    pub all: AtomicU64,
    found: AtomicU64,
}

/// Where findings go, and how far it is.
#[derive(Clone, Debug)]
pub struct Course {
    findings: mpsc::Sender<Finding>,
    /// How far it is.
    pub progress: Arc<Progress>,
}

impl Course {
    /// Tells findings to this channel, which must be read meanwhile.
    #[must_use]
    pub fn new(findings: mpsc::Sender<Finding>) -> Self {
        Self {
            findings,
            progress: Arc::default(),
        }
    }

    async fn found(&self, finding: Finding) {
        self.progress.found.fetch_add(1, Relaxed);
        // Whoever does not listen any more still learns how many there were.
        let _ = self.findings.send(finding).await;
    }
}

/// What a verification came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Rows read.
    pub events: u64,
    /// Leaves in their places.
    pub leaves: u64,
    /// Leaves that wait for theirs.
    pub waiting: u64,
    /// Leaves whose rows expired.
    pub expired: u64,
    /// Checkpoints read, those kept outside the database included.
    pub checkpoints: u64,
    /// Size and root of the largest tree that a checkpoint states and the leaves give.
    pub newest: Option<(u64, Hash)>,
    /// How many findings there were.
    pub findings: u64,
}

/// By what the store is judged.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// The log's key.
    pub key: VerifierKey,
    /// Checkpoints that were kept outside the database.
    pub kept: Vec<KeptCheckpoint>,
    /// How long events are kept at least: none that is younger can have expired.
    pub policies: RetentionPolicies,
    /// What the time is.
    pub now: DateTime<Utc>,
}

/// Verifies a store as it is now.
///
/// # Errors
/// [`StoreError`] when it cannot be read: then nothing is said about it.
pub async fn verify(
    store: &dyn Verifiable,
    trusted: Trusted,
    course: &Course,
) -> Result<Verified, StoreError> {
    let snapshot: Arc<dyn Snapshot> = Arc::from(store.snapshot().await?);
    let extent = snapshot.extent().await?;
    course.progress.all.store(extent.leaves, Relaxed);
    for stray in snapshot.strays(MOST_TOLD).await? {
        let what = format!("{} has a row whose key is none: {}", stray.table, stray.key);
        course.found(Finding::new(Kind::RowWithoutKey, what)).await;
    }
    let let_go = LetGo::new(snapshot.expired().await?, trusted.policies, trusted.now);
    let let_go = Arc::new(let_go);
    let statements = Statements::new(snapshot.clone(), trusted.key, trusted.kept, course).await;
    let seals = tokio::spawn(seals::verify(snapshot.clone(), statements, course.clone()));
    let rows = all_rows(&snapshot, &let_go, course).await;
    let seals = seals
        .await
        .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let (rows, seals) = (rows?, seals?);
    for finding in let_go.unannounced() {
        course.found(finding).await;
    }
    roll_ups(snapshot.clone(), rows.recount, course).await?;
    books(snapshot.as_ref(), course).await?;
    Ok(Verified {
        events: rows.events,
        leaves: seals.leaves,
        waiting: extent.waiting,
        expired: rows.expired,
        checkpoints: seals.checkpoints,
        newest: seals.newest,
        findings: course.progress.found.load(Relaxed),
    })
}

/// All rows, in as many ranges as can be read at once beside the tree.
async fn all_rows(
    snapshot: &Arc<dyn Snapshot>,
    let_go: &Arc<LetGo>,
    course: &Course,
) -> Result<Rows, StoreError> {
    let ranges = (snapshot.feeds() - 1) / 2;
    let mut begins = vec![Uuid::nil()];
    begins.extend(snapshot.parted(ranges).await?);
    let mut parts = JoinSet::new();
    for (place, begin) in begins.iter().enumerate() {
        let end = match begins.get(place + 1) {
            Some(next) => Uuid::from_u128(next.as_u128() - 1),
            None => Uuid::max(),
        };
        let (ids, let_go) = (*begin..=end, let_go.clone());
        parts.spawn(rows::verify(snapshot.clone(), ids, let_go, course.clone()));
    }
    let mut all = Rows::of(let_go.clone());
    while let Some(part) = parts.join_next().await {
        let part = part.map_err(|error| StoreError::Unavailable(Box::new(error)))??;
        all.events += part.events;
        all.expired += part.expired;
        all.recount.add(part.recount);
    }
    Ok(all)
}

async fn roll_ups(
    snapshot: Arc<dyn Snapshot>,
    recount: Recount,
    course: &Course,
) -> Result<(), StoreError> {
    let mut expected = recount.expected();
    let mut kept = Cursor::over(|into| async move { snapshot.roll_ups(into).await });
    while let Some(roll_up) = kept.next().await? {
        if let Some(finding) = expected.compare(&roll_up) {
            course.found(finding).await;
        }
    }
    for finding in expected.missing() {
        course.found(finding).await;
    }
    Ok(())
}

/// Whether books and log bear each other out.
async fn books(snapshot: &dyn Snapshot, course: &Course) -> Result<(), StoreError> {
    for row in snapshot.unborne(MOST_TOLD).await? {
        course.found(unborne(&row)).await;
    }
    Ok(())
}

fn unborne(row: &Unborne) -> Finding {
    let (kind, what) = match row.disagreement {
        Disagreement::VersionWithoutEvent => {
            (Kind::VersionWithoutEvent, "no event proves this version")
        }
        Disagreement::EventWithoutVersion => (
            Kind::EventWithoutVersion,
            "the event tells of a milestone's change, and no version is known by it",
        ),
        Disagreement::EventOfSeveralVersions => (
            Kind::EventOfSeveralVersions,
            "the event stands for several versions",
        ),
        Disagreement::BurnWithoutEvent => (
            Kind::BurnWithoutEvent,
            "not exactly one event tells of this settled burn",
        ),
        Disagreement::EventWithoutBurn => (
            Kind::EventWithoutBurn,
            "the event tells of a burn that the books do not have settled",
        ),
        Disagreement::MemoIsNotTheLeaf => (
            Kind::MemoIsNotTheLeaf,
            "the memo on the ledger is not the leaf of the event that prepared the burn",
        ),
    };
    let finding = Finding::new(kind, format!("{}: {what}", row.subject));
    match row.event_id {
        Some(id) => finding.of(id),
        None => finding,
    }
}
