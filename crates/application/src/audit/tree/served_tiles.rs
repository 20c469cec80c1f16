//! Tiles of hashes for everybody: read from the store a few at a time, and full ones, which never
//! change, remembered. So whoever fetches the whole log takes no connection from those who work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashlink::LruCache;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::merkle::WIDTH;
use super::public::{ProofError, TileOf};
use crate::ports::store::StoreError;
use crate::ports::tree::{Hash, Tree};

/// How many reads of the tree go on at once.
const AT_ONCE: usize = 4;
/// The longest that one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many full tiles are remembered, of 8 KiB each.
const REMEMBERED: usize = 512;

/// Which tile, of which history: a database that had to be given up may have had others.
type Name = (u64, u8, u64);

pub(super) struct ServedTiles {
    tree: Arc<dyn Tree>,
    turns: Semaphore,
    full: Mutex<LruCache<Name, Arc<[Hash]>>>,
}

impl ServedTiles {
    pub(super) fn new(tree: Arc<dyn Tree>) -> Self {
        Self {
            tree,
            turns: Semaphore::new(AT_ONCE),
            full: Mutex::new(LruCache::new(REMEMBERED)),
        }
    }

    /// The right to read the tree once.
    ///
    /// # Errors
    /// [`ProofError::Busy`] when too many others read.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, ProofError> {
        match timeout(PATIENCE, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(ProofError::Busy),
        }
    }

    /// The hashes of a tile that the tree covers, in its history of this number.
    ///
    /// # Errors
    /// [`ProofError::Busy`], or [`ProofError::Store`]: an inconsistency when some are missing.
    pub(super) async fn hashes(
        &self,
        history: u64,
        level: u8,
        tile: TileOf,
    ) -> Result<Vec<Hash>, ProofError> {
        let (name, width) = ((history, level, tile.number), usize::from(tile.width));
        let known = self.full().get(&name).cloned();
        if let Some(hashes) = known.as_deref().and_then(|all| all.get(..width)) {
            return Ok(hashes.to_vec());
        }
        let hashes = {
            let _turn = self.turn().await?;
            let from = tile.number.saturating_mul(WIDTH);
            self.tree.hashes(level, from, u32::from(tile.width)).await?
        };
        if hashes.len() != width {
            let lacking = format!("the tile {} of level {level} is not whole", tile.number);
            return Err(StoreError::Inconsistent(lacking).into());
        }
        if u64::from(tile.width) == WIDTH {
            self.full().insert(name, hashes.clone().into());
        }
        Ok(hashes)
    }

    fn full(&self) -> MutexGuard<'_, LruCache<Name, Arc<[Hash]>>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
