//! How a filter is written into the log: without what was looked for in contents.
//!
//! A search term may be somebody's name, and the log forgets nothing. So a term is written as a hash
//! under a key of the house: whoever has the term and the service can tell whether it was asked for, and
//! nobody gets a term out of the log, by guessing neither.

use serde_json::Value;
use zeroize::Zeroizing;

use super::canonical::Object;
use super::filter::EventFilter;
use crate::keys::{KeyRing, keyed_hash};

/// What a hash of a term begins with in the log.
pub const PREFIX: &str = "hmac-sha256:";

/// Writes filters; cheap to clone.
#[derive(Clone)]
pub struct SearchTerms {
    key: Zeroizing<[u8; 32]>,
}

impl SearchTerms {
    /// Under a key that this ring gives for it alone.
    #[must_use]
    pub fn new(ring: &KeyRing) -> Self {
        Self {
            key: ring.key_for("audit search terms"),
        }
    }

    /// The filter as JSON, with the hashes of its `text` and `details` in their places.
    #[must_use]
    pub fn written(&self, filter: &EventFilter) -> String {
        let hashes = [
            (
                "text",
                filter.text.as_deref().map(|text| self.of_text(text)),
            ),
            (
                "details",
                filter.details.as_ref().map(|part| self.of_details(part)),
            ),
        ];
        let bare = EventFilter {
            text: None,
            details: None,
            ..filter.clone()
        };
        let mut written = serde_json::to_value(bare).unwrap_or_default();
        for (name, hash) in hashes {
            if let Some(hash) = hash {
                written[name] = Value::String(hash);
            }
        }
        written.to_string()
    }

    /// The hash of a text that was looked for: one for all ways to write its ASCII letters, as a search
    /// has it.
    #[must_use]
    pub fn of_text(&self, text: &str) -> String {
        self.hash("text", text.to_ascii_lowercase().as_bytes())
    }

    /// The hash of what details were to contain: one for all ways to write the same JSON (RFC 8785).
    #[must_use]
    pub fn of_details(&self, part: &Value) -> String {
        let mut canonical = Vec::new();
        let mut object = Object::begin(&mut canonical);
        match object.value("details", part) {
            Ok(()) => object.end(),
            // A number that canonical JSON does not have: as it is.
            Err(_) => canonical = part.to_string().into_bytes(),
        }
        self.hash("details", &canonical)
    }

    fn hash(&self, kind: &str, content: &[u8]) -> String {
        let message = [kind.as_bytes(), b" ", content].concat();
        format!("{PREFIX}{}", hex::encode(keyed_hash(&self.key, &message)))
    }
}
