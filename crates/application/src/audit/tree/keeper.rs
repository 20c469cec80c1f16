//! Keeps the newest checkpoint outside of the database, and knows whether the database's tree still
//! extends what was ever kept.
//!
//! ```text
//! sealer ─ commits ─► database ─ read, proven to extend what is kept ─► file ─► GET /checkpoint
//! ```
//!
//! What is served was kept before: nobody outside holds a checkpoint that a restored database could
//! contradict without our noticing it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::note::{LogKey, NoteError};
use super::proof::{Hashes, Tiles, extends};
use crate::audit::backoff::Backoff;
use crate::audit::meters::Evidence;
use crate::failpoint::failpoint;
use crate::ports::kept::{KeepError, KeptCheckpoints};
use crate::ports::monitor::Incident;
use crate::ports::store::StoreError;
use crate::ports::tree::{Checkpoint, Hash, Tree};
use crate::services::{Services, with_causes};

/// How often the store is asked for a checkpoint of another process.
const EVERY: Duration = Duration::from_secs(1);
/// The longest that one look may take.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// Why nothing is sealed any more. It ends when the database is the right one again, or when
/// somebody accepts the one there is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Contradiction {
    /// The tree was longer: the database is older than what was kept.
    #[error(
        "the tree has {store} leaves and had {kept}: the database is an older one, and what came after it is lost"
    )]
    Shorter {
        /// How many leaves were kept.
        kept: u64,
        /// How many there are.
        store: u64,
    },
    /// The tree does not extend what was kept: another history.
    #[error(
        "the tree of {store} leaves does not extend the one of {kept} that was kept: it is another history"
    )]
    Forked {
        /// How many leaves were kept.
        kept: u64,
        /// How many there are.
        store: u64,
    },
    /// The checkpoint in the database is not one of ours.
    #[error("the checkpoint in the database is not to be trusted: {0}")]
    StoreNote(NoteError),
    /// The checkpoint that was kept is not one of ours.
    #[error("the checkpoint that was kept is not to be trusted: {0}")]
    KeptNote(NoteError),
    /// The hashes in the database do not give the root that was signed.
    #[error("the hashes in the database do not give the root that was signed for {size} leaves")]
    Altered {
        /// How many leaves were signed for.
        size: u64,
    },
}

/// Why a tree was not found to extend another.
#[derive(Debug, Error)]
pub enum CompareError {
    /// It does not.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// What was kept cannot be read.
    #[error(transparent)]
    Kept(#[from] KeepError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a tree was at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many leaves it had.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

impl From<&Checkpoint> for Seen {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            size: checkpoint.size,
            root: checkpoint.root,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Whether what was kept was read.
    is_read: bool,
    /// The newest that is known to extend everything before.
    seen: Option<Seen>,
    /// The newest that is kept, and may be served.
    kept: Option<Checkpoint>,
    contradiction: Option<Contradiction>,
    /// How often one was found.
    contradictions: u64,
    /// Why the newest could not be kept.
    not_kept: Option<String>,
}

/// How evidence is, in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The newest checkpoint that is kept.
    pub kept: Option<Checkpoint>,
    /// Why nothing is sealed any more.
    pub contradiction: Option<Contradiction>,
    /// How often something was found that contradicts what was kept: what was read of the tree before
    /// may be of another history.
    pub contradictions: u64,
    /// Why the newest checkpoint could not be kept.
    pub not_kept: Option<String>,
}

impl Standing {
    /// In one word.
    #[must_use]
    pub const fn evidence(&self) -> Evidence {
        if self.contradiction.is_some() {
            Evidence::Contradicted
        } else if self.not_kept.is_some() {
            Evidence::NotKept
        } else {
            Evidence::Sound
        }
    }
}

struct Parts {
    services: Services,
    tree: Arc<dyn Tree>,
    folder: Arc<dyn KeptCheckpoints>,
    key: LogKey,
    state: Mutex<State>,
    /// Rung when there is a newer checkpoint.
    sealed: Notify,
}

/// Keeps checkpoints; cheap to clone.
#[derive(Clone)]
pub struct Keeper(Arc<Parts>);

impl Keeper {
    /// Over this store's tree, in this folder.
    #[must_use]
    pub fn new(
        services: Services,
        tree: Arc<dyn Tree>,
        folder: Arc<dyn KeptCheckpoints>,
        key: LogKey,
    ) -> Self {
        Self(Arc::new(Parts {
            services,
            tree,
            folder,
            key,
            state: Mutex::default(),
            sealed: Notify::new(),
        }))
    }

    /// The log's key.
    #[must_use]
    pub fn key(&self) -> &LogKey {
        &self.0.key
    }

    /// How many leaves wait for their places, counted up to `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting(&self, most: u32) -> Result<u64, StoreError> {
        self.0.tree.waiting(most).await
    }

    /// How evidence is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = self.state();
        Standing {
            kept: state.kept.clone(),
            contradiction: state.contradiction.clone(),
            contradictions: state.contradictions,
            not_kept: state.not_kept.clone(),
        }
    }

    /// The note that is kept, whatever it says.
    ///
    /// # Errors
    /// [`KeepError`].
    pub(super) async fn kept_note(&self) -> Result<Option<String>, KeepError> {
        self.0.folder.newest().await
    }

    /// Puts what is kept aside.
    ///
    /// # Errors
    /// [`KeepError`].
    pub(super) async fn set_aside(&self) -> Result<Option<String>, KeepError> {
        self.0.folder.set_aside().await
    }

    /// Follows the store until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let look = timeout(LONGEST_LOOK, self.follow()).await;
            let failed = match look {
                Ok(Ok(())) => None,
                // It was reported when it was found.
                Ok(Err(CompareError::Contradiction(_))) => Some(None),
                Ok(Err(error)) => Some(Some(with_causes(&error))),
                Err(_) => Some(Some("no answer in time".to_owned())),
            };
            let pause = match failed {
                None => {
                    self.state().not_kept = None;
                    backoff.succeeded();
                    EVERY
                }
                Some(error) => {
                    if let Some(error) = error {
                        if backoff.tells() {
                            self.report("audit.keep_checkpoint", error.clone());
                        }
                        self.state().not_kept = Some(error);
                    }
                    backoff.failed()
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.sealed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Keeps the store's newest checkpoint, if there is a newer one.
    ///
    /// # Errors
    /// [`CompareError`]; what was kept before stays.
    pub async fn follow(&self) -> Result<(), CompareError> {
        let seen = self.seen().await?;
        let newest = self.0.tree.checkpoint().await?;
        let mut tree = self.0.tree.as_ref();
        self.compare(&mut tree, seen, newest.as_ref()).await?;
        let Some(newest) = newest else {
            return Ok(());
        };
        let kept = self.state().kept.as_ref().map(|kept| kept.size);
        if kept.is_none_or(|kept| kept < newest.size) {
            failpoint!("keep.begin");
            self.0.folder.keep(&newest).await?;
            failpoint!("keep.done");
        }
        let mut state = self.state();
        // Whoever followed at the same time may have kept a newer one.
        if state
            .kept
            .as_ref()
            .is_none_or(|kept| kept.size <= newest.size)
        {
            state.kept = Some(newest);
        }
        Ok(())
    }

    /// The newest checkpoint, for whoever takes it out of here: it extends what was kept, and is kept
    /// itself, so that no restored database contradicts it unnoticed. `None` while nothing is sealed.
    ///
    /// # Errors
    /// [`CompareError`].
    pub async fn to_give_out(&self) -> Result<Option<Checkpoint>, CompareError> {
        let followed = timeout(LONGEST_LOOK, self.follow()).await;
        let followed = followed.unwrap_or_else(|_| Err(StoreError::timeout().into()));
        let state = self.state();
        match followed {
            // A folder that takes no more still holds the one before, which the database extends.
            Err(CompareError::Kept(_)) if state.contradiction.is_none() && state.kept.is_some() => {
            }
            followed => followed?,
        }
        Ok(state.kept.clone())
    }

    /// What the store's tree must extend: the newest that was seen, or kept. To be asked before the
    /// store is.
    ///
    /// # Errors
    /// [`CompareError`].
    pub(super) async fn seen(&self) -> Result<Option<Seen>, CompareError> {
        {
            let state = self.state();
            if state.is_read && state.contradiction.is_none() {
                return Ok(state.seen);
            }
        }
        let note = self.0.folder.newest().await?;
        let stated = note.map(|note| {
            let (size, root) = self.0.key.open(&note)?;
            Ok(Checkpoint {
                size,
                root,
                note,
                signed_at: self.0.services.clock.now(),
            })
        });
        match stated.transpose() {
            Ok(kept) => {
                let mut state = self.state();
                let seen = kept.as_ref().map(Seen::from);
                // While the same one is kept, whatever was seen counts. Once a person has set it
                // aside, it counts no more, nor does what was seen after it.
                let note = |of: &Option<Checkpoint>| of.as_ref().map(|kept| kept.note.clone());
                if !state.is_read || note(&kept) != note(&state.kept) {
                    (state.seen, state.kept) = (seen, kept);
                }
                state.is_read = true;
                Ok(state.seen)
            }
            Err(error) => Err(self.contradicted(Contradiction::KeptNote(error))),
        }
    }

    /// Makes sure that the store's newest checkpoint extends what was seen before it was read.
    ///
    /// # Errors
    /// [`CompareError`].
    pub(super) async fn compare<H: Hashes>(
        &self,
        hashes: &mut H,
        seen: Option<Seen>,
        newest: Option<&Checkpoint>,
    ) -> Result<(), CompareError> {
        if let Some(contradiction) = self.difference(hashes, seen, newest).await? {
            return Err(self.contradicted(contradiction));
        }
        {
            let mut state = self.state();
            // Whether the hashes are right again is for the sealer to say, which reads them.
            if !matches!(state.contradiction, Some(Contradiction::Altered { .. })) {
                state.contradiction = None;
            }
        }
        if let Some(newest) = newest {
            self.saw(newest.into());
        }
        Ok(())
    }

    async fn difference<H: Hashes>(
        &self,
        hashes: &mut H,
        seen: Option<Seen>,
        newest: Option<&Checkpoint>,
    ) -> Result<Option<Contradiction>, StoreError> {
        let kept = seen.map_or(0, |seen| seen.size);
        let store = newest.map_or(0, |newest| newest.size);
        if store < kept {
            return Ok(Some(Contradiction::Shorter { kept, store }));
        }
        let Some(newest) = newest else {
            return Ok(None);
        };
        let is = Seen::from(newest);
        if seen == Some(is) {
            return Ok(None);
        }
        if let Err(error) = self.0.key.verify(newest) {
            return Ok(Some(Contradiction::StoreNote(error)));
        }
        let Some(seen) = seen else {
            return Ok(None);
        };
        let proof = match Tiles::new(hashes, store).consistency(kept).await {
            Err(StoreError::Inconsistent(_)) => {
                return Ok(Some(Contradiction::Altered { size: store }));
            }
            proof => proof?,
        };
        let goes_on = extends((kept, &seen.root), (store, &is.root), &proof);
        Ok((!goes_on).then_some(Contradiction::Forked { kept, store }))
    }

    /// Something in the store contradicts what was kept: nothing is sealed until it does no more.
    pub(super) fn contradicted(&self, contradiction: Contradiction) -> CompareError {
        let is_new = {
            let mut state = self.state();
            state.contradictions += 1;
            let before = state.contradiction.replace(contradiction.clone());
            before.as_ref() != Some(&contradiction)
        };
        if is_new {
            self.report("audit.tree", contradiction.to_string());
        }
        contradiction.into()
    }

    /// The hashes in the store are those that were signed.
    pub(super) fn sound(&self) {
        self.state().contradiction = None;
    }

    /// A checkpoint that is committed, and extends what was seen before.
    fn saw(&self, checkpoint: Seen) {
        let mut state = self.state();
        if state.seen.is_none_or(|seen| seen.size < checkpoint.size) {
            state.seen = Some(checkpoint);
        }
    }

    /// The sealer has committed a checkpoint.
    pub(super) fn sealed(&self, checkpoint: &Checkpoint) {
        self.saw(checkpoint.into());
        self.0.sealed.notify_one();
    }

    fn report(&self, operation: &'static str, error: String) {
        self.0.services.monitor.report(Incident {
            operation,
            critical: true,
            error,
            context: json!({ "sealing": self.state().contradiction.is_none() }),
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
