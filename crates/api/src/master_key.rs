//! The master key: from a setting, a file or a command, or for the embedded default made once and kept
//! beside the data.
//!
//! Every source may give several keys, apart by white space: the first is in force and seals, all of
//! them open. That is what lets replicas restart one by one while a key is replaced.

pub mod kept;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tranche_adapters_stellar::MasterKey;
use tranche_application::ports::entropy::Entropy;
use zeroize::Zeroizing;

use crate::config::{Config, KeySource};

/// More than any list of keys that makes sense.
const LONGEST: u16 = 4096;
/// The longest that a command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no master key. Never holds what was read.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// It must be given.
    #[error(
        "TRANCHE_MASTER_KEY: is required unless both database and ledger are embedded; make one with `openssl rand -hex 32`"
    )]
    Required,
    /// It is not one.
    #[error("{0}: must be 64 random hex digits, or several such keys apart by white space")]
    NotAKey(String),
    /// Its file cannot be used.
    #[error("the master key file {path} cannot be used: {why}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The file named cannot be used.
    #[error("TRANCHE_MASTER_KEY_FILE: {path}: {why}")]
    Named {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// Others could read it.
    #[error(
        "TRANCHE_MASTER_KEY_FILE: {path} is readable by group or others (mode {mode:04o}): make it its owner's alone, chmod 400"
    )]
    Shared {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The command gave no key.
    #[error("TRANCHE_MASTER_KEY_COMMAND: {program} {why}")]
    Command {
        /// The program.
        program: String,
        /// What it did.
        why: String,
    },
}

/// Whether a master key is given, or lies beside the data.
pub fn has_master_key(config: &Config) -> bool {
    config.custody.master_key.is_some() || config.is_embedded() && kept::path(config).exists()
}

/// The master keys, the one in force first.
///
/// # Errors
/// [`MasterKeyError`].
pub async fn master_keys(
    config: &Config,
    entropy: &dyn Entropy,
) -> Result<Vec<MasterKey>, MasterKeyError> {
    let (name, text) = match &config.custody.master_key {
        Some(KeySource::Given(text)) => (
            "TRANCHE_MASTER_KEY".to_owned(),
            Zeroizing::new(text.expose_secret().to_owned()),
        ),
        Some(KeySource::File(path)) => (
            format!("TRANCHE_MASTER_KEY_FILE: {}", path.display()),
            from_file(path)?,
        ),
        Some(KeySource::Command(words)) => (
            format!("TRANCHE_MASTER_KEY_COMMAND: {}", words[0]),
            from_command(words).await?,
        ),
        None if config.is_embedded() => (
            kept::path(config).display().to_string(),
            kept::text(config, entropy)?,
        ),
        None => return Err(MasterKeyError::Required),
    };
    read(&name, &text)
}

fn read(name: &str, text: &str) -> Result<Vec<MasterKey>, MasterKeyError> {
    let not_a_key = || MasterKeyError::NotAKey(name.to_owned());
    let mut keys: Vec<MasterKey> = Vec::new();
    for word in text.split_whitespace() {
        let key = MasterKey::from_hex(word).map_err(|_| not_a_key())?;
        if keys.iter().all(|other| other.id() != key.id()) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Err(not_a_key());
    }
    Ok(keys)
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, MasterKeyError> {
    let failed = |why| MasterKeyError::Named {
        path: path.to_owned(),
        why,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(MasterKeyError::Shared {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = buffer();
    file.take(LONGEST.into())
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Of its final size at once: a string that grows leaves copies behind that nobody wipes.
fn buffer() -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(usize::from(LONGEST) + 1))
}

/// Runs the program. What it says on stderr may hold the key, and goes nowhere.
async fn from_command(words: &[String]) -> Result<Zeroizing<String>, MasterKeyError> {
    let program = &words[0];
    let failed = |why: String| MasterKeyError::Command {
        program: program.clone(),
        why,
    };
    let mut child = tokio::process::Command::new(program)
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|why| failed(format!("cannot be run: {why}")))?;
    let stdout = child.stdout.take();
    let work = async {
        let mut text = buffer();
        if let Some(stdout) = stdout {
            stdout
                .take(LONGEST.into())
                .read_to_string(&mut text)
                .await?;
        }
        Ok::<_, std::io::Error>((text, child.wait().await?))
    };
    let (text, status): (_, ExitStatus) = tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| failed(format!("did not end in {} seconds", PATIENCE.as_secs())))?
        .map_err(|why| failed(format!("cannot be read: {why}")))?;
    if status.success() {
        Ok(text)
    } else {
        Err(failed(format!(
            "failed ({status}); run it by hand to see why"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock stands still and jumps to whatever is waited for.
    #[tokio::test(start_paused = true)]
    async fn a_command_that_does_not_end_is_ended() {
        let words = ["sleep".to_owned(), "600".to_owned()];
        let error = from_command(&words).await.expect_err("it is ended");
        assert_eq!(
            error.to_string(),
            "TRANCHE_MASTER_KEY_COMMAND: sleep did not end in 30 seconds"
        );
    }

    #[test]
    fn a_key_that_is_given_twice_is_one() {
        let (one, other) = ("01".repeat(31) + "ff", "02".repeat(31) + "ff");
        let keys = read("here", &format!("{one}\n{other} {one}\n")).expect("two keys");
        let first = MasterKey::from_hex(&one).expect("a key");
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].id(), first.id());
        for text in ["", " \n", &format!("{one} {}", &other[2..])] {
            let error = read("here", text).expect_err("no key").to_string();
            assert!(error.starts_with("here: must be 64"), "{error}");
        }
    }
}
