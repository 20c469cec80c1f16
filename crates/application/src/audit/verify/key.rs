//! The public half of a log's key, as outsiders pin it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use thiserror::Error;

use crate::audit::tree::note::{self, ED25519, NoteError, Origin, key_id};
use crate::ports::tree::Hash;

/// A verifier key of signed-note: `name+id+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    text: String,
    public: VerifyingKey,
}

/// Why a text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a verifier key such as example.com/log+1234abcd+AQ…, of an Ed25519 key")]
pub struct NoKey;

impl VerifierKey {
    /// Reads a verifier key.
    ///
    /// # Errors
    /// [`NoKey`], also when its id is another key's.
    pub fn parse(text: &str) -> Result<Self, NoKey> {
        let read = || {
            let (name, rest) = text.split_once('+')?;
            Origin::parse(name).ok()?;
            let (id, key) = rest.split_once('+')?;
            let key = STANDARD.decode(key).ok()?;
            let (kind, public) = key.split_first()?;
            let public = VerifyingKey::from_bytes(public.try_into().ok()?).ok()?;
            let is_its_own = hex::encode(key_id(name, &public)) == id;
            (*kind == ED25519 && is_its_own).then(|| Self {
                text: text.to_owned(),
                public,
            })
        };
        read().ok_or(NoKey)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What a note states, if this key signed it, under whatever name of the log.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(&self, text: &str) -> Result<(u64, Hash), NoteError> {
        note::opened_by(text, &self.public)
    }
}
