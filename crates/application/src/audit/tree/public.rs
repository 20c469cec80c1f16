//! What outsiders are given of the log: the checkpoint that is kept, the tiles under it, and proofs.
//!
//! Everything is of the tree that was kept last, never of a newer one: whoever fetched the checkpoint
//! finds what it speaks of, and nobody learns of a tree that could still be forgotten.

use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

use super::keeper::{Contradiction, Keeper};
use super::merkle::{WIDTH, hashes_at};
use super::proof::{Tiles, includes};
use super::served_tiles::ServedTiles;
use crate::ports::audit_search::{AuditSearch, Scope};
use crate::ports::store::StoreError;
use crate::ports::tree::{Checkpoint, Hash, LeafRecord, Tree};

/// Which tile, or part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileOf {
    /// Its place in its level, from 0.
    pub number: u64,
    /// How many hashes of it, from the left: 1 to 256.
    pub width: u16,
}

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProofError {
    /// No such event, or not for the caller's eyes.
    #[error("there is no such event")]
    NotFound,
    /// The event has no place under the newest checkpoint yet; it will have one within seconds.
    #[error("the event is not sealed yet")]
    NotSealed,
    /// The tree is not as large as asked for.
    #[error("the tree has {size} leaves")]
    Beyond {
        /// How large it is.
        size: u64,
    },
    /// Nothing is proven while the tree contradicts what was kept.
    #[error(transparent)]
    Contradicted(Contradiction),
    /// What is stored does not give what was signed.
    #[error("what is stored does not give what was signed: event {event_id}, leaf {index}")]
    Altered {
        /// The event.
        event_id: Uuid,
        /// Its place.
        index: u64,
    },
    /// As many as this process serves at once read the tree already.
    #[error("too many others read the tree")]
    Busy,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// That an event is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf, with its record.
    pub leaf: LeafRecord,
    /// The record: what was hashed.
    pub record: Vec<u8>,
    /// The neighbours on the way up to the root, the lowest first.
    pub path: Vec<Hash>,
    /// The tree that it leads to.
    pub checkpoint: Checkpoint,
}

/// That a tree extends another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// How many leaves the former tree had.
    pub from: u64,
    /// How many the latter has.
    pub to: u64,
    /// The proof.
    pub hashes: Vec<Hash>,
}

/// Gives outsiders what they need; cheap to clone.
#[derive(Clone)]
pub struct PublicLog {
    tree: Arc<dyn Tree>,
    tiles: Arc<ServedTiles>,
    search: Arc<dyn AuditSearch>,
    keeper: Keeper,
}

impl PublicLog {
    /// Over this store, up to what is kept.
    #[must_use]
    pub fn new(tree: Arc<dyn Tree>, search: Arc<dyn AuditSearch>, keeper: Keeper) -> Self {
        Self {
            tiles: Arc::new(ServedTiles::new(tree.clone())),
            tree,
            search,
            keeper,
        }
    }

    /// Who keeps the checkpoints.
    #[must_use]
    pub const fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The newest checkpoint that is kept; `None` before the first.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.keeper.standing().kept
    }

    /// Where a tile begins; `None` where the tree does not reach.
    fn covers(&self, level: u8, tile: TileOf) -> Result<Option<u64>, ProofError> {
        let size = match self.kept() {
            Ok(checkpoint) => checkpoint.size,
            Err(ProofError::NotSealed) => return Ok(None),
            Err(error) => return Err(error),
        };
        let from = tile.number.checked_mul(WIDTH);
        Ok(from.filter(|from| {
            let end = from.checked_add(u64::from(tile.width));
            end.is_some_and(|end| end <= hashes_at(level, size))
        }))
    }

    /// Hashes of a tile; `None` where the tree does not reach.
    ///
    /// # Errors
    /// [`ProofError::Contradicted`], [`ProofError::Busy`], or [`ProofError::Store`]: an inconsistency
    /// when it lacks some.
    pub async fn tile(&self, level: u8, tile: TileOf) -> Result<Option<Vec<Hash>>, ProofError> {
        let history = self.keeper.standing().contradictions;
        if self.covers(level, tile)?.is_none() {
            return Ok(None);
        }
        self.tiles.hashes(history, level, tile).await.map(Some)
    }

    /// The records of a tile of leaves; `None` where the tree does not reach.
    ///
    /// # Errors
    /// As [`PublicLog::tile`].
    pub async fn records(&self, tile: TileOf) -> Result<Option<Vec<Vec<u8>>>, ProofError> {
        let Some(from) = self.covers(0, tile)? else {
            return Ok(None);
        };
        let _turn = self.tiles.turn().await?;
        let records = self.tree.records(from, u32::from(tile.width)).await?;
        let texts: Vec<Vec<u8>> = records.into_iter().filter_map(|leaf| leaf.record).collect();
        if texts.len() == usize::from(tile.width) {
            return Ok(Some(texts));
        }
        let lacking = format!("the records of tile {} are not whole", tile.number);
        Err(StoreError::Inconsistent(lacking).into())
    }

    /// That an event is in the log, against the newest checkpoint.
    ///
    /// # Errors
    /// [`ProofError`].
    pub async fn inclusion(&self, event: Uuid, scope: Scope) -> Result<Inclusion, ProofError> {
        let visible = self.search.event(event, scope).await?.is_some();
        let leaf = self.tree.leaf_of(event).await?;
        // An event that has expired has its leaf still, which tells nobody whose project it was.
        if !visible && (leaf.is_none() || scope != Scope::All) {
            return Err(ProofError::NotFound);
        }
        let checkpoint = self.kept()?;
        let leaf = leaf.filter(|leaf| leaf.index < checkpoint.size);
        let index = leaf.ok_or(ProofError::NotSealed)?.index;
        let altered = || ProofError::Altered {
            event_id: event,
            index,
        };
        let found = self.tree.records(index, 1).await?.pop();
        let leaf = found.ok_or_else(altered)?;
        let record = leaf.record.clone().ok_or_else(altered)?;
        let mut tree = self.tree.as_ref();
        let path = Tiles::new(&mut tree, checkpoint.size)
            .inclusion(index)
            .await?;
        if !includes(&record, index, checkpoint.size, &path, &checkpoint.root) {
            return Err(altered());
        }
        Ok(Inclusion {
            leaf,
            record,
            path,
            checkpoint,
        })
    }

    /// That the tree of `to` leaves, or the newest, extends the one of `from`.
    ///
    /// # Errors
    /// [`ProofError`].
    pub async fn consistency(&self, from: u64, to: Option<u64>) -> Result<Consistency, ProofError> {
        let size = self.kept()?.size;
        let to = to.unwrap_or(size);
        if from > to || to > size {
            return Err(ProofError::Beyond { size });
        }
        let _turn = self.tiles.turn().await?;
        let mut tree = self.tree.as_ref();
        let hashes = Tiles::new(&mut tree, to).consistency(from).await?;
        Ok(Consistency { from, to, hashes })
    }

    fn kept(&self) -> Result<Checkpoint, ProofError> {
        let standing = self.keeper.standing();
        if let Some(contradiction) = standing.contradiction {
            return Err(ProofError::Contradicted(contradiction));
        }
        standing.kept.ok_or(ProofError::NotSealed)
    }
}
