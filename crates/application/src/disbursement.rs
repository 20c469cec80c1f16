//! Disbursement: two transactions around a ledger call, and a driver that anyone may run.
//!
//! 1. [`prepare`]: plan without locks, let the ledger adapter sign, then reserve and keep the
//!    signed burn in one unit of work. Nothing is sent before that is committed.
//! 2. [`advance`]: send the kept bytes, ask the ledger for its verdict, and settle or release in
//!    one unit of work. Every step may be repeated, by any process, at any time.
//! 3. [`reconcile`]: takes up whatever is open, at start and on a timer. The request that began a
//!    disbursement is only an impatient helper of the same code.

pub mod advance;
pub mod prepare;
pub mod reconcile;
mod turns;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use advance::{AdvanceError, Progress};
pub use prepare::DisburseError;
pub use reconcile::Reconciler;

use crate::ports::burner::LedgerBurner;
use crate::ports::queries::Queries;
use crate::services::Services;
use tranche_domain::DisbursementId;
use turns::Turns;

/// The disbursement protocol.
#[derive(Clone)]
pub struct Disbursements {
    services: Services,
    queries: Arc<dyn Queries>,
    burner: Arc<dyn LedgerBurner>,
    turns: Turns,
    unsettled: Unsettled,
}

/// The disbursements of which it was reported that the books cannot follow the ledger.
#[derive(Clone, Default)]
struct Unsettled(Arc<Mutex<HashSet<DisbursementId>>>);

impl Unsettled {
    fn lock(&self) -> MutexGuard<'_, HashSet<DisbursementId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disbursements {
    /// The protocol over these services and this ledger.
    #[must_use]
    pub fn new(
        services: Services,
        queries: Arc<dyn Queries>,
        burner: Arc<dyn LedgerBurner>,
    ) -> Self {
        Self {
            services,
            queries,
            burner,
            turns: Turns::default(),
            unsettled: Unsettled::default(),
        }
    }
}
