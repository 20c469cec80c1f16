//! Who the subjects of an issuer are: kept in the directory of actors when they call, beside the call
//! and seldom, so that no call waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tranche_application::ports::actors::{Actors, Person};
use tranche_application::ports::clock::Clock;
use tranche_application::services::with_causes;

/// How long somebody is not kept again who says the same.
const AGAIN_AFTER: Duration = Duration::from_hours(1);
/// The most subjects that are remembered as kept; then all of them are forgotten.
const MOST: usize = 10_000;

/// Keeps who calls.
#[derive(Clone)]
pub struct Acquaintances {
    actors: Arc<dyn Actors>,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<HashMap<String, (Person, Instant)>>>,
}

impl Acquaintances {
    /// Keeps them in this directory.
    #[must_use]
    pub fn new(actors: Arc<dyn Actors>, clock: Arc<dyn Clock>) -> Self {
        Self {
            actors,
            clock,
            kept: Arc::default(),
        }
    }

    /// Somebody calls, and their credential says who they are. Failing to keep it is logged, and tried
    /// again after an hour.
    pub fn meet(&self, subject: &str, person: &Person) {
        if person.is_unknown() || !self.is_news(subject, person) {
            return;
        }
        let (actors, at) = (self.actors.clone(), self.clock.now());
        let (subject, person) = (subject.to_owned(), person.clone());
        tokio::spawn(async move {
            if let Err(error) = actors.keep(&subject, &person, at).await {
                tracing::warn!(error = with_causes(&error), "an actor's name was not kept");
            }
        });
    }

    fn is_news(&self, subject: &str, person: &Person) -> bool {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = kept
            .get(subject)
            .is_some_and(|(known, at)| known == person && now.duration_since(*at) < AGAIN_AFTER);
        if is_known {
            return false;
        }
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(subject.to_owned(), (person.clone(), now));
        true
    }
}
