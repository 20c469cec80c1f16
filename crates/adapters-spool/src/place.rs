//! Folder, file and lock: for their owner's eyes, and for one process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::errors::OpenError;

/// A queue's file that no other process has. Dropping it lets others have it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes what is missing and takes the lock. The lock has a file of its own, because SQLite
    /// keeps its locks on the database.
    pub(crate) fn take(file: PathBuf) -> Result<Self, OpenError> {
        let lock = match prepare(&file) {
            Ok(lock) => lock,
            Err(source) => return Err(unusable(file, source)),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Self { file, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { file }),
            Err(TryLockError::Error(source)) => Err(unusable(file, source)),
        }
    }
}

fn unusable(file: PathBuf, source: io::Error) -> OpenError {
    let source = Box::new(source);
    OpenError::Unusable { file, source }
}

/// Folder and file, made before SQLite would make them readable for everyone: its journals take the
/// file's mode. Gives the open lock file.
fn prepare(file: &Path) -> io::Result<File> {
    if let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    private(file)?;
    let mut lock = file.as_os_str().to_owned();
    lock.push(".lock");
    private(Path::new(&lock))
}

fn private(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}
