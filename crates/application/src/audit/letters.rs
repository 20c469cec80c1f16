//! Dead letters, for the people who look after them: listed, and put into the log after all.

use std::sync::Arc;

use serde_json::json;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};
use uuid::Uuid;

use super::record::EventRecord;
use crate::call::Caller;
use crate::ports::dead_letters::{DeadLetter, DeadLetters, Redriven};
use crate::ports::monitor::Incident;
use crate::ports::queries::Page;
use crate::ports::store::StoreError;
use crate::services::{Services, with_causes};

/// How many letters are read at a time.
const PAGE: u32 = 1_000;

/// The commands on dead letters.
#[derive(Clone)]
pub struct Letters {
    services: Services,
    letters: Arc<dyn DeadLetters>,
}

/// What became of all letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redrive {
    /// How many events are in the log now.
    pub stored: u64,
    /// The letters that stay, oldest first, and why.
    pub failed: Vec<(Uuid, String)>,
}

impl Letters {
    /// Commands over these services and these letters.
    #[must_use]
    pub fn new(services: Services, letters: Arc<dyn DeadLetters>) -> Self {
        Self { services, letters }
    }

    /// Letters, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, page: Page) -> Result<Vec<DeadLetter>, StoreError> {
        self.letters.letters(page).await
    }

    /// How many letters there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.letters.count().await
    }

    /// Puts a letter's event into the log, and records who did so.
    ///
    /// # Errors
    /// [`StoreError`] when the log still refuses it; the letter stays.
    pub async fn redrive(&self, id: Uuid, caller: &Caller) -> Result<Redriven, StoreError> {
        // Letters come newest first: the one of this id comes first after the next id.
        let page = Page {
            after: Some(Uuid::from_u128(id.as_u128().saturating_add(1))),
            limit: 1,
        };
        let found = self.letters.letters(page).await?.into_iter().next();
        match found.filter(|letter| letter.id == id) {
            Some(letter) => self.drive(&Summary::from(letter), caller).await,
            None => Ok(Redriven::Unknown),
        }
    }

    /// Puts the events of all letters that there are now into the log, oldest first. One that fails
    /// stops none of the others.
    ///
    /// # Errors
    /// [`StoreError`] when the letters cannot be read; nothing was done.
    pub async fn redrive_all(&self, caller: &Caller) -> Result<Redrive, StoreError> {
        let mut outcome = Redrive::default();
        for letter in self.oldest_first().await? {
            match self.drive(&letter, caller).await {
                Ok(Redriven::Stored) => outcome.stored += 1,
                // Somebody else was faster.
                Ok(Redriven::Unknown) => {}
                Ok(Redriven::Unreadable) => {
                    let why = "its content is no event".to_owned();
                    outcome.failed.push((letter.id, why));
                }
                Err(error) => outcome.failed.push((letter.id, with_causes(&error))),
            }
        }
        Ok(outcome)
    }

    /// All letters without their content, which may be large.
    async fn oldest_first(&self) -> Result<Vec<Summary>, StoreError> {
        let mut all = vec![];
        let mut after = None;
        loop {
            let page = Page { after, limit: PAGE };
            let letters = self.letters.letters(page).await?;
            after = letters.last().map(|letter| letter.id);
            let full = letters.len() >= PAGE as usize;
            all.extend(letters.into_iter().map(Summary::from));
            if !full {
                all.reverse();
                return Ok(all);
            }
        }
    }

    async fn drive(&self, letter: &Summary, caller: &Caller) -> Result<Redriven, StoreError> {
        let now = self.services.clock.now();
        let redriven = self.letters.redrive(letter.id, now).await?;
        if redriven == Redriven::Stored {
            self.note(letter, caller).await;
        }
        Ok(redriven)
    }

    /// Writes down who drove a letter again. The event is in the log already, whatever comes of it.
    async fn note(&self, letter: &Summary, caller: &Caller) {
        let action = Action::DeadLetterRedriven;
        let occasion = self.services.occasion(caller);
        let event = AuditEvent::new(action, Resource::AuditLog, letter.id, &occasion)
            .with("event_id", Fact::maybe(letter.event_id))
            .with("source", Fact::text(&letter.source))
            .with("error", Fact::text(&letter.error));
        if let Err(error) = self.services.post(&EventRecord::from(&event)).await {
            self.services.monitor.report(Incident {
                operation: "audit.redrive",
                critical: true,
                error: with_causes(&error),
                context: json!({
                    "letter": letter.id,
                    "event_id": letter.event_id,
                    "by": caller.actor.id,
                }),
            });
        }
    }
}

/// What the record of a redrive tells of a letter.
struct Summary {
    id: Uuid,
    event_id: Option<Uuid>,
    source: String,
    error: String,
}

impl From<DeadLetter> for Summary {
    fn from(letter: DeadLetter) -> Self {
        Self {
            id: letter.id,
            event_id: letter.event_id,
            source: letter.source,
            error: letter.error,
        }
    }
}
