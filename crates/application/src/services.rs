//! What every use case shares: the store, time, ids, and where failures are reported.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;
use tranche_domain::{EventId, Occasion};

use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::idempotency::{Answered, Claim, IdempotencyKey};
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::monitor::{Incident, Monitor};
use crate::ports::store::{Conflict, Store, StoreError, UnitOfWork};

/// How often a unit of work is tried when the database asks to try again.
pub(crate) const TRIES: usize = 5;

/// Shared by every use case; cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Units of work.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where failures are reported.
    pub monitor: Arc<dyn Monitor>,
    /// Rung when an event enters the outbox.
    pub outbox: Arc<Notify>,
}

impl Services {
    /// The occasion of an act that happens now.
    #[must_use]
    pub fn occasion(&self, caller: &Caller) -> Occasion {
        Occasion {
            by: caller.actor.clone(),
            origin: caller.origin.clone(),
            at: self.clock.now(),
            event_id: EventId(self.entropy.id()),
            salt: self.entropy.salt(),
        }
    }

    /// What the key was used for before, so that nothing is signed or opened for a repeated call.
    /// The claim that counts is made with the effect.
    pub(crate) async fn asked_before(
        &self,
        key: Option<&IdempotencyKey>,
    ) -> Result<Claimed, StoreError> {
        if key.is_none() {
            return Ok(Claimed::Ours);
        }
        let mut work = self.store.begin().await?;
        claim(work.as_mut(), key).await
    }

    /// Puts an event that stands by itself into the outbox, again while the database asks to.
    ///
    /// # Errors
    /// [`StoreError`]; the event is nowhere, or nobody knows.
    pub(crate) async fn post(&self, event: &EventRecord) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            match self.try_post(event).await {
                Err(error) if may_retry(&error) && tries < TRIES => tries += 1,
                posted => return posted,
            }
        }
    }

    async fn try_post(&self, event: &EventRecord) -> Result<(), StoreError> {
        let mut work = self.store.begin().await?;
        work.audit().post(event).await?;
        work.commit().await?;
        self.outbox.notify_one();
        Ok(())
    }

    /// Reports a store failure that the caller cannot mend.
    pub(crate) fn report_store(
        &self,
        operation: &'static str,
        critical: bool,
        error: &StoreError,
        context: Value,
    ) {
        if !matches!(error, StoreError::Conflict(_)) {
            self.monitor.report(Incident {
                operation,
                critical,
                error: with_causes(error),
                context,
            });
        }
    }
}

/// An error with everything that caused it, in one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Why a store that takes other events refused this one: it is not the store that is unavailable.
pub(crate) fn why_refused(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(cause) => with_causes(cause.as_ref()),
        error => with_causes(error),
    }
}

/// What a claim in a unit of work means for the use case.
pub(crate) enum Claimed {
    /// Go on.
    Ours,
    /// It was done before.
    Before(Answered),
    /// The key was used for something else.
    Misused,
}

/// Claims the key, if the call has one.
pub(crate) async fn claim(
    work: &mut dyn UnitOfWork,
    key: Option<&IdempotencyKey>,
) -> Result<Claimed, StoreError> {
    let Some(key) = key else {
        return Ok(Claimed::Ours);
    };
    Ok(match work.idempotency().claim(key).await? {
        Claim::New => Claimed::Ours,
        Claim::Used(answered) => Claimed::Before(answered),
        Claim::Misused => Claimed::Misused,
    })
}

/// Names what the claimed key made, if the call has one.
pub(crate) async fn bind(
    work: &mut dyn UnitOfWork,
    key: Option<&IdempotencyKey>,
    made: uuid::Uuid,
) -> Result<(), StoreError> {
    match key {
        Some(key) => work.idempotency().bind(key, made).await,
        None => Ok(()),
    }
}

/// Whether the database only asks to try again.
pub(crate) const fn may_retry(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(Conflict::Retry))
}
