//! The master key: given, or for the embedded default made once and kept beside the data.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use secrecy::ExposeSecret;
use thiserror::Error;
use tranche_adapters_stellar::MasterKey;
use tranche_application::keys::{KeyRing, keyed_hash};
use tranche_application::ports::entropy::Entropy;
use zeroize::Zeroizing;

use crate::config::Config;

/// Why there is no master key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// It must be given.
    #[error(
        "TRANCHE_MASTER_KEY: is required unless both database and ledger are embedded; make one with `openssl rand -hex 32`"
    )]
    Required,
    /// It is not one.
    #[error("{0}: must be 64 hex digits")]
    NotAKey(String),
    /// Its file cannot be used.
    #[error("the master key file {path} cannot be used: {why}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
}

/// The secrets that everything else hangs on.
pub struct Secrets {
    /// Seals the wallets' seeds.
    pub master: MasterKey,
    /// Hashes API keys, under a pepper derived from the master key.
    pub ring: KeyRing,
}

/// Reads the master key, or makes it for the embedded default.
///
/// # Errors
/// [`MasterKeyError`].
pub fn secrets(config: &Config, entropy: &dyn Entropy) -> Result<Secrets, MasterKeyError> {
    let (name, text) = match &config.master_key {
        Some(key) => (
            "TRANCHE_MASTER_KEY".to_owned(),
            Zeroizing::new(key.expose_secret().to_owned()),
        ),
        None if config.is_embedded() => kept(config, entropy)?,
        None => return Err(MasterKeyError::Required),
    };
    let text = text.trim();
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, bytes.as_mut_slice())
        .map_err(|_| MasterKeyError::NotAKey(name.clone()))?;
    let master = MasterKey::from_hex(text).map_err(|_| MasterKeyError::NotAKey(name))?;
    Ok(Secrets {
        master,
        ring: KeyRing::new(keyed_hash(&bytes, b"tranche api key pepper v1")),
    })
}

/// The key in the data folder; the first process makes it, others read what that one made.
fn kept(
    config: &Config,
    entropy: &dyn Entropy,
) -> Result<(String, Zeroizing<String>), MasterKeyError> {
    let path = config.data_dir.join("master.key");
    let failed = |why| MasterKeyError::File {
        path: path.clone(),
        why,
    };
    std::fs::create_dir_all(&config.data_dir).map_err(failed)?;
    if !path.exists() {
        let fresh = Zeroizing::new(hex::encode(*Zeroizing::new(entropy.secret())));
        // Written whole beside it and linked into place: nobody ever reads half a key, and of two
        // processes that start at once one wins.
        let draft = config
            .data_dir
            .join(format!("master.key.{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed)?;
        file.write_all(fresh.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        let linked = std::fs::hard_link(&draft, &path);
        // The name must be as durable as the rows that will be sealed under the key.
        File::open(&config.data_dir)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        std::fs::remove_file(&draft).map_err(failed)?;
        if let Err(error) = linked
            && error.kind() != ErrorKind::AlreadyExists
        {
            return Err(failed(error));
        }
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    Ok((path.display().to_string(), Zeroizing::new(text)))
}
