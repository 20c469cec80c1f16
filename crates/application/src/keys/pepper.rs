//! The pepper of API keys: random, kept sealed under the master key, one for all replicas.
//!
//! Keys issued before it was kept were hashed under a pepper derived from the master key. A store
//! that holds such keys adopts that one at the first start, so that they go on working.

use thiserror::Error;
use zeroize::Zeroizing;

use super::KeyRing;
use crate::ports::custody::{CustodyError, SealedSecrets, Sealer};
use crate::ports::entropy::Entropy;
use crate::ports::queries::Queries;
use crate::ports::store::{Store, StoreError};

/// The name of the pepper among the sealed secrets.
pub const PEPPER: &str = "api-key-pepper";

/// Why there is no pepper.
#[derive(Debug, Error)]
pub enum PepperError {
    /// Several master keys are given, and which of them the keys' pepper came from is not known.
    #[error(
        "the API keys here are older than their sealed pepper: start once with the master key they were issued under as the only one"
    )]
    WhichMasterKey,
    /// A master key that is not given sealed it.
    #[error("the master key {0} sealed the secrets of this database, and it is not given")]
    OtherMasterKey(String),
    /// It was altered, or could not be sealed.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the pepper is looked for and kept.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// Keeps it.
    pub store: &'a dyn Store,
    /// Says whether there are keys.
    pub queries: &'a dyn Queries,
    /// Has it, sealed.
    pub secrets: &'a dyn SealedSecrets,
    /// Opens it.
    pub sealer: &'a dyn Sealer,
}

/// The key ring under the pepper that is kept. Where there is none: under the one that `former`
/// master key gave, if the store has keys, else under a new one.
///
/// # Errors
/// [`PepperError`].
pub async fn key_ring(
    kept: Kept<'_>,
    former: Option<Zeroizing<[u8; 32]>>,
    entropy: &dyn Entropy,
) -> Result<KeyRing, PepperError> {
    if let Some(ring) = opened(kept).await? {
        return Ok(ring);
    }
    let pepper = if kept.queries.keys().await?.is_empty() {
        Zeroizing::new(entropy.secret())
    } else {
        former.ok_or(PepperError::WhichMasterKey)?
    };
    let mut work = kept.store.begin().await?;
    let sealed = kept.sealer.seal_secret(PEPPER, &pepper)?;
    work.credentials().keep_secret(&sealed).await?;
    work.commit().await?;
    // Another replica may have been first: what is kept counts.
    opened(kept)
        .await?
        .ok_or_else(|| StoreError::Inconsistent(format!("secrets {PEPPER}: it is not kept")).into())
}

async fn opened(kept: Kept<'_>) -> Result<Option<KeyRing>, PepperError> {
    let Some(sealed) = kept.secrets.sealed_secret(PEPPER).await? else {
        return Ok(None);
    };
    if !kept.sealer.has(&sealed.key_id) {
        return Err(PepperError::OtherMasterKey(sealed.key_id));
    }
    Ok(Some(KeyRing::new(kept.sealer.open_secret(&sealed)?)))
}
