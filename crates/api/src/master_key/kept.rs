//! The key file of the embedded default, in the data folder: made by the first process, and replaced
//! by `tranche custody rotate --new-key`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tranche_application::ports::entropy::Entropy;
use zeroize::Zeroizing;

use super::MasterKeyError;
use crate::config::Config;

/// Where it is.
pub fn path(config: &Config) -> PathBuf {
    config.data_dir.join("master.key")
}

/// What it holds; the first process makes it, others read what that one made.
///
/// # Errors
/// [`MasterKeyError::File`].
pub fn text(config: &Config, entropy: &dyn Entropy) -> Result<Zeroizing<String>, MasterKeyError> {
    let path = path(config);
    let made = || {
        std::fs::create_dir_all(&config.data_dir)?;
        if !path.exists() {
            let draft = write_beside(&path, &fresh(entropy))?;
            // Linked into place: of two processes that start at once one wins.
            let linked = std::fs::hard_link(&draft, &path);
            std::fs::remove_file(&draft)?;
            sync(&config.data_dir)?;
            if let Err(error) = linked
                && error.kind() != ErrorKind::AlreadyExists
            {
                return Err(error);
            }
        }
        std::fs::read_to_string(&path).map(Zeroizing::new)
    };
    made().map_err(|why| MasterKeyError::File {
        path: path.clone(),
        why,
    })
}

/// Puts a new key in force, before those that are there.
///
/// # Errors
/// [`MasterKeyError::File`].
pub fn add_new(config: &Config, entropy: &dyn Entropy) -> Result<(), MasterKeyError> {
    let former = text(config, entropy)?;
    let both = Zeroizing::new([fresh(entropy).as_str(), "\n", former.trim(), "\n"].concat());
    replace(config, &both)
}

/// Drops every key but the one in force; says whether there were others.
///
/// # Errors
/// [`MasterKeyError::File`].
pub fn drop_former(config: &Config, entropy: &dyn Entropy) -> Result<bool, MasterKeyError> {
    let text = text(config, entropy)?;
    let mut keys = text.split_whitespace();
    let in_force = keys.next().unwrap_or_default();
    if keys.next().is_none() {
        return Ok(false);
    }
    let alone = Zeroizing::new([in_force, "\n"].concat());
    replace(config, &alone).map(|()| true)
}

fn fresh(entropy: &dyn Entropy) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(*Zeroizing::new(entropy.secret())))
}

/// Whole and on disk before it takes the other's place.
fn replace(config: &Config, text: &str) -> Result<(), MasterKeyError> {
    let path = path(config);
    let replaced = write_beside(&path, text)
        .and_then(|draft| std::fs::rename(draft, &path))
        .and_then(|()| sync(&config.data_dir));
    replaced.map_err(|why| MasterKeyError::File { path, why })
}

/// Written whole beside it: nobody ever reads half a key.
fn write_beside(path: &Path, text: &str) -> std::io::Result<PathBuf> {
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(draft)
}

/// The name must be as durable as the rows that will be sealed under the key.
fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
