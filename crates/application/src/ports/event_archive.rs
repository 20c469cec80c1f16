//! Where expired events are kept outside the store: files that need nothing of ours to be read.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;
use tranche_domain::{Month, Severity};
use uuid::Uuid;

use super::retention::ArchiveFile;
use crate::audit::record::LoggedEvent;

/// The archive did not take a file. There is no manifest of it, so that nobody takes what is there
/// for whole.
#[derive(Debug, Error)]
#[error("the archive did not take the file: {0}")]
pub struct ArchiveError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a file's manifest says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The events' severity.
    pub severity: Severity,
    /// The events' month.
    pub month: Month,
    /// How many events.
    pub events: u64,
    /// The lowest and the highest leaf index among them.
    pub leaves: Option<(i64, i64)>,
    /// The newest checkpoint, which covers them all: a signed note.
    pub checkpoint: Option<String>,
    /// The run that lets them go.
    pub run: Uuid,
    /// When it was written.
    pub at: DateTime<Utc>,
}

/// Takes files.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventArchive: Send + Sync {
    /// Begins a file for a part of the log, under a name of the run's own.
    async fn begin(
        &self,
        severity: Severity,
        month: Month,
        run: Uuid,
    ) -> Result<Box<dyn ArchiveWriter>, ArchiveError>;
}

/// A file that is being written. Dropped, it never was.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ArchiveWriter: Send {
    /// Adds events.
    async fn write(&mut self, events: Vec<LoggedEvent>) -> Result<(), ArchiveError>;

    /// Makes it durable, and then its manifest.
    async fn finish(self: Box<Self>, contents: &Contents) -> Result<ArchiveFile, ArchiveError>;
}
