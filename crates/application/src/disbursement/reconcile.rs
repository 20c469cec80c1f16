//! Takes up every open disbursement, whoever began it: at start, on a timer, and on demand.
//!
//! Any number of processes may run one: a lease keeps them off one another's work, and a lost
//! lease costs nothing, because every step may be taken twice.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tranche_domain::DisbursementId;

use super::{AdvanceError, Disbursements, Progress};
use crate::ports::store::StoreError;

/// How long a disbursement is left alone after a look at it.
const LEASE: Duration = Duration::from_secs(1);
/// The longest that one look may take. A peer that died without a word would hold it for ever; to
/// break off is safe, because every step may be taken again.
const LONGEST_STEP: Duration = Duration::from_mins(1);
/// The pause between two rounds.
const ROUND: Duration = Duration::from_millis(500);

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Ended in this round: settled or failed.
    pub ended: u64,
    /// Looked at and still open.
    pub open: u64,
    /// Could not be looked at.
    pub errors: u64,
}

/// Drives open disbursements.
#[derive(Clone)]
pub struct Reconciler {
    disbursements: Disbursements,
}

impl Reconciler {
    /// A reconciler of these disbursements.
    #[must_use]
    pub const fn new(disbursements: Disbursements) -> Self {
        Self { disbursements }
    }

    /// Looks once at every open disbursement that nobody has leased. The oldest lease comes first,
    /// so the round is over when one comes back, however long the looks took.
    ///
    /// # Errors
    /// [`StoreError`] when the open ones cannot be listed.
    pub async fn run_once(&self) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let mut seen = HashSet::new();
        while let Some(id) = self.lease().await? {
            if !seen.insert(id) {
                break;
            }
            match timeout(LONGEST_STEP, self.disbursements.push(id)).await {
                Ok(Ok(Progress::Ended(_))) => round.ended += 1,
                Ok(Ok(Progress::Open(_))) => round.open += 1,
                Ok(Err(AdvanceError::NotFound)) => {}
                Ok(Err(error)) => {
                    round.errors += 1;
                    warn!(disbursement = %id, %error, "left for the next round");
                }
                Err(_) => {
                    round.errors += 1;
                    warn!(disbursement = %id, "took too long; left for the next round");
                }
            }
        }
        Ok(round)
    }

    /// Looks again and again until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.run_once().await {
                warn!(%error, "open disbursements cannot be listed");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(ROUND) => {}
            }
        }
    }

    async fn lease(&self) -> Result<Option<DisbursementId>, StoreError> {
        let services = &self.disbursements.services;
        let now = services.clock.now();
        let leased = timeout(LONGEST_STEP, async {
            let mut work = services.store.begin().await?;
            let leased = work.disbursements().lease_next(now, now + LEASE).await?;
            work.commit().await?;
            Ok(leased)
        });
        leased.await.unwrap_or_else(|_| Err(StoreError::timeout()))
    }
}
