//! Takes up every open disbursement, whoever began it: at start, on a timer, and on demand.
//!
//! Any number of processes may run one: a lease keeps them off one another's work, and a lost
//! lease costs nothing, because every step may be taken twice. Several are looked at side by side,
//! so that one that hangs stops no other, and each is left alone the longer, the longer it has been
//! open.

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tranche_domain::DisbursementId;

use super::{AdvanceError, Disbursements, Progress};
use crate::ports::store::{BackOff, StoreError};

/// How long a disbursement is left alone after a look at it. What just began is its request's work.
const BACK_OFF: BackOff = BackOff {
    least: Duration::from_secs(1),
    most: Duration::from_secs(30),
};
/// How many are looked at side by side.
const SIDE_BY_SIDE: usize = 16;
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

/// What a look at one disbursement came to.
enum Look {
    Ended,
    Open,
    Gone,
    Error,
}

impl Round {
    fn count(&mut self, look: &Result<Look, JoinError>) {
        match look {
            Ok(Look::Ended) => self.ended += 1,
            Ok(Look::Open) => self.open += 1,
            // A look that panicked is an error of its own disbursement alone.
            Ok(Look::Error) | Err(_) => self.errors += 1,
            Ok(Look::Gone) => {}
        }
    }
}

async fn look(disbursements: Disbursements, id: DisbursementId) -> Look {
    match timeout(LONGEST_STEP, disbursements.push(id)).await {
        Ok(Ok(Progress::Ended(_))) => Look::Ended,
        Ok(Ok(Progress::Open(_))) => Look::Open,
        Ok(Err(AdvanceError::NotFound)) => Look::Gone,
        Ok(Err(error)) => {
            warn!(disbursement = %id, %error, "left for a later round");
            Look::Error
        }
        Err(_) => {
            warn!(disbursement = %id, "took too long; left for a later round");
            Look::Error
        }
    }
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

    /// Looks once at every open disbursement that is due. The longest due comes first, so the round
    /// is over when one comes back, however long the looks took.
    ///
    /// # Errors
    /// [`StoreError`] when the open ones cannot be listed.
    pub async fn run_once(&self) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let mut seen = HashSet::new();
        let mut looks = JoinSet::new();
        while let Some(id) = self.lease().await? {
            if !seen.insert(id) {
                break;
            }
            if looks.len() >= SIDE_BY_SIDE
                && let Some(ended) = looks.join_next().await
            {
                round.count(&ended);
            }
            looks.spawn(look(self.disbursements.clone(), id));
        }
        while let Some(ended) = looks.join_next().await {
            round.count(&ended);
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
            let leased = work.disbursements().lease_next(now, BACK_OFF).await?;
            work.commit().await?;
            Ok(leased)
        });
        leased.await.unwrap_or_else(|_| Err(StoreError::timeout()))
    }
}
