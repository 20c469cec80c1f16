//! Who the actors of events are: what their credentials told of them, kept beside the log, because
//! names and addresses change and may be erased while an event stays as it is.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::store::StoreError;

/// A person or a program behind an actor's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// What they are called.
    pub name: Option<String>,
    /// Their address.
    pub email: Option<String>,
}

impl Person {
    /// Whether nothing is known.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.name.is_none() && self.email.is_none()
    }
}

/// The directory of actors.
#[async_trait]
pub trait Actors: Send + Sync {
    /// Keeps what is known of an actor now. What is not told stays as it was, and so does what was
    /// told later.
    async fn keep(&self, id: &str, person: &Person, at: DateTime<Utc>) -> Result<(), StoreError>;

    /// The persons behind these ids, as far as they are known.
    async fn named(&self, ids: &[String]) -> Result<HashMap<String, Person>, StoreError>;
}
