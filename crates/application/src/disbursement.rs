//! Disbursement: two transactions around a ledger call, and a driver that anyone may run.
//!
//! 1. [`prepare`]: plan without locks, let the ledger adapter sign, then reserve and keep the
//!    signed burn in one unit of work. Nothing is sent before that is committed.
//! 2. [`advance`]: send the kept bytes, ask the ledger for its verdict, and settle or release in
//!    one unit of work ([`ends`]). Every step may be repeated, by any process, at any time.
//! 3. [`reconcile`]: takes up whatever is open, at start and on a timer. The request that began a
//!    disbursement is only an impatient helper of the same code.
//! 4. [`watch`]: compares ledger and books as a whole, and withholds what they forbid.
//! 5. [`resolve`]: two people decide what the ledger's answers cannot.

pub mod advance;
mod ends;
pub mod prepare;
pub mod reconcile;
pub mod resolve;
mod seats;
mod send;
pub mod watch;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use advance::{AdvanceError, Progress};
pub use prepare::DisburseError;
pub use reconcile::Reconciler;
pub use resolve::ResolveError;
pub use watch::Watch;

use crate::ports::books::Books;
use crate::ports::burner::LedgerBurner;
use crate::ports::channels::Channels;
use crate::ports::queries::Queries;
use crate::services::Services;
use ends::Ends;
use seats::Seats;
use tranche_domain::DisbursementId;

/// The protocol's way to the store, beside units of work.
#[derive(Clone)]
pub struct Reads {
    /// Reading for people.
    pub queries: Arc<dyn Queries>,
    /// The pool of channel accounts.
    pub channels: Arc<dyn Channels>,
    /// The books, for the watch.
    pub books: Arc<dyn Books>,
}

/// The disbursement protocol.
#[derive(Clone)]
pub struct Disbursements {
    services: Services,
    queries: Arc<dyn Queries>,
    burner: Arc<dyn LedgerBurner>,
    watch: Watch,
    ends: Ends,
    seats: Seats,
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
    pub fn new(services: Services, reads: Reads, burner: Arc<dyn LedgerBurner>) -> Self {
        Self {
            watch: Watch::new(services.clone(), reads.books, burner.clone()),
            ends: Ends::new(services.clone()),
            seats: Seats::new(reads.channels, burner.network().to_owned()),
            services,
            queries: reads.queries,
            burner,
            unsettled: Unsettled::default(),
        }
    }

    /// The watch over ledger and books.
    #[must_use]
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }
}
