//! Signed checkpoints: what the tree was, as C2SP tlog-checkpoint and signed-note have it.
//!
//! ```text
//! example.com/audit                                    the log's name
//! 42                                                   how many leaves
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=         the root
//!
//! — example.com/audit Az3grlgtzPICa5OS8npVmf1Myq/5…    key id and Ed25519 signature
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ports::tree::{Checkpoint, Hash};

/// Ed25519, as signed-note names it.
pub(crate) const ED25519: u8 = 1;
/// Before each signature.
pub(crate) const DASH: &str = "\u{2014} ";

/// The name of a log: what stands in the first line of its checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// A name that no log can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be 1 to 255 characters without spaces, control characters or plus signs")]
pub struct NoOrigin;

impl Origin {
    /// A log's name.
    ///
    /// # Errors
    /// [`NoOrigin`].
    pub fn parse(text: &str) -> Result<Self, NoOrigin> {
        let fits = (1..=255).contains(&text.len())
            && !text
                .chars()
                .any(|char| char == '+' || char.is_whitespace() || char.is_control());
        fits.then(|| Self(text.to_owned())).ok_or(NoOrigin)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Signs checkpoints. Its secret is wiped when it is dropped, and never printed.
#[derive(Clone)]
pub struct LogKey {
    origin: Origin,
    secret: SigningKey,
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKey")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Why a note is not a checkpoint of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// It is not written as one.
    #[error("it is not written as a checkpoint")]
    Malformed,
    /// It was not signed by the log's key, or was altered since.
    #[error("the log's key has not signed it")]
    NotSigned,
}

impl LogKey {
    /// The key of a log. Without an origin it is named by its key, so that no two are the same.
    #[must_use]
    pub fn new(secret: &Zeroizing<[u8; 32]>, origin: Option<Origin>) -> Self {
        let secret = SigningKey::from_bytes(secret);
        let named_by_key = || {
            let digest = Sha256::digest(secret.verifying_key().as_bytes());
            Origin(format!("tranche/audit/{}", hex::encode(&digest[..8])))
        };
        Self {
            origin: origin.unwrap_or_else(named_by_key),
            secret,
        }
    }

    /// The log's name.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What outsiders pin: the verifier key as signed-note writes it.
    #[must_use]
    pub fn verifier(&self) -> String {
        let public = self.secret.verifying_key();
        let id = hex::encode(key_id(self.origin.as_str(), &public));
        let mut key = vec![ED25519];
        key.extend_from_slice(public.as_bytes());
        format!("{}+{id}+{}", self.origin, STANDARD.encode(key))
    }

    /// The public key's 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.secret.verifying_key().to_bytes()
    }

    /// States what the tree is.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash, signed_at: DateTime<Utc>) -> Checkpoint {
        let text = format!("{}\n{size}\n{}\n", self.origin, STANDARD.encode(root));
        let id = key_id(self.origin.as_str(), &self.secret.verifying_key());
        let mut signature = id.to_vec();
        signature.extend_from_slice(&self.secret.sign(text.as_bytes()).to_bytes());
        Checkpoint {
            size,
            root,
            note: format!(
                "{text}\n{DASH}{} {}\n",
                self.origin,
                STANDARD.encode(signature)
            ),
            signed_at,
        }
    }

    /// What a note of this log states. One that was signed under a former name of the log counts.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(&self, note: &str) -> Result<(u64, Hash), NoteError> {
        opened_by(note, &self.secret.verifying_key())
    }

    /// Whether a checkpoint says what its note states, and the log's key signed that.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<(), NoteError> {
        if self.open(&checkpoint.note)? == (checkpoint.size, checkpoint.root) {
            Ok(())
        } else {
            Err(NoteError::NotSigned)
        }
    }
}

/// What a note states, if this key signed it, under whatever name of the log: size and root.
///
/// # Errors
/// [`NoteError`].
pub fn opened_by(note: &str, key: &VerifyingKey) -> Result<(u64, Hash), NoteError> {
    let stated = stated(note)?;
    let (text, signatures) = split(note).ok_or(NoteError::Malformed)?;
    let is_its_own = |line: &str| {
        let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (id, signature) = signature.split_at_checked(4)?;
        let signature = Signature::from_slice(signature).ok()?;
        let holds = id == key_id(name, key).as_slice()
            && key.verify_strict(text.as_bytes(), &signature).is_ok();
        holds.then_some(())
    };
    if signatures.lines().any(|line| is_its_own(line).is_some()) {
        Ok(stated)
    } else {
        Err(NoteError::NotSigned)
    }
}

/// What a note states, whoever signed it: size and root.
///
/// # Errors
/// [`NoteError::Malformed`].
pub fn stated(note: &str) -> Result<(u64, Hash), NoteError> {
    let read = || {
        let (text, _) = split(note)?;
        let mut lines = text.lines();
        Origin::parse(lines.next()?).ok()?;
        let size = lines.next()?;
        let number: u64 = size.parse().ok()?;
        let root = STANDARD.decode(lines.next()?).ok()?;
        (number.to_string() == size).then_some((number, root.try_into().ok()?))
    };
    read().ok_or(NoteError::Malformed)
}

/// Text and signatures of a note: an empty line is between them.
pub(crate) fn split(note: &str) -> Option<(&str, &str)> {
    let end = note.rfind("\n\n")?;
    let signatures = &note[end + 2..];
    (signatures.ends_with('\n')).then_some((&note[..=end], signatures))
}

/// Names a key, with the name it signs for.
pub(crate) fn key_id(name: &str, public: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update(b"\n")
        .chain_update([ED25519])
        .chain_update(public.as_bytes())
        .finalize();
    let mut id = [0; 4];
    id.copy_from_slice(&digest[..4]);
    id
}
