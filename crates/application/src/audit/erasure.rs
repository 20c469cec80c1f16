//! Erasing a subject: its key goes for good, and what the key sealed with it, wherever copies of it
//! are. The proofs of the events stay valid.

use std::time::Duration;

use thiserror::Error;
use tranche_domain::audit::Resource;
use tranche_domain::text::Reason;
use tranche_domain::{Action, AuditEvent, Fact};
use uuid::Uuid;

use super::record::EventRecord;
use super::sensitive::Sensitive;
use crate::call::{Call, Outcome};
use crate::ports::store::StoreError;
use crate::ports::subject_keys::Mentions;
use crate::services::{Claimed, Services, bind, claim};

/// Why nothing was erased.
#[derive(Debug, Error)]
pub enum ErasureError {
    /// The subject has no key in force: nothing of it is sealed, or all of that was erased.
    #[error("nothing is sealed under a key of this subject")]
    NoKey,
    /// The events could not be counted in the time that was given.
    #[error("there are too many events to be counted in this time")]
    TooMany,
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Erases subjects.
#[derive(Clone)]
pub struct Erasure {
    services: Services,
    sensitive: Sensitive,
}

impl Erasure {
    /// Erases the keys of what this seals.
    #[must_use]
    pub const fn new(services: Services, sensitive: Sensitive) -> Self {
        Self {
            services,
            sensitive,
        }
    }

    /// The subject's key in force, and how many events an erasure would be about. Reads every event, for
    /// as long as is given, or until it is through.
    ///
    /// # Errors
    /// [`ErasureError::NoKey`], [`ErasureError::TooMany`], [`ErasureError::Store`].
    pub async fn look(
        &self,
        subject: &str,
        longest: Option<Duration>,
    ) -> Result<(Uuid, Mentions), ErasureError> {
        let key = self.sensitive.key_of(subject).await?;
        let key = key.ok_or(ErasureError::NoKey)?.id;
        let mentions = self.sensitive.mentions(key, subject, longest).await;
        let mentions = mentions.map_err(|error| match error {
            StoreError::TooMuch => ErasureError::TooMany,
            error => error.into(),
        })?;
        Ok((key, mentions))
    }

    /// Erases the subject's key, and gives the id that it had. The event that tells of it names the
    /// key and not the subject.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn erase(
        &self,
        subject: &str,
        reason: &Reason,
        call: &Call,
    ) -> Result<Outcome<Uuid>, ErasureError> {
        let occasion = self.services.occasion(&call.caller);
        let hash = self.sensitive.subject_hash(subject);
        let mut work = self.services.store.begin().await?;
        match claim(work.as_mut(), call.idempotency.as_ref()).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(ErasureError::KeyMisused),
        }
        let erased = work
            .credentials()
            .erase_subject_key(&hash, occasion.at, &occasion.by.id)
            .await?;
        let key = erased.ok_or(ErasureError::NoKey)?;
        let event = AuditEvent::new(Action::SubjectErased, Resource::SubjectKey, key, &occasion)
            .with("reason", Fact::text(reason));
        work.audit()
            .log(&EventRecord::from(&event), occasion.at)
            .await?;
        bind(work.as_mut(), call.idempotency.as_ref(), key).await?;
        work.commit().await?;
        self.sensitive.forget(&hash, key);
        Ok(Outcome::Done(key))
    }
}
