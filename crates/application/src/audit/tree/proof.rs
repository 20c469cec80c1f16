//! Proofs as RFC 6962 has them: that a leaf is in a tree, and that one tree extends another.
//!
//! They are computed from full tiles and the edges of the level below, whatever the size asked for,
//! so a proof against a former tree costs no more than one against the newest.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::merkle::{HEIGHT, WIDTH, hashes_at, leaf_hash, node_hash, root_over};
use crate::ports::store::StoreError;
use crate::ports::tree::{Hash, Sealing, Tree};

/// Where hashes are read from.
#[async_trait]
pub trait Hashes: Send {
    /// Up to `count` hashes of a level, from this place on.
    async fn hashes(&mut self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError>;
}

#[async_trait]
impl Hashes for &dyn Tree {
    async fn hashes(&mut self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        Tree::hashes(*self, level, from, count).await
    }
}

#[async_trait]
impl Hashes for Box<dyn Sealing> {
    async fn hashes(&mut self, level: u8, from: u64, count: u32) -> Result<Vec<Hash>, StoreError> {
        self.as_mut().hashes(level, from, count).await
    }
}

/// Tiles of a tree of one size; each is read once.
pub struct Tiles<'a, H: ?Sized> {
    source: &'a mut H,
    size: u64,
    read: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl<'a, H: Hashes + ?Sized> Tiles<'a, H> {
    /// The tiles of a tree of this size.
    pub fn new(source: &'a mut H, size: u64) -> Self {
        Self {
            source,
            size,
            read: BTreeMap::new(),
        }
    }

    /// A tile, as wide as the tree's size makes it.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when the store has fewer hashes than the tree.
    pub async fn tile(&mut self, level: u8, number: u64) -> Result<&[Hash], StoreError> {
        if !self.read.contains_key(&(level, number)) {
            let from = number.saturating_mul(WIDTH);
            let width = hashes_at(level, self.size).saturating_sub(from).min(WIDTH);
            let count = u32::try_from(width).unwrap_or_default();
            let hashes = self.source.hashes(level, from, count).await?;
            if hashes.len() as u64 != width {
                return Err(missing(level, from + hashes.len() as u64));
            }
            self.read.insert((level, number), hashes);
        }
        Ok(self
            .read
            .get(&(level, number))
            .map(Vec::as_slice)
            .unwrap_or_default())
    }

    /// The root over the leaves from `from` up to `to`, where `from` is a multiple of a power of two
    /// that is no smaller than what is between them.
    async fn root(&mut self, from: u64, to: u64) -> Result<Hash, StoreError> {
        let mut pieces = Vec::new();
        let mut at = from;
        while at < to {
            let power = (to - at).ilog2();
            let (level, below) = (power / HEIGHT, power % HEIGHT);
            let place = at >> (HEIGHT * level);
            let level = u8::try_from(level).unwrap_or(u8::MAX);
            let tile = self.tile(level, place / WIDTH).await?;
            let start = usize::try_from(place % WIDTH).unwrap_or_default();
            let piece = tile
                .get(start..start + (1 << below))
                .ok_or_else(|| missing(level, place))?;
            pieces.push(root_over(piece));
            at += 1 << power;
        }
        let root = pieces
            .into_iter()
            .rev()
            .reduce(|right, left| node_hash(&left, &right));
        Ok(root.unwrap_or_else(|| root_over(&[])))
    }

    /// The root of the tree.
    ///
    /// # Errors
    /// As [`Tiles::tile`].
    pub async fn whole(&mut self) -> Result<Hash, StoreError> {
        self.root(0, self.size).await
    }

    /// The path from a leaf up to the root: the neighbours, the lowest first.
    ///
    /// # Errors
    /// As [`Tiles::tile`].
    pub async fn inclusion(&mut self, index: u64) -> Result<Vec<Hash>, StoreError> {
        let mut path = Vec::new();
        let (mut from, mut to) = (0, self.size);
        while to - from > 1 {
            let middle = from + (to - from).next_power_of_two() / 2;
            if index < middle {
                path.push(self.root(middle, to).await?);
                to = middle;
            } else {
                path.push(self.root(from, middle).await?);
                from = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// That the tree extends the one of `former` leaves, which it is no smaller than.
    ///
    /// # Errors
    /// As [`Tiles::tile`].
    pub async fn consistency(&mut self, former: u64) -> Result<Vec<Hash>, StoreError> {
        let mut proof = Vec::new();
        if former == 0 || former >= self.size {
            return Ok(proof);
        }
        let (mut from, mut to) = (0, self.size);
        // Whether the former tree is the left part of what is looked at, whole: its root is known.
        let mut is_known = true;
        while former != to {
            let middle = from + (to - from).next_power_of_two() / 2;
            if former <= middle {
                proof.push(self.root(middle, to).await?);
                to = middle;
            } else {
                proof.push(self.root(from, middle).await?);
                from = middle;
                is_known = false;
            }
        }
        if !is_known {
            proof.push(self.root(from, to).await?);
        }
        proof.reverse();
        Ok(proof)
    }
}

fn missing(level: u8, place: u64) -> StoreError {
    StoreError::Inconsistent(format!("the tree lacks its hash {place} of level {level}"))
}

/// Whether the path leads from this record, in this place, to this root (RFC 9162, 2.1.3.2).
#[must_use]
pub fn includes(record: &[u8], index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = leaf_hash(record);
    for neighbour in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(neighbour, &hash);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, neighbour);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the tree of `size` leaves extends the `former` one (RFC 9162,
/// 2.1.4.2).
#[must_use]
pub fn extends(former: (u64, &Hash), now: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((former_size, former_root), (size, root)) = (former, now);
    if former_size > size {
        return false;
    }
    if former_size == size {
        return proof.is_empty() && former_root == root;
    }
    if former_size == 0 {
        return proof.is_empty() && *former_root == root_over(&[]);
    }
    let (first, rest) = if former_size.is_power_of_two() {
        (former_root, proof)
    } else {
        match proof {
            [] => return false,
            [first, rest @ ..] => (first, rest),
        }
    };
    let (mut place, mut last) = (former_size - 1, size - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    let (mut of_former, mut of_now) = (*first, *first);
    for neighbour in rest {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            of_former = node_hash(neighbour, &of_former);
            of_now = node_hash(neighbour, &of_now);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            of_now = node_hash(&of_now, neighbour);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && of_former == *former_root && of_now == *root
}
