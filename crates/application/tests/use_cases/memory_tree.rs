//! A tree in memory that can be put back, altered and made to fail, and a folder beside it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::time::{Duration, Instant, sleep};
use tranche_application::audit::tree::keeper::Keeper;
use tranche_application::audit::tree::note::LogKey;
use tranche_application::audit::tree::sealer::Sealer;
use tranche_application::ports::kept::{KeepError, KeptCheckpoints};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{
    Checkpoint, Hash, Leaf, LeafRecord, Look, Node, Sealing, Tree,
};
use uuid::Uuid;

use super::stage::{Answer, Stage};

/// What a database holds of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// By the ids of their events.
    pub waiting: Vec<(Uuid, Hash)>,
    pub leaves: Vec<Hash>,
    pub nodes: BTreeMap<(u8, u64), Hash>,
    pub checkpoint: Option<Checkpoint>,
}

impl Rows {
    fn hashes(&self, level: u8, from: u64, count: u32) -> Vec<Hash> {
        (from..from + u64::from(count))
            .map_while(|place| match level {
                0 => self.leaves.get(usize::try_from(place).unwrap()).copied(),
                _ => self.nodes.get(&(level, place)).copied(),
            })
            .collect()
    }
}

/// A database.
#[derive(Default)]
pub struct MemoryTree {
    pub rows: Mutex<Rows>,
    /// What it answers to the next turns instead of beginning them; `None`: another process has it.
    pub answers: Mutex<VecDeque<Answer<Option<()>>>>,
    /// When turns were begun, and how many leaves they asked for.
    pub turns: Mutex<Vec<(Instant, Option<u32>)>>,
    /// How long a look at all that waits takes.
    pub look: Mutex<Duration>,
    /// How long every look waits for a connection before.
    pub turn: Mutex<Duration>,
    /// Whether it says nothing any more.
    pub hangs: bool,
    /// How often hashes were asked for outside of turns; these are never answered while `silent`.
    pub reads: AtomicUsize,
    pub silent: AtomicBool,
}

impl MemoryTree {
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    /// So many leaves wait, others for another `kind`.
    pub fn append(&self, count: usize, kind: u8) {
        self.append_under(Uuid::nil(), count, kind);
    }

    /// As [`MemoryTree::append`], each for an event of this id.
    pub fn append_under(&self, id: Uuid, count: usize, kind: u8) {
        let mut rows = self.rows();
        let first = rows.leaves.len() + rows.waiting.len();
        for number in first..first + count {
            let mut hash = [kind; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            rows.waiting.push((id, hash));
        }
    }
}

struct Turn {
    database: Arc<MemoryTree>,
    rows: Rows,
}

/// The port, over a database that others share.
pub struct Shared(pub Arc<MemoryTree>);

#[async_trait]
impl Tree for Shared {
    async fn look(&self, from: Uuid) -> Result<Look, StoreError> {
        let turn = *self.0.turn.lock().unwrap();
        sleep(turn).await;
        let began = Instant::now();
        if from.is_nil() {
            let look = *self.0.look.lock().unwrap();
            sleep(look).await;
        }
        let is_waiting = self.0.rows().waiting.iter().any(|(id, _)| *id >= from);
        Ok(Look {
            is_waiting: is_waiting || !self.0.answers.lock().unwrap().is_empty(),
            took: began.elapsed(),
        })
    }

    async fn waiting(&self, _: u32) -> Result<u64, StoreError> {
        Ok(self.0.rows().waiting.len() as u64)
    }

    async fn begin_sealing(&self) -> Result<Option<Box<dyn Sealing>>, StoreError> {
        self.0.turns.lock().unwrap().push((Instant::now(), None));
        if self.0.hangs {
            std::future::pending::<()>().await;
        }
        let answer = self.0.answers.lock().unwrap().pop_front();
        if answer.unwrap_or(Ok(Some(())))?.is_none() {
            return Ok(None);
        }
        let rows = self.0.rows().clone();
        let database = self.0.clone();
        Ok(Some(Box::new(Turn { database, rows })))
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.0.rows().checkpoint.clone())
    }

    async fn hashes(&self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        if self.0.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(self.0.rows().hashes(level, from, count))
    }

    async fn leaves(&self, _: u64, _: u32) -> Result<Vec<Leaf>, StoreError> {
        Ok(Vec::new())
    }

    async fn records(&self, _: u64, _: u32) -> Result<Vec<LeafRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn leaf_of(&self, _: Uuid) -> Result<Option<Leaf>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl Sealing for Turn {
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.rows.checkpoint.clone())
    }

    async fn hashes(&mut self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        Ok(self.rows.hashes(level, from, count))
    }

    async fn number(&mut self, from: Uuid, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let mut turns = self.database.turns.lock().unwrap();
        turns.last_mut().unwrap().1 = Some(limit);
        let mut left = usize::try_from(limit).unwrap();
        let mut leaves = Vec::new();
        let (waiting, placed) = (&mut self.rows.waiting, &mut self.rows.leaves);
        waiting.retain(|(event_id, hash)| {
            let is_taken = *event_id >= from && left > 0;
            if is_taken {
                left -= 1;
                leaves.push(Leaf {
                    index: placed.len() as u64,
                    event_id: *event_id,
                    hash: *hash,
                });
                placed.push(*hash);
            }
            !is_taken
        });
        Ok(leaves)
    }

    async fn keep(&mut self, nodes: &[Node], checkpoint: &Checkpoint) -> Result<(), StoreError> {
        for node in nodes {
            let former = self.rows.nodes.insert((node.level, node.place), node.hash);
            assert_eq!(former, None, "a node is kept once");
        }
        self.rows.checkpoint = Some(checkpoint.clone());
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        *self.database.rows() = self.rows;
        Ok(())
    }
}

/// A folder; `full` while it takes nothing.
#[derive(Default)]
pub struct Folder {
    pub note: Mutex<Option<String>>,
    pub is_full: Mutex<bool>,
    pub is_gone: Mutex<bool>,
}

fn failed(why: &str) -> KeepError {
    KeepError {
        place: "the folder".to_owned(),
        why: why.to_owned(),
    }
}

/// The port, over a folder that others share.
pub struct Disk(pub Arc<Folder>);

#[async_trait]
impl KeptCheckpoints for Disk {
    async fn newest(&self) -> Result<Option<String>, KeepError> {
        if *self.0.is_gone.lock().unwrap() {
            return Err(failed("it cannot be read"));
        }
        Ok(self.0.note.lock().unwrap().clone())
    }

    async fn keep(&self, checkpoint: &Checkpoint) -> Result<(), KeepError> {
        if *self.0.is_full.lock().unwrap() {
            return Err(failed("no space"));
        }
        *self.0.note.lock().unwrap() = Some(checkpoint.note.clone());
        Ok(())
    }

    async fn set_aside(&self) -> Result<Option<String>, KeepError> {
        Ok(self.0.note.lock().unwrap().take())
    }
}

/// The log's key, or another one.
pub fn key(secret: u8) -> LogKey {
    LogKey::new(&[secret; 32].into(), None)
}

/// A process that has just started on this database with this folder.
pub fn start(
    stage: &mut Stage,
    database: &Arc<MemoryTree>,
    folder: &Arc<Folder>,
) -> (Sealer, Keeper) {
    let tree: Arc<dyn Tree> = Arc::new(Shared(database.clone()));
    let disk = Arc::new(Disk(folder.clone()));
    let services = stage.services();
    let keeper = Keeper::new(services.clone(), tree.clone(), disk, key(1));
    (Sealer::new(services, tree, keeper.clone()), keeper)
}
