//! Sensitive parts of events: sealed before anything is stored or queued, opened for those who may see
//! them, and erased by erasing a key.
//!
//! Each subject has a key of its own, which is kept sealed under the master key. What it seals stands
//! in its place in the event as a small object (see [`mark`]), and the event's leaf covers that
//! object. So proofs need no key, and stay valid when a key is erased.
//!
//! The client's address and program have no place in a column once they are sealed: they go into the
//! metadata as `origin`, bound to the request.

mod keyring;
mod mark;
mod rules;
mod showing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;
use tranche_domain::Origin;
use uuid::Uuid;

use keyring::Keyring;
use mark::{DataKey, Mark, Of};
use rules::Place;

use super::record::EventRecord;
use crate::keys::KeyRing;
use crate::ports::custody::{CustodyError, Sealer};
use crate::ports::store::StoreError;
use crate::ports::subject_keys::{Mentions, SubjectKey, SubjectKeys};
use crate::services::Services;

pub use keyring::HELD;
pub(super) use mark::{FIELD, of_origin};
pub use rules::{RuleError, Rules};
pub use showing::mask;

/// Where a sealed origin is in an event's metadata.
pub(super) const ORIGIN: &str = "origin";

/// Why something could not be sealed.
#[derive(Debug, Error)]
pub enum SensitiveError {
    /// The keys cannot be looked up or kept now.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be opened or sealed with the master keys given.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// A key that was kept was erased at once.
    #[error("a subject's key was erased meanwhile")]
    Unkept,
    /// A value cannot be sealed.
    #[error("a value cannot be sealed")]
    Value,
}

/// Seals and opens the sensitive parts of events. Cheap to clone; clones share the keys they hold.
#[derive(Clone)]
pub struct Sensitive {
    rules: Arc<Rules>,
    keyring: Arc<Keyring>,
}

/// What is to be sealed in an event.
struct Plan {
    event: usize,
    places: Vec<Place>,
    origin: bool,
}

impl Sensitive {
    /// Seals what the rules name, under keys that `sealer` seals.
    #[must_use]
    pub fn new(
        rules: Rules,
        services: Services,
        keys: Arc<dyn SubjectKeys>,
        sealer: Arc<dyn Sealer>,
        ring: KeyRing,
    ) -> Self {
        Self {
            rules: Arc::new(rules),
            keyring: Arc::new(Keyring::new(services, keys, sealer, ring)),
        }
    }

    /// Seals the sensitive parts of events that come in; gives the places in the list of those that
    /// cannot be sealed now, which must not be kept as they are.
    pub async fn seal(&self, events: &mut [Arc<EventRecord>]) -> Vec<usize> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let plans: Vec<Plan> = events
            .iter()
            .enumerate()
            .map(|(place, event)| Plan {
                event: place,
                places: self.rules.places(event),
                origin: self.has_origin(event.ip_address.is_some(), event.user_agent.is_some()),
            })
            .filter(|plan| plan.origin || !plan.places.is_empty())
            .collect();
        let all = || plans.iter().map(|plan| plan.event).collect();
        let mut subjects = BTreeSet::new();
        for plan in &plans {
            subjects.extend(plan.places.iter().map(|place| place.subject.as_str()));
            if plan.origin {
                subjects.insert(events[plan.event].actor.id.as_str());
            }
        }
        let keys = self.keyring.for_sealing(subjects.into_iter()).await;
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => {
                tracing::error!(%error, events = plans.len(), "events cannot be sealed");
                return all();
            }
        };
        let mut failed = Vec::new();
        for plan in plans {
            let event = Arc::make_mut(&mut events[plan.event]);
            let find = |subject: &str| keys.get(subject).map(AsRef::as_ref);
            if self.seal_one(event, &plan, find).is_none() {
                failed.push(plan.event);
            }
        }
        failed
    }

    fn has_origin(&self, ip_address: bool, user_agent: bool) -> bool {
        (self.rules.ip_address && ip_address) || (self.rules.user_agent && user_agent)
    }

    fn seal_one<'k>(
        &self,
        event: &mut EventRecord,
        plan: &Plan,
        key: impl Fn(&str) -> Option<&'k DataKey>,
    ) -> Option<()> {
        let entropy = self.keyring.entropy();
        for place in &plan.places {
            let of = Of::Detail(event.id, &place.pointer);
            let value = event.details.pointer_mut(&place.pointer)?;
            let clear = zeroize::Zeroizing::new(serde_json::to_vec(value).ok()?);
            *value = Mark::seal(key(&place.subject)?, of, &clear, entropy)?.value();
        }
        if plan.origin {
            let key = key(&event.actor.id)?;
            let mut origin = Origin {
                ip_address: event.ip_address,
                user_agent: event.user_agent.take(),
                request_id: event.request_id.clone(),
                sealed: None,
            };
            self.seal_origin_under(&mut origin, key)?;
            (event.ip_address, event.user_agent) = (origin.ip_address, origin.user_agent);
            event.keep_origin(origin.sealed.as_ref());
        }
        Some(())
    }

    /// Where a request came from, with what is sensitive of it sealed. What cannot be sealed now is
    /// left out: an act must not fail for it.
    pub async fn origin(&self, mut origin: Origin, subject: &str) -> Origin {
        if !self.has_origin(origin.ip_address.is_some(), origin.user_agent.is_some()) {
            return origin;
        }
        let keys = self.keyring.for_sealing([subject].into_iter()).await;
        let sealed = keys.and_then(|keys| {
            let key = keys.get(subject).ok_or(SensitiveError::Unkept)?;
            self.seal_origin_under(&mut origin, key)
                .ok_or(SensitiveError::Value)
        });
        if let Err(error) = sealed {
            tracing::error!(%error, "where a request came from cannot be sealed, and is left out");
            self.take_origin(&mut origin);
        }
        origin
    }

    fn seal_origin_under(&self, origin: &mut Origin, key: &DataKey) -> Option<()> {
        let clear = Value::Object(self.take_origin(origin)).to_string();
        let clear = zeroize::Zeroizing::new(clear);
        let of = Of::Origin(origin.request_id.as_deref());
        let mark = Mark::seal(key, of, clear.as_bytes(), self.keyring.entropy())?;
        origin.sealed = Some(mark.into_origin());
        Some(())
    }

    /// Takes away what is sensitive of an origin.
    fn take_origin(&self, origin: &mut Origin) -> Map<String, Value> {
        let mut taken = Map::new();
        if self.rules.ip_address
            && let Some(address) = origin.ip_address.take()
        {
            taken.insert("ip_address".to_owned(), json!(address.to_string()));
        }
        if self.rules.user_agent
            && let Some(agent) = origin.user_agent.take()
        {
            taken.insert("user_agent".to_owned(), json!(agent));
        }
        taken
    }

    /// A subject's name where its key is kept.
    pub(super) fn subject_hash(&self, subject: &str) -> [u8; 32] {
        self.keyring.hash(subject)
    }

    /// A subject's key in force.
    pub(super) async fn key_of(&self, subject: &str) -> Result<Option<SubjectKey>, StoreError> {
        let hash = self.subject_hash(subject);
        let keys = self.keyring.kept().in_force(&[hash]).await?;
        Ok(keys.into_iter().next())
    }

    pub(super) async fn mentions(
        &self,
        key: Uuid,
        actor: &str,
        longest: Option<Duration>,
    ) -> Result<Mentions, StoreError> {
        self.keyring.kept().mentions(key, actor, longest).await
    }

    /// Forgets a key that is gone.
    pub(super) fn forget(&self, subject: &[u8; 32], key: Uuid) {
        self.keyring.forget(subject, key);
    }
}
