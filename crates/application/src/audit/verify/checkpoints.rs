//! What was ever stated of the tree, by size: in the database, and in what was kept outside it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::Course;
use super::finding::{Finding, Kind};
use super::key::VerifierKey;
use crate::audit::tree::note::NoteError;
use crate::ports::store::StoreError;
use crate::ports::tree::{Checkpoint, Hash};
use crate::ports::verification::Snapshot;

/// How many are read at a time.
const PAGE: u32 = 1_000;

/// Where a statement is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Database,
    /// The name of the copy.
    Kept(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => f.write_str("a checkpoint of the database"),
            Self::Kept(name) => write!(f, "the checkpoint kept in {name}"),
        }
    }
}

/// A signed statement of what the tree was.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub size: u64,
    pub root: Hash,
    pub source: Source,
}

/// A checkpoint that was kept outside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// Where it is kept.
    pub name: String,
    /// Its note.
    pub note: String,
}

/// Reads statements by size. Those that are not the key's are told as they are met, and left out.
pub(super) struct Statements {
    snapshot: Arc<dyn Snapshot>,
    key: VerifierKey,
    page: VecDeque<Checkpoint>,
    next_page: Option<u64>,
    kept: VecDeque<Statement>,
    read: u64,
    newest_in_database: Option<u64>,
}

impl Statements {
    pub(super) async fn new(
        snapshot: Arc<dyn Snapshot>,
        key: VerifierKey,
        kept: Vec<KeptCheckpoint>,
        course: &Course,
    ) -> Self {
        let mut statements = Vec::with_capacity(kept.len());
        for copy in kept {
            let source = Source::Kept(copy.name);
            match key.open(&copy.note) {
                Ok((size, root)) => statements.push(Statement { size, root, source }),
                Err(why) => course.found(not_ours(&source, None, why)).await,
            }
        }
        statements.sort_by_key(|statement| statement.size);
        Self {
            snapshot,
            key,
            page: VecDeque::new(),
            next_page: Some(0),
            read: statements.len() as u64,
            kept: statements.into(),
            newest_in_database: None,
        }
    }

    /// How many there were.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// How many leaves the newest of the database states, of those read so far.
    pub(super) const fn newest_in_database(&self) -> Option<u64> {
        self.newest_in_database
    }

    /// The next statement if it is of a tree of this size.
    pub(super) async fn next_of(
        &mut self,
        size: u64,
        course: &Course,
    ) -> Result<Option<Statement>, StoreError> {
        while self.fill().await?.is_some_and(|next| next <= size) {
            if let Some(statement) = self.take(course).await {
                return Ok(Some(statement));
            }
        }
        Ok(None)
    }

    /// The next statement.
    pub(super) async fn next(&mut self, course: &Course) -> Result<Option<Statement>, StoreError> {
        self.next_of(u64::MAX, course).await
    }

    /// The size of the next statement.
    async fn fill(&mut self) -> Result<Option<u64>, StoreError> {
        if self.page.is_empty()
            && let Some(from) = self.next_page
        {
            let page = self.snapshot.checkpoints(from, PAGE).await?;
            self.next_page = page.last().map(|last| last.size + 1);
            self.page = page.into();
        }
        let in_database = self.page.front().map(|checkpoint| checkpoint.size);
        let kept = self.kept.front().map(|statement| statement.size);
        Ok(in_database.into_iter().chain(kept).min())
    }

    /// The next statement, unless it is not the key's.
    async fn take(&mut self, course: &Course) -> Option<Statement> {
        let in_database = self.page.front().map(|checkpoint| checkpoint.size);
        let kept = self.kept.front().map(|statement| statement.size);
        if in_database.is_none_or(|size| kept.is_some_and(|kept| kept <= size)) {
            return self.kept.pop_front();
        }
        let checkpoint = self.page.pop_front()?;
        self.read += 1;
        self.newest_in_database = Some(checkpoint.size);
        match self.key.open(&checkpoint.note) {
            Ok(stated) if stated == (checkpoint.size, checkpoint.root) => Some(Statement {
                size: checkpoint.size,
                root: checkpoint.root,
                source: Source::Database,
            }),
            Ok((size, _)) => {
                let what = format!(
                    "the row of the checkpoint of {} leaves says something else than its note, \
                     which is of {size}",
                    checkpoint.size
                );
                course
                    .found(Finding::new(Kind::CheckpointMalformed, what))
                    .await;
                None
            }
            Err(why) => {
                let finding = not_ours(&Source::Database, Some(checkpoint.size), why);
                course.found(finding).await;
                None
            }
        }
    }
}

fn not_ours(source: &Source, size: Option<u64>, why: NoteError) -> Finding {
    let kind = match why {
        NoteError::Malformed => Kind::CheckpointMalformed,
        NoteError::NotSigned => Kind::CheckpointNotSigned,
    };
    let of = size
        .map(|size| format!(" of {size} leaves"))
        .unwrap_or_default();
    Finding::new(kind, format!("{source}{of}: {why}"))
}
