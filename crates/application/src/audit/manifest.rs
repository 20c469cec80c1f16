//! What lies beside a file of expired events and says what is in it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ports::event_archive::Contents;
use crate::ports::retention::ArchiveFile;

/// Names the manifest's own form.
pub const FORMAT: &str = "tranche-audit-archive/1";

/// The manifest of a part of the log that left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// The files that hold the part's events: one.
    pub files: Vec<ManifestFile>,
    /// The columns.
    pub schema: String,
    /// The events' severity.
    pub severity: String,
    /// The events' month, by their ids, such as `2024-01`.
    pub month: String,
    /// How many events.
    pub rows: u64,
    /// The lowest leaf index among them.
    pub first_leaf: Option<i64>,
    /// The highest.
    pub last_leaf: Option<i64>,
    /// The newest checkpoint that was kept when they left: a signed note. Absent where they left
    /// without the log's key.
    pub checkpoint: Option<String>,
    /// The run that let them go.
    pub run_id: Uuid,
    /// When it was written.
    pub written_at: DateTime<Utc>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its whole name in the archive.
    pub name: String,
    /// How large it is.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// How many events are in it.
    pub rows: u64,
}

impl Manifest {
    /// The manifest of this file.
    #[must_use]
    pub fn of(file: &ArchiveFile, bytes: u64, schema: &str, contents: &Contents) -> Self {
        Self {
            format: FORMAT.to_owned(),
            files: vec![ManifestFile {
                name: file.name.clone(),
                bytes,
                sha256: hex::encode(file.sha256),
                rows: contents.events,
            }],
            schema: schema.to_owned(),
            severity: contents.severity.as_str().to_owned(),
            month: contents.month.to_string(),
            rows: contents.events,
            first_leaf: contents.leaves.map(|(first, _)| first),
            last_leaf: contents.leaves.map(|(_, last)| last),
            checkpoint: contents.checkpoint.clone(),
            run_id: contents.run,
            written_at: contents.at,
        }
    }
}
