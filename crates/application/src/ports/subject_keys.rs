//! The keys under which sensitive details are sealed, one for each subject, each itself sealed under a
//! master key. Written through the unit of work.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::custody::SealedSecret;
use super::store::StoreError;

/// A subject's key in force, sealed: safe to store.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectKey {
    /// Names it in what it seals.
    pub id: Uuid,
    /// HMAC-SHA-256 of the subject's id.
    pub subject: [u8; 32],
    /// Names the master key that sealed it.
    pub key_id: String,
    /// Nonce and ciphertext; the name is authenticated with it.
    pub sealed: Vec<u8>,
    /// Since when it is there.
    pub created_at: DateTime<Utc>,
}

impl SubjectKey {
    /// As a master key seals it.
    #[must_use]
    pub fn secret(&self) -> SealedSecret {
        SealedSecret {
            name: Self::name(self.id),
            key_id: self.key_id.clone(),
            sealed: self.sealed.clone(),
        }
    }

    /// What the key of this id is called where it is sealed.
    #[must_use]
    pub fn name(id: Uuid) -> String {
        format!("audit-subject-key {id}")
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKey")
            .field("id", &self.id)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// What is kept under a key's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptKey {
    /// It is in force.
    InForce(SubjectKey),
    /// The key of this id was erased: nobody opens what it sealed.
    Erased(Uuid),
}

/// Events that an erasure is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// How many hold what the key sealed.
    pub sealed: u64,
    /// How many name the subject as their actor; that stays.
    pub acted: u64,
}

/// Has the keys.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait SubjectKeys: Send + Sync {
    /// The keys in force of these subjects; a subject without one is left out.
    async fn in_force(&self, subjects: &[[u8; 32]]) -> Result<Vec<SubjectKey>, StoreError>;

    /// What is kept under these ids; an unknown one is left out.
    async fn by_id(&self, ids: &[Uuid]) -> Result<Vec<KeptKey>, StoreError>;

    /// Counts the events in log, archive and outbox that hold what this key sealed, or name this
    /// actor. Reads every event, which takes its time: [`StoreError::TooMuch`] when it takes longer than
    /// is given, if anything is.
    async fn mentions(
        &self,
        key: Uuid,
        actor: &str,
        longest: Option<Duration>,
    ) -> Result<Mentions, StoreError>;
}
