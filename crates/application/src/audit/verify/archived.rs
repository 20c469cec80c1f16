//! Verifies a file of expired events, row by row, with its manifest and the log's key.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::exported::VerifiedCopy;
use super::finding::{Finding, Kind};
use super::key::VerifierKey;
use super::rows::short;
use crate::audit::manifest::{FORMAT, Manifest};
use crate::audit::record::EventRecord;
use crate::audit::retention::announced::Announced;
use crate::audit::tree::note::NoteError;
use crate::ports::tree::Hash;

/// A row as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedRow {
    /// Every stored column, the salt included.
    pub event: EventRecord,
    /// When it came into the log.
    pub recorded_at: DateTime<Utc>,
    /// Its place in the tree.
    pub leaf_index: i64,
    /// Its leaf.
    pub leaf_hash: Hash,
}

/// What a file of expired events is, whatever its rows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How large it is.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: Hash,
}

/// What a verified file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedArchive {
    /// Rows that could be read.
    pub events: u64,
    /// Lowest and highest place in the tree among them.
    pub leaves: Option<(i64, i64)>,
    /// Size and root that the manifest's checkpoint states, if the key signed it.
    pub stated: Option<(u64, Hash)>,
}

/// Reads a file of expired events. Give it every row, then [`ArchiveReader::end`].
pub struct ArchiveReader {
    manifest: Manifest,
    key: Option<VerifierKey>,
    last: Option<Uuid>,
    /// Rows that came, readable or not.
    rows: u64,
    events: u64,
    leaves: Option<(i64, i64)>,
}

impl ArchiveReader {
    /// A reader of the file that this manifest tells of. Without a key, nothing is said about the
    /// manifest's checkpoint.
    #[must_use]
    pub const fn new(manifest: Manifest, key: Option<VerifierKey>) -> Self {
        Self {
            manifest,
            key,
            last: None,
            rows: 0,
            events: 0,
            leaves: None,
        }
    }

    /// How many rows came.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads the next row, or why it is none, and tells what is wrong with it.
    pub fn row(&mut self, row: Result<ArchivedRow, String>) -> Vec<Finding> {
        self.rows += 1;
        let row = match row {
            Ok(row) => row,
            Err(why) => {
                let what = format!("row {}: {why}", self.rows);
                return vec![Finding::new(Kind::RowUnreadable, what)];
            }
        };
        self.events += 1;
        let (id, index) = (row.event.id, row.leaf_index);
        let named = |kind, what: String| {
            let finding = Finding::new(kind, format!("row {}: {what}", self.rows));
            finding.of(id).at(u64::try_from(index).ok())
        };
        let mut findings = Vec::new();
        match row.event.leaf_hash(row.recorded_at) {
            Ok(leaf) if leaf == row.leaf_hash => {}
            Ok(leaf) => {
                let what = format!(
                    "its columns give another leaf, {}, than the one beside them, {}",
                    short(&leaf),
                    short(&row.leaf_hash)
                );
                findings.push(named(Kind::RowAltered, what));
            }
            Err(error) => findings.push(named(Kind::RowUnreadable, error.to_string())),
        }
        if self.last.is_some_and(|last| last >= id) {
            let what = "rows come twice, or change places".to_owned();
            findings.push(named(Kind::LineMisplaced, what));
        }
        if row.event.severity != self.manifest.severity {
            let what = format!("the file is of {} events", self.manifest.severity);
            findings.push(named(Kind::LineMisplaced, what));
        }
        self.last = Some(id);
        self.leaves = Some(self.leaves.map_or((index, index), |(low, high)| {
            (low.min(index), high.max(index))
        }));
        findings
    }

    /// Nothing comes any more, and this is what the file is. In a copy of the log that was looked
    /// through for it, its announcement must be.
    #[must_use]
    pub fn end(
        self,
        file: Fingerprint,
        copy: Option<&VerifiedCopy>,
    ) -> (VerifiedArchive, Vec<Finding>) {
        let mut findings = Vec::new();
        let told = &self.manifest;
        if told.format != FORMAT || told.files.len() != 1 {
            let what = format!("its manifest is not written as {FORMAT}, of one file");
            findings.push(Finding::new(Kind::ExportMiscounted, what));
        }
        for named in &told.files {
            if named.sha256 != hex::encode(file.sha256) || named.bytes != file.bytes {
                let what = format!(
                    "it has {} bytes and the SHA-256 {}, and its manifest tells of {} bytes and {}",
                    file.bytes,
                    hex::encode(file.sha256),
                    named.bytes,
                    named.sha256
                );
                findings.push(Finding::new(Kind::FileAltered, what));
            }
        }
        let leaves = told.first_leaf.zip(told.last_leaf);
        if told.rows != self.rows || leaves != self.leaves {
            let what = format!(
                "its manifest tells of {} events {}, and it has {} {}",
                told.rows,
                places(leaves),
                self.rows,
                places(self.leaves)
            );
            findings.push(Finding::new(Kind::ExportMiscounted, what));
        }
        if let Some(copy) = copy {
            findings.extend(self.unannounced(copy.announced.as_ref()));
        }
        let stated = match self.stated() {
            Ok(stated) => stated,
            Err(finding) => {
                findings.push(finding);
                None
            }
        };
        let verified = VerifiedArchive {
            events: self.events,
            leaves: self.leaves,
            stated,
        };
        (verified, findings)
    }

    /// Why the file is not the one that the log announced, if it is not.
    fn unannounced(&self, announced: Option<&Announced>) -> Option<Finding> {
        let what = match announced {
            None => "no event in the copy says that expired events went into this file".to_owned(),
            Some(Announced {
                severity,
                month,
                leaves,
                ..
            }) => {
                let said = (severity.as_str(), month.to_string());
                let is = (self.manifest.severity.as_str(), self.manifest.month.clone());
                let places = (*leaves.start(), *leaves.end());
                if said == is && self.leaves == Some(places) {
                    return None;
                }
                format!(
                    "the log announced {} events of {} of the leaves {} to {}, and the file has others",
                    said.0, said.1, places.0, places.1
                )
            }
        };
        Some(Finding::new(Kind::FileUnannounced, what))
    }

    /// What the key signed of the tree when the events left.
    fn stated(&self) -> Result<Option<(u64, Hash)>, Finding> {
        let Some((note, key)) = self.manifest.checkpoint.as_ref().zip(self.key.as_ref()) else {
            return Ok(None);
        };
        let stated = key.open(note).map_err(|why| {
            let kind = match why {
                NoteError::Malformed => Kind::CheckpointMalformed,
                NoteError::NotSigned => Kind::CheckpointNotSigned,
            };
            Finding::new(kind, format!("the checkpoint of the manifest: {why}"))
        })?;
        let last = self.leaves.and_then(|(_, last)| u64::try_from(last).ok());
        match last {
            Some(last) if last >= stated.0 => {
                let what = format!(
                    "the checkpoint of the manifest is of {} leaves, and the file has leaf {last}",
                    stated.0
                );
                let finding = Finding::new(Kind::CheckpointDiffers, what);
                Err(finding.at(Some(last)))
            }
            _ => Ok(Some(stated)),
        }
    }
}

fn places(leaves: Option<(i64, i64)>) -> String {
    leaves.map_or_else(
        || "without a leaf".to_owned(),
        |(first, last)| format!("of the leaves {first} to {last}"),
    )
}
