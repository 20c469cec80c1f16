//! What stands in the place of a sealed value: `{"$sealed": KEY ID, "box": BASE64}`, where the box is
//! nonce and ciphertext (XChaCha20-Poly1305).
//!
//! What it belongs to is authenticated with it: the key, the event or the request, and the place. So a
//! box that is moved elsewhere does not open.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde_json::{Value, json};
use tranche_domain::actor::SealedOrigin;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::ports::entropy::Entropy;

/// The field by which a mark is known; no sender may use it.
pub(in crate::audit) const FIELD: &str = "$sealed";
const CONTENT: &str = "box";
const NONCE: usize = 24;
const DETAIL: &[u8] = b"tranche sealed detail v1\0";
const ORIGIN: &[u8] = b"tranche sealed origin v1\0";

/// A subject's key in clear. Wiped when dropped.
pub(super) struct DataKey {
    pub id: Uuid,
    pub secret: Zeroizing<[u8; 32]>,
}

/// What a box belongs to.
#[derive(Clone, Copy)]
pub(super) enum Of<'a> {
    /// A place in the details of an event, as a JSON pointer.
    Detail(Uuid, &'a str),
    /// Where a request came from. One request may have several events, and all carry it.
    Origin(Option<&'a str>),
}

impl Of<'_> {
    fn bytes(self, key: Uuid) -> Vec<u8> {
        let key = key.as_bytes();
        match self {
            Self::Detail(event, pointer) => {
                [DETAIL, key, event.as_bytes(), pointer.as_bytes()].concat()
            }
            Self::Origin(request) => [ORIGIN, key, request.unwrap_or_default().as_bytes()].concat(),
        }
    }
}

/// A sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub key: Uuid,
    content: Vec<u8>,
}

impl Mark {
    /// Seals a text.
    pub fn seal(key: &DataKey, of: Of<'_>, clear: &[u8], entropy: &dyn Entropy) -> Option<Self> {
        let random = entropy.secret();
        let mut nonce = XNonce::default();
        nonce.copy_from_slice(&random[..NONCE]);
        let payload = Payload {
            msg: clear,
            aad: &of.bytes(key.id),
        };
        let cipher = XChaCha20Poly1305::new((&*key.secret).into());
        let sealed = cipher.encrypt(&nonce, payload).ok()?;
        Some(Self {
            key: key.id,
            content: [nonce.as_slice(), &sealed].concat(),
        })
    }

    /// What was sealed, if it was by this key and for this place.
    pub fn open(&self, key: &DataKey, of: Of<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, msg) = self.content.split_at_checked(NONCE)?;
        let payload = Payload {
            msg,
            aad: &of.bytes(key.id),
        };
        let cipher = XChaCha20Poly1305::new((&*key.secret).into());
        let nonce = XNonce::try_from(nonce).ok()?;
        cipher.decrypt(&nonce, payload).ok().map(Zeroizing::new)
    }

    /// The mark that this value is, if it is one.
    pub fn read(value: &Value) -> Option<Self> {
        let fields = value.as_object().filter(|fields| fields.len() == 2)?;
        let key = fields.get(FIELD)?.as_str()?;
        let content = fields.get(CONTENT)?.as_str()?;
        Some(Self {
            key: Uuid::try_parse(key).ok()?,
            content: STANDARD_NO_PAD.decode(content).ok()?,
        })
    }

    pub fn value(&self) -> Value {
        json!({ FIELD: self.key, CONTENT: STANDARD_NO_PAD.encode(&self.content) })
    }

    /// As an [`tranche_domain::Origin`] carries it.
    pub fn into_origin(self) -> SealedOrigin {
        SealedOrigin {
            key: self.key,
            content: self.content,
        }
    }
}

/// An origin's mark, as an event holds it.
pub(in crate::audit) fn of_origin(sealed: &SealedOrigin) -> Value {
    Mark {
        key: sealed.key,
        content: sealed.content.clone(),
    }
    .value()
}
