//! Expired events, kept outside the store: a file for each part of the log that leaves, in a folder or
//! in a bucket, and beside it a manifest that says what is in it.
//!
//! ```text
//! info/2024-01/<run>.ndjson      the events
//! info/2024-01/<run>.json        the manifest, written last: without it the file is not whole
//! ```
//!
//! A run that is killed leaves a file without a manifest, or an upload that was not finished; the
//! next run writes a file of its own.

mod lines;
mod manifest;
mod place;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::time::timeout;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::event_archive::{
    ArchiveError, ArchiveWriter, Contents, EventArchive,
};
use tranche_application::ports::retention::ArchiveFile;
use tranche_domain::{Month, Severity};
use uuid::Uuid;

pub use lines::LINES;
pub use place::OpenError;

/// The longest that storage may take for one step.
const PATIENCE: Duration = Duration::from_mins(2);
/// How many pieces of a file are on their way at once.
const PIECES: usize = 2;

/// Something went wrong while events were written down.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Events as the bytes of a file, a piece at a time.
pub trait Encoder: Send {
    /// The bytes that these events add, sooner or later.
    ///
    /// # Errors
    /// When they cannot be written down.
    fn write(&mut self, events: &[LoggedEvent]) -> Result<Vec<u8>, Source>;

    /// What is left, and the end.
    ///
    /// # Errors
    /// When it cannot be written down.
    fn end(self: Box<Self>) -> Result<Vec<u8>, Source>;
}

/// How files are made.
#[derive(Clone, Copy)]
pub struct Format {
    /// The ending of their names, such as `ndjson`.
    pub ending: &'static str,
    /// What their columns are, for the manifest.
    pub schema: &'static str,
    /// Begins a file.
    pub begin: fn() -> Result<Box<dyn Encoder>, Source>,
}

/// An archive of files.
pub struct FileArchive {
    store: Arc<dyn ObjectStore>,
    below: Path,
    format: Format,
}

impl FileArchive {
    /// The archive at `file:///…` or `s3://bucket/…`; a folder is made if it is missing. Credentials of
    /// a bucket come from the environment (`AWS_…`).
    ///
    /// # Errors
    /// [`OpenError`] when the address is none, or the folder cannot be made.
    pub fn open(url: &str, format: Format) -> Result<Self, OpenError> {
        let (store, below) = place::open(url)?;
        Ok(Self {
            store,
            below,
            format,
        })
    }
}

#[async_trait]
impl EventArchive for FileArchive {
    async fn begin(
        &self,
        severity: Severity,
        month: Month,
        run: Uuid,
    ) -> Result<Box<dyn ArchiveWriter>, ArchiveError> {
        let folder = self
            .below
            .clone()
            .join(severity.as_str())
            .join(month.to_string());
        let name = folder.clone().join(format!("{run}.{}", self.format.ending));
        let upload = in_time(self.store.put_multipart(&name)).await?;
        Ok(Box::new(Writer {
            store: self.store.clone(),
            manifest: folder.join(format!("{run}.json")),
            name,
            schema: self.format.schema,
            upload: WriteMultipart::new(upload),
            encoder: (self.format.begin)().map_err(ArchiveError)?,
            sha256: Sha256::new(),
            bytes: 0,
        }))
    }
}

struct Writer {
    store: Arc<dyn ObjectStore>,
    name: Path,
    manifest: Path,
    schema: &'static str,
    upload: WriteMultipart,
    encoder: Box<dyn Encoder>,
    sha256: Sha256,
    bytes: u64,
}

impl Writer {
    async fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        in_time(self.upload.wait_for_capacity(PIECES)).await?;
        self.upload.write(bytes);
        Ok(())
    }
}

#[async_trait]
impl ArchiveWriter for Writer {
    async fn write(&mut self, events: Vec<LoggedEvent>) -> Result<(), ArchiveError> {
        let bytes = self.encoder.write(&events).map_err(ArchiveError)?;
        self.put(&bytes).await
    }

    async fn finish(mut self: Box<Self>, contents: &Contents) -> Result<ArchiveFile, ArchiveError> {
        let nothing: Box<dyn Encoder> = Box::new(Ended);
        let encoder = std::mem::replace(&mut self.encoder, nothing);
        let bytes = encoder.end().map_err(ArchiveError)?;
        self.put(&bytes).await?;
        let file = ArchiveFile {
            name: self.name.to_string(),
            sha256: self.sha256.finalize().into(),
        };
        in_time(self.upload.finish()).await?;
        let manifest = manifest::of(&file, self.bytes, self.schema, contents);
        in_time(self.store.put(&self.manifest, manifest.into())).await?;
        Ok(file)
    }
}

/// Where the encoder was.
struct Ended;

impl Encoder for Ended {
    fn write(&mut self, _: &[LoggedEvent]) -> Result<Vec<u8>, Source> {
        Ok(Vec::new())
    }

    fn end(self: Box<Self>) -> Result<Vec<u8>, Source> {
        Ok(Vec::new())
    }
}

/// Storage took too long.
#[derive(Debug, Error)]
#[error("no answer in time")]
struct Silence;

async fn in_time<T>(
    step: impl Future<Output = object_store::Result<T>>,
) -> Result<T, ArchiveError> {
    match timeout(PATIENCE, step).await {
        Ok(done) => done.map_err(|error| ArchiveError(Box::new(error))),
        Err(_) => Err(ArchiveError(Box::new(Silence))),
    }
}
