//! The watch over the whole: what the ledger burned, what the books settled and how far the NAV went
//! down are one sum, or somebody hears of it, row by row.
//!
//! Burns are read from the ledger and kept, so that the comparison reaches back further than a node
//! remembers. **Nothing is signed for or sent before the first comparison since the start**, because
//! the store may be a backup that forgot burns: sending then would pay twice. Afterwards nothing is
//! sent for a project whose wallet burned more than its books know, and nothing at all on a ledger
//! that runs backwards or that cannot show what was missed.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact, ProjectId};

use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::ports::books::{Books, Difference, DifferenceKind, Watched};
use crate::ports::burner::{BurnsSeen, LedgerBurner, LedgerError};
use crate::ports::monitor::Incident;
use crate::ports::store::StoreError;
use crate::services::Services;

/// The pause between two comparisons.
const EVERY: Duration = Duration::from_secs(30);
/// How many comparisons lie between two searches for missing events: an hour's.
const EVENTS_EVERY: u32 = 120;
/// The most rows of one report.
const MOST_ROWS: u32 = 1_000;
/// How many ledgers a node may lie behind what was watched: ten minutes on a public network. A
/// network that was reset lies further behind.
const TOLERATED_LAG: u32 = 120;
const OPERATION: &str = "disbursement.watch";

/// Why nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Withheld {
    /// The ledger is not the one that was watched, or hides a part of it.
    #[error("nothing is sent: {0}")]
    Halted(String),
    /// The ledger holds burns of the project's wallet that its books do not know.
    #[error(
        "nothing is sent for project {0}: its wallet burned what its books do not know; \
         `tranche reconcile --check` lists it"
    )]
    BooksDiffer(ProjectId),
}

/// Why books and ledger were not compared.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The ledger could not be asked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Comparing would prove nothing.
    #[error(transparent)]
    Withheld(#[from] Withheld),
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The ledgers whose burns are kept; none before the first ledger was seen.
    pub watched: Option<Watched>,
    /// Where books and ledger differ, row by row.
    pub differences: Vec<Difference>,
}

/// What is known since the start.
#[derive(Clone, Debug)]
enum Standing {
    /// Nothing was compared yet.
    Unseen,
    /// Compared up to the ledger `reached`; these projects' wallets burned more than their books
    /// know.
    Compared {
        ahead: HashSet<ProjectId>,
        reached: u32,
    },
    /// The ledger cannot be compared with.
    Halted(Withheld),
}

/// Compares ledger and books.
#[derive(Clone)]
pub struct Watch {
    services: Services,
    books: Arc<dyn Books>,
    burner: Arc<dyn LedgerBurner>,
    standing: Arc<RwLock<Standing>>,
    /// One comparison at a time: an older one that ended last would hide what a newer one found.
    turn: Arc<Mutex<()>>,
    /// Whether a comparison since the start, or since the store was restored, reached a ledger that
    /// was signed at.
    caught_up: Arc<AtomicBool>,
    reported: Arc<Mutex<HashSet<(DifferenceKind, String)>>>,
}

impl Watch {
    /// Has compared nothing yet.
    #[must_use]
    pub fn new(services: Services, books: Arc<dyn Books>, burner: Arc<dyn LedgerBurner>) -> Self {
        Self {
            services,
            books,
            burner,
            standing: Arc::new(RwLock::new(Standing::Unseen)),
            turn: Arc::default(),
            caught_up: Arc::default(),
            reported: Arc::default(),
        }
    }

    /// Whether anything may be signed for and sent in this project's name. Compares first, if
    /// nothing was compared since the start.
    pub(super) async fn allows(&self, project: ProjectId) -> Result<(), WatchError> {
        if matches!(self.standing(), Standing::Unseen) {
            let _turn = self.turn.lock().await;
            if matches!(self.standing(), Standing::Unseen) {
                self.take_in(None).await?;
            }
        }
        match self.standing() {
            Standing::Compared { ahead, .. } if ahead.contains(&project) => {
                Err(Withheld::BooksDiffer(project).into())
            }
            Standing::Compared { .. } | Standing::Unseen => Ok(()),
            Standing::Halted(why) => Err(why.into()),
        }
    }

    /// Whether a burn that was just signed at this ledger may be kept. The node that signed may be
    /// ahead of the one that was compared with, and the store may have been restored under us: then
    /// burns are missing from the comparison, and this one could be the second.
    pub(super) async fn covers(
        &self,
        project: ProjectId,
        signed_at: u32,
    ) -> Result<(), WatchError> {
        let stored = self.books.watched(self.burner.network()).await?;
        if self.went_back(stored) || !self.covered(signed_at) {
            let _turn = self.turn.lock().await;
            self.take_in(None).await?;
        }
        self.allows(project).await?;
        if !self.covered(signed_at) {
            return Err(LedgerError::Unavailable(format!(
                "the burns up to ledger {signed_at} are not known yet: a node lags"
            ))
            .into());
        }
        self.caught_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn covered(&self, signed_at: u32) -> bool {
        let reached = match self.standing() {
            Standing::Compared { reached, .. } => reached,
            Standing::Unseen | Standing::Halted(_) => return false,
        };
        self.caught_up.load(Ordering::Relaxed) || reached >= signed_at
    }

    /// Whether the store has forgotten what it was told: it was restored.
    fn went_back(&self, stored: Option<Watched>) -> bool {
        match self.standing() {
            Standing::Compared { reached, .. } => stored.is_none_or(|stored| stored.to < reached),
            Standing::Unseen | Standing::Halted(_) => false,
        }
    }

    /// Reads the ledger's burns since the last comparison, keeps them, and compares.
    ///
    /// # Errors
    /// [`WatchError`]; when the ledger or the store does not answer, what was known stands.
    pub async fn compare(&self) -> Result<Report, WatchError> {
        let _turn = self.turn.lock().await;
        self.take_in(None).await
    }

    /// As [`Watch::compare`], without the ledgers that no node shows any more: the caller says that
    /// nothing of ours is in them, and the log says who.
    ///
    /// # Errors
    /// As [`Watch::compare`].
    pub async fn accept_gap(&self, caller: &Caller) -> Result<Report, WatchError> {
        let _turn = self.turn.lock().await;
        self.take_in(Some(caller)).await
    }

    /// Writes down who lets the watch go on without a part of the ledger.
    async fn note_gap(&self, caller: &Caller, seen: &BurnsSeen) -> Result<(), StoreError> {
        let network = self.burner.network();
        let occasion = self.services.occasion(caller);
        let action = Action::LedgerGapAccepted;
        let event = AuditEvent::new(action, Resource::Ledger, network, &occasion)
            .with("goes_on_from", Fact::Count(i64::from(seen.from)));
        let mut work = self.services.store.begin().await?;
        work.audit().post(&EventRecord::from(&event)).await?;
        work.commit().await?;
        self.services.outbox.notify_one();
        Ok(())
    }

    /// Milestone versions without their event (M14).
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn missing_events(&self) -> Result<Vec<Difference>, StoreError> {
        let missing = self.books.missing_events(MOST_ROWS).await?;
        self.tell(&missing, |kind| kind == DifferenceKind::MissingEvent)
            .await;
        Ok(missing)
    }

    /// Compares again and again until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut until_events: u32 = 0;
        while !stop.is_cancelled() {
            match self.compare().await {
                Ok(_) | Err(WatchError::Withheld(_)) => {}
                Err(error) => warn!(%error, "ledger and books are not compared"),
            }
            if until_events == 0 {
                if let Err(error) = self.missing_events().await {
                    warn!(%error, "events are not looked for");
                }
                until_events = EVENTS_EVERY;
            }
            until_events -= 1;
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(EVERY) => {}
            }
        }
    }

    /// A gap halts unless somebody accepts it.
    async fn take_in(&self, accepts_gap: Option<&Caller>) -> Result<Report, WatchError> {
        let network = self.burner.network();
        let watched = self.books.watched(network).await?;
        if self.went_back(watched) {
            self.caught_up.store(false, Ordering::Relaxed);
            self.tell_of(&"the store forgot ledgers that were watched: it was restored");
        }
        let from = match watched {
            Some(watched) => Some(watched.to.saturating_add(1)),
            None => self.books.first_signed(network).await?,
        };
        let wallets = self.books.wallets().await?;
        let seen = self.burner.burns_since(from, &wallets).await?;
        if let Some(watched) = watched {
            self.refuse(runs_backwards(watched, &seen))?;
        }
        match (from.and_then(|from| gap(from, &seen)), accepts_gap) {
            (Some(_), Some(caller)) => self.note_gap(caller, &seen).await?,
            (found, _) => self.refuse(found)?,
        }
        if watched.is_none_or(|watched| seen.to > watched.to) {
            let now = self.services.clock.now();
            self.books.keep_seen(network, &seen, now).await?;
        }
        let differences = self.books.differences(network, MOST_ROWS).await?;
        self.tell(&differences, |kind| kind != DifferenceKind::MissingEvent)
            .await;
        self.refuse(too_many(&differences))?;
        let ahead = differences.iter().filter(|row| row.kind.forbids_sending());
        self.stand(Standing::Compared {
            ahead: ahead.map(|row| row.project_id).collect(),
            reached: seen.to,
        });
        Ok(Report {
            watched: self.books.watched(network).await?,
            differences,
        })
    }

    fn standing(&self) -> Standing {
        let standing = self.standing.read().unwrap_or_else(PoisonError::into_inner);
        standing.clone()
    }

    fn stand(&self, standing: Standing) {
        *self
            .standing
            .write()
            .unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Halts if there is a reason.
    fn refuse(&self, why: Option<Withheld>) -> Result<(), Withheld> {
        let Some(why) = why else {
            return Ok(());
        };
        let news = !matches!(self.standing(), Standing::Halted(known) if known == why);
        self.stand(Standing::Halted(why.clone()));
        if news {
            self.tell_of(&why);
        }
        Err(why)
    }

    fn tell_of(&self, what: &dyn Display) {
        self.services.monitor.report(Incident {
            operation: OPERATION,
            critical: true,
            error: what.to_string(),
            context: json!({ "network": self.burner.network() }),
        });
    }

    /// Reports each row once, for as long as it lasts. The rows are all that there are of the kinds
    /// looked for.
    async fn tell(&self, rows: &[Difference], looked_for: impl Fn(DifferenceKind) -> bool + Send) {
        let mut reported = self.reported.lock().await;
        reported.retain(|(kind, subject)| {
            let lasts = rows
                .iter()
                .any(|row| row.kind == *kind && row.subject == *subject);
            lasts || !looked_for(*kind)
        });
        for row in rows {
            if reported.insert((row.kind, row.subject.clone())) {
                self.services.monitor.report(Incident {
                    operation: OPERATION,
                    critical: true,
                    error: format!(
                        "{} {}: the books say {}, found {}",
                        row.kind.as_str(),
                        row.subject,
                        row.books,
                        row.found
                    ),
                    context: json!({ "project_id": row.project_id.0, "kind": row.kind.as_str(),
                        "subject": row.subject }),
                });
            }
        }
    }
}

/// Why a ledger that stands there is not the one that was watched.
fn runs_backwards(watched: Watched, seen: &BurnsSeen) -> Option<Withheld> {
    (seen.to.saturating_add(TOLERATED_LAG) < watched.to).then(|| {
        Withheld::Halted(format!(
            "the ledger runs backwards: it was watched up to {}, and stands at {}; the node lags, or \
             the network was reset",
            watched.to, seen.to
        ))
    })
}

/// More rows than are read: which projects they are of is not known.
fn too_many(differences: &[Difference]) -> Option<Withheld> {
    let rows = u32::try_from(differences.len()).unwrap_or(u32::MAX);
    (rows >= MOST_ROWS).then(|| {
        Withheld::Halted(format!(
            "books and ledger differ in {MOST_ROWS} rows or more; `tranche reconcile --check` lists \
             the first of them"
        ))
    })
}

/// What no node shows any more.
fn gap(from: u32, seen: &BurnsSeen) -> Option<Withheld> {
    (seen.from > from).then(|| {
        Withheld::Halted(format!(
            "no node shows the ledgers {from} to {} any more, and burns may be in them; ask one with \
             a longer memory, or let `tranche reconcile --accept-gap` go on without them",
            seen.from - 1
        ))
    })
}
