//! Where an archive is.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use thiserror::Error;

use crate::bucket;

/// An address that is no archive.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It names neither a folder nor a bucket.
    #[error("must begin with file:/// or s3://")]
    Scheme,
    /// The folder cannot be made.
    #[error("the folder cannot be made: {0}")]
    Folder(#[source] std::io::Error),
    /// It has more than a bucket and what comes before the names in it.
    #[error("must be s3://BUCKET or s3://BUCKET/FOLDER, and nothing else")]
    Bucket,
    /// A secret would cross the network in the clear.
    #[error(
        "the endpoint in the environment is plain http://: use https://, or set AWS_ALLOW_HTTP=true \
         if everybody on the way may read the events"
    )]
    Plain,
    /// The address, or what the environment says of it, cannot be used.
    #[error("cannot be used: {0}")]
    Refused(#[source] object_store::Error),
}

/// Storage, and what comes before every name there.
pub struct Place {
    pub store: Arc<dyn ObjectStore>,
    pub below: Path,
    /// Where it is a bucket, what signs for it.
    pub signs: Option<bucket::Credentials>,
}

/// The storage at this address; a bucket as these variables (`AWS_…`) say.
pub fn open(
    url: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Place, OpenError> {
    if let Some(folder) = url.strip_prefix("file://") {
        if !folder.starts_with('/') {
            return Err(OpenError::Scheme);
        }
        return folder_at(PathBuf::from(folder));
    }
    match url.strip_prefix("s3://") {
        Some(address) => bucket::open(address, environment),
        None => Err(OpenError::Scheme),
    }
}

/// For its owner's eyes only.
fn folder_at(folder: PathBuf) -> Result<Place, OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(OpenError::Folder)?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(OpenError::Refused)?;
    Ok(Place {
        store: Arc::new(store.with_fsync(true)),
        below: Path::default(),
        signs: None,
    })
}
