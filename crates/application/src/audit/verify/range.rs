//! A tree that grows at its right end, by leaves or by whole subtrees, and knows its root.
//!
//! It keeps one hash for each bit of its size, however large it is.

use crate::audit::tree::merkle::{HEIGHT, node_hash, root_over};
use crate::ports::tree::{Hash, Node};

/// The subtrees that a tree consists of, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrowingTree {
    size: u64,
    /// The height of each subtree with its root; heights fall.
    subtrees: Vec<(u32, Hash)>,
}

impl GrowingTree {
    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Puts a leaf at the end, and tells of each node of the tiles that is full by it.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Node)) {
        self.put(0, leaf, &mut full);
    }

    /// Puts a subtree of `2^height` leaves at the end, and says whether there is a place for one:
    /// the size must be a multiple of it.
    #[must_use]
    pub fn push_subtree(&mut self, height: u32, root: Hash) -> bool {
        let fits = height < u64::BITS
            && self.size.trailing_zeros() >= height
            && self.size.checked_add(1 << height).is_some();
        if fits {
            self.put(height, root, &mut |_| ());
        }
        fits
    }

    fn put(&mut self, height: u32, hash: Hash, full: &mut impl FnMut(Node)) {
        self.size += 1 << height;
        let (mut height, mut hash) = (height, hash);
        loop {
            if height > 0 && height.is_multiple_of(HEIGHT) {
                full(Node {
                    level: u8::try_from(height / HEIGHT).unwrap_or(u8::MAX),
                    place: (self.size >> height) - 1,
                    hash,
                });
            }
            match self.subtrees.last() {
                Some((beside, left)) if *beside == height => {
                    hash = node_hash(left, &hash);
                    height += 1;
                    self.subtrees.pop();
                }
                _ => break,
            }
        }
        self.subtrees.push((height, hash));
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let hashes = self.subtrees.iter().rev().map(|(_, hash)| *hash);
        hashes
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(|| root_over(&[]))
    }
}

/// The height of the largest subtree that begins at `from` and ends no later than `to`.
#[must_use]
pub const fn tallest(from: u64, to: u64) -> u32 {
    let fits = (to - from).ilog2();
    let aligned = from.trailing_zeros();
    if aligned < fits { aligned } else { fits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tree::merkle::{Frontier, leaf_hash};

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// Roots and nodes are those that the sealer computes in another way.
    #[test]
    fn it_agrees_with_the_sealers_tree() {
        let (mut tree, mut frontier) = (GrowingTree::default(), Frontier::default());
        assert_eq!(tree.root(), frontier.root());
        let (mut nodes, mut expected) = (Vec::new(), Vec::new());
        for leaf in leaves(66_000) {
            tree.push(leaf, |node| nodes.push(node));
            frontier.push(leaf, &mut expected);
            if tree.size() < 1_100 || tree.size() % 997 == 0 {
                assert_eq!(tree.root(), frontier.root(), "{} leaves", tree.size());
            }
        }
        assert_eq!(nodes, expected);
        assert_eq!(nodes.len(), 66_000 / 256 + 1);
    }

    /// However a tree is cut into subtrees, its root is the same.
    #[test]
    fn subtrees_stand_for_their_leaves() {
        let all = leaves(300);
        for (from, to) in [
            (0, 300),
            (1, 2),
            (1, 299),
            (7, 256),
            (128, 300),
            (5, 6),
            (0, 1),
        ] {
            let mut tree = GrowingTree::default();
            for leaf in &all[..from] {
                tree.push(*leaf, |_| ());
            }
            let (mut at, end) = (from as u64, to as u64);
            while at < end {
                let height = tallest(at, end);
                let next = at + (1 << height);
                let part = &all[usize::try_from(at).unwrap()..usize::try_from(next).unwrap()];
                assert!(tree.push_subtree(height, root_over(part)));
                at = next;
            }
            for leaf in &all[to..] {
                tree.push(*leaf, |_| ());
            }
            assert_eq!(tree.root(), root_over(&all), "{from} to {to}");
        }
    }

    #[test]
    fn a_subtree_has_its_place() {
        let mut tree = GrowingTree::default();
        tree.push([1; 32], |_| ());
        assert!(!tree.push_subtree(1, [2; 32]), "it would begin at 1");
        assert!(!tree.push_subtree(64, [2; 32]), "it would not end");
        assert_eq!(tree.size(), 1);
        assert!(tree.push_subtree(0, [2; 32]));
        assert!(tree.push_subtree(1, [3; 32]));
        assert_eq!(tree.size(), 4);
    }
}
