//! Writes a proven copy: events in the order of the log, and between them what stands for the others.
//!
//! The log's size is fixed when the copy begins, so that it is whole however long it takes.

use serde::Serialize;

use super::proven_line::{Aside, Between, End, EventLine};
use super::{ExportError, Exports, Out, PAGE, Request};
use crate::audit::record::LoggedEvent;
use crate::audit::tree::merkle::{HEIGHT, WIDTH, root_over};
use crate::audit::verify::tallest;
use crate::ports::audit_search::Scope;
use crate::ports::store::StoreError;
use crate::ports::tree::{Checkpoint, Hash, Tree};

/// How many bytes are written before they are handed on.
const PIECE: usize = 256 * 1024;

pub(super) async fn write(
    exports: &Exports,
    request: &Request,
    checkpoint: &Checkpoint,
    key: &str,
    out: &mut Out,
) -> Result<(), ExportError> {
    let scope = Scope::from(request.caller.scope);
    let mut lines = Lines {
        at: 0,
        size: checkpoint.size,
        subtrees: Subtrees::new(exports.tree.as_ref()),
        bytes: Vec::new(),
    };
    let mut from = 0_i64;
    while u64::try_from(from).is_ok_and(|from| from < checkpoint.size) {
        let page = exports
            .search
            .in_order(from, &request.filter, scope, PAGE)
            .await?;
        if page.next <= from {
            break;
        }
        from = page.next;
        for logged in page.events {
            if lines.event(logged).await? {
                out.rows += 1;
            }
            if lines.bytes.len() >= PIECE {
                out.piece(std::mem::take(&mut lines.bytes)).await?;
            }
        }
    }
    lines.between(checkpoint.size).await?;
    lines.line(&Aside::End(End {
        events: out.rows,
        size: checkpoint.size,
        filter: request.described.clone(),
        checkpoint: checkpoint.note.clone(),
        verifier_key: key.to_owned(),
    }))?;
    out.piece(lines.bytes).await
}

struct Lines<'a> {
    /// The first leaf that nothing stands for yet.
    at: u64,
    size: u64,
    subtrees: Subtrees<'a>,
    bytes: Vec<u8>,
}

impl Lines<'_> {
    /// Writes an event, and what is between it and the one before. One that came after the
    /// checkpoint is not in the copy.
    async fn event(&mut self, logged: LoggedEvent) -> Result<bool, ExportError> {
        let index = logged
            .leaf_index
            .and_then(|index| u64::try_from(index).ok());
        let (Some(index), Some(recorded_at)) = (index, logged.recorded_at) else {
            return Err(out_of_order(&logged));
        };
        if index >= self.size {
            return Ok(false);
        }
        if index < self.at {
            return Err(out_of_order(&logged));
        }
        self.between(index).await?;
        let leaf = logged.event.leaf_hash(recorded_at);
        let leaf = leaf.map_err(|error| ExportError::Unwritable(Box::new(error)))?;
        self.line(&EventLine {
            leaf_index: index,
            leaf_hash: hex::encode(leaf),
            recorded_at,
            event: logged.event,
        })?;
        self.at = index + 1;
        Ok(true)
    }

    /// Writes what stands for the leaves up to this one.
    async fn between(&mut self, to: u64) -> Result<(), ExportError> {
        let from = self.at;
        let mut hashes = Vec::new();
        while self.at < to {
            let height = tallest(self.at, to);
            hashes.push(hex::encode(self.subtrees.root(self.at, height).await?));
            self.at += 1 << height;
        }
        if from < to {
            self.line(&Aside::Between(Between { from, to, hashes }))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), ExportError> {
        serde_json::to_writer(&mut self.bytes, line)
            .map_err(|error| ExportError::Unwritable(Box::new(error)))?;
        self.bytes.push(b'\n');
        Ok(())
    }
}

fn out_of_order(logged: &LoggedEvent) -> ExportError {
    let what = format!(
        "event {} is not in the order of the log (leaf {:?})",
        logged.event.id, logged.leaf_index
    );
    ExportError::Store(StoreError::Inconsistent(what))
}

/// Roots of subtrees, asked for from left to right: of each level, one tile is held.
struct Subtrees<'a> {
    tree: &'a dyn Tree,
    tiles: Vec<Option<(u64, Vec<Hash>)>>,
}

impl<'a> Subtrees<'a> {
    fn new(tree: &'a dyn Tree) -> Self {
        let levels = usize::try_from(u64::BITS / HEIGHT).unwrap_or_default();
        Self {
            tree,
            tiles: vec![None; levels],
        }
    }

    /// The root over `2^height` leaves from a multiple of as many on.
    async fn root(&mut self, from: u64, height: u32) -> Result<Hash, StoreError> {
        let (level, within) = (height / HEIGHT, height % HEIGHT);
        let place = from >> (HEIGHT * level);
        let (tile, start) = (place / WIDTH, place % WIDTH);
        let missing = || {
            StoreError::Inconsistent(format!("the tree lacks its hash {place} of level {level}"))
        };
        let held = usize::try_from(level)
            .ok()
            .and_then(|level| self.tiles.get_mut(level));
        let held = held.ok_or_else(missing)?;
        let hashes = match held {
            Some((number, hashes)) if *number == tile => hashes,
            _ => {
                let level = u8::try_from(level).map_err(|_| missing())?;
                let width = u32::try_from(WIDTH).unwrap_or(u32::MAX);
                let read = self.tree.hashes(level, tile * WIDTH, width).await?;
                &mut held.insert((tile, read)).1
            }
        };
        let start = usize::try_from(start).unwrap_or_default();
        let part = hashes
            .get(start..start + (1 << within))
            .ok_or_else(missing)?;
        Ok(root_over(part))
    }
}
