//! Verifies a proven copy of the log, line by line, with nothing but the copy and the log's key.

use std::borrow::Cow;

use tranche_domain::Action;

use super::finding::{Finding, Kind};
use super::key::VerifierKey;
use super::range::{GrowingTree, tallest};
use super::rows::short;
use crate::audit::export::proven_line::{Aside, Between, End, EventLine};
use crate::audit::retention::announced::Announced;
use crate::audit::tree::note::NoteError;
use crate::ports::tree::Hash;

/// What a verified copy came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCopy {
    /// Events in the copy.
    pub events: u64,
    /// Leaves that are not in the copy, and stand by their hashes alone.
    pub others: u64,
    /// What was asked for when it was made, as it says itself.
    pub filter: String,
    /// Size and root that the checkpoint states, if the key signed it.
    pub stated: Option<(u64, Hash)>,
    /// The key that the copy itself brings along.
    pub embedded_key: Option<String>,
    /// Whether it was judged by a key from elsewhere.
    pub is_pinned: bool,
    /// The announcement that [`CopyReader::looking_for`] was to find, if it is there.
    pub announced: Option<Announced>,
}

/// Reads a copy. Give it every line, then [`CopyReader::end`].
pub struct CopyReader {
    pinned: Option<VerifierKey>,
    tree: GrowingTree,
    /// The first leaf that nothing stood for, if a line was missing: no root can be known then.
    broken: Option<u64>,
    line: u64,
    events: u64,
    sought: Option<Hash>,
    announced: Option<Announced>,
    end: Option<End>,
}

impl CopyReader {
    /// A reader that judges by this key, or by the one in the copy.
    #[must_use]
    pub fn new(pinned: Option<VerifierKey>) -> Self {
        Self {
            pinned,
            tree: GrowingTree::default(),
            broken: None,
            line: 0,
            events: 0,
            sought: None,
            announced: None,
            end: None,
        }
    }

    /// Looks for the event that says of the file with this SHA-256 that expired events are in it.
    #[must_use]
    pub const fn looking_for(mut self, sha256: Hash) -> Self {
        self.sought = Some(sha256);
        self
    }

    /// How many events were read.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Reads the next line, without its end, and tells what is wrong with it.
    pub fn line(&mut self, line: &[u8]) -> Vec<Finding> {
        self.line += 1;
        if self.end.is_some() {
            let what = format!("line {} comes after the end", self.line);
            return vec![Finding::new(Kind::LineMisplaced, what)];
        }
        if line.starts_with(br#"{"leaf_index":"#) {
            return self.event(line);
        }
        match serde_json::from_slice::<Aside>(line) {
            Ok(aside) if serde_json::to_vec(&aside).is_ok_and(|again| again == line) => match aside
            {
                Aside::Between(between) => self.between(&between),
                Aside::End(end) => {
                    self.end = Some(end);
                    Vec::new()
                }
            },
            Ok(_) => vec![self.malformed(NOT_AS_WRITTEN)],
            Err(error) => vec![self.malformed(error.to_string())],
        }
    }

    fn malformed(&self, what: impl Into<Cow<'static, str>>) -> Finding {
        let what = format!("line {}: {}", self.line, what.into());
        Finding::new(Kind::LineMalformed, what)
    }

    fn event(&mut self, line: &[u8]) -> Vec<Finding> {
        let read: EventLine = match serde_json::from_slice(line) {
            Ok(read) => read,
            Err(error) => return vec![self.malformed(error.to_string())],
        };
        let (id, index) = (read.event.id, read.leaf_index);
        let named = |finding: Finding| finding.of(id).at(Some(index));
        self.events += 1;
        let mut findings = Vec::new();
        // What another program might read otherwise, such as a name that comes twice.
        if !serde_json::to_vec(&read).is_ok_and(|again| again == line) {
            findings.push(named(self.malformed(NOT_AS_WRITTEN)));
        }
        findings.extend(self.reach(index).map(named));
        if self.sought.is_some() && read.event.action == Action::RetentionExpiring.as_str() {
            self.announce(read.event.resource_id.as_deref());
        }
        match read.event.leaf_hash(read.recorded_at) {
            Ok(leaf) => {
                if hex::encode(leaf) != read.leaf_hash {
                    let what = format!(
                        "line {}: its columns give another leaf, {}",
                        self.line,
                        short(&leaf)
                    );
                    findings.push(named(Finding::new(Kind::RowAltered, what)));
                }
                if self.tree.size() == index {
                    self.tree.push(leaf, |_| ());
                }
            }
            Err(error) => findings.push(named(self.malformed(error.to_string()))),
        }
        findings
    }

    fn announce(&mut self, part: Option<&str>) {
        let part = part.and_then(|part| part.parse::<Announced>().ok());
        if let Some(part) = part.filter(|part| part.sha256 == self.sought) {
            self.announced = Some(part);
        }
    }

    /// Whether everything before this place was there. Said once for each gap.
    fn reach(&mut self, index: u64) -> Option<Finding> {
        let expected = self.broken.unwrap_or_else(|| self.tree.size());
        if self.broken.is_some() || index != expected {
            self.broken = Some(index.saturating_add(1));
        }
        if index == expected {
            return None;
        }
        let what = if index > expected {
            format!(
                "line {} is of leaf {index}, and leaf {expected} is next: lines are missing",
                self.line
            )
        } else {
            format!(
                "line {} is of leaf {index}, and leaf {expected} is next: lines change places or \
                 come twice",
                self.line
            )
        };
        Some(Finding::new(Kind::LineMisplaced, what))
    }

    fn between(&mut self, between: &Between) -> Vec<Finding> {
        let Between { from, to, hashes } = between;
        if from >= to {
            return vec![self.malformed("it stands for no leaves")];
        }
        let mut findings: Vec<Finding> = self.reach(*from).into_iter().collect();
        let mut at = *from;
        let mut hashes = hashes.iter();
        while at < *to {
            let height = tallest(at, *to);
            let mut hash = Hash::default();
            let is_hash = hashes.next().is_some_and(|text| {
                hex::decode_to_slice(text, &mut hash).is_ok() && hex::encode(hash) == *text
            });
            if !is_hash {
                findings.push(self.malformed("a hash is missing, or is none"));
                break;
            }
            if self.broken.is_none() && !self.tree.push_subtree(height, hash) {
                findings.push(self.malformed("a subtree has no place there"));
                break;
            }
            at += 1 << height;
        }
        if hashes.next().is_some() {
            findings.push(self.malformed("there are hashes too many"));
        }
        if at < *to || self.broken.is_some() {
            self.broken = Some(*to);
        }
        findings
    }

    /// Nothing comes any more.
    #[must_use]
    pub fn end(self) -> (VerifiedCopy, Vec<Finding>) {
        let mut copy = VerifiedCopy {
            events: self.events,
            others: 0,
            filter: String::new(),
            stated: None,
            embedded_key: None,
            is_pinned: self.pinned.is_some(),
            announced: self.announced,
        };
        let Some(end) = self.end else {
            let what = format!(
                "it has no end after line {}: what followed is missing",
                self.line
            );
            return (copy, vec![Finding::new(Kind::ExportCutOff, what)]);
        };
        let mut findings = Vec::new();
        if end.events != self.events {
            let what = format!(
                "it says that it has {} events, and has {}",
                end.events, self.events
            );
            findings.push(Finding::new(Kind::ExportMiscounted, what));
        }
        copy.others = end.size.saturating_sub(self.events);
        copy.filter = end.filter;
        let key = match self.pinned {
            Some(key) => Ok(key),
            None => VerifierKey::parse(&end.verifier_key),
        };
        copy.embedded_key = Some(end.verifier_key);
        let stated = key
            .map_err(|error| Finding::new(Kind::CheckpointNotSigned, format!("its key: {error}")))
            .and_then(|key| {
                key.open(&end.checkpoint).map_err(|why| {
                    let kind = match why {
                        NoteError::Malformed => Kind::CheckpointMalformed,
                        NoteError::NotSigned => Kind::CheckpointNotSigned,
                    };
                    Finding::new(kind, format!("the checkpoint of the copy: {why}"))
                })
            });
        match stated {
            Err(finding) => findings.push(finding),
            Ok(stated) => {
                copy.stated = Some(stated);
                if self.broken.is_none() {
                    findings.extend(against(stated, end.size, &self.tree));
                }
            }
        }
        (copy, findings)
    }
}

/// Another text says the same to this program, and may say something else to another one.
const NOT_AS_WRITTEN: &str = "it is not written as an export writes it";

/// What differs between the tree of a copy and what is stated of it.
fn against((size, root): (u64, Hash), said: u64, tree: &GrowingTree) -> Option<Finding> {
    if size != said || size != tree.size() {
        let what = format!(
            "the checkpoint is of {size} leaves, the copy says {said}, and its lines stand for {}",
            tree.size()
        );
        let (less, more) = (size.min(tree.size()), size.max(tree.size()));
        let finding = Finding::new(Kind::CheckpointDiffers, what);
        return Some(finding.between(less..more.max(less + 1)));
    }
    let actual = tree.root();
    (actual != root).then(|| {
        let what = format!(
            "the checkpoint states the root {}, and the lines give {}: something among them is not \
             what was signed",
            short(&root),
            short(&actual)
        );
        Finding::new(Kind::CheckpointDiffers, what).between(0..size)
    })
}
