//! The newest checkpoint outside of the database: who puts back an older database, or another one,
//! is found out by it.

use async_trait::async_trait;
use thiserror::Error;

use super::tree::Checkpoint;

/// Why a kept checkpoint cannot be read or written; names the place.
#[derive(Debug, Error)]
#[error("{place}: {why}")]
pub struct KeepError {
    /// Where it is kept.
    pub place: String,
    /// What is wrong.
    pub why: String,
}

/// Keeps notes of checkpoints where no restored database reaches.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait KeptCheckpoints: Send + Sync {
    /// The note of the newest checkpoint, if one was ever kept here.
    async fn newest(&self) -> Result<Option<String>, KeepError>;

    /// Puts a checkpoint in the place of the newest: it is on the disk when this returns, and at
    /// every moment either the one before or this one is there, whole. A newer one that somebody
    /// else has kept stays.
    async fn keep(&self, checkpoint: &Checkpoint) -> Result<(), KeepError>;

    /// Puts the newest aside, under a name that is given back, so that none is kept.
    async fn set_aside(&self) -> Result<Option<String>, KeepError>;
}
