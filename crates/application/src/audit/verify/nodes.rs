//! The hashes above the leaves, read beside the tree that grows.

use std::collections::{BTreeMap, VecDeque};

use super::Course;
use super::finding::{Finding, Kind};
use super::rows::short;
use crate::audit::tree::merkle::{HEIGHT, hashes_at};
use crate::ports::store::StoreError;
use crate::ports::tree::Node;
use crate::ports::verification::Snapshot;

/// How many are read at a time.
const PAGE: u32 = 1_000;

/// What is kept, level by level.
pub(super) struct Nodes<'a> {
    snapshot: &'a dyn Snapshot,
    levels: BTreeMap<u8, VecDeque<Node>>,
}

impl<'a> Nodes<'a> {
    pub(super) const fn new(snapshot: &'a dyn Snapshot) -> Self {
        Self {
            snapshot,
            levels: BTreeMap::new(),
        }
    }

    /// Holds a node that the leaves give against the one kept. They come by level in order.
    pub(super) async fn compare(&mut self, node: Node, course: &Course) -> Result<(), StoreError> {
        let page = self.levels.entry(node.level).or_default();
        if page.is_empty() {
            let read = self.snapshot.nodes(node.level, node.place, PAGE).await?;
            page.extend(read);
        }
        let (kind, what) = match page.front() {
            Some(kept) if kept.place == node.place => {
                let kept = page.pop_front().map(|kept| kept.hash).unwrap_or_default();
                if kept == node.hash {
                    return Ok(());
                }
                let (kept, given) = (short(&kept), short(&node.hash));
                let what = format!("the hash over these leaves is {given}, and {kept} is kept");
                (Kind::NodeAltered, what)
            }
            _ => {
                let what = format!(
                    "the hash over these leaves (level {}) is missing",
                    node.level
                );
                (Kind::NodeMissing, what)
            }
        };
        let under = HEIGHT * u32::from(node.level);
        let leaves = node.place << under..(node.place + 1) << under;
        course.found(Finding::new(kind, what).between(leaves)).await;
        Ok(())
    }

    /// What is kept beyond a tree of this size.
    pub(super) async fn excess(&self, size: u64, course: &Course) -> Result<(), StoreError> {
        for level in 1..=u8::try_from(u64::BITS / HEIGHT).unwrap_or(u8::MAX) {
            let first = hashes_at(level, size);
            if !self.snapshot.nodes(level, first, 1).await?.is_empty() {
                let what = format!(
                    "hashes of level {level} are kept from place {first} on, above leaves that \
                     there are not"
                );
                course.found(Finding::new(Kind::NodeExcess, what)).await;
            }
        }
        Ok(())
    }
}
