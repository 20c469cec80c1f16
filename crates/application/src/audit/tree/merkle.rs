//! The hashes of RFC 6962, and the right edge of a growing tree.

use sha2::{Digest, Sha256};

use crate::ports::tree::{Hash, Node};

/// How many neighbours one node of the next level stands for: the width of a tile.
pub const WIDTH: u64 = 256;
/// How many binary levels lie between two levels of tiles.
pub const HEIGHT: u32 = 8;

/// The hash of a leaf's record.
#[must_use]
pub fn leaf_hash(record: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(record)
        .finalize()
        .into()
}

/// The hash of a node over two others.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root over neighbours, of which only the last may stand for fewer leaves than the others; of
/// none, that of the empty tree.
#[must_use]
pub fn root_over(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Sha256::digest([]).into(),
        [only] => *only,
        several => {
            // The largest power of two below it.
            let (left, right) = several.split_at(several.len().next_power_of_two() / 2);
            node_hash(&root_over(left), &root_over(right))
        }
    }
}

/// How many hashes a level has in a tree of this size.
#[must_use]
pub fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(HEIGHT * u32::from(level))
        .unwrap_or_default()
}

/// The right edge of a tree: all that is needed to let it grow and to know its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// By level, the hashes that are not yet under a node of the next level: fewer than [`WIDTH`].
    levels: Vec<Vec<Hash>>,
}

impl Frontier {
    /// The edge of a tree of this size; `levels` are, by level, the hashes beyond the last full
    /// tile. `None` when they are not as many as the size says.
    #[must_use]
    pub fn of(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = (0_u8..)
            .zip(&levels)
            .all(|(level, hashes)| hashes.len() as u64 == hashes_at(level, size) % WIDTH);
        let reaches = u8::try_from(levels.len()).is_ok_and(|above| hashes_at(above, size) == 0);
        (fits && reaches).then_some(Self { size, levels })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Puts a leaf at the end, and gives the nodes that are full by it to `nodes`.
    pub fn push(&mut self, leaf: Hash, nodes: &mut Vec<Node>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u8.. {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::with_capacity(1));
            }
            let edge = &mut self.levels[at];
            edge.push(hash);
            if (edge.len() as u64) < WIDTH {
                return;
            }
            hash = root_over(edge);
            edge.clear();
            nodes.push(Node {
                level: level + 1,
                place: hashes_at(level + 1, self.size) - 1,
                hash,
            });
        }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let below = None::<Hash>;
        let root = self.levels.iter().fold(below, |below, edge| {
            let mut edge = edge.clone();
            edge.extend(below);
            (!edge.is_empty()).then(|| root_over(&edge))
        });
        root.unwrap_or_else(|| root_over(&[]))
    }
}
