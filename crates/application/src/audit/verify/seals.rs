//! The tree over the leaves against its kept hashes and against every checkpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Course;
use super::checkpoints::{Source, Statement, Statements};
use super::cursor::Cursor;
use super::finding::{Finding, Kind};
use super::nodes::Nodes;
use super::range::GrowingTree;
use super::rows::{index, short};
use crate::ports::store::StoreError;
use crate::ports::tree::Hash;
use crate::ports::verification::Snapshot;

/// What the tree came to.
#[derive(Debug, Default)]
pub(super) struct Seals {
    pub leaves: u64,
    pub checkpoints: u64,
    /// The largest tree that a checkpoint states, of those that are right.
    pub newest: Option<(u64, Hash)>,
}

/// Verifies leaves, nodes and checkpoints.
pub(super) async fn verify(
    snapshot: Arc<dyn Snapshot>,
    mut statements: Statements,
    course: Course,
) -> Result<Seals, StoreError> {
    let reader = snapshot.clone();
    let mut leaves = Cursor::over(|into| async move { reader.leaves(into).await });
    let mut growing = Growing {
        tree: GrowingTree::default(),
        nodes: Nodes::new(snapshot.as_ref()),
        agreed: Agreed::default(),
        course: &course,
    };
    growing.hold(&mut statements).await?;
    let (mut next, mut is_whole) = (0, true);
    while let Some(leaf) = leaves.next().await? {
        course.progress.leaves.fetch_add(1, Relaxed);
        let at = index(&leaf.place).filter(|at| *at >= next);
        let Some(at) = at else {
            let what = format!("a leaf has no place of its own: {:?}", leaf.place);
            course
                .found(Finding::new(Kind::LeafMalformed, what).of(leaf.event_id))
                .await;
            continue;
        };
        if at > next {
            is_whole = false;
            let what = "these leaves are missing: what follows them cannot be held against the \
                checkpoints";
            course
                .found(Finding::new(Kind::LeafGap, what).between(next..at))
                .await;
        }
        next = at + 1;
        match leaf.hash {
            Some(hash) if is_whole => growing.push(hash, &mut statements).await?,
            Some(_) => {}
            None => {
                is_whole = false;
                let what = "what is kept as a leaf is no hash: what follows it cannot be held \
                    against the checkpoints";
                let finding = Finding::new(Kind::LeafMalformed, what).of(leaf.event_id);
                course.found(finding.at(Some(at))).await;
            }
        }
    }
    if is_whole {
        growing.nodes.excess(growing.tree.size(), &course).await?;
    }
    let newest = growing.agreed.newest;
    while let Some(statement) = statements.next(&course).await? {
        if statement.size > next {
            course.found(beyond(&statement, next)).await;
        }
    }
    let unsigned = match statements.newest_in_database() {
        Some(signed) if signed < next => Some((signed, "these leaves are under no checkpoint")),
        None if next > 0 => Some((0, "nothing was ever signed: the leaves prove nothing")),
        _ => None,
    };
    if let Some((from, what)) = unsigned {
        course
            .found(Finding::new(Kind::CheckpointMissing, what).between(from..next))
            .await;
    }
    Ok(Seals {
        leaves: next,
        checkpoints: statements.read(),
        newest,
    })
}

struct Growing<'a> {
    tree: GrowingTree,
    nodes: Nodes<'a>,
    agreed: Agreed,
    course: &'a Course,
}

impl Growing<'_> {
    async fn push(&mut self, leaf: Hash, statements: &mut Statements) -> Result<(), StoreError> {
        let mut full = Vec::new();
        self.tree.push(leaf, |node| full.push(node));
        for node in full {
            self.nodes.compare(node, self.course).await?;
        }
        self.hold(statements).await
    }

    /// Holds the tree against what is stated of its size.
    async fn hold(&mut self, statements: &mut Statements) -> Result<(), StoreError> {
        while let Some(statement) = statements.next_of(self.tree.size(), self.course).await? {
            if let Some(finding) = self.agreed.hear(&statement, &self.tree.root()) {
                self.course.found(finding).await;
            }
        }
        Ok(())
    }
}

/// Up to where checkpoints and leaves agree.
#[derive(Debug, Default)]
struct Agreed {
    newest: Option<(u64, Hash)>,
    /// The largest tree that leaves and any checkpoint agree on.
    any: u64,
    /// As much, by what was kept outside alone.
    kept: u64,
    /// Whether it was told that they differ.
    told: bool,
    told_kept: bool,
}

impl Agreed {
    /// Once something before a checkpoint was altered, every later one differs: only the first is
    /// told. Who can forge the database's may not forge what was kept outside, so that counts alone.
    fn hear(&mut self, statement: &Statement, root: &Hash) -> Option<Finding> {
        let is_kept = matches!(statement.source, Source::Kept(_));
        let (from, told) = if is_kept {
            (self.kept, &mut self.told_kept)
        } else {
            (self.any, &mut self.told)
        };
        if statement.root == *root {
            self.newest = Some((statement.size, *root));
            self.any = statement.size;
            if is_kept {
                self.kept = statement.size;
            }
            return None;
        }
        if std::mem::replace(told, true) {
            return None;
        }
        let what = format!(
            "{} states the root {}, and the leaves give {}: something among these leaves was \
             altered after it was signed",
            statement.source,
            short(&statement.root),
            short(root)
        );
        let finding = Finding::new(Kind::CheckpointDiffers, what);
        Some(finding.between(from..statement.size))
    }
}

fn beyond(statement: &Statement, leaves: u64) -> Finding {
    let what = format!(
        "{} states {} leaves, and there are {leaves}: the end was cut off, or the store is an older \
         copy of itself",
        statement.source, statement.size
    );
    Finding::new(Kind::CheckpointBeyond, what).between(leaves..statement.size)
}
