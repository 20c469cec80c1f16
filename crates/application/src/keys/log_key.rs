//! The key that signs the log's checkpoints: random, kept sealed under the master key, one for all
//! replicas.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::audit::tree::note::{LogKey, Origin};
use crate::ports::custody::{CustodyError, SealedSecrets, Sealer};
use crate::ports::entropy::Entropy;
use crate::ports::store::{Store, StoreError};

/// The name of the key among the sealed secrets.
pub const LOG_KEY: &str = "audit-log-key";

/// Why there is no key.
#[derive(Debug, Error)]
pub enum LogKeyError {
    /// A master key that is not given sealed it.
    #[error("the master key {0} sealed the key of the audit log, and it is not given")]
    OtherMasterKey(String),
    /// It was altered, or could not be sealed.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key that is kept; made and kept where there is none.
///
/// # Errors
/// [`LogKeyError`].
pub async fn log_key(
    store: &dyn Store,
    secrets: &dyn SealedSecrets,
    sealer: &dyn Sealer,
    entropy: &dyn Entropy,
    origin: Option<Origin>,
) -> Result<LogKey, LogKeyError> {
    if let Some(secret) = opened(secrets, sealer).await? {
        return Ok(LogKey::new(&secret, origin));
    }
    let fresh = sealer.seal_secret(LOG_KEY, &Zeroizing::new(entropy.secret()))?;
    let mut work = store.begin().await?;
    work.credentials().keep_secret(&fresh).await?;
    work.commit().await?;
    // Another replica may have been first: what is kept counts.
    let secret = opened(secrets, sealer)
        .await?
        .ok_or_else(|| StoreError::Inconsistent(format!("secrets {LOG_KEY}: it is not kept")))?;
    Ok(LogKey::new(&secret, origin))
}

/// The key that is kept, if one is; makes none.
///
/// # Errors
/// [`LogKeyError`].
pub async fn kept_log_key(
    secrets: &dyn SealedSecrets,
    sealer: &dyn Sealer,
    origin: Option<Origin>,
) -> Result<Option<LogKey>, LogKeyError> {
    let secret = opened(secrets, sealer).await?;
    Ok(secret.map(|secret| LogKey::new(&secret, origin)))
}

async fn opened(
    secrets: &dyn SealedSecrets,
    sealer: &dyn Sealer,
) -> Result<Option<Zeroizing<[u8; 32]>>, LogKeyError> {
    let Some(kept) = secrets.sealed_secret(LOG_KEY).await? else {
        return Ok(None);
    };
    if !sealer.has(&kept.key_id) {
        return Err(LogKeyError::OtherMasterKey(kept.key_id));
    }
    Ok(Some(sealer.open_secret(&kept)?))
}
