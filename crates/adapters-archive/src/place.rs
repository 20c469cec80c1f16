//! Where an archive is.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use thiserror::Error;

/// An address that is no archive.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It names neither a folder nor a bucket.
    #[error("must begin with file:/// or s3://")]
    Scheme,
    /// The folder cannot be made.
    #[error("the folder cannot be made: {0}")]
    Folder(#[source] std::io::Error),
    /// This program does not know buckets.
    #[error("this program was built without the feature s3")]
    WithoutBuckets,
    /// The address, or what the environment says of it, cannot be used.
    #[error("cannot be used: {0}")]
    Refused(#[source] object_store::Error),
}

/// The storage at this address, and what comes before every name there.
pub fn open(url: &str) -> Result<(Arc<dyn ObjectStore>, Path), OpenError> {
    if let Some(folder) = url.strip_prefix("file://") {
        if !folder.starts_with('/') {
            return Err(OpenError::Scheme);
        }
        return folder_at(PathBuf::from(folder));
    }
    if url.starts_with("s3://") {
        return bucket(url);
    }
    Err(OpenError::Scheme)
}

/// For its owner's eyes only.
fn folder_at(folder: PathBuf) -> Result<(Arc<dyn ObjectStore>, Path), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(OpenError::Folder)?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(OpenError::Refused)?;
    Ok((Arc::new(store.with_fsync(true)), Path::default()))
}

#[cfg(feature = "s3")]
fn bucket(url: &str) -> Result<(Arc<dyn ObjectStore>, Path), OpenError> {
    let store = object_store::aws::AmazonS3Builder::from_env()
        .with_url(url)
        .build()
        .map_err(OpenError::Refused)?;
    let below = url.trim_start_matches("s3://");
    let below = below.split_once('/').map_or("", |(_, below)| below);
    Ok((Arc::new(store), Path::from(below)))
}

#[cfg(not(feature = "s3"))]
fn bucket(_: &str) -> Result<(Arc<dyn ObjectStore>, Path), OpenError> {
    Err(OpenError::WithoutBuckets)
}
