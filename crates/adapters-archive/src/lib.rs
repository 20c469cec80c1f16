//! Expired events, kept outside the store: a file for each part of the log that leaves, in a folder or
//! in a bucket, and beside it a manifest that says what is in it.
//!
//! ```text
//! info/2024-01/<run>.parquet     the events, in whichever format they are written
//! info/2024-01/<run>.json        the manifest, written last: without it the file is not whole
//! ```
//!
//! A run that is killed leaves a file without a manifest, or an upload that was not finished; the
//! next run writes a file of its own.

mod bucket;
mod place;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;
use tranche_application::audit::export::Table;
use tranche_application::audit::manifest::Manifest;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::event_archive::{
    ArchiveError, ArchiveWriter, Contents, EventArchive,
};
use tranche_application::ports::retention::ArchiveFile;
use tranche_application::ports::store::Source;
use tranche_domain::{Month, Severity};
use uuid::Uuid;

pub use place::OpenError;

use place::Place;
use refusal::Refusal;

/// The longest that storage may take for one step, what is tried again included.
const PATIENCE: Duration = Duration::from_mins(5);
/// How large the pieces are in which a file goes, but for its last; a bucket takes ten thousand of them.
const PIECE: usize = 16 * 1024 * 1024;
/// How many pieces of a file are on their way at once, beside the one that is gathered.
const PIECES: usize = 2;

/// How files are made.
#[derive(Clone, Copy)]
pub struct Format {
    /// The ending of their names, such as `parquet`.
    pub ending: &'static str,
    /// What their columns are, for the manifest.
    pub schema: &'static str,
    /// Begins a file.
    pub begin: fn() -> Result<Box<dyn Table>, Source>,
}

/// An archive of files.
pub struct FileArchive {
    place: Place,
    format: Format,
}

impl FileArchive {
    /// The archive at `file:///…` or `s3://BUCKET/…`; a folder is made if it is missing, a bucket must be
    /// there. Endpoint and credentials of a bucket are in `environment` (`AWS_…`).
    ///
    /// # Errors
    /// [`OpenError`] when the address is none, the folder cannot be made, or the environment contradicts
    /// itself.
    pub fn open(
        url: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        format: Format,
    ) -> Result<Self, OpenError> {
        let place = place::open(url, environment)?;
        Ok(Self { place, format })
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
        let Place {
            store,
            below,
            signs,
        } = &self.place;
        let storage = Storage {
            store: store.clone(),
            is_bucket: signs.is_some(),
        };
        if let Some(signs) = signs {
            let credential = timeout(PATIENCE, signs.get_credential()).await;
            if !matches!(credential, Ok(Ok(_))) {
                return Err(ArchiveError(Box::new(Refusal::NoCredentials)));
            }
        }
        let folder = below
            .clone()
            .join(severity.as_str())
            .join(month.to_string());
        let name = folder.clone().join(format!("{run}.{}", self.format.ending));
        let upload = storage.in_time(store.put_multipart(&name)).await?;
        let upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
        Ok(Box::new(Writer {
            manifest: folder.join(format!("{run}.json")),
            name,
            schema: self.format.schema,
            upload: Upload(Some(upload)),
            storage,
            table: Some((self.format.begin)().map_err(ArchiveError)?),
            sha256: Sha256::new(),
            bytes: 0,
        }))
    }
}

struct Writer {
    storage: Storage,
    name: Path,
    manifest: Path,
    schema: &'static str,
    upload: Upload,
    /// `None` once it ended, or failed.
    table: Option<Box<dyn Table>>,
    sha256: Sha256,
    bytes: u64,
}

impl Writer {
    async fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        // What is written in one go must not be more pieces at once than may be on their way.
        for bytes in bytes.chunks(PIECE) {
            let upload = self.upload.0.as_mut().ok_or_else(ended)?;
            let room = self.storage.in_time(upload.wait_for_capacity(PIECES)).await;
            if let Err(error) = room {
                self.upload.abort().await;
                return Err(error);
            }
            upload.write(bytes);
        }
        Ok(())
    }
}

#[async_trait]
impl ArchiveWriter for Writer {
    async fn write(&mut self, events: Vec<LoggedEvent>) -> Result<(), ArchiveError> {
        let mut table = self.table.take().ok_or_else(ended)?;
        // Compressing takes a while, and others have requests.
        let writing = spawn_blocking(move || {
            let bytes = table.write(&events);
            (table, bytes)
        });
        let (table, bytes) = writing.await.map_err(broken)?;
        self.table = Some(table);
        self.put(&bytes.map_err(ArchiveError)?).await
    }

    async fn finish(mut self: Box<Self>, contents: &Contents) -> Result<ArchiveFile, ArchiveError> {
        let table = self.table.take().ok_or_else(ended)?;
        let bytes = spawn_blocking(move || table.end()).await.map_err(broken)?;
        self.put(&bytes.map_err(ArchiveError)?).await?;
        let file = ArchiveFile {
            name: self.name.to_string(),
            sha256: self.sha256.clone().finalize().into(),
        };
        let upload = self.upload.0.take().ok_or_else(ended)?;
        self.storage.in_time(upload.finish()).await?;
        let manifest = Manifest::of(&file, self.bytes, self.schema, contents);
        let manifest = serde_json::to_string_pretty(&manifest);
        let manifest = manifest.map_err(|error| ArchiveError(Box::new(error)))? + "\n";
        let put = self.storage.store.put(&self.manifest, manifest.into());
        self.storage.in_time(put).await?;
        Ok(file)
    }
}

/// What was sent of a file. What is not finished is taken away, so that nobody pays for it.
struct Upload(Option<WriteMultipart>);

impl Upload {
    async fn abort(&mut self) {
        if let Some(upload) = self.0.take() {
            abort(upload).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(upload) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(abort(upload));
        }
    }
}

/// Whoever aborts knows already that it went wrong.
async fn abort(upload: WriteMultipart) {
    let _ = timeout(PATIENCE, upload.abort()).await;
}

fn ended() -> ArchiveError {
    ArchiveError("the file came to its end before".into())
}

fn broken(error: JoinError) -> ArchiveError {
    ArchiveError(Box::new(error))
}

/// Storage took too long.
#[derive(Debug, Error)]
#[error("no answer in time")]
struct Silence;

struct Storage {
    store: Arc<dyn ObjectStore>,
    is_bucket: bool,
}

impl Storage {
    async fn in_time<T>(
        &self,
        step: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ArchiveError> {
        match timeout(PATIENCE, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if self.is_bucket => Err(ArchiveError(Box::new(refusal::of(&error)))),
            Ok(Err(error)) => Err(ArchiveError(Box::new(error))),
            Err(_) => Err(ArchiveError(Box::new(Silence))),
        }
    }
}
